"""Settings that are never whole."""

import signal
import time

import common
from common import Berth, probes, short_or_long, trial, wait_until
from surroundings.load import KEPT_ALIVE, NEW_CONNECTIONS, Loads


GOOD = ('[log]\naccess = {access}\n[server]\nrequest_timeout = "{timeout}"\n'
        "# " + "a comment that makes it longer " * 40 + "\n")
BAD = ('[server]\nrequest_timeout = "never"\n', "[server\n", "\0\xff", "[log]\nformats = 1\n", "")


@trial("settings-storm")
def settings_storm() -> str:
    """Settings that are good, bad or half written, again and again, with SIGHUPs; the last are good."""
    seconds = short_or_long(5, 60)
    file = common.WORK / "storm.toml"
    file.write_text(GOOD.format(access="false", timeout="10s"))
    with Berth(BERTH_CONFIG=str(file), BERTH__DEBUG__ROUTES="true") as server:
        before = server.descriptors()
        with Loads(server, KEPT_ALIVE, NEW_CONNECTIONS) as loads, probes(server) as took:
            started, writes = time.monotonic(), 0
            while time.monotonic() < started + seconds:
                good = GOOD.format(access="false", timeout=f"{5 + writes % 5}s")
                text = (good, BAD[writes % len(BAD)])[writes % 3 == 1]
                if writes % 4 == 3:
                    # As an editor does it.
                    new = file.with_suffix(".new")
                    new.write_text(text, encoding="latin-1")
                    new.rename(file)
                else:
                    with open(file, "w", encoding="latin-1") as half:
                        half.write(text[:len(text) // 2])
                        half.flush()
                        time.sleep(0.002)
                        half.write(text[len(text) // 2:])
                server.process.send_signal(signal.SIGHUP)
                writes += 1
                time.sleep(0.003 if writes % 50 else 0.3)
            file.write_text(GOOD.format(access="false", timeout="100ms"))
            force = wait_until(lambda: server.ask("/debug/delay/400ms") == 503, "the last settings are not in force")
        reloads = {result: server.sample(f'berth_config_reloads_total{{result="{result}"}}')
                   for result in ("success", "failure")}
        assert reloads["success"] > 1 and reloads["failure"] > 1, f"that was no storm: {reloads}"
        assert server.sample("berth_config_last_reload_successful") == 1, "the last reload counts as failed"
        assert server.sample("berth_panics_total") == 0, "something panicked"
        wait_until(lambda: server.descriptors() <= before + 2, "descriptors are left open")
        code = server.stop()
    assert code == 0, f"it ended with {code}"
    return (f"{writes} writes and SIGHUPs in {seconds} s: {reloads['success']:.0f} reloads, {reloads['failure']:.0f}"
            f" refused, 0 of {loads.requests} requests failed, probes within {max(took) * 1000:.0f} ms; the last"
            f" settings in force after {force:.1f} s")
