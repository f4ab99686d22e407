"""Processes that come and go while clients are served."""

import pathlib
import signal
import sys

import common
from common import short_or_long, trial

REPOSITORY = pathlib.Path(__file__).resolve().parents[6]

# Behind our own folder: what has the same name there is not meant.
sys.path.append(str(REPOSITORY / "deploy" / "tests"))

from replacements import Rollout  # noqa: E402

KILLS = 2

# Those of a cluster. Not the ones in deploy/, where a service has sections of its own.
SETTINGS = """
[server]
workers = 2
request_timeout = "15s"

[shutdown]
timeout = "20s"
grace_period = "30s"

[log]
format = "json"
"""


@trial("rollout")
def rollout() -> str:
    """Stops and starts, with the settings of the cluster; and two kills, to see that a failure is seen."""
    replacements = short_or_long(20, 100)
    settings = common.WORK / "rollout.toml"
    settings.write_text(SETTINGS)
    with Rollout(common.BERTH, settings, common.WORK / "rollout", prefix="BERTH__") as instances:
        rolled = instances.replace(replacements, signal.SIGTERM)
        killed = instances.replace(KILLS, signal.SIGKILL)
    for served in rolled:
        assert served.failures == 0, \
            f"{served.kind}: {served.failures} of {served.requests} requests failed in {replacements} replacements"
        assert served.is_load(), f"{served.kind}: {served.requests} requests are no load"
    for served in killed:
        assert served.failures, f"{served.kind}: {KILLS} instances were killed, and no failure was seen"
    counts = ", ".join(f"{served.kind} {served.requests}" for served in rolled)
    return (f"{replacements} stops and starts: 0 of {sum(served.requests for served in rolled)} requests failed"
            f" ({counts}); {sum(served.failures for served in killed)} did where {KILLS} were killed")
