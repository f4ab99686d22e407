"""What the trials share: the server under test, raw connections, and the list of the trials."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

# By name, in the order in which they run. A trial returns its figure, and raises where it fails.
TRIALS: dict[str, Callable[[], str]] = {}

BERTH = ""
LONG = False
WORK = pathlib.Path("target/torture").absolute()


def prepare(berth: str, long: bool) -> None:
    global BERTH, LONG
    BERTH, LONG = os.path.abspath(berth), long
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)


def trial(name: str):
    """Registers a function as the trial `name`."""
    def register(function: Callable[[], str]) -> Callable[[], str]:
        TRIALS[name] = function
        return function
    return register


def short_or_long(short, long):
    return long if LONG else short


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Berth:
    """The server, from its start until the end of a `with`. Settings are environment variables."""

    def __init__(self, *, wrapper: tuple[str, ...] = (), stderr=None, **settings: str):
        self.port = free_port()
        self.management = int(settings.get("BERTH__MANAGEMENT__PORT", 0))
        self.log_path = WORK / f"berth-{self.port}.log"
        env = {"PATH": os.environ["PATH"], "HOSTNAME": "torture", "PORT": str(self.port),
               "BERTH__SERVER__HOST": "127.0.0.1", "BERTH__SERVER__WORKERS": "2", **settings}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([*wrapper, BERTH], env=env, stdin=subprocess.DEVNULL,
                                            stderr=log if stderr is None else stderr)
        wait_until(lambda: self.alive() and self.ask("/ready") == 200, "it does not start", 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def alive(self) -> bool:
        code = self.process.poll()
        assert code is None, f"the server has ended with {code}; its log is {self.log_path}"
        return True

    def connect(self, timeout: float = 5, port: int = 0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port or self.port), timeout=timeout)

    def ask(self, target: str = "/health", timeout: float = 5, port: int = 0) -> int:
        """The status of one GET on a connection of its own; 0 where there is no answer."""
        with contextlib.suppress(OSError), self.connect(timeout, port) as client:
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
            found = re.match(rb"HTTP/1\.1 (\d{3}) ", read_all(client))
            return int(found[1]) if found else 0
        return 0

    def exposition(self) -> str:
        with self.connect(port=self.management) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            return read_all(client).decode()

    def sample(self, series: str) -> float:
        """The value of a series in the exposition, by its name with its labels."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.exposition(), re.MULTILINE)
        assert found, f"no {series} in the exposition"
        return float(found[1])

    def memory(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024 / 1e6

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def processor_time(self) -> float:
        """The seconds of a processor that it has used so far."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self, seconds: float = 30) -> int:
        """Ends it as Kubernetes does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds)


def read_all(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def answer_to(server: Berth, target: str, headers: str = "", timeout: float = 10) -> tuple[int, str, bytes]:
    """Status, head and body of one GET on a connection of its own."""
    with server.connect(timeout) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{headers}\r\n".encode())
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    return int(head[9:12]), head.decode(), body


def near(what: str, seconds: float, least: float, most: float) -> None:
    assert least <= seconds <= most, f"{what} took {seconds:.1f} s instead of {least} to {most} s"


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 10) -> float:
    """Waits until something holds; how many seconds it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, what
        time.sleep(0.02)
    return time.monotonic() - started


@contextlib.contextmanager
def probes(server: Berth, every: float = 0.1, port: int = 0) -> Iterator[list[float]]:
    """Asks /health and /ready again and again meanwhile, each time on a new connection, as the kubelet
    does; every one must be 200. Gives the seconds that each took. `port` is another than the public."""
    took: list[float] = []
    bad: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            for target in ("/health", "/ready"):
                started = time.monotonic()
                status = server.ask(target, port=port)
                took.append(time.monotonic() - started)
                if status != 200:
                    bad.append(f"{target} was {status or 'not answered'}")
            done.wait(every)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join()
    assert not bad, f"{len(bad)} of {len(took)} probes failed: {bad[0]}"


@contextlib.contextmanager
def mounted(folder: pathlib.Path, *arguments: str) -> Iterator[pathlib.Path]:
    """What `mount` mounts there, until the end of a `with`."""
    folder.mkdir()
    subprocess.run(["mount", *arguments, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
