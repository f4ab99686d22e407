"""A log that nobody reads, and one on a disk that is full."""

import contextlib
import json
import os
import re
import statistics
import threading
import time
from collections.abc import Iterator

import common
from common import Berth, answer_to, mounted, near, probes, short_or_long, trial, wait_until
from surroundings.load import KEPT_ALIVE, NEW_CONNECTIONS, Loads


# How long a stop may take that has nothing to wait for but its log.
STOP = 4


class Lines(threading.Thread):
    """Reads a log to its end."""

    def __init__(self, reading: int):
        super().__init__()
        self.reading, self.text = reading, b""
        self.start()

    def run(self) -> None:
        parts = []
        with open(self.reading, "rb", buffering=0) as pipe:
            while part := pipe.read(1 << 20):
                parts.append(part)
        self.text = b"".join(parts)

    def access(self) -> int:
        """How many lines are of a request; each line must be whole."""
        self.join()
        return sum(json.loads(line)["target"] == "access" for line in self.text.splitlines())


class Logged(Berth):
    """A server that logs as JSON. It knows how many lines there have to be."""

    def __init__(self, stderr: int, **settings: str):
        self.scrapes = 0
        # Every request has a line, also those that say nothing new.
        super().__init__(stderr=stderr, BERTH__LOG__FORMAT="json", BERTH__LOG__PROBES="true", **settings)

    def exposition(self) -> str:
        # It is logged, too, and not counted.
        self.scrapes += 1
        return super().exposition()

    def lost(self) -> int:
        return int(self.sample("berth_log_lines_lost_total"))

    def settled(self) -> tuple[int, int]:
        """How many requests there were, this one with them, and how many lines are lost, when none is on
        its way any more. The line of a scrape may be lost as well."""
        before = -2
        while (now := self.lost()) > before + 1:
            before = now
            time.sleep(0.3)
        # The line of the last scrape waits a little for others.
        time.sleep(0.1)
        text = self.exposition()
        counts = re.findall(r"^api_requests_total\{.*\} (\d+)$", text, re.MULTILINE)
        missing = re.search(r"^berth_log_lines_lost_total (\d+)$", text, re.MULTILINE)
        return sum(map(int, counts)) + self.scrapes, int(missing[1])


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        for end in (reading, writing):
            with contextlib.suppress(OSError):
                os.close(end)


def median_latency(server: Berth) -> float:
    """Of requests one after the other on one connection."""
    took = []
    with server.connect() as client:
        for _ in range(300):
            started = time.monotonic()
            client.sendall(b"GET /api/v1/hello HTTP/1.1\r\nHost: t\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            took.append(time.monotonic() - started)
    return statistics.median(took)


@trial("log-pipe-full")
def log_pipe_full() -> str:
    """Nobody reads; then somebody does, and gets every line that was not counted as lost."""
    seconds = short_or_long(2, 20)
    with pipe() as (reading, writing), Logged(writing) as server:
        os.close(writing)
        with Loads(server, KEPT_ALIVE, NEW_CONNECTIONS) as loads, probes(server) as took:
            wait_until(lambda: server.lost() > 0, "the buffer never fills")
            time.sleep(seconds)
        full = median_latency(server)
        reader = Lines(reading)
        # The first lines that are read make room.
        time.sleep(0.3)
        read = median_latency(server)
        requests, missing = server.settled()
        code = server.stop()
        written = reader.access()
        assert code == 0, f"it ended with {code}"
    assert missing > loads.requests / 4, f"only {missing} lines of {loads.requests} requests are lost"
    assert written + missing == requests, f"{requests} requests, {written} lines written and {missing} lost"
    assert full < 5 * read + 0.005, f"a request takes {full * 1e6:.0f} µs, and {read * 1e6:.0f} where the log is read"

    # Another one is stopped meanwhile.
    with pipe() as (reading, writing), Logged(writing) as server:
        os.close(writing)
        with Loads(server, KEPT_ALIVE):
            wait_until(lambda: server.lost() > 0, "the buffer never fills")
        started = time.monotonic()
        code = server.stop()
        stop = time.monotonic() - started
    assert code == 0, f"with a full pipe, it ended with {code}"
    near("the stop with a full pipe", stop, 0, STOP)
    return (f"{requests} requests: {written} lines written, {missing} counted as lost; {full * 1e6:.0f} µs per request,"
            f" {read * 1e6:.0f} when it is read; probes within {max(took) * 1000:.0f} ms; stop in {stop:.1f} s")


@trial("log-pipe-closed")
def log_pipe_closed() -> str:
    """Whoever read is gone; and a disk without any room."""
    seconds = short_or_long(1.5, 15)
    figures = []
    for name in ("closed pipe", "full disk"):
        with contextlib.ExitStack() as held:
            if name == "closed pipe":
                reading, writing = os.pipe()
            else:
                reading, writing = None, os.open("/dev/full", os.O_WRONLY)
            server = held.enter_context(Logged(writing))
            os.close(writing)
            if reading is not None:
                os.close(reading)
            requests_before, missing_before = server.settled()
            with Loads(server, KEPT_ALIVE, NEW_CONNECTIONS) as loads, probes(server) as took:
                time.sleep(seconds)
            requests, missing = server.settled()
            began = time.monotonic()
            code = server.stop()
            stop = time.monotonic() - began
        assert code == 0, f"{name}: it ended with {code}"
        near(f"{name}: the stop", stop, 0, STOP)
        # There are lines of the start, too, which are no request's.
        requests, missing = requests - requests_before, missing - missing_before
        assert loads.requests <= requests, f"{name}: {loads.requests} requests, and {requests} were counted"
        assert missing == requests, f"{name}: {requests} requests, and {missing} lost lines"
        figures.append(f"{name}: {missing} lines lost of {requests} requests, stop in {stop:.1f} s,"
                       f" probes within {max(took) * 1000:.0f} ms")
    return "; ".join(figures)


@trial("log-disk-full")
def log_disk_full() -> str:
    """The disk of the log fills in the middle of a line, and has room again later."""
    with mounted(common.WORK / "small-disk", "-t", "tmpfs", "-o", "size=2m", "tmpfs") as disk:
        ballast, path = disk / "ballast", disk / "log"
        ballast.write_bytes(b"x" * (1 << 20))
        with open(path, "ab", buffering=0) as log, Logged(log.fileno()) as server:
            with Loads(server, KEPT_ALIVE), probes(server):
                wait_until(lambda: server.lost() > 0, "the disk never fills")
                time.sleep(0.5)
            _, while_full = server.settled()
            # The line of that scrape, which could not count it, is lost before there is room.
            time.sleep(0.3)
            while_full += 1
            ballast.unlink()
            for _ in range(100):
                assert answer_to(server, "/api/v1/hello")[0] == 200
            requests, missing = server.settled()
            code = server.stop()
        assert code == 0, f"it ended with {code}"
        assert missing == while_full, f"{missing - while_full} lines are lost where there is room"
        lines = path.read_bytes().splitlines()
    whole, torn = 0, []
    for line in lines:
        try:
            whole += json.loads(line)["target"] == "access"
        except ValueError:
            torn.append(line)
    assert len(torn) <= 1, f"{len(torn)} lines are torn: {torn[1]!r}"
    # It may be torn within these, too.
    assert all(line.count(b'{"ts"') <= 1 for line in torn), f"two lines in one: {torn[0]!r}"
    assert whole + missing == requests, f"{requests} requests, {whole} lines written and {missing} lost"
    return (f"{requests} requests: {whole} lines written, {missing} counted as lost, {len(torn)} torn, none of them"
            f" spoils the next; written again when there is room")
