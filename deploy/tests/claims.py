"""What README.md, RUNBOOK.md and the comments of the manifests say in figures."""

import json
import re
import tomllib
import unittest
from collections.abc import Iterator

from common import DEPLOY, settings_of, the
from rendered import OVERLAYS, RENDERED, SCHEMAS, VERSIONS, schema_faults

README = (DEPLOY / "README.md").read_text()
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text()
DEPLOYMENT = (DEPLOY / "base" / "deployment.yaml").read_text()
HEARTBEAT = (DEPLOY.parent / "crates" / "kit" / "health" / "src" / "heartbeat.rs").read_text()

Version = tuple[int, int]


def descriptions(version: Version, field: str) -> Iterator[str]:
    """What a version's API says about a field, wherever it has one of that name."""
    major, minor = version
    schema = json.loads((SCHEMAS / f"v{major}.{minor}.0-local-strict" / "_definitions.json").read_text())
    for kind in ("core.v1.TopologySpreadConstraint", "core.v1.Probe", "policy.v1.PodDisruptionBudgetSpec"):
        known = schema["$defs"][f"io.k8s.api.{kind}"]["properties"].get(field)
        if known:
            yield known["description"]


def is_on(version: Version, field: str) -> bool:
    """Whether a version knows the field and heeds it without a feature gate that has to be opened."""
    said = list(descriptions(version, field))
    return bool(said) and all(
        "default enabled" in text or "enabled by default" in text or "feature" not in text for text in said)


class Versions(unittest.TestCase):
    ROWS = re.findall(r"^\| (\d+)\.(\d+) \| (?:`topologySpreadConstraints\.|`)?([^`|]+)`?[^|]*\| (.+) \|$", README, re.M)

    def smallest(self) -> Version:
        return tuple(map(int, re.search(r"^Kubernetes (\d+)\.(\d+) or later\.", README, re.M).groups()))

    def test_the_smallest_version_is_the_first_that_heeds_everything(self):
        rows = [(int(major), int(minor)) for major, minor, _, _ in self.ROWS]
        self.assertEqual(len(rows), 6)
        self.assertEqual(self.smallest(), max(rows))
        self.assertEqual(rows, sorted(rows, reverse=True))
        for version in VERSIONS:
            faults = [fault for objects in RENDERED.values()
                      for fault in schema_faults(objects, ".".join(map(str, version)))]
            with self.subTest(version=version):
                if version >= self.smallest():
                    self.assertEqual(faults, [])
                # What an API does not know is refused, or dropped; the table has to say what is lost.
                for fault in faults:
                    self.assertIn("`unhealthyPodEvictionPolicy`", README)
                    self.assertIn("unhealthyPodEvictionPolicy", fault)

    def test_each_field_is_used_and_is_on_from_its_version(self):
        text = json.dumps(RENDERED["production+all"])
        oldest = VERSIONS[0]
        checked = []
        for major, minor, field, _ in self.ROWS:
            since, before = (int(major), int(minor)), (int(major), int(minor) - 1)
            if before < oldest:
                # No schema is that old.
                continue
            with self.subTest(field):
                self.assertIn(f'"{field}"', text)
                self.assertTrue(is_on(since, field))
                self.assertFalse(self.is_said_to_be_on(before, field))
                checked.append(field)
        self.assertEqual(checked, ["matchLabelKeys", "unhealthyPodEvictionPolicy", "nodeTaintsPolicy"])

    def is_said_to_be_on(self, version: Version, field: str) -> bool:
        return any("default enabled" in text or "(enabled by default)" in text
                   for text in descriptions(version, field))


