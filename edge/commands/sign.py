"""`doorlight sign`: make the sign for the door."""

from __future__ import annotations

import argparse
import errno
import re
import sys
from pathlib import Path

from ..errors import OutputError, UsageError
from ..system.terminal import printable
from . import options
from .options import Parser, Subparsers

DESCRIPTION = """\
Make the sign that people see before the camera sees them: what is looked at,
what is kept and how long, who can see it, and whom to ask. It is a picture of
size A4 (SVG): open it in a browser and print it. The text follows the settings;
make it again if you change them.

  doorlight sign sign.svg                      English and German
  doorlight sign sign.svg --language de        one language, in large letters
  doorlight sign sign.svg --config door.toml   with your own settings

The name of who is responsible comes from [privacy] controller. If it is empty,
there is a line on which you write it. The QR code opens [privacy] notice, or
else has the name; it needs the extra `web`.
The sign says what this program does. Ask a lawyer what else it needs.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("sign", help="make the sign for the door", description=DESCRIPTION)
    parser.add_argument("output", metavar="OUT.svg", type=options.local_file, help="file to write")
    parser.add_argument(
        "--language",
        action="append",
        metavar="CODE",
        help="a language of the sign: en or de; give it twice for both (default: en and de)",
    )
    options.add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    from ..sign.texts import TEXTS

    output: Path = args.output
    name = printable(str(output))
    languages = list(dict.fromkeys(args.language or TEXTS))
    for language in languages:
        if language not in TEXTS:
            raise UsageError(
                f"--language {printable(language)}: there is no such language", f"choose {' or '.join(TEXTS)}"
            )
    if output.suffix.lower() != ".svg":
        raise UsageError(
            f"{name}: the sign is an SVG picture", "give it a name that ends with .svg; a browser prints it as PDF"
        )
    if not output.parent.is_dir():
        raise OutputError(f"{name}: there is no folder {printable(str(output.parent))}", f"mkdir -p {output.parent}")
    if output.exists() and not (output.is_file() or output.is_dir()):
        raise OutputError(f"{name}: is a pipe or a device, not a file", "give the name of a file")
    config = options.load_settings(args.config)
    from ..sign import page, sentences

    sides = [page.Side(sentences.title(code), sentences.sections(config, code)) for code in languages]
    controller = config.privacy.controller.strip()
    picture = page.render(sides, _qr_path(config.privacy.notice or _contact(controller)))
    try:
        # Beside the old sign, which stays if the disk is full. A link stays a link.
        _replace(output.resolve(), picture.encode())
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"{name}: cannot be written: {getattr(error, 'strerror', None) or error}",
            f"see who may write: ls -ld {output.parent}",
        ) from None
    print(f"{name}: print it on A4, without scaling, and put it where people see it before the camera sees them")
    if not controller:
        print(
            "note: [privacy] controller is not answered: write the name on the line of the sign, or set it and make the "
            "sign again",
            file=sys.stderr,
        )
    return 0


def _replace(path: Path, data: bytes) -> None:
    """Replace the content of a file, and no other file. Raises OSError."""
    from ..system.files import replace_file

    temporary = path.with_name(f"{path.name}.new")
    if temporary.exists() or temporary.is_symlink():
        raise FileExistsError(errno.EEXIST, f"{printable(temporary.name)} is in the way")
    replace_file(path, data)


def _contact(controller: str) -> str:
    """Return what the QR code has without a notice: the mail address of who is responsible, else the whole text."""
    mail = re.search(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", controller)
    return f"mailto:{mail[0]}" if mail else controller


def _qr_path(content: str) -> tuple[str, float] | None:
    """Return a QR code as the data of an SVG path and its size; None without content or without the library."""
    if not content:
        return None
    try:
        import segno
    except ImportError:
        print("note: no QR code: pip install segno, or install Doorlight with the extra `web`", file=sys.stderr)
        return None
    code = segno.make(content, error="m", micro=False)
    rows = list(code.matrix_iter(border=0))
    # A line of half height above the path's y would be drawn: lines lie in the middle of the row.
    data = "".join(
        f"M{match.start()} {y + 0.5:g}h{match.end() - match.start()}"
        for y, row in enumerate(rows)
        for match in re.finditer("1+", "".join("1" if dark else "0" for dark in row))
    )
    return data, float(len(rows))
