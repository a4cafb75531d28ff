"""Pictures as a camera delivers them: of real scenes in bad light, and of nothing, when the lens is covered or the
decoder fails.

`SCENES` changes a photograph into a scene that is hard but visible; `BLIND` into a picture in which nothing can be
seen. Both return the light that reaches the sensor, `camera` adds lens, sensor and compression. All pictures are (H, W,
3) uint8 RGB or float32 0..255, and equal random generators give equal pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from ..arrays import Floats, Picture, Rng, as_floats, as_pixels

Change = Callable[[Picture, Rng], Floats]


class Camera(NamedTuple):
    """A kind of camera: noise in levels (at black, and at white), how much of it is in rows, and its compression.

    `jpeg` is the quality, 0 for none. `block` 2 compresses at half the size, which gives the blocks of 16 pixels of a
    video at a low rate.
    """

    black_noise: float
    white_noise: float
    row_noise: float = 0.0
    smooth: float = 0.6
    jpeg: int = 0
    block: int = 1


#: From a good sensor in daylight to a cheap one at dusk.
CAMERAS = {
    "Pi camera, day": Camera(1.0, 2.0),
    "Pi camera, dusk": Camera(5.0, 9.0, 0.5),
    "Pi camera, night": Camera(9.0, 16.0, 0.8, 0.8),
    "webcam, day": Camera(1.5, 3.0, jpeg=85),
    "webcam, dusk": Camera(6.0, 10.0, 1.0, jpeg=60),
    "cheap webcam": Camera(4.0, 8.0, 1.0, 1.0, jpeg=30),
    "network camera": Camera(1.5, 3.0, jpeg=50, block=2),
    "network camera, dusk": Camera(5.0, 9.0, 0.5, 1.0, jpeg=25, block=2),
}
SIZES = ((640, 480), (640, 360), (320, 240))


def camera(light: Floats, kind: Camera, rng: Rng) -> Picture:
    """Return the picture that a camera makes of `light`, (H, W, 3) float32 0..255: vignette, noise, compression."""
    return _sensed(light * _any_vignette(light, rng), kind, rng)


def _sensed(lit: Floats, kind: Camera, rng: Rng) -> Picture:
    """Return what the sensor makes of the light behind the lens: noise and compression."""
    spread = kind.black_noise + (kind.white_noise - kind.black_noise) * lit / 255
    noise = rng.standard_normal(lit.shape, np.float32)
    if kind.smooth:
        noise = as_floats(cv2.GaussianBlur(noise, (0, 0), kind.smooth))
        noise /= max(float(noise.std()), 1e-6)
    rows = rng.standard_normal((len(lit), 1, 1), np.float32) * kind.row_noise
    picture = as_pixels(np.clip(lit + noise * spread + rows, 0, 255).astype(np.uint8))
    return compressed(picture, kind.jpeg, kind.block)


def compressed(picture: Picture, quality: int, block: int = 1) -> Picture:
    """Return `picture` after JPEG at `quality` (0: unchanged), with blocks of 8 * `block` pixels."""
    if not quality:
        return picture
    height, width = picture.shape[:2]
    small = (
        cv2.resize(picture, (width // block, height // block), interpolation=cv2.INTER_AREA) if block > 1 else picture
    )
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return as_pixels(cv2.resize(decoded, (width, height), interpolation=cv2.INTER_LINEAR) if block > 1 else decoded)


def _any_vignette(light: Floats, rng: Rng) -> Floats:
    """Return the share (H, W, 1) of `light` that a lens lets through."""
    height, width = light.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    return as_floats((1 - rng.uniform(0, 0.4) * (x**2 + y**2) / 2)[:, :, None])


def _smooth_field(height: int, width: int, rng: Rng, knots: int = 3) -> Floats:
    """Return a field (H, W) between 0 and 1 that changes over about a third of the picture: light through skin or
    tape."""
    coarse = rng.random((knots, knots), np.float32)
    field = as_floats(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return as_floats(cv2.GaussianBlur(field, (0, 0), height / 8))


def _blurred(picture: Picture, share: float) -> Floats:
    """Return `picture` blurred by a disc-like kernel, sigma `share` of its height. Light adds up before the gamma."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    linear = (small.astype(np.float32) / 255) ** 2.2
    mixed = cv2.GaussianBlur(linear, (0, 0), share * height / 4, borderType=cv2.BORDER_REPLICATE)
    spread = cv2.resize(mixed, (width, height), interpolation=cv2.INTER_CUBIC)
    return as_floats(255 * np.clip(spread, 0, 1) ** (1 / 2.2))


# Scenes that are hard to see but visible.


