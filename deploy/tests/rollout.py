"""A rollout without a cluster: two instances with the settings of the cluster, behind HAProxy, are
replaced one after the other, under load, and not one request may fail.

The last part proves that the counting works: instances that are killed do lose requests.
"""

import signal
import sys
import time

from common import DEPLOY, PROGRAM, WORK, kustomize, settings_of
from replacements import Rollout

REPLACEMENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
KILLS = 2


def main() -> int:
    settings = WORK / "rollout.toml"
    settings.write_text(settings_of(kustomize(DEPLOY / "overlays" / "production"))["data"]["settings.toml"])
    with Rollout(PROGRAM, settings, WORK / "rollout", prefix="BERTH__") as rollout:
        started = time.monotonic()
        rolled = rollout.replace(REPLACEMENTS, signal.SIGTERM)
        took = time.monotonic() - started
        for kind, requests, failures in rolled:
            print(f"{REPLACEMENTS} replacements by SIGTERM in {took:.0f} s, {kind}: "
                  f"{requests} requests, {failures} failures")
        killed = rollout.replace(KILLS, signal.SIGKILL)
        for kind, requests, failures in killed:
            print(f"{KILLS} by SIGKILL, to see that failures are seen, {kind}: "
                  f"{requests} requests, {failures} failures")
    lost = sum(served.failures for served in rolled)
    if lost:
        print(f"FAILED: {lost} requests were lost in the rollout", file=sys.stderr)
    if not all(served.is_load() for served in rolled):
        print("FAILED: that was no load", file=sys.stderr)
        return 1
    if not all(served.failures for served in killed):
        print("FAILED: instances were killed, and no failure was seen", file=sys.stderr)
        return 1
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
