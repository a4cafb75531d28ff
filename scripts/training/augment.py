"""Change pictures as light, lens and sensor do.

All are (H, W, 3) uint8 RGB; the same generator state gives the same picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from .arrays import Floats, Picture, Rng, as_floats, as_pixels


def _u8(x: np.ndarray) -> Picture:
    return np.clip(x, 0, 255).astype(np.uint8)


def tone(p: Picture, rng: Rng, low: float = 0.5, high: float = 1.5) -> Picture:
    """Change contrast, brightness and gamma through one look-up table."""
    gain = np.exp(rng.uniform(np.log(low), np.log(high)))
    offset = rng.uniform(-35, 35)
    gamma = np.exp(rng.uniform(-0.35, 0.35))
    x = (np.arange(256) / 255.0) ** gamma * 255
    table = _u8((x - 127) * gain + 127 + offset)
    return as_pixels(cv2.LUT(p, table))


def dim(p: Picture, rng: Rng) -> Picture:
    """Return the picture of a badly lit door: dark, with low contrast, noisy."""
    dark = p.astype(np.float32) * rng.uniform(0.2, 0.5) + rng.uniform(0, 12)
    return noise(_u8(dark), rng, 2, 10)


def backlight(p: Picture, rng: Rng) -> Picture:
    """Add a bright door behind: a gradient that washes out one side or darkens the subject."""
    h, w = p.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : complex(0, h), -1 : 1 : complex(0, w)].astype(np.float32)  # type: ignore[misc]
    ramp = (np.cos(angle) * x + np.sin(angle) * y) * rng.uniform(0.2, 0.5) + 1
    lift = rng.uniform(0, 60)
    return _u8(p.astype(np.float32) * ramp[:, :, None] * rng.uniform(0.6, 1.0) + lift)


def colour(p: Picture, rng: Rng) -> Picture:
    """Change white balance and saturation, as one matrix per pixel."""
    gains = np.exp(rng.uniform(-0.18, 0.18, 3))
    saturation = rng.uniform(0.4, 1.5)
    mix = saturation * np.eye(3) + (1 - saturation) / 3
    return as_pixels(cv2.transform(p, mix * gains))


def greyscale(p: Picture, rng: Rng) -> Picture:
    """Return a night or infra-red picture."""
    return as_pixels(np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2))


def noise(p: Picture, rng: Rng, low: float = 3, high: float = 18) -> Picture:
    """Add a sensor's noise, of its own in each pixel and channel."""
    sigma = rng.uniform(low, high)
    n = np.empty(p.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(n, np.zeros(1), np.full(1, sigma))
    return as_pixels(cv2.add(p, n, dtype=cv2.CV_8U))


def blur(p: Picture, rng: Rng, most: float = 0.02) -> Picture:
    """Blur, as out of focus or moving; `most` is the size of the blur as a share of the shorter side."""
    size = max(2.0, rng.uniform(0.2, 1.0) * most * min(p.shape[:2]))
    if rng.random() < 0.5:
        return as_pixels(cv2.GaussianBlur(p, (0, 0), size / 2))
    n = int(size) * 2 + 1
    kernel = np.zeros((n, n), np.float32)
    kernel[n // 2] = 1
    turn = cv2.getRotationMatrix2D((n / 2 - 0.5, n / 2 - 0.5), rng.uniform(0, 180), 1)
    kernel = as_floats(cv2.warpAffine(kernel, turn, (n, n)))
    return as_pixels(cv2.filter2D(p, -1, kernel / max(float(kernel.sum()), 1e-6)))


def jpeg(p: Picture, rng: Rng) -> Picture:
    _, data = cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))])
    return as_pixels(cv2.imdecode(data, cv2.IMREAD_COLOR))


def writing(p: Picture, rng: Rng) -> Picture:
    """Write translucent letters across the picture, as picture agencies do."""
    h, w = p.shape[:2]
    text = "".join(chr(c) for c in rng.integers(97, 123, int(rng.integers(5, 13))))
    size = h / rng.uniform(60, 200)
    layer = p.copy()
    place = (int(rng.uniform(-0.3, 0.4) * w), int(rng.uniform(0.3, 0.95) * h))
    shade = int(rng.choice([30, 200, 255]))
    cv2.putText(layer, text, place, int(rng.integers(0, 5)), size, (shade,) * 3, max(1, round(size * 2.5)), cv2.LINE_AA)
    share = rng.uniform(0.25, 0.8)
    return as_pixels(cv2.addWeighted(layer, share, p, 1 - share, 0))


