"""Frames from cameras, network streams, videos and image files.

- source: the interface of a source of frames, and the error of a lost camera
- factory: choose the source for a setting or command-line argument
- live: the newest frame of a camera, in a thread that is replaced when it hangs
- device: the interface of a camera driver
- picamera: the Raspberry Pi camera
- picamera_process, picamera_driver: Picamera2 in a child process; picamera_request: its start
- v4l2: USB cameras, through OpenCV
- stream: network cameras, through FFmpeg or HTTP
- address, login: addresses with passwords; answers to a camera that asks for a login
- http_client, http_pictures, http_process: JPEG pictures over HTTP, in a child process
- rtsp_probe, network_errors: why a network camera does not open
- tls: encryption without certificates
- video: every frame of a video, in a file (video_file) or on a web server (http_video)
- video_clock: times of a video's frames, from its time stamps
- container_header: codec and orientation in the header of a video
- video_formats, video_codecs: recognise a video by its first bytes; names of codecs
- picture_files: a picture, shown for a while
- folder: the pictures and videos of a folder
- file_kind: whether a file is a picture or a video, by its content
- picture_process: a child process that sends pictures
- decoder_process: one that decodes untrusted pictures
- ffmpeg_process: OpenCV's FFmpeg in such a process
- opencv: frames of a cv2.VideoCapture as RGB
"""
