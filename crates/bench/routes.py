#!/usr/bin/env python3
"""What routes cost: CPU per request with 1, 50 and 200 of them, each with a parameter.

    crates/bench/routes.py BERTH-BENCH-ROUTES [--rounds N] [--seconds N]

Needs wrk, and Linux. Each round starts every server in turn; the last route that the router tries is asked for.
"""

import argparse
import statistics
import sys

sys.dont_write_bytecode = True

import servers  # noqa: E402
from servers import OUT, Kind, Server  # noqa: E402

COUNTS = 1, 50, 200
KINDS = "raw", "raw-scopes", "axum", "berth", "berth-scopes"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("routes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    servers.TARGET = "/api/v1/things0/42"
    kinds = [Kind(f"{kind} {count}", [given.routes], KIND=kind, ROUTES=str(count), BERTH__LOG__FORMAT="json")
             for kind in KINDS for count in COUNTS]
    for _ in range(given.rounds):
        for kind in kinds:
            with Server(kind) as server:
                server.load(1, 32)
                kind.rounds.append(server.load(given.seconds, 32)["cpu"])
    print("CPU per request in µs (the median), and as a multiple of that with one route\n")
    print("| | " + " | ".join(f"{count} routes" for count in COUNTS) + " |")
    print("| --- |" + " --- |" * len(COUNTS))
    for index, name in enumerate(KINDS):
        cpu = [statistics.median(kind.rounds) for kind in kinds[index * len(COUNTS):][:len(COUNTS)]]
        print(f"| {name} | " + " | ".join(f"{one:.1f} ({one / cpu[0]:.2f})" for one in cpu) + " |")


if __name__ == "__main__":
    main()
