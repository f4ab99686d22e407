#!/usr/bin/env python3
"""What Berth costs, against the same handler without it and with the ready-made middleware.

    crates/bench/bench.py BERTH BENCH [--rounds N] [--seconds N] [--readme]

BERTH and BENCH are the two release binaries. Needs wrk, and Linux. Each round starts every server in
turn, in another order than the last, so that what the machine does meanwhile meets all of them. The
load generator shares the machine, so what counts is the server's own CPU time, from /proc. Writes
target/bench/bench.md and target/bench/bench.svg; with --readme, the tables of the README and its plot,
crates/bench/bench.svg, as well.
"""

import argparse
import contextlib
import http.client
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

OUT = pathlib.Path("target/bench")
README = pathlib.Path("README.md")
PLOT = pathlib.Path("crates/bench/bench.svg")
TARGET = "/api/v1/hello?name=Ada"
CONNECTIONS = 32
TICKS = os.sysconf("SC_CLK_TCK")

# The latencies that wrk's own summary does not have.
LUA = """
done = function(summary, latency, requests)
    io.write(string.format("result %d %d %d %d %d %d\\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
        summary.errors.connect + summary.errors.read + summary.errors.write
        + summary.errors.status + summary.errors.timeout))
end
"""


# All that can be on: a file that is watched, a check, the private port, the routes for debugging with
# the faults that come with them.
EVERYTHING = """
log.format = "json"
management.port = 0
debug.routes = true
[[readiness.checks]]
name = "itself"
url = "tcp://127.0.0.1:{port}"
"""


class Kind:
    """One of the servers that are compared."""

    def __init__(self, name, command, everything=False, **settings):
        self.name, self.command, self.everything, self.settings = name, command, everything, settings
        self.rounds = []


