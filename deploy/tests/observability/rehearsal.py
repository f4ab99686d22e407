"""An alert that is rehearsed: errors that are injected make it fire, and their end ends it."""

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import time
import unittest

import yaml

from common import DEPLOY, PROGRAM, WORK, kustomize, settings_of
from observability.rules import RULE_FILES
from processes import clean_environment, free_port, get, wait_for


class Rehearsal(unittest.TestCase):
    """Faults on purpose, and the alert that they are to rehearse."""

    # The windows of the rules, and what stands for them here.
    WINDOWS = {"5m": "5s", "30m": "10s", "1h": "15s", "6h": "30s", "3d": "60s"}
    ALERT = "BerthAvailabilityFastBurn"

    def setUp(self):
        self.folder = WORK / "rehearsal"
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "rules").mkdir(parents=True)
        self.port, self.private, self.prometheus = free_port(), free_port(), free_port()
        for file in RULE_FILES:
            text = re.sub(r"\[(\w+)\]", lambda m: f"[{self.WINDOWS.get(m[1], m[1])}]", file.read_text())
            (self.folder / "rules" / file.name).write_text(text)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{self.folder}/rules/*.yml"],
            "scrape_configs": [{"job_name": "berth", "static_configs": [
                {"targets": [f"127.0.0.1:{self.private}"], "labels": {"namespace": "here"}}]}],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        settings = self.folder / "settings.toml"
        settings.write_text(settings_of(kustomize(DEPLOY / "overlays" / "dev"))["data"]["settings.toml"])
        self.run_beside("berth", [PROGRAM, "--config", settings],
                        f"http://127.0.0.1:{self.private}/ready",
                        clean_environment(PORT=str(self.port), BERTH__MANAGEMENT__PORT=str(self.private)))
        self.run_beside("prometheus", [
            "prometheus", f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data", f"--web.listen-address=127.0.0.1:{self.prometheus}",
        ], f"http://127.0.0.1:{self.prometheus}/-/ready", None)

    def run_beside(self, name, command, url, env):
        log = open(self.folder / f"{name}.log", "w")
        self.addCleanup(log.close)
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        self.addCleanup(process.wait, timeout=30)
        self.addCleanup(process.terminate)
        wait_for(url, process)

    def firing(self) -> set[str]:
        body = get(f"http://127.0.0.1:{self.prometheus}/api/v1/alerts")[1]
        return {alert["labels"]["alertname"] for alert in json.loads(body)["data"]["alerts"]
                if alert["state"] == "firing"}

    def faults(self, method: str, body=None) -> dict:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.private)) as connection:
            connection.request(method, "/faults", body and json.dumps(body))
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            return json.loads(answer.read())

    def load(self, seconds: float, until=lambda: False) -> tuple[int, int]:
        """Some 200 requests a second; how many there were, and how many failed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        self.addCleanup(connection.close)
        end, sent, failed = time.monotonic() + seconds, 0, 0
        while time.monotonic() < end:
            for _ in range(20):
                connection.request("GET", "/api/v1/hello")
                answer = connection.getresponse()
                answer.read()
                sent, failed = sent + 1, failed + (answer.status == 503)
            time.sleep(0.1)
            if until():
                break
        return sent, failed

    def test_a_fifth_of_errors_pages_and_their_end_ends_it(self):
        self.assertEqual(self.load(8)[1], 0)
        self.assertEqual(self.firing(), set())

        start = time.monotonic()
        self.faults("PUT", {"share": 20, "status": 503, "endpoints": ["/api/v1/hello"], "for": "5m"})
        sent, failed = self.load(40, lambda: self.ALERT in self.firing())
        fired = time.monotonic() - start
        firing = self.firing()
        self.assertIn(self.ALERT, firing)
        self.assertTrue(0.1 < failed / sent < 0.3, (sent, failed))
        # Errors are not slowness, and the pod is as ready as before.
        self.assertEqual({name for name in firing if "Availability" not in name}, set())
        self.assertEqual(get(f"http://127.0.0.1:{self.port}/ready")[0], 200)
        text = get(f"http://127.0.0.1:{self.private}/metrics")[1]
        self.assertIn(f'berth_faults_injected_total{{endpoint="/api/v1/hello",kind="error"}} {failed}\n', text)

        start = time.monotonic()
        self.assertEqual(self.faults("DELETE"), {"active": False})
        sent, failed = self.load(40, lambda: self.ALERT not in self.firing())
        self.assertEqual(failed, 0)
        self.assertNotIn(self.ALERT, self.firing())
        print(f"\n{self.ALERT}, windows of 15 s and 5 s: fired {fired:.1f} s after 20 % errors began, "
              f"ended {time.monotonic() - start:.1f} s after they did", flush=True)