def coarse(p: Picture, rng: Rng, least: int = 20, most: int = 90) -> Picture:
    """Shrink the picture to `least` to `most` pixels and enlarge it again, as if the face were far away."""
    small = int(rng.integers(least, most))
    h, w = p.shape[:2]
    if small >= min(h, w):
        return p
    scale = small / min(h, w)
    low = cv2.resize(p, (max(1, round(w * scale)), max(1, round(h * scale))), interpolation=cv2.INTER_AREA)
    return as_pixels(cv2.resize(low, (w, h), interpolation=cv2.INTER_LINEAR))


def lens_and_light(p: Picture, rng: Rng, strength: float = 1.0) -> Picture:
    """Apply some of the changes above at random; `strength` scales how often each is applied."""
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


def low_key(p: Picture, rng: Rng) -> Picture:
    """Darken all but the brightest parts by a strong gamma: deep shadows under few lights."""
    table = _u8((np.arange(256) / 255.0) ** rng.uniform(1.5, 3.0) * 255)
    return noise(as_pixels(cv2.LUT(p, table)), rng, 1, 7)


def motion(p: Picture, rng: Rng) -> Picture:
    """Blur along one direction, as something that moves in a dim room."""
    n = 2 * int(rng.integers(2, 6)) + 1
    kernel = np.zeros((n, n), np.float32)
    kernel[n // 2] = 1
    turn = cv2.getRotationMatrix2D((n / 2 - 0.5, n / 2 - 0.5), rng.uniform(0, 180), 1)
    kernel = as_floats(cv2.warpAffine(kernel, turn, (n, n)))
    return as_pixels(cv2.filter2D(p, -1, kernel / float(kernel.sum())))


def silhouette(p: Picture, rng: Rng, faces: np.ndarray) -> Picture:
    """Show people in front of a bright door: dark around the faces (n, 4), washed out elsewhere."""
    h, w = p.shape[:2]
    shade = np.zeros((h, w), np.float32)
    for x1, y1, x2, y2 in faces:
        width, height = x2 - x1, y2 - y1
        centre = (int((x1 + x2) / 2), int((y1 + y2) / 2 + 0.4 * height))
        cv2.ellipse(shade, centre, (int(0.9 * width) + 1, int(1.2 * height) + 1), 0, 0, 360, (1.0,), -1)
    shade = as_floats(cv2.GaussianBlur(shade, (0, 0), rng.uniform(2, 8)))[:, :, None]
    bright = p.astype(np.float32) * rng.uniform(0.5, 1.0) + rng.uniform(40, 130)
    dark = p.astype(np.float32) * rng.uniform(0.2, 0.5) + rng.uniform(0, 30)
    return _u8(dark * shade + bright * (1 - shade))


def bend(p: Picture, rng: Rng, *boxes: Floats) -> tuple[Picture, list[Floats]]:
    """Tilt the camera by up to 25 degrees and bow the edges as a wide lens does; return the picture and the moved
    boxes.

    Each of `boxes` is (n, 4) float32 in pixels and stays as long; a box encloses the ellipse that filled it before, and
    may reach beyond the picture.
    """
    h, w = p.shape[:2]
    angle = np.radians(rng.uniform(-25, 25)) if rng.random() < 0.7 else 0.0
    bow = rng.uniform(0.02, 0.25) if rng.random() < 0.5 else 0.0
    centre, half = np.array([w / 2, h / 2], np.float32), np.float32(np.hypot(w, h) / 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)

    def source(points: np.ndarray) -> np.ndarray:
        """Return where the pixel at each of `points` (..., 2) comes from."""
        d = (points - centre) / half
        return (d * (1 + bow * (d**2).sum(-1, keepdims=True)) @ turn) * half + centre

    def moved(points: np.ndarray) -> np.ndarray:
        """Return where each of `points` (..., 2) goes: the inverse of `source`, by fixed-point steps."""
        wanted = (points - centre) / half @ turn.T
        d = wanted
        for _ in range(8):
            d = wanted / (1 + bow * (d**2).sum(-1, keepdims=True))
        return d * half + centre

    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    at = source(np.stack([x, y], -1)).astype(np.float32)
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    bent = cv2.remap(p, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=colour)
    around = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rim = np.stack([np.cos(around), np.sin(around)], -1)
    out: list[Floats] = []
    for b in boxes:
        middle, radius = (b[:, :2] + b[:, 2:]) / 2, (b[:, 2:] - b[:, :2]) / 2
        points = moved(middle[:, None] + rim * radius[:, None])
        found = np.concatenate([points.min(1), points.max(1)], 1).reshape(-1, 4) if len(b) else b
        out.append(found.astype(np.float32))
    return as_pixels(bent), out
