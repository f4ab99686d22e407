"""Several requests on one connection, drawn at random. Each is answered as if it were the only one."""

import collections
import contextlib
import dataclasses
import itertools
import json
import os
import random
import re
import select
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Generator, Iterator

import common
from common import Berth, short_or_long, trial
from protocol.malformed import SMUGGLED, head, in_parallel, unharmed

# The same pipelines each time; PIPELINES_SEED draws others.
SEED = os.environ.get("PIPELINES_SEED", "9112")

# How long nothing may come or go, in seconds. The server's own limits are longer, so that a connection
# that hangs is not taken for one that closes.
LIMIT = 4

# How long a client does not read that reads late, in seconds.
LATE = 0.15

ZEROS = bytes(1_500_000)
NAMES = ["Ada", "Ada Lovelace", "日本", "a&b=c+d", "HTTP/1.1 200 OK", "\"quoted\\\"", "x" * 64]
STATUSES = {200: "OK", 204: "No Content", 304: "Not Modified", 404: "Not Found", 418: "I'm a teapot"}

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


class Wrong(Exception):
    """What came is not what should have come."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


@dataclasses.dataclass(frozen=True)
class Request:
    """A request, and what has to be known of it to judge its answer."""

    kind: str
    method: str
    target: str
    version: str
    headers: tuple[str, ...]
    # What a handler would read, and as it is sent. None where there is no body.
    body: bytes | None = None
    sent: bytes = b""

    def encoded(self, mark: str) -> bytes:
        """As it is sent. The mark is what the request is known by in the server's log."""
        lines = [f"{self.method} {self.target} HTTP/{self.version}", "Host: t", f"User-Agent: {mark}",
                 *self.headers, "", ""]
        return "\r\n".join(lines).encode() + self.sent

    def told(self) -> str:
        """For a person who reads of a failure."""
        head = ", ".join([f"{self.method} {self.target[:60]} HTTP/{self.version}", *self.headers])
        return head if self.body is None else f"{head}, body {shortened(self.sent)}"

    def says(self, option: str) -> bool:
        return any(option in line.lower() for line in self.headers if line.startswith("Connection:"))

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def expects(self) -> bool:
        """Whether `100 Continue` may come before its answer: never to HTTP/1.0, and never without a body."""
        return "Expect: 100-continue" in self.headers and self.version == "1.1" and bool(self.body)

    @property
    def status(self) -> int:
        if self.path.startswith("/debug/status/"):
            return int(self.path.rpartition("/")[2])
        return 405 if self.method == "POST" and self.path != "/debug/echo" else 200

    @property
    def last(self) -> bool:
        """Whether the connection has to close after it."""
        return self.says("close") or (self.version == "1.0" and not self.says("keep-alive"))

    @property
    def may_be_last(self) -> bool:
        """Whether it may close: also for a body that nobody has read, and, in HTTP/1.0, to end an answer
        whose length is not known before."""
        unread = bool(self.sent) and self.path != "/debug/echo"
        return self.last or unread or (self.version == "1.0" and self.path == "/debug/echo")

    def exact_body(self) -> bytes | None:
        """The body of its answer, where each byte of it is known; to HEAD, the one that GET would have."""
        if self.status == 405:
            return problem(405, "Method Not Allowed", "this path answers GET, HEAD")
        if self.path == "/debug/echo":
            return self.body or b""
        if self.path.startswith("/debug/bytes/"):
            return ZEROS[:int(self.path.rpartition("/")[2])]
        if self.path.startswith("/debug/status/"):
            if self.status in (204, 304):
                return b""
            if self.status < 400:
                return b'{"status":%d}' % self.status
            return problem(self.status, STATUSES[self.status], "this status was asked for")
        return None

    def check_body(self, body: bytes) -> None:
        exact = self.exact_body()
        if exact is not None:
            require(body == exact, f"the body is {shortened(body)} and not {shortened(exact)}")
            return
        try:
            value = json.loads(body)
        except ValueError:
            raise Wrong(f"the body is not JSON: {shortened(body)}") from None
        if self.path == "/health":
            known, others = {"status": "healthy"}, {"uptime"}
        elif self.path.startswith("/debug/delay/"):
            known, others = {}, {"waited"}
        else:
            name = urllib.parse.parse_qs(self.target.partition("?")[2])["name"][0]
            known, others = {"message": f"Hello, {name}!", "pod": "torture"}, {"timestamp"}
        right = isinstance(value, dict) and known.keys() | others == value.keys()
        require(right and known.items() <= value.items(), f"the body is {shortened(body)}")

    def check_head(self, version: str, status: int, fields: dict[str, str]) -> tuple[str, bool]:
        """How the body of the answer ends, and whether the connection is to close after it."""
        require(status == self.status, f"the status is {status} and not {self.status}")
        require(version == self.version, f"the answer is HTTP/{version}")
        content = fields.get("content-type")
        if self.path == "/debug/echo" or self.path.startswith("/debug/bytes/"):
            require(content == "application/octet-stream", f"the content type is {content}")
        elif status not in (204, 304):
            right = "application/json" if status < 400 else "application/problem+json"
            require(content == right, f"the content type is {content}")
        require(status != 405 or fields.get("allow") == "GET, HEAD", "it does not say what is allowed")

        # The connection.
        require("upgrade" not in fields, f"it has Upgrade: {fields.get('upgrade')}")
        options = {option.strip().lower() for option in fields.get("connection", "").split(",")} - {""}
        require(options in (set(), {"close"}, {"keep-alive"}), f"it has Connection: {fields.get('connection')}")
        closes = "close" in options if version == "1.1" else "keep-alive" not in options

        # The length.
        length, coding = fields.get("content-length"), fields.get("transfer-encoding")
        require(length is None or coding is None, "it has a length and is chunked")
        if status in (204, 304):
            require(length is None and coding is None, f"a {status} has no body, and so no length")
            ends = "at once"
        elif self.path == "/debug/echo" and status == 200:
            require(version == "1.1" or coding is None, "a chunked answer to HTTP/1.0")
            require(version == "1.0" or coding is not None, "the answer is not chunked")
            ends = "chunks" if coding else "length" if length else "close"
        else:
            require(coding is None, "a chunked answer, whose length is known")
            # To HEAD, a length of 0 may be left out.
            left_out = self.method == "HEAD" and self.exact_body() == b""
            require(length is not None or left_out, "the answer has no length")
            ends = "at once" if self.method == "HEAD" else "length"
        require(coding in (None, "chunked"), f"it has Transfer-Encoding: {coding}")
        if length is not None:
            require(re.fullmatch(r"0|[1-9]\d{0,7}", length) is not None, f"its length is {length}")
            exact = self.exact_body()
            require(exact is None or int(length) == len(exact), f"its length is {length}")

        closes |= ends == "close"
        require(closes or not self.last, "it does not say that the connection closes, as it has to")
        require(not closes or self.may_be_last, "it says that the connection closes, for no reason")
        return ends, closes


