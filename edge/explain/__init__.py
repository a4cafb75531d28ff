"""Explain an answer of the models: which pixels of a face speak for it, and which against it.

The methods treat a model as a black box: they remove parts of a face and watch the answer. So they work on the shipped
8-bit models as they are. The door does not import this package; for the page *Why* it starts
`view/explain_process`.

- `explanation`: `explain`, a pure function from a picture and a face to a heat map, a score and words
- `methods`: RISE, LIME and occlusion
- `black_box`: the answers of the three stages as log-odds
- `superpixels`: SLIC, the segments of LIME
- `regions`: parts of a face, from its box
- `sheet`: draws explanations into one picture
- `people`: finds and numbers the people of a picture, and explains each
"""
