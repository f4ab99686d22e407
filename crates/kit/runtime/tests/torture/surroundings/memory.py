"""A pod with little memory."""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import common
from common import Berth, probes, short_or_long, trial
from surroundings.load import KEPT_ALIVE, NEW_CONNECTIONS, Loads


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

        # That reads all, and keeps what explains a request that was refused.
        warnings = common.WORK / "memory-warnings"
        with warnings.open("w") as kept:
            reader = subprocess.Popen(["grep", '"WARN"'], stdin=subprocess.PIPE, stdout=kept)
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
        except AssertionError as error:
            reader.wait(5)
            raise AssertionError(f"{error}; {warnings.read_text()[-500:]}") from None
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
