#!/usr/bin/env python3
"""How many instructions a request takes, and whether that is what it took when it was last looked at.

    crates/bench/instructions.py BERTH BENCH [--write]

BERTH and BENCH are the two static release binaries. Each runs under callgrind and answers a small and a
larger number of requests on one connection; what the larger takes more, by request, leaves the start
out. The counts repeat to some dozens, whatever else the machine does, so a change of 8 % of what Berth adds
is one of the code (or of the compiler, which is pinned). What is compared with
crates/bench/instructions.json is what Berth adds to raw actix-web; what that takes itself differs from
processor to processor. Fails when it is more than 8 % above; --write takes the new counts over.
"""

import argparse
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

BASELINE = pathlib.Path(__file__).with_name("instructions.json")
FEW, MANY = 500, 4500
TOLERANCE = 1.08
RAW = "raw actix-web"
REQUEST = (b"GET /api/v1/hello?name=Ada HTTP/1.1\r\nHost: b\r\nUser-Agent: bench\r\n"
           b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n")


def connect(port: int, process: subprocess.Popen) -> socket.socket:
    for _ in range(600):
        assert process.poll() is None, "the server has ended"
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not answer")


def instructions(command: list[str], settings: dict[str, str], requests: int) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {"PATH": os.environ["PATH"], "HOSTNAME": "bench", "PORT": str(port),
           "BERTH__SERVER__HOST": "127.0.0.1", "BERTH__SERVER__WORKERS": "1", **settings}
    process = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1", *command],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        with connect(port, process) as client:
            for _ in range(requests):
                client.sendall(REQUEST)
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
        process.terminate()
        out = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    return int(re.search(r"Collected : (\d+)", out)[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("berth")
    parser.add_argument("bench")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    kinds = {
        RAW: ([given.bench, "raw"], {}),
        "ready-made middleware": ([given.bench, "ready-made"], {}),
        "metrics": ([given.berth], {"BERTH__LOG__ACCESS": "false"}),
        "metrics and text log": ([given.berth], {"BERTH__LOG__FORMAT": "text"}),
        "metrics and JSON log": ([given.berth], {"BERTH__LOG__FORMAT": "json"}),
    }
    counts = {}
    for name, (command, settings) in kinds.items():
        few, many = (instructions(command, settings, count) for count in (FEW, MANY))
        counts[name] = round((many - few) / (MANY - FEW))
    before = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    worse = False
    for name, count in counts.items():
        ratio, added = count / counts[RAW], count - counts[RAW]
        line = f"{name:<24} {count:>7} instructions per request, {ratio:.2f} of raw"
        if name != RAW and name in before:
            was = before[name] - before[RAW]
            line += f"; {added} more than raw, {added / was - 1:+.1%} since the baseline"
            # Not ours to hold.
            worse |= name.startswith("metrics") and added > was * TOLERANCE
        print(line, flush=True)
    if given.write:
        BASELINE.write_text(json.dumps(counts, indent=2) + "\n")
    elif worse:
        sys.exit("more than 8 % above crates/bench/instructions.json: find out why, or take it over with --write")


if __name__ == "__main__":
    main()