class Server:
    """It, while it runs. What it logs goes into a pipe that is read, as in a container."""

    def __init__(self, kind: Kind):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        env = {"PATH": os.environ["PATH"], "PORT": str(self.port), "BERTH__SERVER__WORKERS": "1",
               "BERTH__SERVER__HOST": "127.0.0.1", "HOSTNAME": "bench", **kind.settings}
        if kind.everything:
            (OUT / "settings.toml").write_text(EVERYTHING.format(port=self.port))
            env["BERTH_CONFIG"] = str(OUT / "settings.toml")
        start = time.perf_counter()
        self.process = subprocess.Popen(kind.command, env=env, stderr=subprocess.PIPE)
        self.reader = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)
        self.process.stderr.close()
        self.first_answer = self.wait(start)

    def wait(self, start: float) -> float:
        """Seconds from the start to the first 200."""
        request = f"GET {TARGET} HTTP/1.1\r\nHost: b\r\n\r\n".encode()
        while time.perf_counter() - start < 10:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as client:
                client.sendall(request)
                if client.recv(4096).startswith(b"HTTP/1.1 200"):
                    return time.perf_counter() - start
            time.sleep(0.0002)
        raise SystemExit(f"{self.process.args} does not answer")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.wait()

    def cpu(self) -> float:
        """Seconds of user and system time so far, of all threads."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024 / 1e6

    def load(self, seconds: float) -> dict:
        script = OUT / "wrk.lua"
        script.write_text(LUA)
        before = self.cpu()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script,
             f"http://127.0.0.1:{self.port}{TARGET}"], capture_output=True, text=True, check=True)
        cpu = self.cpu() - before
        requests, micros, p50, p99, p999, errors = map(
            int, re.search(r"^result (.*)$", done.stdout, re.M)[1].split())
        assert errors == 0, done.stdout
        return {"requests": requests, "rps": requests / micros * 1e6, "cpu": cpu / requests * 1e6,
                "p50": p50, "p99": p99, "p999": p999}


def memory(kind: Kind) -> list[float]:
    """MB at rest, with 1,000 connections, and after a million requests: each of a process of its own."""
    with Server(kind) as server:
        time.sleep(1)
        figures = [server.memory()]
        with contextlib.ExitStack() as stack:
            for _ in range(1000):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                client.sendall(f"GET {TARGET} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
                client.recv(4096)
            figures.append(server.memory())
    with Server(kind) as server:
        sent = 0
        while sent < 1_000_000:
            sent += server.load(10)["requests"]
        figures.append(server.memory())
    return figures


def scrape(berth: str) -> tuple[int, float, int]:
    """Series, CPU time of a scrape in µs, and bytes, with some thousand series."""
    kind = Kind("scrape", [berth], BERTH__DEBUG__ROUTES="true", BERTH__LOG__ACCESS="false")
    with Server(kind) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port)

        def ask(method, path):
            client.request(method, path)
            return client.getresponse().read()

        series = 0
        for code in range(200, 600):
            for method in ("GET", "POST", "PUT"):
                ask(method, f"/debug/status/{code}")
            text = ask("GET", "/metrics")
            series = sum(not line.startswith(b"#") for line in text.splitlines())
            if series >= 1000:
                break
        before, count = server.cpu(), 500
        for _ in range(count):
            ask("GET", "/metrics")
        return series, (server.cpu() - before) / count * 1e6, len(text)


def cell(values: list[float], figures: int = 2) -> str:
    """The median, and the spread."""
    median = statistics.median(values)
    return f"{median:.{figures}f} ({min(values):.{figures}f}–{max(values):.{figures}f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def plot(kinds: list[Kind], ratios: dict[str, list[float]]) -> str:
    """CPU time a request as a multiple of raw: a bar each, and a dot for each round."""
    width, left, row = 720, 230, 44
    height = 60 + row * len(kinds)
    top = max(max(values) for values in ratios.values()) * 1.05
    x = lambda ratio: left + (width - left - 30) * ratio / top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="14">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="24" font-weight="bold">CPU time a request, raw actix-web = 1</text>',
    ]
    for index, kind in enumerate(kinds):
        y = 44 + index * row
        median = statistics.median(ratios[kind.name])
        colour = "#3465a4" if kind.name.startswith("Berth") else "#babdb6"
        parts.append(f'<text x="{left - 10}" y="{y + 19}" text-anchor="end">{kind.name}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{x(median) - left:.1f}" height="28" fill="{colour}"/>')
        for value in ratios[kind.name]:
            parts.append(f'<circle cx="{x(value):.1f}" cy="{y + 14}" r="3" fill="#2e3436" fill-opacity="0.6"/>')
        ink = "white" if kind.name.startswith("Berth") else "black"
        parts.append(f'<text x="{left + 8}" y="{y + 19}" fill="{ink}">{median:.2f}</text>')
    parts.append(f'<line x1="{x(1):.1f}" y1="36" x2="{x(1):.1f}" y2="{height - 16}" stroke="#cc0000" '
                 'stroke-dasharray="4 3"/>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("berth")
    parser.add_argument("bench")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--readme", action="store_true", help="take the figures over into the README")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    off = {"BERTH__LOG__ACCESS": "false"}
    kinds = [
        Kind("raw actix-web", [given.bench, "raw"]),
        Kind("ready-made middleware", [given.bench, "ready-made"]),
        Kind("Berth, metrics", [given.berth], **off),
        Kind("Berth, metrics + text log", [given.berth], BERTH__LOG__FORMAT="text"),
        Kind("Berth, metrics + JSON log", [given.berth], BERTH__LOG__FORMAT="json"),
        Kind("Berth, all on", [given.berth], everything=True),
    ]
    for number in range(given.rounds):
        order = kinds[number % len(kinds):] + kinds[:number % len(kinds)]
        for kind in order if number % 2 == 0 else reversed(order):
            with Server(kind) as server:
                server.load(1)
                kind.rounds.append(server.load(given.seconds) | {"first": server.first_answer * 1000})
        print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)

    raw = kinds[0].rounds
    ratios = {kind.name: [one["cpu"] / base["cpu"] for one, base in zip(kind.rounds, raw)] for kind in kinds}
    rows = [[
        kind.name,
        cell(ratios[kind.name]),
        cell([one["rps"] / base["rps"] for one, base in zip(kind.rounds, raw)]),
        *(cell([one[p] / base[p] for one, base in zip(kind.rounds, raw)]) for p in ("p50", "p99", "p999")),
    ] for kind in kinds]
    speed = table(["", "CPU a request", "requests a second", "p50", "p99", "p99.9"], rows)
    base = statistics.median(one["cpu"] for one in raw)
    rate = statistics.median(one["rps"] for one in raw)
    rows = [[kind.name, cell([one["first"] for one in kind.rounds], 1), *(f"{mb:.1f}" for mb in memory(kind))]
            for kind in kinds]
    size = table(["", "first 200, ms", "at rest, MB", "1,000 connections, MB", "after a million requests, MB"], rows)
    series, micros, length = scrape(given.berth)
    text = (f"{given.rounds} rounds of {given.seconds} s, {CONNECTIONS} connections, one worker, wrk on the same "
            f"machine of {os.cpu_count()} cores. Medians as multiples of raw actix-web in the same round, with their "
            f"spread; raw took {base:.1f} µs of CPU a request and answered {rate:,.0f} a second.\n\n{speed}\n{size}\n"
            f"A scrape of {series:,} series takes {micros / 1000:.1f} ms of CPU and has {length / 1000:.0f} kB. "
            f"The static binary has {os.path.getsize(given.berth) / 1e6:.2f} MB.\n")
    (OUT / "bench.md").write_text(text)
    (OUT / "bench.svg").write_text(plot(kinds, ratios))
    print(text)
    if given.readme:
        before, rest = README.read_text().split("<!-- bench -->\n")
        after = rest.split("<!-- /bench -->\n")[1]
        README.write_text(f"{before}<!-- bench -->\n{text}<!-- /bench -->\n{after}")
        PLOT.write_text(plot(kinds, ratios))


if __name__ == "__main__":
    main()
