"""A fake of libcamera for child processes."""

from types import SimpleNamespace

from support.fake_picamera2 import AeExposureModeEnum, AeMeteringModeEnum, ColorSpace, Transform

__all__ = ["ColorSpace", "Transform", "controls"]

controls = SimpleNamespace(AeMeteringModeEnum=AeMeteringModeEnum, AeExposureModeEnum=AeExposureModeEnum)
