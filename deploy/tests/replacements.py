"""Two instances behind HAProxy that are replaced one after the other, under load of three kinds.

HAProxy stands for whatever decides by /ready where traffic goes. It is told to try nothing twice, so
that each request that an instance does not answer is seen by the client and counted.

Needs HAProxy and wrk, and of Python no more than its standard library.
"""

import contextlib
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from typing import NamedTuple

from processes import clean_environment, free_port, wait_for

# HAProxy asks every 200 ms and believes the second refusal; the delay is more than that.
CHECK_MS, FALL = 200, 2
DRAIN_DELAY_S = 1

# Ends with its counts in a form that is not for people. wrk itself counts an answer that is not 2xx
# or 3xx, and a connection that is refused, reset, closed too early or silent.
WRK_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("REPORT %d %d %d %d %d %d\\n", summary.requests,
    e.connect, e.read, e.write, e.timeout, e.status))
end
"""


class Served(NamedTuple):
    """What the clients of one kind saw."""

    kind: str
    requests: int
    failures: int  # Of whatever kind.

    def is_load(self) -> bool:
        return self.requests >= (20 if self.kind == "slow" else 1000)


class Instance:
    """One place that a process of ours serves from."""

    def __init__(self, name: str, command: list, prefix: str, folder: pathlib.Path):
        self.name, self.command, self.prefix, self.port = name, command, prefix, free_port()
        self.log = open(folder / f"{name}.log", "a")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=self.log, stderr=self.log,
            # The settings of the cluster, with a shorter delay and without a line per request.
            # Slow requests are there for the load.
            env=clean_environment(PORT=str(self.port), **{
                f"{self.prefix}MANAGEMENT__PORT": "0", f"{self.prefix}LOG__ACCESS": "false",
                f"{self.prefix}SHUTDOWN__DRAIN_DELAY": f"{DRAIN_DELAY_S}s", f"{self.prefix}DEBUG__ROUTES": "true",
            }),
        )
        wait_for(f"http://127.0.0.1:{self.port}/ready", self.process)

    def end(self, how: int) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=30)


class HAProxy:
    def __init__(self, instances: list[Instance], folder: pathlib.Path):
        self.port, self.stats = free_port(), free_port()
        servers = "\n".join(f"    server {i.name} 127.0.0.1:{i.port}" for i in instances)
        config = folder / "haproxy.cfg"
        config.write_text(f"""\
global
    maxconn 2000
    log stderr format raw daemon notice
defaults
    mode http
    log global
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    # Nothing is tried twice: what an instance does not answer is a failure.
    retries 0
    no option redispatch
frontend clients
    bind 127.0.0.1:{self.port}
    default_backend berth
frontend stats
    bind 127.0.0.1:{self.stats}
    stats enable
    stats uri /
backend berth
    balance roundrobin
    option httpchk GET /ready
    http-check expect status 200
    default-server check inter {CHECK_MS}ms fall {FALL} rise 1
{servers}
""")
        self.log = open(folder / "haproxy.log", "w")
        self.process = subprocess.Popen(
            ["haproxy", "-db", "-f", config], stdout=self.log, stderr=self.log)

    def wait_until_up(self, instance: Instance) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{self.stats}/;csv", timeout=1) as answer:
                    for line in answer.read().decode().splitlines():
                        if re.match(rf"berth,{instance.name},.*,UP,", line):
                            return
            time.sleep(0.05)
        raise AssertionError(f"HAProxy does not see {instance.name}: see {self.log.name}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)


class Rollout:
    """The instances and HAProxy, from their start until the end of a `with`."""

    def __init__(self, program: str, settings: pathlib.Path, folder: pathlib.Path, prefix: str):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.script = wrk_script(folder / "report.lua")
        with contextlib.ExitStack() as started:
            self.instances = []
            for name in ("one", "two"):
                self.instances.append(Instance(name, [program, "--config", settings], prefix, folder))
                started.callback(self.instances[-1].end, signal.SIGKILL)
            self.proxy = HAProxy(self.instances, folder)
            started.callback(self.proxy.stop)
            for instance in self.instances:
                self.proxy.wait_until_up(instance)
            self.started = started.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.started.close()

    def replace(self, times: int, how: int) -> list[Served]:
        """Ends an instance by the signal `how` and starts it again, under load, so many times."""
        public = f"http://127.0.0.1:{self.proxy.port}"
        loads = {
            "keep-alive": load(self.script, f"{public}/api/v1/hello"),
            "new connections": load(self.script, f"{public}/api/v1/hello", "-H", "Connection: close"),
            # Longer than the drain delay: what is in flight then has to be finished.
            "slow": load(self.script, f"{public}/debug/delay/1500ms"),
        }
        try:
            time.sleep(1)
            for number in range(times):
                instance = self.instances[number % len(self.instances)]
                code = instance.end(how)
                if how == signal.SIGTERM:
                    assert code == 0, f"{instance.name} ended with {code}: see {instance.log.name}"
                instance.start()
                self.proxy.wait_until_up(instance)
            time.sleep(2)
            return [Served(kind, *report(wrk)) for kind, wrk in loads.items()]
        finally:
            for wrk in loads.values():
                wrk.kill()
                wrk.communicate()


def wrk_script(path: pathlib.Path, more: str = "") -> pathlib.Path:
    """Writes what `load` needs, and `more` of wrk's Lua."""
    path.write_text(WRK_REPORT + more)
    return path


def load(script: pathlib.Path, url: str, *arguments: str, connections: int = 8) -> subprocess.Popen:
    """Clients that ask again and again, until their `report`."""
    return subprocess.Popen(
        ["wrk", "-t1", f"-c{connections}", "-d600s", "--timeout", "10s", "-s", script, *arguments, url],
        stdout=subprocess.PIPE, text=True)


def report(wrk: subprocess.Popen) -> tuple[int, int]:
    """Requests that were answered, and failures of any kind."""
    # wrk ends on this as it would at the end of its time.
    wrk.send_signal(signal.SIGINT)
    out = wrk.communicate(timeout=30)[0]
    found = re.search(r"^REPORT (.*)$", out, re.MULTILINE)
    assert found, f"wrk did not report:\n{out}"
    requests, *errors = map(int, found[1].split())
    return requests, sum(errors)
