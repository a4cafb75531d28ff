"""`doorlight lights`: test the wiring of lamps, buzzer and relay, or switch everything off."""

from __future__ import annotations

import argparse
import threading

from . import options
from .options import Parser, Subparsers
from .process import INTERRUPTED, stop_on_signals, terminal

MAX_STEP_S = 600
DESCRIPTION = """\
Test the wiring of lamps, buzzer and relay, or switch everything off.

  doorlight lights --test                      show each lamp, the buzzer, the
                                               relay (it unlocks the door!) and
                                               each signal; say what to expect
  doorlight lights --test --seconds 10         the same, more slowly
  doorlight lights --off                       all off, as after a crash

Without --config, the pins are those of the installed service's settings.
--off does nothing on a machine without GPIO pins. A running door holds the
pins; stop it first: sudo systemctl stop doorlight
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "lights", help="test the wiring of lamps, buzzer and relay, or switch everything off", description=DESCRIPTION
    )
    options.add_config(parser)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--test", action="store_true", help="show everything that lamps, buzzer and relay can do, in steps"
    )
    action.add_argument("--off", action="store_true", help="switch everything off at once")
    options.add_simulate(parser)
    parser.add_argument(
        "--seconds",
        type=options.seconds(MAX_STEP_S),
        default=4.0,
        metavar="S",
        help=f"duration of each step of --test in seconds, up to {MAX_STEP_S} (default: 4)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    config = options.load_settings(args.config)
    settings, relay = config.lights, config.relay
    if args.off:
        # The service runs this after crashes (ExecStopPost=): it is fast and needs neither gpiozero nor lgpio.
        from ..lights import gpio

        if relay.pins:
            print(gpio.switch_off(relay.resting | settings.resting, "lights, buzzer and relay"))
        else:
            print(gpio.switch_off(settings.resting))
        return 0
    from ..lights import wiring_test
    from ..lights.lights import Lights

    stop = threading.Event()
    with Lights(settings, args.simulate, lambda line: _print_line(f"{'':8}{line}"), relay=relay) as lights:
        stop_on_signals(stop)
        is_complete = wiring_test.run(lights, settings, args.seconds, stop, _print_line, terminal().width, relay)
    return 0 if is_complete else INTERRUPTED


def _print_line(line: str) -> None:
    print(line, flush=True)
