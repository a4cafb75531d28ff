"""Compare Doorlight's speed with other software, check it against its targets, and estimate it for Raspberry Pis.

Commands, see README.md:

check             does Doorlight reach its targets on this machine?
compare           how fast is Doorlight beside public models and the pipeline of the tutorials?
estimate          how fast would it be on a Raspberry Pi?

Modules:

scenes            the frames of a comparison, made from a video or pictures
measure           pipelines, and how they are timed in turn
tutorial          the mask detector that most tutorials build
target            the result of a target
loop_targets      targets of the loop in this process
program_targets   targets of the whole program

The public models are in the package `peers`.
"""
