"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

#: struct ucred, see unix(7).
_CREDENTIALS = struct.Struct("3i")


class Peer(NamedTuple):
    """Process, user and primary group of a peer when it connected."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """Return the peer of a connected Unix socket. Raises OSError."""
    return Peer(*_CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)))


def may_watch(peer: Peer, group_is_allowed: bool) -> bool:
    """Return whether a peer may watch: root, the user of this process, and with `group_is_allowed` its group.

    Under PrivateUsers= the kernel shows every other user as nobody, but this process' own group as itself. Therefore the
    page's service runs as another user in the door's primary group.
    """
    return peer.uid in (0, os.geteuid()) or (group_is_allowed and peer.gid == os.getegid())
