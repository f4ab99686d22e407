"""Requests that are wrong, or that two readers could understand in two ways."""

import collections
import concurrent.futures
import contextlib
import random
import re
import select
import socket
import time

from common import Berth, short_or_long, trial

# What hides in a body, or behind what should have ended the connection. Nobody may answer it.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"

# How long an answer or a close may take. What is left incomplete ends with the head's 1 s.
LIMIT = 4


def head(*lines: bytes, first: bytes = b"POST /debug/echo HTTP/1.1", host: bytes = b"Host: t") -> bytes:
    return b"\r\n".join([first, host, *lines, b"", b""])


VALID = head(first=b"GET /health HTTP/1.1")


def start() -> Berth:
    return Berth(BERTH__DEBUG__ROUTES="true", BERTH__SERVER__CLIENT_HEADER_TIMEOUT="1s",
                 BERTH__SERVER__REQUEST_TIMEOUT="1s", BERTH__SERVER__KEEP_ALIVE="1s")


def exchange(server: Berth, sent: bytes, half_close: bool = False) -> bytes:
    """All that comes back until the server closes; a reset ends it too. To hang is a failure."""
    deadline = time.monotonic() + LIMIT
    received = []
    with server.connect() as client:
        client.setblocking(False)
        rest = memoryview(sent)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while True:
                left = deadline - time.monotonic()
                assert left > 0, f"no end after {LIMIT} s for {sent[:120]!r}"
                readable, writable, _ = select.select([client], [client] if rest else [], [], left)
                if writable:
                    rest = rest[client.send(rest):]
                    if not rest and half_close:
                        # The server may have closed already.
                        with contextlib.suppress(OSError):
                            client.shutdown(socket.SHUT_WR)
                if readable:
                    if not (part := client.recv(65536)):
                        break
                    received.append(part)
    return b"".join(received)


def statuses(answer: bytes) -> list[int]:
    """The final statuses in what came; a body may not contain what looks like one."""
    found = [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3})[ \r]", answer)]
    return [status for status in found if status != 100]


def unharmed(server: Berth) -> None:
    """After all of that: it lives, has not panicked, and answers."""
    server.alive()
    assert server.ask("/health") == 200, "it does not answer afterwards"
    panics = server.sample("berth_panics_total")
    assert panics == 0, f"{panics:.0f} panics"


