"""Signals in the first moments of the process."""

import collections
import concurrent.futures
import contextlib
import fcntl
import functools
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator

import common
from common import Berth, free_port, short_or_long, trial, wait_until
from stopping import all_of, said

# It tells who holds a lease on a file that somebody waits for it.
signal.signal(signal.SIGIO, signal.SIG_IGN)

# How long after exec the handlers are there, in seconds: at best, and on a machine that is busy.
SOON, LATE = 0.005, 0.2


class Started(Berth):
    """A server that has just been started, and need not serve yet. As the init of a PID namespace, the
    kernel drops each signal that it has no handler for."""

    def __init__(self, as_init: bool, **settings: str):
        self.as_init = as_init
        self.port = free_port()
        self.log_path = common.WORK / f"berth-{self.port}.log"
        wrapper = ("unshare", "--pid", "--fork", "--kill-child") if as_init else ()
        env = {"PATH": os.environ["PATH"], "HOSTNAME": "torture", "PORT": str(self.port),
               "BERTH__SERVER__HOST": "127.0.0.1", "BERTH__SERVER__WORKERS": "2",
               "BERTH__SHUTDOWN__DRAIN_DELAY": "0s", "BERTH__SHUTDOWN__TIMEOUT": "1s", **settings}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([*wrapper, common.BERTH], env=env, stdin=subprocess.DEVNULL, stderr=log)
        # Popen returns when exec is done.
        self.pid = self.wait_for_child() if as_init else self.process.pid
        self.started = time.monotonic()

    def wait_for_child(self) -> int:
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        binary = os.path.realpath(common.BERTH)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                for child in children.read_text().split():
                    if os.readlink(f"/proc/{child}/exe") == binary:
                        return int(child)
        self.process.kill()
        raise AssertionError("unshare does not start it")

    def send(self, number: signal.Signals) -> None:
        # It is nobody else's number as long as it was not waited for.
        if self.process.poll() is None:
            os.kill(self.pid, number)

    def catches(self, number: signal.Signals) -> bool:
        with contextlib.suppress(OSError):
            status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
            return int(re.search(r"SigCgt:\s+(\w+)", status)[1], 16) >> (number - 1) & 1 == 1
        return False

    def caught_after(self, number: signal.Signals, seconds: float) -> float:
        """How many seconds after exec it has a handler."""
        while not self.catches(number):
            if time.monotonic() > self.started + seconds:
                return float("inf")
            time.sleep(0.0002)
        return time.monotonic() - self.started

    def until(self, seconds: float) -> None:
        """Waits until so long after exec."""
        time.sleep(max(0.0, self.started + seconds - time.monotonic()))

    def ends(self, seconds: float) -> int | None:
        """The exit code; None when it goes on for longer."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        return None

    def stops(self, seconds: float, when: str) -> None:
        """Sends it a SIGTERM, after which it has to end well."""
        self.send(signal.SIGTERM)
        self.has_stopped(self.ends(seconds), seconds, when)

    def has_stopped(self, code: int | None, seconds: float, when: str) -> None:
        """It has to have ended with 0, and to have said so where it had begun to serve."""
        assert code is not None, f"{seconds} s after a SIGTERM {when}, it has not ended"
        assert code == 0, f"it ended with {code} after a SIGTERM {when}"
        if "listening on" in self.log():
            assert said(self, code) == 0, f"it lost a request after a SIGTERM {when}"


@trial("stop-early-signals")
def stop_early_signals() -> str:
    """SIGTERM and SIGHUP from the start on, as any process and as PID 1, as in a container."""
    return all_of({
        f"{what}, {'as PID 1' if as_init else 'as any process'}": functools.partial(part, as_init)
        for what, part in (("handlers", handlers), ("slow settings", slow_settings), ("SIGHUP", hangups),
                           ("SIGTERM", early))
        for as_init in (False, True)
    })


def handlers(as_init: bool) -> str:
    """How long after exec they are there, in the median."""
    took: dict[signal.Signals, list[float]] = {signal.SIGTERM: [], signal.SIGHUP: []}
    for _ in range(short_or_long(10, 50)):
        with Started(as_init) as server:
            for number, times in took.items():
                times.append(server.caught_after(number, 1))
            server.stops(2, "when it has a handler")
    for number, times in took.items():
        assert min(times) < SOON, f"{number.name} has one only {min(times) * 1000:.1f} ms after exec"
    return ", ".join(f"{number.name} {statistics.median(times) * 1000:.1f} ms" for number, times in took.items())


@contextlib.contextmanager
def held_back(file: pathlib.Path) -> Iterator[None]:
    """Whoever opens the file inside waits until this has ended, as on a file system that hangs."""
    with file.open() as lease:
        fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        try:
            yield
        finally:
            fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def slow_settings(as_init: bool) -> str:
    """The settings file does not open for a while."""
    file = common.WORK / f"slow-{'init' if as_init else 'other'}.toml"
    file.write_text('[app]\nname = "slow"\n')
    caught, ended = [], []
    for _ in range(short_or_long(3, 20)):
        with held_back(file), Started(as_init, BERTH_CONFIG=str(file)) as server:
            caught.append(server.caught_after(signal.SIGTERM, 1))
            assert caught[-1] < LATE, f"SIGTERM has no handler within {LATE} s"
            server.until(0.3)
            server.send(signal.SIGHUP)
            server.until(0.4)
            started = time.monotonic()
            server.stops(0.5, "while the settings are read")
            ended.append(time.monotonic() - started)
    with contextlib.ExitStack() as stack:
        with held_back(file):
            server = stack.enter_context(Started(as_init, BERTH_CONFIG=str(file)))
            # It waits for them, and nothing but that.
            server.until(1.5)
            assert server.ends(0) is None, "it does not wait for its settings"
        wait_until(lambda: server.alive() and server.ask("/ready") == 200, "it does not start", 5)
        # And once more while it serves, which must not keep it from its signals.
        with held_back(file):
            server.send(signal.SIGHUP)
            time.sleep(0.3)
            assert server.ask("/ready") == 200, "it does not serve while its settings are read"
            server.stops(2, "while the settings are read again")
    return f"a handler within {max(caught) * 1000:.1f} ms, and the end {max(ended) * 1000:.0f} ms after a SIGTERM"


def hangups(as_init: bool) -> str:
    """One a millisecond for 50 ms, from the first moment when SIGHUP is caught."""
    rounds, sent = short_or_long(5, 30), 0
    for _ in range(rounds):
        with Started(as_init) as server:
            assert server.caught_after(signal.SIGHUP, 1) < LATE, f"SIGHUP has no handler within {LATE} s"
            while time.monotonic() < server.started + 0.05:
                server.send(signal.SIGHUP)
                sent += 1
                time.sleep(0.001)
            wait_until(lambda: server.alive() and server.ask("/ready") == 200, "it does not serve after SIGHUP", 5)
            server.stops(2, "after SIGHUP")
    return f"it serves after {sent} in {rounds} starts"


def early(as_init: bool) -> str:
    """SIGTERM in each of the first milliseconds. Without a handler it kills the process, or is dropped by
    the kernel where that is PID 1; then the next has to end it."""
    starts = short_or_long(60, 300)
    with concurrent.futures.ThreadPoolExecutor(starts) as waiting:
        ends = []
        for number in range(starts):
            milliseconds = number % 41
            server = Started(as_init)
            server.until(milliseconds / 1000)
            caught = server.catches(signal.SIGTERM)
            server.send(signal.SIGTERM)
            ends.append(waiting.submit(end, server, caught, f"{milliseconds} ms after exec"))
        counts = collections.Counter(each.result() for each in ends)
    return f"{starts} in the first 40 ms, " + ", ".join(f"{count} {what}" for what, count in counts.most_common())


def end(server: Started, caught: bool, when: str) -> str:
    with server:
        code = server.ends(2)
        if not caught and not server.as_init and code == -signal.SIGTERM:
            return "killed it before it had a handler"
        if not caught and server.as_init and code is None:
            server.stops(2, f"that follows one {when}")
            return "was dropped before it had a handler"
        server.has_stopped(code, 2, when)
        return "ended with 0"
