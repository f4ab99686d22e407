"""What Prometheus and the runbook have to say to the files themselves."""

import json
import re
import subprocess
import unittest

import yaml

from common import DEPLOY
from observability.rules import ALERTS, DASHBOARD, PROMETHEUS, RULE_FILES


class Files(unittest.TestCase):
    def promtool(self, *arguments):
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_promtool_accepts_configuration_and_rules(self):
        out = self.promtool("check", "config", PROMETHEUS / "prometheus.yml")
        self.assertIn(f"{len(ALERTS)} rules found", out)
        self.promtool("check", "rules", *RULE_FILES)

    def test_the_rules_do_what_their_cases_say(self):
        self.promtool("test", "rules", *sorted((PROMETHEUS / "tests").glob("*.yml")))

    def test_every_alert_has_a_case_that_fires_and_one_that_stays_silent(self):
        fires, silent = set(), set()
        for file in (PROMETHEUS / "tests").glob("*.yml"):
            for case in yaml.safe_load(file.read_text())["tests"]:
                for check in case.get("alert_rule_test", []):
                    (fires if check["exp_alerts"] else silent).add(check["alertname"])
        self.assertEqual(fires, set(ALERTS))
        self.assertEqual(silent, set(ALERTS))

    def test_every_alert_says_what_it_is_and_has_a_page_in_the_runbook(self):
        headings = {line.removeprefix("## ").strip().lower()
                    for line in (DEPLOY / "RUNBOOK.md").read_text().splitlines()
                    if line.startswith("## ")}
        for name, rule in ALERTS.items():
            with self.subTest(name):
                self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
                self.assertEqual(set(rule["annotations"]), {"summary", "description", "runbook_url"})
                self.assertEqual(rule["annotations"]["runbook_url"], f"RUNBOOK.md#{name.lower()}")
                self.assertIn(name.lower(), headings)
        self.assertLessEqual({h for h in headings if h.startswith("berth")},
                             {name.lower() for name in ALERTS})

    def test_the_dashboard_is_whole(self):
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            if panel["type"] != "row":
                self.assertTrue(panel["description"])
        named = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__rate_interval", "__all"}
        self.assertEqual(used, named)
