"""The demo clip and the pictures of the documents.

make_demo     make the demo clip, one frame of it, and the visitor of `doorlight bench`
make_picture  make the picture in the README
"""
