"""A rollout without a cluster: two instances behind HAProxy are replaced one after the other, under
load, and not one request may fail.

HAProxy stands for whatever decides by /ready where traffic goes. It is told to try nothing twice, so
that each request that an instance does not answer is seen by the client and counted.

The last part proves that the counting works: instances that are killed do lose requests.
"""

import contextlib
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

from common import BERTH, DEPLOY, WORK, clean_environment, free_port, kustomize, settings_of, wait_for

REPLACEMENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
KILLS = 2
FOLDER = WORK / "rollout"

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


class Instance:
    """One place that a process of ours serves from."""

    def __init__(self, name: str, settings: pathlib.Path):
        self.name, self.settings, self.port = name, settings, free_port()
        self.log = open(FOLDER / f"{name}.log", "a")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [BERTH, "--config", self.settings], stdout=self.log, stderr=self.log,
            # The settings of the cluster, with a shorter delay and without a line a request.
            # Slow requests are there for the load.
            env=clean_environment(
                PORT=str(self.port), BERTH__MANAGEMENT__PORT="0", BERTH__LOG__ACCESS="false",
                BERTH__SHUTDOWN__DRAIN_DELAY=f"{DRAIN_DELAY_S}s", BERTH__DEBUG__ROUTES="true",
            ),
        )
        wait_for(f"http://127.0.0.1:{self.port}/ready", self.process)

    def end(self, how: int) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=30)


class HAProxy:
    def __init__(self, instances: list[Instance]):
        self.port, self.stats = free_port(), free_port()
        servers = "\n".join(f"    server {i.name} 127.0.0.1:{i.port}" for i in instances)
        config = FOLDER / "haproxy.cfg"
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
        self.log = open(FOLDER / "haproxy.log", "w")
        self.process = subprocess.Popen(
            ["haproxy", "-db", "-f", config], stdout=self.log, stderr=self.log)
        for instance in instances:
            self.wait_until_up(instance)

    def wait_until_up(self, instance: Instance) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{self.stats}/;csv", timeout=1) as answer:
                    for line in answer.read().decode().splitlines():
                        if re.match(rf"berth,{instance.name},.*,UP,", line):
                            return
            time.sleep(0.05)
        raise SystemExit(f"HAProxy does not see {instance.name}:\n" + (FOLDER / "haproxy.log").read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)


def load(port: int, target: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        ["wrk", "-t1", "-c8", "-d600s", "--timeout", "10s", "-s", FOLDER / "report.lua",
         *arguments, f"http://127.0.0.1:{port}{target}"],
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


def under_load(proxy: HAProxy, instances: list[Instance], times: int, how: int) -> list[tuple[str, int, int]]:
    loads = {
        "keep-alive": load(proxy.port, "/api/v1/hello"),
        "new connections": load(proxy.port, "/api/v1/hello", "-H", "Connection: close"),
        # Longer than the drain delay: what is in flight then has to be finished.
        "slow": load(proxy.port, "/debug/delay/1500ms"),
    }
    time.sleep(1)
    for number in range(times):
        instance = instances[number % len(instances)]
        code = instance.end(how)
        if how == signal.SIGTERM:
            assert code == 0, f"{instance.name} ended with {code}: see {instance.log.name}"
        instance.start()
        proxy.wait_until_up(instance)
    time.sleep(2)
    return [(kind, *report(wrk)) for kind, wrk in loads.items()]


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "report.lua").write_text(WRK_REPORT)
    settings = FOLDER / "settings.toml"
    settings.write_text(settings_of(kustomize(DEPLOY / "overlays" / "production"))["data"]["settings.toml"])
    instances = [Instance(name, settings) for name in ("one", "two")]
    proxy = HAProxy(instances)
    try:
        started = time.monotonic()
        rolled = under_load(proxy, instances, REPLACEMENTS, signal.SIGTERM)
        took = time.monotonic() - started
        for kind, requests, failures in rolled:
            print(f"{REPLACEMENTS} replacements by SIGTERM in {took:.0f} s, {kind}: "
                  f"{requests} requests, {failures} failures")
        killed = under_load(proxy, instances, KILLS, signal.SIGKILL)
        for kind, requests, failures in killed:
            print(f"{KILLS} by SIGKILL, to see that failures are seen, {kind}: "
                  f"{requests} requests, {failures} failures")
    finally:
        proxy.stop()
        for instance in instances:
            instance.end(signal.SIGKILL)
    lost = sum(failures for _, _, failures in rolled)
    if lost:
        print(f"FAILED: {lost} requests were lost in the rollout", file=sys.stderr)
    if any(requests < (20 if kind == "slow" else 1000) for kind, requests, _ in rolled):
        print("FAILED: that was no load", file=sys.stderr)
        return 1
    if not all(failures for _, _, failures in killed):
        print("FAILED: instances were killed, and no failure was seen", file=sys.stderr)
        return 1
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
