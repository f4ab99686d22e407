"""What a process can meet outside: little memory, a clock that jumps, a log that nobody reads, a disk
that cannot be written, a stop of its time, settings that are never whole."""

import contextlib
import datetime
import fcntl
import glob
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import common
from common import Berth, free_port, probes, read_all, short_or_long, trial, wait_until

# Behind our own folder: what has the same name there is not meant.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[6] / "deploy" / "tests"))

from replacements import load, report, wrk_script  # noqa: E402


class Loads:
    """Several kinds of clients, until the end of a `with`; not one of their requests may fail."""

    def __init__(self, server: Berth, *kinds: tuple):
        self.server, self.kinds = server, kinds
        self.requests = 0

    def __enter__(self):
        url = f"http://127.0.0.1:{self.server.port}"
        self.running = []
        for number, (target, connections, lua, *arguments) in enumerate(self.kinds):
            script = wrk_script(common.WORK / f"load-{self.server.port}-{number}.lua", lua)
            self.running.append((target, load(script, url + target, *arguments, connections=connections)))
        return self

    def __exit__(self, kind, *_):
        try:
            # What went wrong already is what is to be told.
            if kind is None:
                for target, wrk in self.running:
                    requests, failures = report(wrk)
                    self.requests += requests
                    assert requests, f"{target}: that was no load"
                    assert failures == 0, f"{target}: {failures} of {requests} requests failed"
        finally:
            for _, wrk in self.running:
                wrk.kill()
                wrk.communicate()


KEPT_ALIVE = ("/api/v1/hello", 16, "")
NEW_CONNECTIONS = ("/api/v1/hello", 8, "", "-H", "Connection: close")


# Memory

LIMIT = 32 * 1024 * 1024


class Cgroup:
    """A cgroup with a limit of memory and without swap, v2 or v1, until the end of a `with`."""

    def __init__(self, limit: int):
        root = pathlib.Path("/sys/fs/cgroup")
        controllers = root / "cgroup.controllers"
        if controllers.exists() and "memory" in controllers.read_text().split():
            (root / "cgroup.subtree_control").write_text("+memory")
            self.name = "cgroup v2"
            settings = {"memory.max": limit, "memory.swap.max": 0}
            self.events = "memory.events"
        else:
            root /= "memory"
            self.name = "cgroup v1"
            settings = {"memory.limit_in_bytes": limit, "memory.memsw.limit_in_bytes": limit}
            self.events = "memory.oom_control"
        self.path = root / f"berth-torture-{os.getpid()}"
        self.path.mkdir()
        try:
            for file, value in settings.items():
                # Without an account of swap there is no such file, and this machine has to have none.
                if (self.path / file).exists():
                    (self.path / file).write_text(str(value))
        except OSError:
            self.path.rmdir()
            raise
        self.wrapper = ("sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It is empty some moments after the end of its last process.
        deadline = time.monotonic() + 5
        while True:
            try:
                return self.path.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def kills(self) -> int:
        return int(re.search(r"^oom_kill (\d+)$", (self.path / self.events).read_text(), re.MULTILINE)[1])


class DataLimit:
    """Where no cgroup can be made: what fails then is the allocation, so the process aborts."""

    name = "RLIMIT_DATA, no cgroup can be made here"

    def __init__(self, limit: int):
        self.wrapper = ("prlimit", f"--data={limit}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def kills(self) -> int:
        return 0


def memory_limit(limit: int) -> Cgroup | DataLimit:
    try:
        return Cgroup(limit)
    except OSError:
        return DataLimit(limit)


BIG_BODY = """
wrk.method = "POST"
wrk.body = string.rep("x", 256 * 1024)
"""


@trial("memory-32-mb")
def memory_32_mb() -> str:
    """Growth is looked for between the end of the first part, when all that is used once is there, and
    the end of the last."""
    part, parts = short_or_long((8, 3), (60, 3))
    tolerance = 1.5
    with memory_limit(LIMIT) as limited:
        # A program that takes more must not get it, or the rest says nothing.
        greedy = subprocess.run(
            [*limited.wrapper, sys.executable, "-c", f"x = b'x' * {2 * LIMIT}"], stderr=subprocess.DEVNULL)
        assert greedy.returncode != 0, f"{limited.name} does not limit"
        killed = limited.kills()

        reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            with Berth(wrapper=limited.wrapper, stderr=reader.stdin, BERTH__LOG__FORMAT="json",
                       BERTH__DEBUG__ROUTES="true") as server:
                reader.stdin.close()
                ends = []
                with Loads(server, KEPT_ALIVE, NEW_CONNECTIONS, ("/debug/echo", 4, BIG_BODY),
                           ("/debug/bytes/1000000", 2, "")) as loads, probes(server) as took:
                    started = time.monotonic()
                    for number in range(1, parts + 1):
                        samples = []
                        while time.monotonic() < started + number * part:
                            server.alive()
                            samples.append(server.memory())
                            time.sleep(0.2)
                        ends.append(statistics.median(samples[-10:]))
                peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(
                    f"/proc/{server.process.pid}/status").read_text())[1]) * 1024 / 1e6
                code = server.stop()
        finally:
            reader.kill()
            reader.wait()
        assert code == 0, f"it ended with {code}"
        assert limited.kills() == killed, "it was killed for its memory"
    growth = ends[-1] - ends[0]
    assert growth < tolerance, f"from {ends[0]:.1f} to {ends[-1]:.1f} MB in {(parts - 1) * part} s"
    return (f"no kill in 33.6 MB ({limited.name}) over {parts * part} s, {loads.requests} requests: "
            f"{', '.join(f'{end:.1f}' for end in ends)} MB at the ends of {parts} parts, at most {peak:.1f} MB;"
            f" probes within {max(took) * 1000:.0f} ms")


