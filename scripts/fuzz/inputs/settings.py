"""Broken settings."""

from __future__ import annotations

import json
import os
import tomllib

from .breaking import broken, log_is_whole, written
from .cases import PIXELS_MIB, Case, Material, Random, kind
from .good import REPOSITORY
from .names import ODDITIES, odd_name

VALUES = (
    "nan",
    "inf",
    "-inf",
    "-nan",
    "1e400",
    "5e-324",
    "-0.0",
    "0",
    "-1",
    "1",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "1" * 400,
    "1" * 5000,
    "0x" + "f" * 5000,
    "1e" + "9" * 5000,
    '"' + "x" * 100_000 + '"',
    '"\\u0000"',
    '"a\\u0000b.jpg"',
    '"\\u001b[2J"',
    '"\\n\\n"',
    '"\U0001f600"',
    '"22:00-07:00"',
    '"99:99-99:99"',
    '"٢٢:٠٠-٠٧:٠٠"',
    '"picamera"',
    '"cpu"',
    "true",
    "[]",
    "[[]]",
    "{}",
    "[0.1, 0.1]",
    "[nan, nan]",
    "[0.5" + ", 0.5" * 19 + "]",
    "[" * 200 + "]" * 200,
    "[" * 20_000 + "]" * 20_000,
    "{a=" * 3000 + "1" + "}" * 3000,
    "1979-05-27T07:32:00Z",
    "2020-02-30",
    "07:32:00",
    "0000-01-01",
    '["angry", "\\u001b[2J"]',
    '["angry"]',
    "'''\n" + "x\n" * 1000 + "'''",
)


def settings_text(rng: Random) -> bytes:
    """Return a settings file with errors, or bytes that resemble one."""
    text = (REPOSITORY / "edge" / "default.toml").read_text()
    keys = {section: list(values) for section, values in tomllib.loads(text).items()}
    what = rng.randrange(8)
    if what <= 2:
        return broken(rng, text.encode(), [value.encode() for value in VALUES])
    if what <= 5:
        lines = []
        for section in rng.sample(sorted(keys), rng.randrange(1, 4)):
            lines.append(f"[{section}]")
            some = rng.sample(keys[section], min(len(keys[section]), rng.randrange(1, 4)))
            lines += [f"{key} = {rng.choice(VALUES)}" for key in some]
            if rng.random() < 0.1:
                lines.append(f'"{rng.choice(ODDITIES[16:28])}" = 1')
        return "\n".join(lines).encode("utf-8", "surrogateescape")
    if what == 6:
        size = rng.choice((1000, 20_000, 200_000))
        dots = "a." * (size // 2) + "a"
        return rng.choice(
            (
                dots + " = 1",
                f"[{dots}]",
                f"[{'.'.join(['a'] * 1000)}]\n" + "".join(f"k{n} = 1\n" for n in range(size // 8)),
                "[" * size,
                "camera = " + "[" * size,
                "\n".join(f"[t{n}]" for n in range(size // 8)),
                "\n".join(f"[[camera.t{n}]]" for n in range(size // 16)),
                "camera = " + "{a=" * (size // 3),
                '"' + "\\u0041" * (size // 6) + '" = 1',
                "x" * size + " = 1",
                "#" * size,
                "\n" * size,
                "k = '" + "x" * size,
                "[camera]\nsource = '''" + "'" * size,
            )
        ).encode()
    return rng.choice(
        (rng.randbytes(2000), b"\xff\xfe" + text.encode("utf-16-le"), b"\xef\xbb\xbf" + text.encode(), b"\0" * 4096)
    )


@kind(share=24)
def settings(rng: Random, material: Material) -> Case:
    """`check-config` with a broken file."""
    return Case(["check-config", written("x.toml", settings_text(rng))], frozenset({0, 78}))


@kind(share=5)
def settings_run(rng: Random, material: Material) -> Case:
    """A door with such settings: if they are accepted, the door must work."""
    os.mkdir("in")
    for k in range(3):
        written(f"in/{k}.jpg", material.pictures["small.jpg"])
    argv = ["run", "--simulate", "--config", written("x.toml", settings_text(rng)), "--source", "in"]
    return Case([*argv, "--events", "events.jsonl"], frozenset({0, 69, 78}), max_mib=PIXELS_MIB, check=log_is_whole)


@kind(share=5)
def settings_paths(rng: Random, material: Material) -> Case:
    """Odd paths in the settings."""
    odd = rng.choice((*ODDITIES, "\0", "a\0b", "/dev/zero", "", ".", "/", "x" * 5000, "nowhere/x")) + odd_name(rng)
    odd = odd.encode("utf-8", "replace").decode()
    key = rng.choice(("camera.source", "models.directory", "events.file"))
    text = f"{key} = {json.dumps(odd, ensure_ascii=True)}\n"
    argv = ["run", "--simulate", "--config", written("x.toml", text.encode())]
    if key != "camera.source":
        argv += ["--source", written("good.jpg", material.pictures["small.jpg"])]
    return Case(argv, frozenset({0, 66, 69, 74, 78}), check=log_is_whole)