def plain(picture: Picture, rng: Rng) -> Floats:
    return as_floats(picture.astype(np.float32))


def dim(picture: Picture, rng: Rng) -> Floats:
    """A room at dusk: an eighth to a half of the light."""
    return as_floats(picture.astype(np.float32) * rng.uniform(0.12, 0.5))


def foggy(picture: Picture, rng: Rng) -> Floats:
    """Fog outside: a fifth to a half of the contrast remains."""
    keep = rng.uniform(0.2, 0.5)
    return as_floats(picture.astype(np.float32) * keep + (1 - keep) * rng.uniform(120, 220))


def snowy(picture: Picture, rng: Rng) -> Floats:
    """Snow: bright, a third of the contrast, white flakes."""
    keep = rng.uniform(0.25, 0.5)
    light = picture.astype(np.float32) * keep + (1 - keep) * 235
    height, width = light.shape[:2]
    for _ in range(int(rng.integers(20, 200))):
        x, y, r = int(rng.integers(0, width)), int(rng.integers(0, height)), int(rng.integers(1, 1 + height // 100 + 1))
        cv2.circle(light, (x, y), r, (250, 250, 250), -1, cv2.LINE_AA)
    return as_floats(light)


def soft(picture: Picture, rng: Rng) -> Floats:
    """A lens that is slightly out of focus, or a thin film of dust: faces can still be found."""
    return as_floats(0.85 * _blurred(picture, rng.uniform(0.003, 0.012)) + 0.15 * 160)


def night(picture: Picture, rng: Rng) -> Floats:
    """A dark scene that a high gain has made a little brighter: `scene_frames` adds the noise."""
    light = picture.astype(np.float32)
    return as_floats(light * min(1.0, rng.uniform(25, 70) / max(float(light.mean()), 1.0)))


SCENES: dict[str, Change] = {"as it is": plain, "dim": dim, "foggy": foggy, "snowy": snowy, "soft": soft}
#: Further conditions, for several frames.
NIGHT, SHAKEN = "night, high gain", "shaken camera"


# Pictures in which nothing can be seen.


def hand(picture: Picture, rng: Rng) -> Floats:
    """A hand or finger on the lens: skin colour, lit from the side, a trace of the scene far out of focus."""
    height, width = picture.shape[:2]
    skin = np.array([rng.uniform(60, 230), 0, 0], np.float32)
    skin[1:] = skin[0] * rng.uniform(0.35, 0.8), skin[0] * rng.uniform(0.2, 0.65)
    lit = rng.uniform(0.1, 0.9) + 0.6 * (_smooth_field(height, width, rng) - 0.5)
    through = _blurred(picture, rng.uniform(0.15, 0.35)) * rng.uniform(0, 0.3)
    return as_floats(np.clip(skin * np.clip(lit, 0.02, 1)[:, :, None] + through, 0, 255))


def tape(picture: Picture, rng: Rng) -> Floats:
    """Adhesive tape, paper or paint on the lens: it scatters the light of the whole scene."""
    height, width = picture.shape[:2]
    colour = rng.uniform(40, 250) * (1 + rng.uniform(-0.15, 0.15, 3).astype(np.float32))
    light = 0.75 + 0.5 * (_smooth_field(height, width, rng, 2) - 0.5)
    through = _blurred(picture, rng.uniform(0.1, 0.3))
    keep = rng.uniform(0, 0.6)
    return as_floats(np.clip(colour * light[:, :, None] * (1 - keep) + through * keep, 0, 255))


def fogged_lens(picture: Picture, rng: Rng) -> Floats:
    """Condensation on the lens: blurred beyond recognition, and a veil."""
    keep = rng.uniform(0.2, 0.7)
    return as_floats(_blurred(picture, rng.uniform(0.08, 0.2)) * keep + (1 - keep) * rng.uniform(80, 220))


def one_colour(picture: Picture, rng: Rng) -> Floats:
    return as_floats(np.full(picture.shape, rng.uniform(0, 255, 3), np.float32))


def decoder_colour(picture: Picture, rng: Rng) -> Floats:
    """What a decoder shows without data: green (zeros in YUV), grey, pink, or the blue of "no signal"."""
    colours = ((0, 135, 0), (0, 154, 0), (128, 128, 128), (255, 0, 255), (0, 0, 255), (0, 0, 170), (16, 16, 16))
    return as_floats(np.full(picture.shape, colours[int(rng.integers(len(colours)))], np.float32))


def no_signal(picture: Picture, rng: Rng) -> Floats:
    """The screen of a capture device or recorder without a camera: blue or black, with text."""
    colours = ((0, 0, 255), (0, 0, 170), (20, 40, 160), (0, 0, 128), (0, 0, 0), (60, 60, 60))
    height, width = picture.shape[:2]
    out = np.full(picture.shape, colours[int(rng.integers(len(colours)))], np.uint8)
    scale = height / 480 * rng.uniform(0.8, 2.0)
    text = ("NO SIGNAL", "No Signal", "VIDEO LOSS", "NO VIDEO")[int(rng.integers(4))]
    place = (int(rng.uniform(0.02, 0.4) * width), int(rng.uniform(0.2, 0.9) * height))
    cv2.putText(
        out, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), max(1, round(2 * scale)), cv2.LINE_AA
    )
    return as_floats(out.astype(np.float32))


def missing_part(picture: Picture, rng: Rng) -> Picture:
    """The lower 40 to 75 % are missing: one colour, or the last line repeated.

    A decoder does this, so there is no noise.
    """
    out = picture.copy()
    first = int(picture.shape[0] * rng.uniform(0.25, 0.6))
    fills: tuple[tuple[int, int, int] | None, ...] = ((128, 128, 128), (0, 135, 0), (0, 0, 0), (255, 255, 255), None)
    fill = fills[int(rng.integers(len(fills)))]
    out[first:] = out[first - 1] if fill is None else fill
    return out


def with_date(picture: Picture, rng: Rng) -> Picture:
    """Write date and name into a corner, as many network cameras do."""
    out = picture.copy()
    height = out.shape[0]
    place = (height // 40, height // 16 if rng.random() < 0.5 else height - height // 40)
    scale = height / 480 * rng.uniform(0.5, 0.8)
    cv2.putText(
        out, "2026-11-27 18:02:44 CAM 1", place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
    return out


def lamp(picture: Picture, rng: Rng) -> Floats:
    """A lamp or the sun that shines into a covered lens: a blurred spot on black."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    distance = (x - rng.uniform(0.2, 0.8) * width) ** 2 + (y - rng.uniform(0.2, 0.8) * height) ** 2
    spot = rng.uniform(60, 240) * np.exp(-distance / (2 * (rng.uniform(0.04, 0.2) * height) ** 2))
    return as_floats(np.clip(rng.uniform(2, 18) + spot[:, :, None] * rng.uniform(0.8, 1, 3), 0, 255))


def snow_frames(picture: Picture, rng: Rng) -> Iterator[Floats]:
    """The noise of an analogue receiver without a signal, sharp or smoothed by its filters, grey or coloured."""
    height, width = picture.shape[:2]
    channels = 3 if rng.random() < 0.3 else 1
    sigma, contrast, mean = rng.uniform(0.3, 1.5), rng.uniform(30, 90), rng.uniform(90, 150)
    while True:
        noise = rng.standard_normal((height, width, channels), np.float32)
        smoothed = as_floats(cv2.GaussianBlur(noise, (0, 0), sigma).reshape(noise.shape))
        smoothed *= contrast / float(smoothed.std())
        yield as_floats(np.clip(mean + np.broadcast_to(smoothed, picture.shape), 0, 255))


def block_frames(picture: Picture, rng: Rng) -> Iterator[Floats]:
    """Random blocks of 8 or 16 pixels from a decoder with damaged data."""
    height, width = picture.shape[:2]
    side, contrast = int(rng.choice([8, 16])), rng.uniform(0.3, 1)
    while True:
        blocks = rng.uniform(0, 255, (-(-height // side), -(-width // side), 3)).astype(np.float32)
        blocks = 128 + (blocks - 128) * contrast
        yield as_floats(np.repeat(np.repeat(blocks, side, axis=0), side, axis=1)[:height, :width])


def colour_bars(picture: Picture, rng: Rng) -> Floats:
    """The bars of a test picture, of 75 or 100 % brightness, upright or lying."""
    colours = np.array([[k >> 1 & 1, k >> 2 & 1, k & 1] for k in range(7, -1, -1)], np.float32)
    colours = colours[: int(rng.integers(7, 9))] * rng.choice([191, 255])
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        bars = np.broadcast_to(colours[np.arange(width) * len(colours) // width], (height, width, 3))
    else:
        bars = np.broadcast_to(colours[np.arange(height) * len(colours) // height, None], (height, width, 3))
    return as_floats(bars.copy())


def repeated_line(picture: Picture, rng: Rng) -> Floats:
    """One line or column of the scene, repeated over the whole picture."""
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        return as_floats(np.repeat(picture[int(rng.integers(height))][None], height, axis=0).astype(np.float32))
    return as_floats(np.repeat(picture[:, int(rng.integers(width))][:, None], width, axis=1).astype(np.float32))


def with_two_texts(picture: Picture, rng: Rng) -> Picture:
    """Write the date at the top and the name at the bottom, as recorders do."""
    out = picture.copy()
    height, width = out.shape[:2]
    scale = height / 480 * rng.uniform(0.5, 0.8)
    for text, y in (("2026-11-27 18:02:44", height // 16), ("CAM 01 FRONT DOOR", height - height // 40)):
        length = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
        x = int(rng.choice([height // 40, width - length - height // 40]))
        cv2.putText(out, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return out


#: Changes of what reaches the sensor, and pictures that a capture device or a decoder makes without a sensor.
BLIND: dict[str, Change] = {
    "hand": hand,
    "tape": tape,
    "fog on the lens": fogged_lens,
    "one colour": one_colour,
    "lamp": lamp,
}
SCREENS: dict[str, Change] = {
    "decoder's colour": decoder_colour,
    "no signal": no_signal,
    "colour bars": colour_bars,
    "repeated line": repeated_line,
}
#: What a capture device or a decoder makes anew for each frame.
CHANGING: dict[str, Callable[[Picture, Rng], Iterator[Floats]]] = {"snow": snow_frames, "random blocks": block_frames}
#: A covered lens with date and name at the top and the bottom.
TWO_TEXTS = "two texts"


def blind_picture(kind: str, picture: Picture, rng: Rng) -> Picture:
    """Return a picture of a BLIND or SCREENS kind, TWO_TEXTS or "missing part", made from the photograph `picture`."""
    quality, block = int(rng.choice([0, 85, 50, 25])), int(rng.integers(1, 3))
    if kind in SCREENS:
        return compressed(as_pixels(SCREENS[kind](picture, rng).astype(np.uint8)), quality, block)
    if kind == "missing part":
        seen = camera(plain(picture, rng), _any_camera(rng), rng)
        return compressed(missing_part(seen, rng), max(quality, 50) if quality else 0)
    if kind == TWO_TEXTS:
        cover = (hand, tape, fogged_lens)[int(rng.integers(3))]
        return with_two_texts(camera(cover(picture, rng), _any_camera(rng), rng), rng)
    covered = camera(BLIND[kind](picture, rng), _any_camera(rng), rng)
    return with_date(covered, rng) if rng.random() < 0.25 else covered


def scene(kind: str, picture: Picture, rng: Rng) -> Picture:
    """Return the photograph `picture` as a camera shows it under the conditions of a SCENES kind."""
    return camera(SCENES[kind](picture, rng), _any_camera(rng), rng)


def scene_frames(kind: str, picture: Picture, rng: Rng) -> Iterator[Picture]:
    """Yield frames of one camera under the conditions of a SCENES kind, NIGHT or SHAKEN.

    The sensor's noise differs from frame to frame. A shaken camera also moves by up to 2 % of the height.
    """
    model = _any_camera(rng)
    if kind == NIGHT:
        model = Camera(rng.uniform(12, 22), rng.uniform(20, 30), 1.0, 0.8, jpeg=int(rng.choice([0, 60, 30])))
    light = SCENES.get(kind, night if kind == NIGHT else plain)(picture, rng)
    lens = _any_vignette(light, rng)
    while True:
        moved = _moved(light, *rng.uniform(-0.02, 0.02, 2)) if kind == SHAKEN else light
        yield _sensed(as_floats(moved * lens), model, rng)


def _moved(light: Floats, down: float, right: float) -> Floats:
    """Return `light` moved by shares of its height, with a mirrored edge."""
    height, width = light.shape[:2]
    move = np.array([[1, 0, right * height], [0, 1, down * height]], np.float32)
    return as_floats(cv2.warpAffine(light, move, (width, height), borderMode=cv2.BORDER_REFLECT))


def blind_frames(kind: str, picture: Picture, rng: Rng) -> Iterator[Picture]:
    """Yield frames of a CHANGING kind, with two lines of text in a quarter of the cases."""
    quality, block = int(rng.choice([0, 85, 50, 25])), int(rng.integers(1, 3))
    has_text, text_seed = rng.random() < 0.25, int(rng.integers(1 << 30))
    for frame in CHANGING[kind](picture, rng):
        seen = as_pixels(frame.astype(np.uint8))
        seen = with_two_texts(seen, np.random.default_rng(text_seed)) if has_text else seen
        yield compressed(seen, quality, block)


def _any_camera(rng: Rng) -> Camera:
    return CAMERAS[str(rng.choice(list(CAMERAS)))]
