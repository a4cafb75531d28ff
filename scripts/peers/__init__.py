"""Public models that people download, with the same methods as Doorlight's own models, so that both are measured alike.

Each model gets its input as its authors prepare it, and keeps the thresholds of their demo. Pictures are (H, W, 3)
uint8, RGB. The model files are not part of this project: scripts/peers/README.md has their addresses.

float_models    run a float TFLite model, load a Keras model
detectors       AIZOO (faces and masks) and Ultra-Light (faces)
yunet           YuNet (faces)
xception        mini-XCEPTION (expressions)
figures.json    the accuracy of these models, written by python -m training.evaluate_peers
"""
