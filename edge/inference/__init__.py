"""Run the models: manifest, TFLite interpreters, the Edge TPU, and the cascade that uses them.

- `manifest`: read models_tflite/manifest.toml; load and verify model files.
- `interpreter`: load a model into a TFLite runtime and check its tensors.
- `perception`: the cascade of face detector, mask classifier and expression classifier.
- `edgetpu`: find a Coral, run models on it in the background, fall back to the CPU.
- `edgetpu_process`: the parent's side of the process that holds the Edge TPU.
- `edgetpu_worker`: that process itself, and the layout of the memory that both sides share.
"""
