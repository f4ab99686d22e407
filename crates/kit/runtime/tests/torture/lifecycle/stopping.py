"""What the trials of the stop share: clients that count what they lose, and a stop that has its time.

A request is lost when it was sent whole, on a connection that was there, and got no whole answer. The
clients see that for themselves; what the log says at the end has to be the same number.
"""

import contextlib
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from common import Berth

# How much longer than drain_delay and timeout a stop may take.
SPARE = 1.5


def all_of(parts: dict[str, Callable[[], str]]) -> str:
    """The figures of all parts. One that fails does not keep the others from being tried."""
    figures, failures = [], []
    for name, part in parts.items():
        try:
            figures.append(f"{name}: {part()}")
        except (AssertionError, OSError) as error:
            failures.append(f"{name}: {error}")
    assert not failures, "; ".join(failures)
    return "; ".join(figures)


# Clients

class Answer(NamedTuple):
    status: int
    closes: bool


def ask(client: socket.socket, target: str) -> socket.socket:
    """Sends a whole request, after which the connection may be kept."""
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    return client


def answer(client: socket.socket) -> Answer | None:
    """One whole answer; None where the other side closes before its end, or nothing more comes."""
    received = b""
    with contextlib.suppress(OSError):
        while part := client.recv(65536):
            received += part
            head, end, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if end and length and len(body) >= int(length[1]):
                return Answer(int(head[9:12]), bool(re.search(rb"(?i)\r\nconnection: close", head)))
    return None


def new(server: Berth, count: int) -> list[socket.socket]:
    """Connections on which nothing was sent."""
    return [server.connect(20) for _ in range(count)]


def kept(server: Berth, count: int) -> list[socket.socket]:
    """Connections that have had an answer, and are idle."""
    clients = [ask(client, "/health") for client in new(server, count)]
    for client in clients:
        assert answer(client) == Answer(200, False), "before the signal, a request has no answer"
    return clients


class Sent(NamedTuple):
    """A request that was sent whole, and what came of it."""

    at: float
    on: str
    answer: Answer | None


class Load:
    """Clients that ask again and again, until the server takes no more connections. Each keeps its
    connection until an answer says that it is closed."""

    def __init__(self, server: Berth, groups: tuple[tuple[int, str], ...]):
        self.server = server
        self.sent: list[Sent] = []
        self.threads = [threading.Thread(target=self.run, args=(target,), daemon=True)
                        for count, target in groups for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, target: str) -> None:
        while client := self.connect():
            on, got = "new", Answer(200, False)
            with client:
                while got and not got.closes:
                    try:
                        ask(client, target)
                    except OSError:
                        break  # It was reset before the request was sent.
                    at = time.monotonic()
                    got = answer(client)
                    self.sent.append(Sent(at, on, got))
                    on = "kept"

    def connect(self) -> socket.socket | None:
        """None when it is refused. What fails otherwise is tried again: nothing has been sent on it."""
        while True:
            try:
                client = self.server.connect(1)
                # The kernel may choose the server's port for the client. Then it has connected to itself.
                if client.getsockname() == client.getpeername():
                    raise ConnectionRefusedError
            except ConnectionRefusedError:
                return None
            except OSError:
                continue
            client.settimeout(20)
            return client

    def end(self) -> list[Sent]:
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive(), "a client is never refused"
        return self.sent


# The stop

class Stop:
    """A stop from its signal on. It has to end within `drain_delay + timeout` and a little more."""

    def __init__(self, server: Berth, drain_delay: float, timeout: float):
        self.server, self.bound = server, drain_delay + timeout + SPARE
        self.code, self.took = None, 0.0
        self.started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        self.waiting = threading.Thread(target=self.wait, daemon=True)
        self.waiting.start()

    def wait(self) -> None:
        self.code = self.server.process.wait()
        self.took = time.monotonic() - self.started

    def until(self, seconds: float) -> None:
        """Waits until so long after the signal."""
        time.sleep(max(0.0, self.started + seconds - time.monotonic()))

    def end(self) -> int:
        """How many requests were lost, by the log."""
        self.waiting.join(max(0.1, self.started + self.bound - time.monotonic()))
        assert not self.waiting.is_alive(), f"{self.bound} s after the signal, it has not ended"
        assert self.took < self.bound, f"it ended {self.took:.2f} s after the signal, not within {self.bound} s"
        return said(self.server, self.code)


def said(server: Berth, code: int) -> int:
    """What the last line of the log says was lost, to which the exit code has to fit."""
    last = (server.log().splitlines() or [""])[-1]
    found = re.search(r"stopped: (?:every request was answered|(\d+) requests? w(?:as|ere) cut off)", last)
    assert found, f"it ended with {code}, and the last line of its log is {last!r}"
    lost = int(found[1] or 0)
    assert code == (1 if lost else 0), f"it ended with {code}, and its log says {last!r}"
    return lost


def stoppable(drain_delay: str, timeout: str, workers: int = 1, **settings) -> Berth:
    return Berth(BERTH__DEBUG__ROUTES="true", BERTH__SERVER__WORKERS=str(workers),
                 BERTH__SHUTDOWN__DRAIN_DELAY=drain_delay, BERTH__SHUTDOWN__TIMEOUT=timeout, **settings)


def described(answers: list[Answer | None]) -> str:
    lost = answers.count(None)
    return f"{lost} of {len(answers)} lost, the others got {sorted({got.status for got in answers if got})}"