class Figures(unittest.TestCase):
    def container(self, name: str) -> dict:
        return the(RENDERED[name], "Deployment")["spec"]["template"]["spec"]["containers"][0]

    def test_a_stuck_process_is_replaced_as_soon_as_is_said(self):
        probe = self.container("production")["livenessProbe"]
        silence = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
        longest = silence + probe["terminationGracePeriodSeconds"]
        self.assertLessEqual(longest, 40)
        self.assertIn(f"has it replaced within {longest} s", RUNBOOK)
        self.assertIn(f"= {longest} s after it got stuck", DEPLOYMENT)
        grace = the(RENDERED["production"], "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        self.assertIn(f"after {silence + grace} s instead of {longest}.", README)
        # A worker is found to be stuck between one beat and the next; then the probe fails without waiting for an answer.
        beats = int(re.search(r"const STUCK: u64 = (\d+);", HEARTBEAT)[1])
        self.assertIn("const BEAT: Duration = Duration::from_secs(1);", HEARTBEAT)
        ended = probe["terminationGracePeriodSeconds"]
        fails = probe["periodSeconds"] * probe["failureThreshold"]
        self.assertIn(f"{beats + 1} + {probe['failureThreshold']} × {probe['periodSeconds']} + {ended} = "
                      f"{beats + 1 + fails + ended} s", DEPLOYMENT)
        self.assertIn(f"within {beats + 1 + fails + ended} s, and the whole process within {longest} s", RUNBOOK)
        self.assertIn(f"{grace} s, or {probe['terminationGracePeriodSeconds']} s where the liveness probe", RUNBOOK)
        progress = the(RENDERED["production"], "Deployment")["spec"]["progressDeadlineSeconds"]
        self.assertIn(f"after {progress} s the rollout counts as failed", DEPLOYMENT)
        # A start that is stuck drains as little.
        startup = self.container("production")["startupProbe"]
        self.assertEqual(startup["terminationGracePeriodSeconds"], probe["terminationGracePeriodSeconds"])

    def test_a_pod_takes_the_memory_that_is_said(self):
        rest, connections, each, whole = map(int, re.search(
            r"# (\d+) MB \+ ([\d,]+) connections × (\d+) kB = (\d+) MB,", DEPLOYMENT.replace("2,000", "2000")).groups())
        self.assertEqual(rest + connections * each // 1000, whole)
        self.assertIn(f"{rest} MB at\n            # rest, 3.5 kB an idle connection, {each} kB while requests come", DEPLOYMENT)
        self.assertIn(f"A connection takes {each} kB while requests come and 3.5 kB when it is idle", RUNBOOK)
        for name in OVERLAYS:
            text = settings_of(RENDERED[name])["data"]["settings.toml"]
            with self.subTest(overlay=name):
                self.assertEqual(tomllib.loads(text)["server"]["max_connections"], connections)
                self.assertIn(f"# {each} kB each while requests come: {connections * each // 1000} MB", text)
                limit = self.container(name)["resources"]["limits"]["memory"]
                # As much again, for what a service does with its requests.
                self.assertGreaterEqual(int(limit.removesuffix("Mi")) * 1.048576, 1.8 * whole)
                wanted = self.container(name)["resources"]["requests"]["memory"]
                self.assertGreaterEqual(int(wanted.removesuffix("Mi")) * 1.048576, 2 * rest)

    def test_the_cpu_request_is_worth_the_requests_that_are_said(self):
        kept, own, slow, fast = map(int, re.search(
            r"7 to (\d+) µs .*?connection and (\d+) on one of its own, so 100m is ([\d,]+) to ([\d,]+) requests",
            re.sub(r"\n +# ", " ", DEPLOYMENT).replace(",000", "000").replace("2,500", "2500")).groups())
        self.assertEqual(self.container("production")["resources"]["requests"]["cpu"], "100m")
        self.assertEqual(slow, 100_000 // own)
        self.assertLessEqual(abs(fast - 100_000 / kept), 1000)
        text = (DEPLOY / "overlays" / "production" / "hpa.yaml").read_text()
        share = the(RENDERED["production"], "HorizontalPodAutoscaler")["spec"]["metrics"][0]["resource"]["target"]
        self.assertIn(f"{slow * share['averageUtilization'] // 100:,} requests a second", text)
        self.assertIn(f"{fast * share['averageUtilization'] // 100:,} on", text)

    def test_the_longer_drain_is_the_one_that_is_said(self):
        env = {v["name"]: v["value"] for v in self.container("production+direct-load-balancer")["env"]}
        self.assertIn(f"`direct-load-balancer` sets {env['BERTH__SHUTDOWN__DRAIN_DELAY']},",
                      README.replace("\n", " "))
        # Tens of seconds.
        self.assertGreaterEqual(int(env["BERTH__SHUTDOWN__DRAIN_DELAY"].removesuffix("s")), 30)


if __name__ == "__main__":
    unittest.main()