# Where a message has two readings, all of it is refused: the status must be 400, or another 4xx, and
# whatever follows on the connection must not be taken for a request.
AMBIGUOUS = {
    "length and chunked": head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
    "chunked and length 0": head(b"Transfer-Encoding: chunked", b"Content-Length: 0") + b"0\r\n\r\n",
    "two lengths": head(b"Content-Length: 5", b"Content-Length: 6") + b"hello",
    "one length twice": head(b"Content-Length: 5", b"Content-Length: 5") + b"hello",
    "a list of lengths": head(b"Content-Length: 5, 6") + b"hello",
    "a list of one length": head(b"Content-Length: 5, 5") + b"hello",
    "length +5": head(b"Content-Length: +5") + b"hello",
    "length -1": head(b"Content-Length: -1"),
    "length -0": head(b"Content-Length: -0"),
    "length 0x5": head(b"Content-Length: 0x5") + b"hello",
    "length 5.0": head(b"Content-Length: 5.0") + b"hello",
    "length 5 5": head(b"Content-Length: 5 5") + b"hello",
    "empty length": head(b"Content-Length: "),
    "length 2^64": head(b"Content-Length: 18446744073709551616"),
    "length of 400 digits": head(b"Content-Length: " + b"9" * 400),
    "length in other digits": head("Content-Length: \u0665".encode()),
    "length with NUL": head(b"Content-Length: 5\0") + b"hello",
    "identity": head(b"Transfer-Encoding: identity"),
    "identity and length": head(b"Transfer-Encoding: identity", b"Content-Length: 5") + b"hello",
    "chunked, identity": head(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "gzip, chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked, chunked": head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "chunked twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked then identity": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + b"0\r\n\r\n",
    "xchunked": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunkedx": head(b"Transfer-Encoding: chunkedx") + b"0\r\n\r\n",
    "\"chunked\"": head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "chunked;q=1": head(b"Transfer-Encoding: chunked;q=1") + b"0\r\n\r\n",
    "vertical tab before chunked": head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "no-break space before chunked": head(b"Transfer-Encoding: \xa0chunked") + b"0\r\n\r\n",
    "empty transfer encoding": head(b"Transfer-Encoding: ") + b"0\r\n\r\n",
    "space before the colon": head(b"Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "tab before the colon": head(b"Content-Length\t: 5") + b"hello",
    "folded transfer encoding": head(b"Transfer-Encoding:", b" chunked") + b"0\r\n\r\n",
    "folded header": head(b"X: a", b" Content-Length: 5"),
    "space before the first header": head(host=b" Host: t"),
    "chunked in HTTP/1.0": head(b"Transfer-Encoding: chunked", first=b"POST /debug/echo HTTP/1.0") + b"0\r\n\r\n",
    "POST without length in HTTP/1.0": head(first=b"POST /debug/echo HTTP/1.0"),
    "header without a colon": head(b"Content-Length 5"),
    "header without a name": head(b": 5"),
    "bare CR in a value": head(b"X: a\rContent-Length: 5"),
    "bare CR ends the lines": head(b"X: a").replace(b"\r\n", b"\r"),
    "NUL in a value": head(b"X: a\0b"),
    "NUL in a name": head(b"X\0: a"),
    "control byte in a value": head(b"X: a\x08b"),
    "DEL in a value": head(b"X: a\x7fb"),
    "control byte in a name": head(b"X\x08: a"),
    "byte over 127 in a name": head(b"\xc3\xa4: a"),
    "no host": head(host=b"X: t"),
    "two hosts": head(b"Host: u"),
    "chunk size over 64 bits": head(b"Transfer-Encoding: chunked") + b"10000000000000000\r\n",
    "chunk size of 300 digits": head(b"Transfer-Encoding: chunked") + b"f" * 300 + b"\r\n",
    "chunk size -1": head(b"Transfer-Encoding: chunked") + b"-1\r\n",
    "chunk size +1": head(b"Transfer-Encoding: chunked") + b"+1\r\nx\r\n0\r\n\r\n",
    "chunk size 0x1": head(b"Transfer-Encoding: chunked") + b"0x1\r\nx\r\n0\r\n\r\n",
    "no chunk size": head(b"Transfer-Encoding: chunked") + b"\r\n",
    "space before the chunk size": head(b"Transfer-Encoding: chunked") + b" 1\r\nx\r\n0\r\n\r\n",
    "digits after a space in a chunk size": head(b"Transfer-Encoding: chunked") + b"1 1\r\nx\r\n0\r\n\r\n",
    "chunk size ends with LF": head(b"Transfer-Encoding: chunked") + b"1\nx\r\n0\r\n\r\n",
    "chunk extension ends with LF": head(b"Transfer-Encoding: chunked") + b"1;a\nx\r\n0\r\n\r\n",
    "CR without LF in a chunk size": head(b"Transfer-Encoding: chunked") + b"1\rx\r\n0\r\n\r\n",
}

# The same amid a body that is already being answered: the answer is broken off, and what follows is not
# taken for a request.
BROKEN_OFF = {
    "chunk without its CR LF": head(b"Transfer-Encoding: chunked") + b"1\r\nx0\r\n\r\n",
    "chunk longer than it says": head(b"Transfer-Encoding: chunked") + b"1\r\nxyz\r\n0\r\n\r\n",
    "no size after a chunk": head(b"Transfer-Encoding: chunked") + b"1\r\nx\r\nzz\r\n\r\n",
}

# What is wrong without two readings. Each has a 4xx, or nothing but a close.
WRONG = {
    "NUL in the method": head(first=b"G\0T /health HTTP/1.1"),
    "control byte in the method": head(first=b"G\x01T /health HTTP/1.1"),
    "NUL in the target": head(first=b"GET /hea\0lth HTTP/1.1"),
    "control byte in the target": head(first=b"GET /hea\x1flth HTTP/1.1"),
    "DEL in the target": head(first=b"GET /\x7f HTTP/1.1"),
    "space in the target": head(first=b"GET /health x HTTP/1.1"),
    "tab before the target": head(first=b"GET\t/health HTTP/1.1"),
    "no target": head(first=b"GET HTTP/1.1"),
    "no version": head(first=b"GET /health"),
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/1.2": head(first=b"GET /health HTTP/1.2"),
    "HTTP/2.0": head(first=b"GET /health HTTP/2.0"),
    "HTTP/11": head(first=b"GET /health HTTP/11"),
    "http/1.1": head(first=b"GET /health http/1.1"),
    "HTTP/1.1x": head(first=b"GET /health HTTP/1.1x"),
    "lower-case method": head(first=b"get /health HTTP/1.1"),
    "method of 10 kB": head(first=b"G" * 10_000 + b" /health HTTP/1.1"),
    "target of 10 kB": head(first=b"GET /" + b"a" * 10_000 + b" HTTP/1.1"),
    "target without a slash": head(first=b"GET health HTTP/1.1"),
    "target with ..": head(first=b"GET /../health HTTP/1.1"),
    "broken encoding in the target": head(first=b"GET /debug/delay/%zz HTTP/1.1"),
    "authority form": head(first=b"GET t:80 HTTP/1.1"),
    "asterisk form": head(first=b"OPTIONS * HTTP/1.1"),
    "asterisk form with GET": head(first=b"GET * HTTP/1.1"),
    "CONNECT": head(first=b"CONNECT t:443 HTTP/1.1"),
    "CONNECT to a path": head(first=b"CONNECT /health HTTP/1.1"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "TLS ClientHello": bytes.fromhex("16030100c8010000c40303") + bytes(range(200)),
    "SSLv2 hello": bytes.fromhex("802e0103010015000000100700c003008001008006") + bytes(30),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": b"EHLO t\r\nMAIL FROM:<a@t>\r\n",
    "head of 200 kB": head(*[b"X-%d: " % n + b"a" * 4000 for n in range(50)], first=b"GET /health HTTP/1.1"),
    "one header of 1 MB": head(b"X: " + b"a" * 1_000_000, first=b"GET /health HTTP/1.1"),
    "head that never ends": b"GET /health HTTP/1.1\r\nX: " + b"a" * 3_000_000,
    "97 headers": head(*[b"X-%d: a" % n for n in range(96)], first=b"GET /health HTTP/1.1"),
    "chunk extension of 100 kB": head(b"Transfer-Encoding: chunked") + b"1;" + b"a" * 100_000
                                 + b"\r\nx\r\n0\r\n\r\n",
    "10000 headers": head(*[b"X-%d: a" % n for n in range(10_000)], first=b"GET /health HTTP/1.1"),
    "empty lines": b"\r\n" * 500_000,
    "line feeds": b"\n" * 1_000_000,
    "carriage returns": b"\r" * 100_000,
    "NUL bytes": bytes(100_000),
    "half a head": b"GET /health HTTP/1.1\r\nHost:",
    "nothing": b"",
}

# What looks odd and is right, with its status.
LEGAL = {
    "absolute form": (head(first=b"GET http://t/health HTTP/1.1"), 200),
    "absolute form of another host": (head(first=b"GET http://other/health HTTP/1.1"), 200),
    "absolute form with a port": (head(first=b"GET http://t:80/health HTTP/1.1"), 200),
    "empty host": (head(first=b"GET /health HTTP/1.1", host=b"Host:"), 200),
    "host with a port": (head(first=b"GET /health HTTP/1.1", host=b"Host: t:8080"), 200),
    "HTTP/1.0 without a host": (b"GET /health HTTP/1.0\r\n\r\n", 200),
    "empty lines before it": (b"\r\n\r\n" + head(first=b"GET /health HTTP/1.1"), 200),
    "line feeds alone": (head(first=b"GET /health HTTP/1.1").replace(b"\r\n", b"\n"), 200),
    "h2c upgrade": (head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk",
                         first=b"GET /health HTTP/1.1"), 200),
    "upgrade to TLS": (head(b"Connection: Upgrade", b"Upgrade: TLS/1.3", first=b"GET /health HTTP/1.1"), 200),
    "websocket": (head(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", first=b"GET /health HTTP/1.1"), 200),
    "unknown method": (head(first=b"BREW /health HTTP/1.1"), 405),
    "CHUNKED": (head(b"Transfer-Encoding: CHUNKED") + b"1\r\nx\r\n0\r\n\r\n", 200),
    "spaces around chunked": (head(b"Transfer-Encoding:  \t chunked \t ") + b"1\r\nx\r\n0\r\n\r\n", 200),
    "zeros before a chunk size": (head(b"Transfer-Encoding: chunked") + b"0000000001\r\nx\r\n0\r\n\r\n", 200),
    "space after a chunk size": (head(b"Transfer-Encoding: chunked") + b"1 \r\nx\r\n0\r\n\r\n", 200),
    "chunk extension": (head(b"Transfer-Encoding: chunked") + b'1;a="b"\r\nx\r\n0\r\n\r\n', 200),
    "chunk extension of 10 kB": (head(b"Transfer-Encoding: chunked") + b"1;" + b"a" * 10_000
                                 + b"\r\nx\r\n0\r\n\r\n", 200),
    "trailer": (head(b"Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\nContent-Length: 9\r\n\r\n", 200),
    "zeros before the length": (head(b"Content-Length: 00005") + b"hello", 200),
    "96 headers": (head(*[b"X-%d: a" % n for n in range(95)], first=b"GET /health HTTP/1.1"), 200),
}

# Bodies that hold a whole request: of what reads them, of what does not, and of what refuses them.
# One answer each, because what a body says is not a request. Without the length that the head says,
# the request never becomes complete.
HIDING = {
    f"{kind} body to {method.decode()} {path.decode()}": (
        head(line, first=method + b" " + path + b" HTTP/1.1") + body, status)
    for method, path, status in [
        (b"POST", b"/debug/echo", 200),
        (b"GET", b"/health", 200),
        (b"HEAD", b"/health", 200),
        (b"DELETE", b"/health", 405),
        (b"POST", b"/nothing", 404),
        (b"GET", b"/" + b"a" * 9000, 414),
    ]
    for kind, line, body in [
        ("sized", b"Content-Length: %d" % len(SMUGGLED), SMUGGLED),
        ("chunked", b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
        ("chunked, with a trailer,", b"Transfer-Encoding: chunked", b"1\r\nx\r\n0\r\nX: y\r\n\r\n"),
    ]
} | {
    "body larger than allowed": (head(b"Content-Length: 2000000") + SMUGGLED * 50_000, 413),
    "body after Expect": (head(b"Content-Length: 2000000", b"Expect: 100-continue") + SMUGGLED * 50_000, 413),
    "body of CONNECT": (head(first=b"CONNECT t:443 HTTP/1.1") + SMUGGLED, 404),
}


def in_parallel(work, items: list) -> list:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return list(pool.map(work, items))


@trial("smuggling")
def smuggling() -> str:
    """What has two readings is refused, and no body is ever taken for a request."""
    def refused(item: tuple[str, bytes]) -> float:
        name, message = item
        started = time.monotonic()
        for before, expected in [(b"", []), (VALID, [200])]:
            found = statuses(exchange(server, before + message + SMUGGLED))
            ok = found[:-1] == expected and 400 <= (found or [0])[-1] < 500
            assert ok, f"{name}: {found}, where one 4xx after {expected} is right"
        return time.monotonic() - started

    def broken_off(item: tuple[str, bytes]) -> float:
        name, message = item
        started = time.monotonic()
        answer = exchange(server, message + SMUGGLED)
        assert statuses(answer) == [200], f"{name}: {statuses(answer)} and not one 200"
        assert not answer.endswith(b"0\r\n\r\n"), f"{name}: the answer ends as if it were whole"
        return time.monotonic() - started

    def hidden(item: tuple[str, tuple[bytes, int]]) -> float:
        name, (message, status) = item
        started = time.monotonic()
        found = statuses(exchange(server, message))
        assert found == [status], f"{name}: {found} and not {status}"
        return time.monotonic() - started

    with start() as server:
        slowest = max(*in_parallel(refused, list(AMBIGUOUS.items())),
                      *in_parallel(broken_off, list(BROKEN_OFF.items())),
                      *in_parallel(hidden, list(HIDING.items())))
        unharmed(server)
        assert "/smuggled" not in server.log(), "a body was taken for a request"
    return (f"{len(AMBIGUOUS)} messages with two readings refused, {len(BROKEN_OFF)} broken off, "
            f"{len(HIDING)} bodies with "
            f"a request inside, none taken for one; slowest {slowest:.1f} s")


@trial("malformed")
def malformed() -> str:
    """What is wrong has a 4xx or a close; what only looks odd has its right answer."""
    def wrong(item: tuple[str, bytes]) -> int:
        name, message = item
        found = statuses(exchange(server, message))
        assert all(400 <= status < 500 for status in found), f"{name}: {found}"
        return found[0] if found else 0

    def legal(item: tuple[str, tuple[bytes, int]]) -> None:
        name, (message, status) = item
        found = statuses(exchange(server, message))
        assert found == [status], f"{name}: {found} and not {status}"

    with start() as server:
        seen = collections.Counter(in_parallel(wrong, list(WRONG.items())))
        in_parallel(legal, list(LEGAL.items()))
        unharmed(server)
    closed = seen.pop(0, 0)
    by_status = ", ".join(f"{count} × {status}" for status, count in sorted(seen.items()))
    return f"{len(WRONG)} wrong: {by_status}, {closed} × closed; {len(LEGAL)} odd but legal, all answered"


SEEDS = [
    head(first=b"GET /health HTTP/1.1"),
    head(b"User-Agent: curl/8", b"Accept: */*", first=b"GET /api/v1/hello?name=Ada HTTP/1.1"),
    head(b"Content-Length: 5") + b"hello",
    head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
    head(b"Expect: 100-continue", b"Content-Length: 5", b"Connection: close") + b"hello",
    head(b"Connection: Upgrade", b"Upgrade: websocket", first=b"GET /debug/headers HTTP/1.1"),
    head(b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"X-Request-Id: a",
         first=b"GET /openapi.json HTTP/1.1"),
    head(first=b"OPTIONS http://t/health HTTP/1.1"),
]

# What breaks parsers.
TOKENS = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"%", b"%00", b"\x7f", b"\xff", b"0",
          b"-1", b"+1", b"f" * 17, b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1",
          b"HTTP/9.9", b"Host: u\r\n", b"\r\n\r\n", b"a" * 5000, b"%zz", b"\xe2\x80\xae", b"//", b"?", b"#"]


def mutated(dice: random.Random) -> bytes:
    message = bytearray(dice.choice(SEEDS))
    for _ in range(dice.choice([1, 1, 1, 2, 3, 5, 10])):
        at, until = sorted(dice.randrange(len(message) + 1) for _ in range(2))
        match dice.randrange(7):
            case 0 if at < len(message):
                message[at] ^= 1 << dice.randrange(8)
            case 1 if at < len(message):
                message[at] = dice.randrange(256)
            case 2:
                message[at:at] = dice.choice(TOKENS)
            case 3:
                del message[at:min(until, at + 20)]
            case 4:
                message[at:at] = message[at:until]
            case 5:
                del message[at:]
            case 6:
                message[at:at] = dice.randbytes(dice.randrange(50))
    if dice.randrange(10) == 0:
        message += dice.choice(SEEDS)
    return bytes(message) or b"\0"


@trial("fuzz")
def fuzz() -> str:
    """Valid requests, broken at random (the same way each time): any answer but a 5xx, and an end."""
    count = short_or_long(4000, 100_000)
    dice = random.Random(9110)
    messages = [mutated(dice) for _ in range(count)]

    def one(message: bytes) -> tuple[int, float]:
        started = time.monotonic()
        found = statuses(exchange(server, message, half_close=True))
        assert all(200 <= status < 500 for status in found), f"{found} for {message!r}"
        return found[0] if found else 0, time.monotonic() - started

    with start() as server:
        results = in_parallel(one, messages)
        unharmed(server)
    seen = collections.Counter(status // 100 for status, _ in results)
    return (f"{count} broken requests: {seen[2]} × 2xx, {seen[4]} × 4xx, {seen[0]} × closed; slowest "
            f"{max(took for _, took in results):.2f} s")
