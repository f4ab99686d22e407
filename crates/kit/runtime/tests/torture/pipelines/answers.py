"""Answers as they come in, held against the requests."""

import re
from collections.abc import Generator, Iterator

from pipelines.requests import Request, Wrong, require, shortened


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
