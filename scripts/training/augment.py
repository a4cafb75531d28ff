"""What light, lens and sensor do to a picture. All on (H, W, 3) uint8 RGB; every function takes its own generator."""

from __future__ import annotations

import cv2
import numpy as np

from .dataset import Picture

Rng = np.random.Generator


def _u8(x: np.ndarray) -> Picture:
    return np.clip(x, 0, 255).astype(np.uint8)


def tone(p: Picture, rng: Rng, low: float = 0.5, high: float = 1.5) -> Picture:
    """Contrast, brightness and gamma through one look-up table."""
    gain = np.exp(rng.uniform(np.log(low), np.log(high)))
    offset = rng.uniform(-35, 35)
    gamma = np.exp(rng.uniform(-0.35, 0.35))
    x = (np.arange(256) / 255.0) ** gamma * 255
    table = _u8((x - 127) * gain + 127 + offset)
    return cv2.LUT(p, table)  # type: ignore[return-value]


def dim(p: Picture, rng: Rng) -> Picture:
    """A badly lit door: dark, low contrast, noisy."""
    dark = p.astype(np.float32) * rng.uniform(0.2, 0.5) + rng.uniform(0, 12)
    return noise(_u8(dark), rng, 2, 10)


def backlight(p: Picture, rng: Rng) -> Picture:
    """A bright door behind: a gradient that washes out one side or darkens the subject."""
    h, w = p.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : complex(0, h), -1 : 1 : complex(0, w)].astype(np.float32)  # type: ignore[misc]
    ramp = (np.cos(angle) * x + np.sin(angle) * y) * rng.uniform(0.2, 0.5) + 1
    lift = rng.uniform(0, 60)
    return _u8(p.astype(np.float32) * ramp[:, :, None] * rng.uniform(0.6, 1.0) + lift)


def colour(p: Picture, rng: Rng) -> Picture:
    """White balance and saturation, as one matrix a pixel."""
    gains = np.exp(rng.uniform(-0.18, 0.18, 3))
    saturation = rng.uniform(0.4, 1.5)
    mix = saturation * np.eye(3) + (1 - saturation) / 3
    return cv2.transform(p, mix * gains)  # type: ignore[return-value]


def greyscale(p: Picture, rng: Rng) -> Picture:
    """A night or infra-red picture."""
    return np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2)  # type: ignore[return-value]


def noise(p: Picture, rng: Rng, low: float = 3, high: float = 18) -> Picture:
    sigma = rng.uniform(low, high)
    n = np.empty(p.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(n, 0, sigma)
    return cv2.add(p, n, dtype=cv2.CV_8U)  # type: ignore[return-value]


def blur(p: Picture, rng: Rng, most: float = 0.02) -> Picture:
    """Out of focus or moving; `most` is the blur's size as a share of the picture's shorter side."""
    size = max(2.0, rng.uniform(0.2, 1.0) * most * min(p.shape[:2]))
    if rng.random() < 0.5:
        return cv2.GaussianBlur(p, (0, 0), size / 2)  # type: ignore[return-value]
    n = int(size) * 2 + 1
    kernel = np.zeros((n, n), np.float32)
    kernel[n // 2] = 1
    turn = cv2.getRotationMatrix2D((n / 2 - 0.5, n / 2 - 0.5), rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (n, n))  # type: ignore[assignment]
    return cv2.filter2D(p, -1, kernel / max(float(kernel.sum()), 1e-6))  # type: ignore[return-value]


def jpeg(p: Picture, rng: Rng) -> Picture:
    _, data = cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def writing(p: Picture, rng: Rng) -> Picture:
    """Translucent letters across the picture, as agencies print on theirs: they say nothing about what lies below."""
    h, w = p.shape[:2]
    text = "".join(chr(c) for c in rng.integers(97, 123, int(rng.integers(5, 13))))
    size = h / rng.uniform(60, 200)
    layer = p.copy()
    place = (int(rng.uniform(-0.3, 0.4) * w), int(rng.uniform(0.3, 0.95) * h))
    shade = int(rng.choice([30, 200, 255]))
    cv2.putText(layer, text, place, int(rng.integers(0, 5)), size, (shade,) * 3, max(1, round(size * 2.5)), cv2.LINE_AA)
    share = rng.uniform(0.25, 0.8)
    return cv2.addWeighted(layer, share, p, 1 - share, 0)  # type: ignore[return-value]


def coarse(p: Picture, rng: Rng, least: int = 20, most: int = 90) -> Picture:
    """A face far away: shrunk and grown again."""
    small = int(rng.integers(least, most))
    h, w = p.shape[:2]
    if small >= min(h, w):
        return p
    scale = small / min(h, w)
    low = cv2.resize(p, (max(1, round(w * scale)), max(1, round(h * scale))), interpolation=cv2.INTER_AREA)
    return cv2.resize(low, (w, h), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def lens_and_light(p: Picture, rng: Rng, strength: float = 1.0) -> Picture:
    """The usual mixture; `strength` scales how often each thing happens."""
    for how, chance in (
        (tone, 0.6),
        (colour, 0.4),
        (backlight, 0.1),
        (dim, 0.08),
        (greyscale, 0.15),
        (blur, 0.12),
        (noise, 0.12),
        (jpeg, 0.12),
    ):
        if rng.random() < chance * strength:
            p = how(p, rng)
    return p