def problem(status: int, title: str, detail: str) -> bytes:
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail},
                      separators=(",", ":")).encode()


def shortened(data: bytes, to: int = 90) -> str:
    """For a person who reads of a failure. What is long is cut, from its middle."""
    data = re.sub(rb"\0{20,}", lambda zeros: b"<%d zero bytes>" % len(zeros[0]), bytes(data))
    if len(data) > to:
        data = data[:to // 2] + b"<%d bytes>" % (len(data) - 2 * (to // 2)) + data[-(to // 2):]
    return repr(data)[1:]


class Answers:
    """Reads answers as they come in, and objects to the first byte that cannot be right."""

    def __init__(self, requests: list[Request]):
        self.requests = requests
        self.answered = 0
        # The last answer, or the one that has begun, says that the connection closes after it.
        self.closes = False
        # And it ends only there.
        self.until_close = False
        # Which part of an answer has begun, if one has.
        self.within = ""
        self.buffer = bytearray()
        self.reader = self.read()
        next(self.reader)

    def feed(self, data: bytes) -> None:
        self.buffer += data
        try:
            next(self.reader)
        except Wrong as wrong:
            raise Wrong(f"{self.place()}: {wrong}") from None

    def whole(self) -> bool:
        """All that may come has come."""
        return not self.within and (self.closes or self.answered == len(self.requests))

    def place(self) -> str:
        if self.answered == len(self.requests):
            return "after all answers"
        return f"answer {self.answered + 1} of {len(self.requests)}{self.within and f', in its {self.within}'}"

    def end(self, how: str, allowed: bool = False) -> None:
        """The connection has ended. `allowed` where this client has said that it sends no more."""
        if self.until_close and how == "closed":
            try:
                self.requests[self.answered].check_body(bytes(self.buffer))
            except Wrong as wrong:
                raise Wrong(f"{self.place()}: {wrong}") from None
            self.answered += 1
            self.within = ""
        require(not self.within, f"{self.place()}: {how} before its end")
        allowed = allowed and self.answered == len(self.requests)
        require(self.closes or allowed, f"{self.place()}: {how} for no reason")

    def read(self) -> Iterator[None]:
        while True:
            while not self.buffer:
                yield
            require(not self.closes, f"more after the last answer: {shortened(self.buffer)}")
            require(self.answered < len(self.requests), f"nobody asked for it: {shortened(self.buffer)}")
            request = self.requests[self.answered]
            version, status, fields = yield from self.head()
            if status == 100:
                require(request.expects, "a 100 Continue for which there is no reason")
                require(not fields, f"a 100 Continue with {fields}")
                while not self.buffer:
                    yield
                version, status, fields = yield from self.head()
            ends, closes = request.check_head(version, status, fields)
            self.closes = closes
            self.within = "body"
            match ends:
                case "at once":
                    body = b""
                case "length":
                    body = yield from self.take(int(fields["content-length"]))
                case "chunks":
                    body = yield from self.chunks()
                case _:
                    self.until_close = True
                    while True:
                        yield
            if request.method != "HEAD":
                request.check_body(body)
            self.within = ""
            self.answered += 1

    def head(self) -> Generator[None, None, tuple[str, int, dict[str, str]]]:
        self.within = "head"
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            begins = bytes(self.buffer[:7])
            require(b"HTTP/1.".startswith(begins), f"what is no answer: {shortened(self.buffer)}")
            require(len(self.buffer) < 4096, "a head without an end")
            yield
        lines = bytes(self.buffer[:end]).split(b"\r\n")
        del self.buffer[:end + 4]
        first = re.fullmatch(rb"HTTP/(1\.[01]) (\d{3}) [ -~]*", lines[0])
        require(first is not None, f"what is no status line: {shortened(lines[0])}")
        fields: dict[str, str] = {}
        for line in lines[1:]:
            field = re.fullmatch(rb"([a-zA-Z-]+): ([!-~](?:[ -~]*[!-~])?)", line)
            require(field is not None, f"what is no header: {shortened(line)}")
            name = field[1].decode().lower()
            require(name not in fields, f"{name} twice")
            fields[name] = field[2].decode()
        return first[1].decode(), int(first[2]), fields

    def take(self, length: int) -> Generator[None, None, bytes]:
        while len(self.buffer) < length:
            yield
        taken = bytes(self.buffer[:length])
        del self.buffer[:length]
        return taken

    def chunks(self) -> Generator[None, None, bytes]:
        parts = []
        while True:
            while (end := self.buffer.find(b"\r\n")) < 0:
                require(len(self.buffer) < 20, f"what is no chunk: {shortened(self.buffer)}")
                yield
            size = bytes(self.buffer[:end])
            del self.buffer[:end + 2]
            require(re.fullmatch(rb"0|[1-9a-fA-F][\da-fA-F]{0,6}", size) is not None,
                    f"what is no chunk's size: {shortened(size)}")
            parts.append((yield from self.take(int(size, 16))))
            after = yield from self.take(2)
            require(after == b"\r\n", f"a chunk that ends with {after!r}")
            if size == b"0":
                return b"".join(parts)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a client sends and reads."""

    # Where what is sent is cut, with the pause there, in seconds.
    cuts: dict[int, float] = dataclasses.field(default_factory=dict)
    # It reads only when it has sent everything, or after a moment.
    late: bool = False
    # How long it waits after the last answer, in seconds. Then it asks one thing more; or it closes its
    # side of the connection, "after" that or "early", which is when it has sent everything.
    quiet: float = 0.01
    half_close: str = ""

    def told(self) -> str:
        cuts = [f"{at} ({1000 * pause:.0f} ms)" for at, pause in self.cuts.items()]
        pieces = f"cut at {', '.join(cuts[:12])}{', ...' * (len(cuts) > 12)}" if cuts else "in one piece"
        return pieces + ", read late" * self.late + f", half-closed {self.half_close}" * bool(self.half_close)


AT_ONCE = Plan()


@dataclasses.dataclass
class Outcome:
    requests: list[Request]
    plan: Plan
    # By what the server's log knows its requests.
    mark: str
    wrong: str = ""
    answered: int = 0
    # It has closed as its last request had asked, or for another reason.
    closed: bool = False
    as_asked: bool = False
    # After the last answer, because this client had sent more.
    reset: bool = False
    came: bytes = b""
    # It has sent one more request, after all answers.
    asked_more: bool = False

    def told(self) -> str:
        came = re.sub(rb"(date|x-request-id|cache-control|x-content-type-options|content-type): [^\r\n]*\r\n",
                      b"", self.came)
        sent = "; ".join(request.told() for request in self.requests)
        more = f", and then [{LAST.told()}]" * self.asked_more
        return f"{self.wrong}; sent [{sent}] {self.plan.told()}{more}; came {shortened(came, 600)}"


MARKS = itertools.count()


def converse(server: Berth, requests: list[Request], plan: Plan = AT_ONCE) -> Outcome:
    """Sends the requests on one connection as the plan says, and judges what comes."""
    outcome = Outcome(requests, plan, f"p{next(MARKS):07}")
    answers = Answers(list(requests))
    try:
        with server.connect() as client:
            run(client, answers, outcome)
    except Wrong as wrong:
        outcome.wrong = str(wrong)
    except OSError as error:
        outcome.wrong = f"{answers.place()}: {error}"
    outcome.answered = answers.answered
    return outcome


def half_close(client: socket.socket) -> None:
    # The server may have closed already.
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)


def run(client: socket.socket, answers: Answers, outcome: Outcome) -> None:
    plan, requests = outcome.plan, outcome.requests
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setblocking(False)
    message = b"".join(request.encoded(f"{outcome.mark}-{at}") for at, request in enumerate(requests))
    starts = [0, *plan.cuts]
    pieces = collections.deque(
        (message[start:end], plan.cuts.get(end, 0.0)) for start, end in zip(starts, [*plan.cuts, len(message)]))
    rest, pause = pieces.popleft()
    began = moved = time.monotonic()
    next_piece = quiet_until = 0.0
    finished = False
    while True:
        now = time.monotonic()
        if not rest and pieces and now >= next_piece:
            rest, pause = pieces.popleft()
        wait = moved + LIMIT - now
        if wait <= 0:
            if answers.whole():
                raise Wrong(f"not closed {LIMIT} s after the last answer")
            raise Wrong(f"{answers.place()}: nothing for {LIMIT} s")
        if not rest and pieces:
            wait = min(wait, next_piece - now)
        if plan.half_close == "early" and not (rest or pieces or finished or outcome.reset):
            finished = True
            half_close(client)
        if answers.whole() and not (answers.closes or rest or pieces or finished):
            # Nothing more may come, and the connection goes on.
            quiet_until = quiet_until or now + plan.quiet
            wait = min(wait, quiet_until - now)
            if wait <= 0:
                finished = True
                if plan.half_close:
                    half_close(client)
                else:
                    outcome.asked_more = True
                    answers.requests.append(LAST)
                    pieces.append((LAST.encoded(f"{outcome.mark}-{len(requests)}"), 0.0))
                continue
        reading = [client]
        if plan.late and (rest or pieces) and now < began + LATE:
            reading = []
            wait = min(wait, began + LATE - now)
        readable, writable, _ = select.select(reading, [client] if rest else [], [], max(wait, 0))
        if writable:
            moved = time.monotonic()
            try:
                rest = rest[client.send(rest):]
            except (ConnectionResetError, BrokenPipeError):
                # What has come before is still to be read.
                rest, outcome.reset = b"", True
                pieces.clear()
            if not rest:
                next_piece = moved + pause
        if readable:
            moved = time.monotonic()
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                part, outcome.reset = b"", True
            if part:
                outcome.came += part
                answers.feed(part)
                continue
            answers.end("reset" if outcome.reset else "closed", allowed=finished and plan.half_close != "")
            outcome.closed = not (outcome.asked_more or answers.answered == len(requests) and finished)
            outcome.as_asked = outcome.closed and requests[answers.answered - 1].last
            return


# Asked at the end, to see that the connection goes on, and then closes.
LAST = Request("the last", "GET", "/api/v1/hello?name=last", "1.1", ("Connection: close",))

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


def smaller(server: Berth, failed: Outcome) -> Outcome:
    """A smaller one that still fails, where a few attempts find one."""
    until = time.monotonic() + 20
    again = converse(server, failed.requests, dataclasses.replace(failed.plan, cuts={}, late=False))
    if again.wrong:
        failed = again
    at = 0
    while at < len(failed.requests) and len(failed.requests) > 1 and time.monotonic() < until:
        lengths = [len(request.encoded("p0000000-0")) for request in failed.requests]
        start = sum(lengths[:at])
        end = start + lengths[at]
        cuts = {cut if cut <= start else cut - lengths[at]: pause
                for cut, pause in failed.plan.cuts.items() if cut <= start or cut > end}
        left = sum(lengths) - lengths[at]
        cuts = {cut: pause for cut, pause in sorted(cuts.items()) if 0 < cut < left}
        again = converse(server, failed.requests[:at] + failed.requests[at + 1:],
                         dataclasses.replace(failed.plan, cuts=cuts))
        if again.wrong:
            failed = again
        else:
            at += 1
    return failed


@contextlib.contextmanager
def crowd(server: Berth) -> Iterator[None]:
    """So many requests that are not complete that the server puts others aside as soon as it can."""
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(server.connect()).sendall(head(b"Content-Length: 2") + b"x")
        yield


def carried_out(server: Berth) -> collections.Counter:
    """How often each request was, by its mark, and whatever else with /smuggled, as the log says."""
    seen: collections.Counter = collections.Counter()
    for line in server.log().splitlines():
        if line.startswith("{") and '"target":"access"' in line:
            record = json.loads(line)
            seen[SMUGGLED if "smuggled" in record["path"] else record["user_agent"]] += 1
    return seen


@trial("pipelines")
def pipelines() -> str:
    """Random requests on one connection, in random pieces, and each kind of request alone."""
    count = short_or_long(500, 6000)
    dice = random.Random(SEED)
    kinds = [request for shape in dict.fromkeys(SHAPES) for connection in CONNECTIONS
             if (request := drawn(dice, shape, connection, small=True))]
    faults = []
    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__LOG__FORMAT="json", BERTH__LOG__PROBES="true",
               BERTH__SERVER__KEEP_ALIVE="1m",
               BERTH__SERVER__CLIENT_HEADER_TIMEOUT="1m", BERTH__SERVER__REQUEST_TIMEOUT="10m") as server:
        def one(number: int) -> Outcome:
            return converse(server, *pipeline(number))

        alone = in_parallel(lambda request: converse(server, [request]), kinds)
        outcomes = in_parallel(one, list(range(count // 2)))
        with crowd(server):
            outcomes += in_parallel(one, list(range(count // 2, count)))
        failing_kinds = {outcome.requests[0].kind for outcome in alone if outcome.wrong}

        def known(outcome: Outcome) -> bool:
            return any(request.kind in failing_kinds for request in outcome.requests)

        smallest = min((outcome for outcome in outcomes if outcome.wrong), default=None,
                       key=lambda outcome: (known(outcome), len(outcome.requests), len(outcome.plan.cuts)))
        if smallest:
            smallest = smaller(server, smallest)
        try:
            unharmed(server)
            server.stop()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            faults.append(str(error))
        times = carried_out(server)

    for outcome in alone + outcomes:
        for at in range(len(outcome.requests)):
            often = times[f"{outcome.mark}-{at}"]
            if not outcome.wrong and often > (at < outcome.answered):
                answer = "an answer" if at < outcome.answered else "no answer"
                outcome.wrong = f"request {at + 1} has {answer} and was carried out {often} times"
    broken = [outcome for outcome in outcomes if outcome.wrong]
    broken_alone = [outcome for outcome in alone if outcome.wrong]
    if times[SMUGGLED]:
        faults.append(f"what a body says was carried out {times[SMUGGLED]} times")
    if broken_alone:
        faults.append(f"{len(broken_alone)} of {len(alone)} kinds of request fail even alone")
    if broken:
        new = sum(not known(outcome) for outcome in broken)
        faults.append(f"{len(broken)} of {count} pipelines are broken, {new} of them without such a kind")
    if faults:
        example = smallest or next(iter(broken + broken_alone), None)
        report = common.WORK / "pipelines.txt"
        report.write_text("".join(f"{'alone' if outcome in broken_alone else 'pipeline'}: {outcome.told()}\n\n"
                                  for outcome in broken_alone + broken))
        raise AssertionError(f"{'; '.join(faults)} (PIPELINES_SEED={SEED}; all are in {report})"
                             + (f"; the smallest: {example.told()}" if example else ""))
    answered = sum(outcome.answered for outcome in outcomes)
    asked = sum(outcome.as_asked for outcome in outcomes)
    otherwise = sum(outcome.closed for outcome in outcomes) - asked
    resets = sum(outcome.reset for outcome in outcomes)
    return (f"{count} pipelines, {answered:,} requests, {asked} closed as they had asked, {otherwise} for another "
            f"reason, {resets} reset after their last answer; {len(alone)} kinds of request alone")
