"""A browser, and an attacker, of the page in the guest: standard library only, one task a call, the result as JSON.

page_client.py TOKEN watch SECONDS          live frames: how many, the last decision
page_client.py TOKEN why                    explain the frame that is shown
page_client.py TOKEN apply ZONE             set the zone on the page Set up; "undo" takes it back
page_client.py - fuzz SECONDS SOCKET        broken requests to the page and to the door's socket, slow connections
page_client.py - connect SOCKET             connect to the door's socket
"""

import html
import json
import random
import re
import socket
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PORT = 8080
ADDRESS = f"http://127.0.0.1:{PORT}"


def ask(token, path, form=None, timeout_s=90):
    """Return status, headers and body of a request with the cookie."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(ADDRESS + path, data, {"Cookie": f"doorlight-token={token}"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def watch(token, seconds):
    """Watch the live page."""
    number, frames, decision, states, end = "0", 0, {}, [], time.monotonic() + float(seconds)
    while time.monotonic() < end:
        status, headers, body = ask(token, f"/live/next?after={number}")
        if status == 200:
            length, _ = struct.unpack(">II", body[:8])
            decision = json.loads(body[8 : 8 + length])
            number = headers.get("Doorlight-Number", headers.get("doorlight-number"))
            frames += 1
        else:
            states.append([status, headers.get("Doorlight-State", headers.get("doorlight-state"))])
            time.sleep(0.5)
    return {
        "frames": frames,
        "signal": decision.get("signal"),
        "hidden": decision.get("faces_hidden"),
        "states": states[-3:],
    }


def submit(token, page, path, **fields):
    """Send the form of a page, and return the text of the answer."""
    _, _, body = ask(token, page)
    key = re.search('name="form_key" value="([^"]+)"', body.decode())[1]
    status, _, body = ask(token, path, {"form_key": key, **fields})
    return status, html.unescape(re.sub(r"<[^>]+>", " ", body.decode()))


def why(token):
    """Explain the frame that is shown."""
    began = time.monotonic()
    status, text = submit(token, "/why", "/why/explain", stage="mask")
    found = re.search(r"(New person|Person \d+): (no mask|mask), [^\n]* sure", text)
    words = re.findall(r"[A-Z][a-z ,]+: (?:for|against) a mask", text)
    return {
        "status": status,
        "verdict": found and found[0],
        "words": words,
        "seconds": round(time.monotonic() - began, 1),
    }


def apply(token, zone):
    """Set or undo the zone."""
    status, text = submit(token, "/setup", f"/setup/{'undo' if zone == 'undo' else 'apply'}", zone=zone, ignore="")
    return {"status": status, "done": "from now on" in text}


def fuzz(_, seconds, path):
    """Send what is broken, the same each time, and keep slow connections open."""
    chance, sent, end = random.Random(15), {"http": 0, "socket": 0}, time.monotonic() + float(seconds)
    slow = []
    while time.monotonic() < end:
        if len(slow) < 30:
            client = socket.create_connection(("127.0.0.1", PORT), 5)
            client.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\nX:")
            slow.append(client)
        for kind in sent:
            text = b"POST /setup/apply HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nform_key="
            if kind == "socket":
                text = b'WR\0\0\0\x1a{"id":1,"ask":"undo_areas"}'
            data = bytearray(text if chance.random() < 0.7 else chance.randbytes(chance.randrange(1, 100)))
            for _ in range(chance.randrange(4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                if kind == "http":
                    client = socket.create_connection(("127.0.0.1", PORT), 5)
                else:
                    client = socket.socket(socket.AF_UNIX)
                    client.connect(path)
                client.sendall(bytes(data[: chance.randrange(len(data) + 1)]))
                client.close()
            except OSError:
                pass
            sent[kind] += 1
    return sent


def connect(_, path):
    """Connect to the door's socket, and watch."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(path)
            client.sendall(b"W")
            return {"got": len(client.recv(100))}
        except OSError as error:
            return {"error": type(error).__name__}


if __name__ == "__main__":
    token, task, *arguments = sys.argv[1:]
    print(
        json.dumps(
            {"watch": watch, "why": why, "apply": apply, "fuzz": fuzz, "connect": connect}[task](token, *arguments)
        )
    )
