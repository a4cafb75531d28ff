"""Evaluate models: one module a task. The commands are training.evaluate and training.evaluate_peers.

selection     choose the records of a data set, and check their pictures
stages        the stages of the cascade, behind protocols that public models follow too
common        the result of a task; pairing of faces and detections; sheets and curves of every task
detector      faces found
mask          mask or no mask
expression    the seven expressions
passages      the lights of the whole door while people walk up
peers         the public models
"""
