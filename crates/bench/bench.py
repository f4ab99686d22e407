#!/usr/bin/env python3
"""What Berth costs: against the same handler without it and with the ready-made middleware, and against
axum and nginx.

    crates/bench/bench.py BERTH BENCH [--rounds N] [--seconds N] [--readme]

BERTH and BENCH are the two release binaries. Needs wrk, nginx, and Linux. Each round starts every server in
turn, in another order than the last, so that what the machine does meanwhile meets all of them. The
load generator shares the machine, so what counts is the server's own CPU time, from /proc. Writes
target/bench/bench.md and target/bench/bench.svg; with --readme, the tables of docs/performance.md and its plot,
crates/bench/bench.svg, as well.
"""

import argparse
import contextlib
import http.client
import os
import pathlib
import socket
import statistics
import sys
import time

sys.dont_write_bytecode = True

from servers import OUT, TARGET, Kind, Server, all_kinds  # noqa: E402

PAGE = pathlib.Path("docs/performance.md")
PLOT = pathlib.Path("docs/bench.svg")
FEW, MANY = 32, 1000  # Connections.
BAR = "nginx, JSON log", "Berth, metrics + JSON log"


def memory(kind: Kind) -> list[float]:
    """MB at rest, with 1,000 connections, and after a million requests: each of a process of its own."""
    with Server(kind) as server:
        time.sleep(1)
        figures = [server.memory()]
        with contextlib.ExitStack() as stack:
            for _ in range(MANY):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                client.sendall(f"GET {TARGET} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
                client.recv(4096)
            figures.append(server.memory())
    with Server(kind) as server:
        sent = 0
        while sent < 1_000_000:
            sent += server.load(10, FEW)["requests"]
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
    """CPU time per request as a multiple of raw: a bar each, and a dot for each round."""
    width, left, row = 720, 230, 44
    height = 60 + row * len(kinds)
    top = max(max(values) for values in ratios.values()) * 1.05
    x = lambda ratio: left + (width - left - 30) * ratio / top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="14">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="24" font-weight="bold">CPU time per request, raw actix-web = 1</text>',
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


def multiples(rounds: list[dict], base: list[dict], figure: str) -> list[float]:
    """By round."""
    return [one[figure] / other[figure] for one, other in zip(rounds, base)]


def speeds(kinds: list[Kind], rounds: dict[str, list[dict]]) -> str:
    """The table of those that have rounds, as multiples of the first."""
    raw = rounds[kinds[0].name]
    return table(["", "CPU per request", "requests a second", "p50", "p99", "p99.9"], [
        [name, *(cell(multiples(own, raw, figure)) for figure in ("cpu", "rps", "p50", "p99", "p999"))]
        for name, own in rounds.items()])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("berth")
    parser.add_argument("bench")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--readme", action="store_true", help="take the figures over into docs/performance.md")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    kinds = all_kinds(given.berth, given.bench)
    for number in range(given.rounds):
        order = kinds[number % len(kinds):] + kinds[:number % len(kinds)]
        for kind in order if number % 2 == 0 else reversed(order):
            with Server(kind) as server:
                server.load(1, FEW)
                kind.rounds.append(server.load(given.seconds, FEW) | {"first": server.first_answer * 1000})
                if kind.many:
                    kind.many_rounds.append(server.load(given.seconds, MANY))
        print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)

    raw = kinds[0].rounds
    ratios = {kind.name: multiples(kind.rounds, raw, "cpu") for kind in kinds}
    speed = speeds(kinds, {kind.name: kind.rounds for kind in kinds})
    many = speeds(kinds, {kind.name: kind.many_rounds for kind in kinds if kind.many})
    bar, ours = (next(kind for kind in kinds if kind.name == name) for name in BAR)
    base = statistics.median(one["cpu"] for one in raw)
    rate = statistics.median(one["rps"] for one in raw)
    rows = [[kind.name, cell([one["first"] for one in kind.rounds], 1), *(f"{mb:.1f}" for mb in memory(kind))]
            for kind in kinds]
    size = table(["", "first 200, ms", "at rest, MB", f"{MANY:,} connections, MB", "after a million requests, MB"], rows)
    series, micros, length = scrape(given.berth)
    many_base = statistics.median(one["cpu"] for one in kinds[0].many_rounds)
    text = (f"{given.rounds} rounds of {given.seconds} s, {FEW} connections, one worker, wrk on the same "
            f"machine of {os.cpu_count()} cores. Medians as multiples of raw actix-web in the same round, with their "
            f"spread; raw took {base:.1f} µs of CPU per request and answered {rate:,.0f} a second.\n\n{speed}\n"
            f"With {MANY:,} connections, where raw took {many_base:.1f} µs:\n\n{many}\n"
            f"A request takes “{ours.name}” {cell(multiples(ours.rounds, bar.rounds, 'cpu'))} times the CPU that it "
            f"takes “{bar.name}” with {FEW} connections, and "
            f"{cell(multiples(ours.many_rounds, bar.many_rounds, 'cpu'))} times with {MANY:,}.\n\n{size}\n"
            f"A scrape of {series:,} series takes {micros / 1000:.1f} ms of CPU and has {length / 1000:.0f} kB. "
            f"The static binary has {os.path.getsize(given.berth) / 1e6:.2f} MB.\n")
    (OUT / "bench.md").write_text(text)
    (OUT / "bench.svg").write_text(plot(kinds, ratios))
    print(text)
    if given.readme:
        before, rest = PAGE.read_text().split("<!-- bench -->\n")
        after = rest.split("<!-- /bench -->\n")[1]
        PAGE.write_text(f"{before}<!-- bench -->\n{text}<!-- /bench -->\n{after}")
        PLOT.write_text(plot(kinds, ratios))


if __name__ == "__main__":
    main()
