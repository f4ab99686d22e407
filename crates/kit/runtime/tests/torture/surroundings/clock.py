"""A clock that jumps."""

import contextlib
import datetime
import glob
import json
import os
import platform
import re
import shutil
import signal
import socket
import threading
import time

import common
from common import Berth, answer_to, near, probes, read_all, short_or_long, trial
from surroundings.load import NEW_CONNECTIONS, Loads


HOUR, DAY = 3600, 86400


class Clock:
    """The wall clock of one process, which is the system's with an offset. It has to be a static binary
    that is tried, which takes no library: so qemu runs it, and libfaketime changes what qemu says."""

    def __init__(self):
        self.qemu = f"qemu-{platform.machine()}"
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        assert shutil.which(self.qemu) and libraries, "qemu-user or libfaketime is missing: run.sh installs them"
        self.file = common.WORK / "clock"
        self.offset = 0
        self.jump(0)
        self.settings = {
            "LD_PRELOAD": libraries[0], "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, by: int) -> None:
        self.offset += by
        # In one step: it must not be read half written.
        new = self.file.with_suffix(".new")
        new.write_text(f"{self.offset:+d}")
        new.rename(self.file)

    def is_shown(self, shown: datetime.datetime) -> bool:
        there = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.offset)
        return abs((there - shown).total_seconds()) < 2


@trial("clock-jumps")
def clock_jumps() -> str:
    """An hour ahead, a day back, and an hour ahead in the middle of the stop."""
    clock = Clock()
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as dependency:
        url = f"tcp://127.0.0.1:{dependency.getsockname()[1]}"
        with Berth(wrapper=(clock.qemu,), **clock.settings, BERTH__LOG__FORMAT="json", BERTH__DEBUG__ROUTES="true",
                   BERTH__SERVER__KEEP_ALIVE="2s", BERTH__SERVER__REQUEST_TIMEOUT="1500ms",
                   BERTH__SERVER__CLIENT_HEADER_TIMEOUT="2s",
                   BERTH__READINESS__CHECKS=f'[{{ name = "d", url = "{url}", interval = "500ms" }}]') as server:
            up = time.monotonic()
            with Loads(server, ("/api/v1/hello", 4, ""), (*NEW_CONNECTIONS[:1], 2, *NEW_CONNECTIONS[2:])) as loads, \
                    probes(server) as took:
                for jump in (0, HOUR, -DAY):
                    jump_meets_requests(server, clock, jump)
                    for number in range(short_or_long(1, 10)):
                        shows_the_time(server, clock, up - started, up)
            latencies_are_right(server)
            assert server.sample("berth_panics_total") == 0
            code, stop = stops_in_time(server, clock)
        assert code == 0, f"it ended with {code}"
    # libfaketime does not tidy up behind a process that it did not start.
    for left in glob.glob(f"/dev/shm/*faketime_*_{server.process.pid}"):
        os.unlink(left)
    lines = [json.loads(line) for line in server.log().splitlines()]
    slowest = max(line.get("latency_us", 0) for line in lines) / 1e6
    assert slowest < 5, f"a request of {slowest} s in the log"
    days = {line["ts"][:10] for line in lines}
    assert len(days) >= 2, f"the log knows only {days}"
    return (f"an hour ahead and a day back under {loads.requests} requests: timestamps follow, uptime, latencies,"
            f" 3 kinds of timeouts and the stop ({stop:.1f} s) do not; probes within {max(took) * 1000:.0f} ms")


