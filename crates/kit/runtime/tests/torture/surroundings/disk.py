"""A disk that cannot be written."""

import shutil
import signal
import subprocess

import common
from common import Berth, mounted, probes, trial, wait_until
from surroundings.load import KEPT_ALIVE, NEW_CONNECTIONS, Loads


@trial("disk-read-only")
def disk_read_only() -> str:
    """Nothing but the binary and its settings, on a disk that cannot be written: no /proc, /etc, /tmp."""
    source = common.WORK / "root"
    source.mkdir()
    shutil.copy(common.BERTH, source / "berth")
    settings = source / "settings.toml"
    settings.write_text('[server]\nrequest_timeout = "10s"\n')
    with mounted(common.WORK / "read-only", "--bind", str(source)) as root:
        subprocess.run(["mount", "-o", "remount,ro,bind", root], check=True)
        try:
            (root / "probe").touch()
        except OSError:
            pass
        else:
            raise AssertionError("the disk can be written")
        # The path of the binary that is appended goes nowhere.
        wrapper = ("sh", "-c", f'exec chroot "{root}" /berth --config /settings.toml', "sh")
        with Berth(wrapper=wrapper, BERTH__DEBUG__ROUTES="true") as server:
            with Loads(server, KEPT_ALIVE, NEW_CONNECTIONS) as loads, probes(server):
                for target in ("/health", "/ready", "/api/v1/info", "/metrics", "/openapi.json", "/debug/delay/500ms"):
                    status = server.ask(target)
                    assert status == 200, f"{target} was {status or 'not answered'}"
                settings.write_text('[server]\nrequest_timeout = "200ms"\n')
                server.process.send_signal(signal.SIGHUP)
                wait_until(lambda: server.ask("/debug/delay/500ms") == 503, "the new settings do not come into force")
                wait_until(lambda: "settings reloaded (SIGHUP)" in server.log(), "SIGHUP does not reload")
            reloads = server.sample('berth_config_reloads_total{result="success"}')
            failures = server.sample('berth_config_reloads_total{result="failure"}')
            assert failures == 0, f"{failures} reloads failed"
            code = server.stop()
        assert code == 0, f"it ended with {code}"
        left = sorted(path.name for path in source.iterdir())
        assert left == ["berth", "settings.toml"], f"there is something new on the disk: {left}"
    return f"starts, serves {loads.requests} requests, reloads by SIGHUP ({reloads:.0f} in all), stops with 0"
