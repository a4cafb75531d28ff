"""The conversion of a Keras model to TFLite."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra: pip install .[train]")

import tensorflow as tf

from training.keras_converter import converter_of


class Doubled(tf.keras.layers.Layer):  # type: ignore[misc]
    """Doubles its input in inference only, and counts how often it is traced."""

    traced = 0

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        self.traced += 1
        return x if training else 2 * x


@pytest.mark.filterwarnings("default")
def test_each_layer_is_traced_once_and_answers_as_in_keras() -> None:
    layer = Doubled()
    inputs = tf.keras.Input((4, 4, 1), batch_size=1)
    outputs = tf.keras.layers.Dense(3)(tf.keras.layers.Flatten()(layer(inputs)))
    model = tf.keras.Model(inputs, outputs)
    layer.traced = 0
    content = converter_of(tf, model).convert()
    assert layer.traced == 1
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    picture = np.random.default_rng(1).normal(size=(1, 4, 4, 1)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, model(picture).numpy(), rtol=1e-5, atol=1e-6)
