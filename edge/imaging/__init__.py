"""Pixels and boxes as arrays.

- images: resize, letterbox, crop, rotate, convert
- boxes: the detector's grid, decoding, overlap, non-maximum suppression
- head_turn: how far a head is turned, from landmarks
- alignment: a face in the place, size and direction that an embedder expects
- label_layout: labels that cover neither boxes nor each other
- cells: a small grid of brightness and colours
- motion: changes between frames
- blindness: pictures in which nothing can be seen
- noise: frames with nothing but noise
- image_file: decode an image file
- image_kind: which kind of image a file is, by its content
- image_header: the size that an image file announces
- image_orientation: the EXIF orientation, and pictures turned upright
"""
