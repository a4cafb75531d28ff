"""The laboratory behind Doorlight's models: data, networks, training, export and evaluation.

Not part of the installed package. Pixels are cut, resized and quantised by `edge`, so that training and the door see
the same ones.
"""
