"""Pipelines, drawn at random."""

import itertools
import os
import random
import urllib.parse

from pipelines.conversation import Plan
from pipelines.requests import STATUSES, Request
from protocol.malformed import SMUGGLED

# The same pipelines each time; PIPELINES_SEED draws others.
SEED = os.environ.get("PIPELINES_SEED", "9112")

NAMES = ["Ada", "Ada Lovelace", "日本", "a&b=c+d", "HTTP/1.1 200 OK", "\"quoted\\\"", "x" * 64]

# What a client may say of the connection: the version, and headers.
CONNECTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain": ("1.1", ()),
    "keep-alive": ("1.1", ("Connection: keep-alive",)),
    "close": ("1.1", ("Connection: close",)),
    "upgrade without a protocol": ("1.1", ("Connection: upgrade",)),
    "websocket": ("1.1", ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")),
    "websocket, keep-alive": ("1.1", ("Connection: keep-alive, Upgrade", "Upgrade: websocket")),
    "websocket, close": ("1.1", ("Connection: Upgrade, close", "Upgrade: websocket")),
    "h2c": ("1.1", ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")),
    "HTTP/1.0": ("1.0", ()),
    "HTTP/1.0 keep-alive": ("1.0", ("Connection: keep-alive",)),
    "HTTP/1.0 close": ("1.0", ("Connection: close",)),
    "HTTP/1.0 websocket, keep-alive": ("1.0", ("Connection: keep-alive, Upgrade", "Upgrade: websocket")),
}

# How often each is drawn. What closes is rare, or little would follow it.
WEIGHTS = [60, 8, 5, 6, 6, 3, 2, 6, 2, 8, 1, 3]

# Method, target, and how the body is sent. In a target, braces are filled in at random.
SHAPES: list[tuple[str, str, str]] = [
    (method, target, "")
    for target in ["/health", "/api/v1/hello?name={name}", "/debug/bytes/{size}", "/debug/delay/{delay}ms",
                   *[f"/debug/status/{status}" for status in STATUSES]]
    for method in ["GET", "HEAD"]
] + [
    ("POST", "/debug/echo", body) for body in ["", "length", "chunks", "length, Expect", "chunks, Expect"]
    for _ in range(2)
] + [
    ("POST", "/health", body) for body in ["", "length", "chunks", "length, Expect"]
] + [("POST", "/debug/status/204", "length"), ("POST", "/debug/status/404", "chunks")]

# What a body may look like.
TEXTS = [SMUGGLED, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"0\r\n\r\n" + SMUGGLED, b"\r\n\r\n", b"x",
         b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /smuggled HTTP/1.1\r\nHost:", b"5\r\nhello\r\n"]


def drawn(dice: random.Random, shape: tuple[str, str, str], connection: str,
          small: bool = False) -> Request | None:
    """A request of this shape; None where HTTP/1.0 has no such thing."""
    (method, pattern, how), (version, headers) = shape, CONNECTIONS[connection]
    if version == "1.0" and ("chunks" in how or (method == "POST" and not how)):
        return None
    size = 1000 if small else dice.choice([0, 1, 1000, dice.randrange(70_000), dice.randrange(70_000), 1_500_000])
    name = urllib.parse.quote_plus(dice.choice(NAMES))
    target = pattern.format(name=name, size=size, delay=dice.randrange(5, 41))
    body, sent = None, b""
    if how:
        body = dice.choice(TEXTS) * dice.choice([1, 1, 2, 5, 100, 0 if "Expect" not in how and not small else 1])
        if dice.randrange(30) == 0 and not small:
            body = dice.randbytes(dice.randrange(60_000, 200_000))
        if "chunks" in how:
            headers = *headers, "Transfer-Encoding: chunked"
            sent = chunked(dice, body)
        else:
            headers = *headers, f"Content-Length: {len(body)}"
            sent = body
        if "Expect" in how:
            headers = *headers, "Expect: 100-continue"
    kind = f"{method} {pattern}{how and f', {how}'}, {connection}"
    return Request(kind, method, target, version, headers, body, sent)


def chunked(dice: random.Random, body: bytes) -> bytes:
    parts = []
    cuts = sorted({0, len(body), *(dice.randrange(len(body) + 1) for _ in range(dice.randrange(4)))})
    for start, end in itertools.pairwise(cuts):
        size = dice.choice(["{:x}", "{:X}", "{:04x}", "{:x};a=b"]).format(end - start)
        parts.append(size.encode() + b"\r\n" + body[start:end] + b"\r\n")
    return b"".join(parts) + dice.choice([b"0\r\n\r\n"] * 4 + [b"0\r\nX: y\r\n\r\n"])


def pipeline(number: int) -> tuple[list[Request], Plan]:
    dice = random.Random(f"{SEED}/{number}")
    requests: list[Request] = []
    wanted = dice.randint(1, 6)
    while len(requests) < wanted:
        request = drawn(dice, dice.choice(SHAPES), dice.choices(list(CONNECTIONS), WEIGHTS)[0])
        if request:
            requests.append(request)
    late = dice.randrange(5) == 0
    if dice.randrange(12) == 0:
        # A reset after it would take much of it along.
        large = drawn(dice, ("GET", "/debug/bytes/1500000", ""), "close")
        requests.insert(dice.randrange(len(requests)), large)
        late = True
    # Where a request ends, and where a head does.
    marks = []
    total = 0
    for request in requests:
        length = len(request.encoded("p0000000-0"))
        marks += [total + length - len(request.sent), total + length]
        total += length
    match dice.randrange(6):
        case 0 | 1:
            cuts = set()
        case 2:
            cuts = set(marks)
        case 3:
            cuts = {dice.randrange(total) for _ in range(dice.randint(1, 8))}
        case 4:
            cuts = {mark + dice.randint(-5, 5) for mark in marks if dice.randrange(2)}
        case _:
            # Byte for byte, or nearly.
            at = max(0, dice.choice(marks) - dice.randrange(150))
            cuts = {at := at + dice.randint(1, 3) for _ in range(120)}
    pauses = dice.choice([[0.0], [0.0, 0.001], [0.0005], [0.0, 0.0, 0.002, 0.01], [0.001, 0.02]])
    # After this one the server may have put the connection aside.
    long_pause = dice.choice(sorted(cuts)) if cuts and dice.randrange(4) == 0 else None
    planned = {at: 0.13 if at == long_pause else dice.choice(pauses) for at in sorted(cuts) if 0 < at < total}
    return requests, Plan(planned, late=late, quiet=dice.choice([0.0, 0.01, 0.03, 0.13]),
                          half_close=dice.choice(["after", "early"] + [""] * 4))
