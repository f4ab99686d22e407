"""Requests on one connection, sent and read as a plan says."""

import collections
import contextlib
import dataclasses
import itertools
import re
import select
import socket
import time

from common import Berth
from pipelines.answers import Answers
from pipelines.requests import Request, Wrong, shortened

# How long nothing may come or go, in seconds. The server's own limits are longer, so that a connection
# that hangs is not taken for one that closes.
LIMIT = 4

# How long a client does not read that reads late, in seconds.
LATE = 0.15

# Asked at the end, to see that the connection goes on, and then closes.
LAST = Request("the last", "GET", "/api/v1/hello?name=last", "1.1", ("Connection: close",))


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
