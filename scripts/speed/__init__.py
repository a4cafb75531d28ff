"""Compare Doorlight's speed with other software, check it against its targets, and estimate it for Raspberry Pis.

Commands, see README.md:

check             check the targets on this machine
compare           time Doorlight, public models and the pipeline of the tutorials
estimate          estimate the speed on Raspberry Pis
page              measure what the page costs the door

Modules:

scenes            the frames of a comparison, made from a video or pictures
measure           pipelines, and how they are timed in turn
tutorial          the mask detector that most tutorials build
target            the result of a target
loop_targets      targets of the loop in this process
program_targets   targets of the whole program
watched_door.py   the door that page measures; also runs with an older Doorlight

The public models are in the package `peers`.
"""
