"""The reason codes of MQTT 5 (2.4) in words: why a broker refuses something, or ends a connection. Doors and collectors use them."""

from __future__ import annotations

#: From here on, a reason code is an error.
FIRST_ERROR = 0x80
#: Another client has connected with the same client id.
TAKEN_OVER = 0x8E
REASONS = {
    0x81: "the packet is damaged",
    0x84: "it does not speak MQTT 5",
    0x85: "it refuses the client id",
    0x86: "user name or password is wrong",
    0x87: "this user is not allowed to do that",
    0x88: "it is unavailable",
    0x89: "it is busy",
    0x8A: "it has banned this client",
    0x8B: "it is shutting down",
    0x8C: "it wants another kind of login",
    0x8D: "it heard nothing from this client for too long",
    TAKEN_OVER: "another client has connected with the same id",
    0x90: "it refuses the topic",
    0x93: "it sent more messages than this client allows",
    0x95: "the message is too large",
    0x97: "a quota is exceeded",
    0x98: "an administrator has ended the connection",
    0x99: "it refuses the format of the message",
    0x9A: "it does not keep messages (retain)",
    0x9B: "it does not support QoS 1",
    0x9F: "there are too many connections a second",
}


def describe(code: int) -> str:
    """Return the reason in words, or "no reason"."""
    return REASONS.get(code, "no reason")
