"""Two LEDs, a buzzer and a relay on the GPIO header.

- `lights`: show one signal at a time on three or four pins, real or simulated
- `relay`: when a relay unlocks a door; loaded only if there is one
- `output`: one pin that is off, on, or plays a pattern or a pulse
- `pin_factory`: open gpiozero's pins through lgpio; find out why a machine has no pins
- `pin_process`: run `lights` in a child process, so that no lamp stays lit when the door dies or hangs
- `gpio`: find the header's chip, find the holder of a pin, and switch pins off, through the kernel alone
- `wiring_test`: the steps of `doorlight lights --test`
"""
