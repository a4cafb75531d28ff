#!/usr/bin/python3
"""A program of version VERSION: `run` only tells systemd how it is; `update` is the real one, with a shorter trial."""

import os
import socket
import sys
import time

sys.path.insert(0, "/opt/code")
if sys.argv[1] == "lights":
    sys.exit(0)
if sys.argv[1] == "run":
    print("door VERSION runs", flush=True)
    address = os.environ["NOTIFY_SOCKET"]
    address = "\0" + address[1:] if address[0] == "@" else address
    channel, began = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), time.monotonic()
    # 0: it never ends by itself.
    while not ENDS_AFTER_S or time.monotonic() - began < ENDS_AFTER_S:  # noqa: F821
        channel.sendto(b"READY=1\nWATCHDOG=1\nSTATUS=IDLE, version VERSION", address)
        time.sleep(1)
    sys.exit(1)

from edge.update import trial

trial.HEALTHY_S = 50.0
from edge.cli import main

sys.exit(main())
