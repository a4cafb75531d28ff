"""Make Doorlight's models: data, networks, training, export and evaluation. Not part of the installed package.

Pixels are cut, resized and quantised by `edge`, so that training and the door get the same ones.

Commands, see README.md:

train, prune_network            train a network; prune one
export                          turn the best weights of a run into a shipped model
evaluate, evaluate_peers        evaluate the shipped models, and public ones
make_passages, make_walkups     render people who walk up: one at a time; several at once, in scenes
sweep                           try settings of the door on such videos
leave_one_out                   measure what a model owes to each collection
edgetpu                         add compiled models to the manifest
cards                           write the model cards

Modules:

records, dataset, families      the data format; data sets and their splits; what belongs together
arrays                          array types
landmarks                       five points of a face, and its pose
nets, loop, checkpoints         the networks, the training loop, and weights on the disk
detector, mask, expression,
masked_expression, landmarker   what is trained: data, loss, validation of each network
scenes, things, detector_loss   the detector's training pictures and its loss
augment, drawing, rendering     pictures changed, drawn on and rendered
prune                           pruning
convert, keras_converter        PyTorch to TFLite, by way of Keras
export_model                    the whole export
calibration, runtimes           thresholds and calibration; what an 8-bit model answers in both runtimes
modelfile                       checks of a .tflite file
evaluation, groups              evaluation, one module a task; by age, sex and ethnicity
walkups                         the scenes of make_walkups, and their truth
recording                       what the models see in videos, for sweep
metrics, figures                computing figures; keeping them in the manifest
plots, contact_sheet            drawings
comparison, manifest_rows       the comparison with public models; writing manifest.toml
workers                         processes that share the work of a command
command_line                    options and messages of the commands
"""
