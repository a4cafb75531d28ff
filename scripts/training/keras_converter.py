"""The TFLite converter of a Keras model, which traces each layer once."""

from __future__ import annotations

from typing import Any


def converter_of(tf: Any, model: Any) -> Any:
    """Return the converter of a Keras model with one input; `tf` is TensorFlow.

    TensorFlow's own from_keras_model saves the model first, for which Keras traces each layer several times: that takes
    six times as long as all the rest of a conversion.
    """
    spec = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype, "input")
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    # What is saved instead: the variables, which the function itself does not keep.
    saved = tf.Module()
    saved.kept = model.variables
    return tf.lite.TFLiteConverter.from_concrete_functions([function], saved)
