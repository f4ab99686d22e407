#!/usr/bin/env python3
"""Tries to break the real binary, and says for each trial what came of it.

    crates/kit/runtime/tests/torture/torture.py BERTH [--long] [TRIAL ...]

BERTH is the static release binary. Without names, all trials run, in their short form, in a few
minutes; --long gives each the time that finds what is rare. Prints a line with a figure a trial, and
ends with 1 when one has failed. Needs Linux, and root for the limits of memory and descriptors.

    connections/   slow, idle and very many of them; bodies and answers without an end
    protocol/      what is no HTTP, or might be two requests; what /openapi.json says
    pipelines/     random requests on one connection
    surroundings/  memory, clock, log, disk, settings
    clients/       those that people use, and proxies
    lifecycle/     stops, signals, a rollout
"""

import argparse
import sys
import time
import traceback

import common

# Each registers its trials, in the order in which they run.
import connections.attacks  # noqa: F401
import protocol.malformed  # noqa: F401
import pipelines.trial  # noqa: F401
import connections.bodies  # noqa: F401
import protocol.contract  # noqa: F401
import surroundings.memory  # noqa: F401
import connections.crowds  # noqa: F401
import connections.overload  # noqa: F401
import surroundings.clock  # noqa: F401
import surroundings.log  # noqa: F401
import surroundings.disk  # noqa: F401
import surroundings.process  # noqa: F401
import surroundings.settings  # noqa: F401
import clients.clients  # noqa: F401
import lifecycle.rollout  # noqa: F401
import lifecycle.stops  # noqa: F401
import lifecycle.signals  # noqa: F401


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("berth")
    parser.add_argument("--long", action="store_true", help="give each trial more time")
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=", ".join(common.TRIALS))
    given = parser.parse_intermixed_args()
    unknown = [name for name in given.trials if name not in common.TRIALS]
    if unknown:
        parser.error(f"no such trial: {', '.join(unknown)}")
    common.prepare(given.berth, given.long)

    passed = failed = 0
    for name in given.trials or common.TRIALS:
        started = time.monotonic()
        try:
            word, figure = "ok", common.TRIALS[name]()
            passed += 1
        except Exception as error:  # What a trial meets must not keep the others from running.
            word, figure = "FAILED", str(error) or type(error).__name__
            failed += 1
            traceback.print_exc()
        print(f"{word:<6} {name:<28} {figure} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
