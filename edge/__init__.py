"""Doorlight: a box at a door that shows green if everyone in view wears a mask, and red if someone does not.

cli             the command `doorlight`: options and main()
door            the loop: camera, perception, tracker, policy, lights, event log
attention       when to search for faces, and which faces to look at
tracker         which face is which person, and the evidence for each person
policy          the decision: verdicts, agitation, signal
config          the settings; default.toml is their schema
renamed_settings   answers for unknown keys of a settings file
records         the records that the layers exchange
errors          the exceptions and their exit codes
health          the door's current problems
timing          how the time of a frame is divided between the stages
annotate        write pictures and videos with the door's decisions drawn in
drawing         draw a decision into a picture
video_writer    write a video in a format that most programs show

camera          sources of frames: cameras, streams, files
imaging         functions on pictures and boxes
inference       models, runtimes, Edge TPU
lights          signal to GPIO pins
events          event log: write, read, describe
doctor          checks of the installation and the hardware
bench           speed measurements
system          files, child processes, systemd, terminal
"""

__version__ = "0.1.0"