# The clock

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


def answer_to(server: Berth, target: str, headers: str = "", timeout: float = 10) -> tuple[int, str, bytes]:
    """Status, head and body of one GET on a connection of its own."""
    with server.connect(timeout) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{headers}\r\n".encode())
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    return int(head[9:12]), head.decode(), body


def closes_after(client: socket.socket) -> float:
    """Seconds until the other side closes."""
    started = time.monotonic()
    client.settimeout(10)
    with contextlib.suppress(ConnectionResetError):
        read_all(client)
    return time.monotonic() - started


def near(what: str, seconds: float, least: float, most: float) -> None:
    assert least <= seconds <= most, f"{what} took {seconds:.1f} s instead of {least} to {most} s"


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


# The log

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


@contextlib.contextmanager
def mounted(folder: pathlib.Path, *arguments: str) -> Iterator[pathlib.Path]:
    folder.mkdir()
    subprocess.run(["mount", *arguments, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


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


# The disk

@trial("disk-read-only")
def disk_read_only() -> str:
    """Nothing but the binary and its settings, on a disk that cannot be written: no /proc, /etc, /tmp."""
    source = common.WORK / "root"
    source.mkdir()
    shutil.copy(common.BERTH, source / "berth")
    settings = source / "settings.toml"
    settings.write_text('[server]\nrequest_timeout = "10s"\n')
    with mounted(common.WORK / "read-only", "--bind", str(source)) as root:
        subprocess.run(["mount", "-o", "remount,ro,bind", root], check=True)
        try:
            (root / "probe").touch()
        except OSError:
            pass
        else:
            raise AssertionError("the disk can be written")
        # The path of the binary that is appended goes nowhere.
        wrapper = ("sh", "-c", f'exec chroot "{root}" /berth --config /settings.toml', "sh")
        with Berth(wrapper=wrapper, BERTH__DEBUG__ROUTES="true") as server:
            with Loads(server, KEPT_ALIVE, NEW_CONNECTIONS) as loads, probes(server):
                for target in ("/health", "/ready", "/api/v1/info", "/metrics", "/openapi.json", "/debug/delay/500ms"):
                    status = server.ask(target)
                    assert status == 200, f"{target} was {status or 'not answered'}"
                settings.write_text('[server]\nrequest_timeout = "200ms"\n')
                server.process.send_signal(signal.SIGHUP)
                wait_until(lambda: server.ask("/debug/delay/500ms") == 503, "the new settings do not come into force")
                wait_until(lambda: "settings reloaded (SIGHUP)" in server.log(), "SIGHUP does not reload")
            reloads = server.sample('berth_config_reloads_total{result="success"}')
            failures = server.sample('berth_config_reloads_total{result="failure"}')
            assert failures == 0, f"{failures} reloads failed"
            code = server.stop()
        assert code == 0, f"it ended with {code}"
        left = sorted(path.name for path in source.iterdir())
        assert left == ["berth", "settings.toml"], f"there is something new on the disk: {left}"
    return f"starts, serves {loads.requests} requests, reloads by SIGHUP ({reloads:.0f} in all), stops with 0"


# The process

@trial("process-stopped")
def process_stopped() -> str:
    """SIGSTOP and SIGCONT, as of a machine that is paused or moved.

    A head that was sent in a pause longer than server.client_header_timeout may be told that it was
    late: actix reckons from a time that it looks up twice a second, so that it is over at once. All
    else has to be as if nothing had been.
    """
    pauses, header_timeout = short_or_long(((3,), 10), ((3, 6, 6), 5))
    waited, late = 0, 0
    with Berth(BERTH__SERVER__CLIENT_HEADER_TIMEOUT=f"{header_timeout}s", BERTH__LOG__ACCESS="false") as server:
        for pause in pauses:
            kinds = (KEPT_ALIVE, NEW_CONNECTIONS) if pause < header_timeout else (KEPT_ALIVE,)
            with Loads(server, *kinds) as loads, contextlib.ExitStack() as waiting:
                time.sleep(1)
                server.process.send_signal(signal.SIGSTOP)
                # They come meanwhile, and are whole before it goes on.
                clients = [waiting.enter_context(server.connect(30)) for _ in range(50)]
                for client in clients:
                    client.sendall(b"GET /api/v1/hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
                time.sleep(pause)
                server.process.send_signal(signal.SIGCONT)
                started = time.monotonic()
                for client in clients:
                    status = read_all(client)[9:12]
                    waited += 1
                    late += status == b"408"
                    assert status == b"200" or status == b"408" and pause >= header_timeout, \
                        f"what came in a pause of {pause} s got {status!r}"
                back = time.monotonic() - started
                near("all answers after the pause", back, 0, 2)
                time.sleep(0.5)
                with probes(server) as took:
                    time.sleep(1)
                near("a probe after the pause", max(took), 0, 1)
        code = server.stop()
    assert code == 0, f"it ended with {code}"
    return (f"pauses of {', '.join(map(str, pauses))} s: no request of the load failed; of {waited} that came meanwhile"
            f" {late} were late (408), the last {len(clients)} answered within {back * 1000:.0f} ms")


# The settings

GOOD = ('[log]\naccess = {access}\n[server]\nrequest_timeout = "{timeout}"\n'
        "# " + "a comment that makes it longer " * 40 + "\n")
BAD = ('[server]\nrequest_timeout = "never"\n', "[server\n", "\0\xff", "[log]\nformats = 1\n", "")


@trial("settings-storm")
def settings_storm() -> str:
    """Settings that are good, bad or half written, again and again, with SIGHUPs; the last are good."""
    seconds = short_or_long(5, 60)
    file = common.WORK / "storm.toml"
    file.write_text(GOOD.format(access="false", timeout="10s"))
    with Berth(BERTH_CONFIG=str(file), BERTH__DEBUG__ROUTES="true") as server:
        before = server.descriptors()
        with Loads(server, KEPT_ALIVE, NEW_CONNECTIONS) as loads, probes(server) as took:
            started, writes = time.monotonic(), 0
            while time.monotonic() < started + seconds:
                good = GOOD.format(access="false", timeout=f"{5 + writes % 5}s")
                text = (good, BAD[writes % len(BAD)])[writes % 3 == 1]
                if writes % 4 == 3:
                    # As an editor does it.
                    new = file.with_suffix(".new")
                    new.write_text(text, encoding="latin-1")
                    new.rename(file)
                else:
                    with open(file, "w", encoding="latin-1") as half:
                        half.write(text[:len(text) // 2])
                        half.flush()
                        time.sleep(0.002)
                        half.write(text[len(text) // 2:])
                server.process.send_signal(signal.SIGHUP)
                writes += 1
                time.sleep(0.003 if writes % 50 else 0.3)
            file.write_text(GOOD.format(access="false", timeout="100ms"))
            force = wait_until(lambda: server.ask("/debug/delay/400ms") == 503, "the last settings are not in force")
        reloads = {result: server.sample(f'berth_config_reloads_total{{result="{result}"}}')
                   for result in ("success", "failure")}
        assert reloads["success"] > 1 and reloads["failure"] > 1, f"that was no storm: {reloads}"
        assert server.sample("berth_config_last_reload_successful") == 1, "the last reload counts as failed"
        assert server.sample("berth_panics_total") == 0, "something panicked"
        wait_until(lambda: server.descriptors() <= before + 2, "descriptors are left open")
        code = server.stop()
    assert code == 0, f"it ended with {code}"
    return (f"{writes} writes and SIGHUPs in {seconds} s: {reloads['success']:.0f} reloads, {reloads['failure']:.0f}"
            f" refused, 0 of {loads.requests} requests failed, probes within {max(took) * 1000:.0f} ms; the last"
            f" settings in force after {force:.1f} s")
