"""People who walk up to a door, rendered frame by frame from labelled pictures.

people    cut a person out of a picture and set them into a scene
walks     where a walking person is in each frame
corridor  a painted corridor as background
files     write a video or a file completely or not at all

Everything needs only NumPy and OpenCV.
"""

#: Size of a frame in pixels.
WIDTH, HEIGHT = 640, 480
