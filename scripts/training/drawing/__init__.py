"""Things drawn on faces, as training examples.

canvas     the surroundings of one face, on which layers are painted in the face's own coordinates and light
patterns   colours and printed patterns of cloth
masks      masks, worn well or wrongly
occluders  hands, cups, microphones, phones, scarves and beards: what hides a mouth and is no mask

Every drawing function takes (picture (H, W, 3) uint8 RGB, face box (x1, y1, x2, y2) in pixels, generator) and returns
a new picture. The same generator state gives the same picture.
"""
