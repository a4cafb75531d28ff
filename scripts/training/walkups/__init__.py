"""Walk-ups as a door's camera sees them: several people at once, moving things, changing masks, bad light, H.264.

truth          what happens in each scene, and which lights are right when; the file that holds it
paths          where a person or a thing is at a time
script         what shall happen in a scene, at random
actors         people with and without a mask, a hand at the mouth, a turned head
moving_things  wheels, cyclists, swinging doors, balloons, animals: things that are no people
camera         light, lens and sensor
stage          the frames of a scene
h264           write a video as network cameras compress it

Everything needs only NumPy and OpenCV, and for H.264 the program ffmpeg.
"""
