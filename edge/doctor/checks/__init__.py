"""The checks of `doorlight doctor`: a module per check, each with a function `check(host)` that yields findings.

A check may raise, hang or end the process: `doctor.runner` handles that. Import what needs more than the standard
library inside the function, so that the other checks still work if NumPy is broken.

python          Python, operating system and board
libraries       the libraries that the door imports
configuration   the settings file
models          the model files, and the time of a face search
service         the state of doorlight.service
camera          the cameras of this machine, and a picture of the door's camera
coral           the Edge TPU
lights          the GPIO pins
permissions     access to the device files of camera and lights
events          folder, disk space and write time of the event log
storage         whether log, settings and program survive power-off
temperature     temperature, power supply and throttling
journal         whether the systemd journal survives a reboot
people          enrolled people: model, store, consents
clock           whether the clock is set
"""
