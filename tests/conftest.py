"""Settings and fixtures that all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no failure: hypothesis's time limits are off, as no test here is about time.
settings.register_profile("doorlight", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("doorlight")

pytest_plugins = ["support.doctor", "support.edgetpu", "support.gpio", "support.picamera"]
