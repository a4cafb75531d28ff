"""Frames from cameras, network streams, videos and image files.

- source: the interface of a source of frames, and the error of a lost camera
- factory: choose the source for a setting or command-line argument
- live: the newest frame of a camera, in a thread that is replaced when it hangs
- device: the interface of a camera driver
- picamera: the Raspberry Pi camera, through Picamera2
- v4l2: USB cameras, through OpenCV
- stream: network cameras, through FFmpeg
- video_file: every frame of a video file
- http_video: a video file on a web server
- video_clock: times of a video's frames, from its time stamps
- container_header: codec and orientation in the header of a video
- video_formats, video_codecs: recognise a video by its first bytes; names of codecs
- picture_files: a picture, shown for a while
- folder: the pictures and videos of a folder
- file_kind: whether a file is a picture or a video, by its content
- ffmpeg_process: OpenCV's FFmpeg in a child process
- opencv: frames of a cv2.VideoCapture as RGB
"""
