"""Light, lens and sensor of the camera of a scene."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ..arrays import Picture, Rng, as_pixels

#: Kinds of light with their shares.
LIGHTS = (("daylight", 0.50), ("dim", 0.15), ("low-key", 0.10), ("backlit", 0.17), ("night", 0.08))
#: Noise is drawn once a scene and shifted in each frame by up to this many pixels.
NOISE_SHIFT_PX = 24
NOISE_FIELDS = 3


@dataclass(frozen=True)
class Camera:
    """How a camera sees a scene.

    `gain`, `gamma`, `lift` change the levels; `noise` is its standard deviation in levels, `grain_px` the size of its
    grains. `exposure_s` sets the motion blur. `people` is the brightness of people and `glare` the strength of a bright
    door behind them, in levels. `crf` sets the compression, see `h264`.
    """

    light: str
    gain: float
    gamma: float
    lift: float
    noise: float
    grain_px: float
    blur: float
    exposure_s: float
    crf: int
    grey: bool = False
    people: float = 1.0
    glare: float = 0.0

    @classmethod
    def random(cls, rng: Rng) -> Camera:
        """Return a random camera in random light."""
        light = str(rng.choice([name for name, _ in LIGHTS], p=[share for _, share in LIGHTS]))
        gain, gamma, noise, exposure_s = (
            rng.uniform(0.75, 1.25),
            np.exp(rng.uniform(-0.2, 0.2)),
            rng.uniform(1, 5),
            0.012,
        )
        people, glare, lift = 1.0, 0.0, rng.uniform(0, 18)
        if light == "dim":
            gain, noise, exposure_s = rng.uniform(0.25, 0.5), rng.uniform(4, 10), 0.033
        elif light == "low-key":
            gain, gamma, noise, exposure_s = 1.0, rng.uniform(1.5, 2.2), rng.uniform(2, 8), 0.033
        elif light == "backlit":
            people, glare = rng.uniform(0.35, 0.7), rng.uniform(60, 170)
        elif light == "night":
            gain, noise, exposure_s = rng.uniform(0.5, 1.0), rng.uniform(3, 9), 0.033
        return cls(
            light=light,
            gain=float(gain),
            gamma=float(gamma),
            lift=float(lift),
            noise=float(noise),
            grain_px=float(rng.choice([0.0, 0.7, 1.0])),
            blur=float(rng.uniform(0.7, 1.5)) if rng.random() < 0.2 else 0.0,
            exposure_s=float(exposure_s * rng.uniform(0.6, 1.2)),
            crf=int(rng.integers(23, 34)),
            grey=light == "night" or bool(rng.random() < 0.04),
            people=float(people),
            glare=float(glare),
        )


@dataclass
class Sensor:
    """Turns the light of a scene into the frames of a `camera`, (H, W, 3) uint8 RGB."""

    camera: Camera
    rng: Rng
    size: tuple[int, int]
    _levels: Picture = field(init=False)
    _noise: list[np.ndarray] = field(init=False)
    _glare: Picture | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        width, height = self.size
        c = self.camera
        levels = (np.arange(256) / 255.0) ** c.gamma * 255 * c.gain + c.lift
        self._levels = np.clip(levels, 0, 255).astype(np.uint8)
        self._noise = [self._field(width + NOISE_SHIFT_PX, height + NOISE_SHIFT_PX) for _ in range(NOISE_FIELDS)]
        if c.glare:
            x, y = self.rng.uniform(0.3, 0.7) * width, self.rng.uniform(0.2, 0.5) * height
            reach = self.rng.uniform(0.25, 0.5) * width
            across = (np.arange(width, dtype=np.float32)[None, :] - np.float32(x)) / np.float32(reach)
            down = (np.arange(height, dtype=np.float32)[:, None] - np.float32(y)) / np.float32(1.2 * reach)
            blob = np.exp(-(across**2) - down**2) * np.float32(c.glare)
            self._glare = np.repeat(blob.astype(np.uint8)[:, :, None], 3, 2)

    def _field(self, width: int, height: int) -> np.ndarray:
        """Return noise (height, width, 3) int16. Coarse grains are those that a denoiser leaves."""
        cv2.setRNGSeed(int(self.rng.integers(2**31)))
        noise = np.empty((height, width, 3), np.float32)
        cv2.randn(noise, np.zeros(3), np.full(3, self.camera.noise))
        if self.camera.grain_px:
            noise = cv2.GaussianBlur(noise, (0, 0), self.camera.grain_px)  # type: ignore[assignment]
            noise *= self.camera.noise / max(float(noise.std()), 1e-6) * 0.8
        if self.camera.grey:
            noise = np.repeat(noise[:, :, :1], 3, 2)
        return noise.astype(np.int16)

    def background(self, place: Picture) -> Picture:
        """Return the place (H, W, 3) behind the people, in this light: washed out if the light comes from there."""
        if not self.camera.glare:
            return place
        return as_pixels(cv2.convertScaleAbs(place, alpha=0.75, beta=0.35 * self.camera.glare))

    def frame(self, light: Picture) -> Picture:
        """Return what the sensor makes of the light that reaches the lens."""
        # The glare lies over the people, too: it is light that scatters in the lens.
        picture = light if self._glare is None else cv2.addWeighted(light, 1.0, self._glare, 0.6, 0)
        picture = cv2.LUT(picture, self._levels)
        if self.camera.blur:
            picture = cv2.GaussianBlur(picture, (0, 0), self.camera.blur)
        if self.camera.grey:
            picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        noise = self._noise[int(self.rng.integers(NOISE_FIELDS))]
        y, x = (int(v) for v in self.rng.integers(0, NOISE_SHIFT_PX, 2))
        part = noise[y : y + self.size[1], x : x + self.size[0]]
        return as_pixels(cv2.add(picture, part, dtype=cv2.CV_8U))