def jump_meets_requests(server: Berth, clock: Clock, jump: int) -> None:
    """Whatever waits for its time in the moment of the jump."""
    with contextlib.ExitStack() as clients:
        idle, silent, delayed, late = (clients.enter_context(server.connect()) for _ in range(4))
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        silent.sendall(b"GET /health HTTP/1.1\r\n")
        delayed.sendall(b"GET /debug/delay/1s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        late.sendall(b"GET /debug/delay/9s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        begun = time.monotonic()
        time.sleep(0.3)
        clock.jump(jump)

        ends = {}

        def wait_for(name: str, client: socket.socket) -> None:
            client.settimeout(10)
            with contextlib.suppress(OSError):
                answer = read_all(client)
                ends[name] = (time.monotonic() - begun, answer[9:12])

        threads = [threading.Thread(target=wait_for, args=pair) for pair in
                   (("keep-alive", idle), ("head", silent), ("delay", delayed), ("request", late))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name, status, least, most in (("delay", b"200", 0.9, 2.5), ("request", b"503", 1.4, 3),
                                      ("head", b"408", 1.4, 4), ("keep-alive", b"", 1.5, 4)):
        assert name in ends, f"with a jump of {jump} s, {name} had no end within 10 s"
        seconds, got = ends[name]
        assert got == status, f"with a jump of {jump} s, {name} was {got!r} instead of {status!r}"
        near(f"with a jump of {jump} s, {name}", seconds, least, most)


def shows_the_time(server: Berth, clock: Clock, starting: float, up: float) -> None:
    """Wall time where it is shown, and time since the start where that is."""
    # The date in the head is made twice a second.
    time.sleep(0.7)
    _, head, body = answer_to(server, "/api/v1/hello")
    shown = datetime.datetime.fromisoformat(json.loads(body)["timestamp"])
    assert clock.is_shown(shown), f"the clock is off by {clock.offset} s, and /api/v1/hello says {shown}"
    date = datetime.datetime.strptime(re.search(r"(?i)^date: (.*)$", head, re.MULTILINE)[1].strip(),
                                      "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=datetime.UTC)
    assert clock.is_shown(date), f"the clock is off by {clock.offset} s, and the date is {date}"
    uptime = json.loads(answer_to(server, "/health")[2])["uptime"]
    seconds = sum(int(n) * {"s": 1, "m": 60}[unit] for n, unit in re.findall(r"(\d+)([ms])(?![a-z])", uptime))
    assert re.fullmatch(r"(\d+m)?(\d+s)?", uptime), f"the uptime is {uptime}"
    since = time.monotonic() - up
    assert since - 1.5 <= seconds <= since + starting + 1.5, f"after {since:.1f} s, the uptime is {uptime}"
    lines = server.log().splitlines()
    logged = datetime.datetime.fromisoformat(json.loads(lines[-2])["ts"])
    assert clock.is_shown(logged), f"the clock is off by {clock.offset} s, and the log says {logged}"


def latencies_are_right(server: Berth) -> None:
    buckets = re.findall(r'^api_request_duration_seconds_bucket\{endpoint="/api/v1/hello",method="GET",le="([^"]+)"\}'
                         r" (\d+)$", server.exposition(), re.MULTILINE)
    counts = {float(bound): int(count) for bound, count in buckets}
    assert counts[float("inf")] > 0, "no request was counted"
    assert counts[5] == counts[float("inf")], f"{counts[float('inf')] - counts[5]} requests of more than 5 s"
    total = server.sample('api_request_duration_seconds_sum{endpoint="/api/v1/hello",method="GET"}')
    mean = total / counts[float("inf")]
    assert 0 < mean < 0.5, f"a request takes {mean} s in the mean"


def stops_in_time(server: Berth, clock: Clock) -> tuple[int, float]:
    """The exit code, and the seconds it took; what is in flight must be answered."""
    with server.connect(10) as client:
        client.sendall(b"GET /debug/delay/1s HTTP/1.1\r\nHost: t\r\n\r\n")
        time.sleep(0.2)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        clock.jump(HOUR)
        assert read_all(client).startswith(b"HTTP/1.1 200"), "what was in flight was not answered"
    code = server.process.wait(timeout=30)
    took = time.monotonic() - started
    near("the stop", took, 0.7, 4.5)
    return code, took
