"""A request, and what has to be known of it to judge its answer."""

import dataclasses
import json
import re
import urllib.parse

ZEROS = bytes(1_500_000)
STATUSES = {200: "OK", 204: "No Content", 304: "Not Modified", 404: "Not Found", 418: "I'm a teapot"}


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
