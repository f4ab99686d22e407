"""Many values together: the schemas of Kubernetes, Pod Security, linters' rules and the binary have nothing to say."""

import itertools
import json
import random
import subprocess
import unittest

import yaml

from chart import helm
from common import PROGRAM, WORK
from manifests import custom_faults
from policies.restricted import restricted_faults
from policies.workloads import faults
from processes import clean_environment, free_port, wait_for
from rendered import NEWEST, VERSIONS, schema_faults

# The oldest that deploy/README.md says to support, and the newest there is.
BOUNDS = ("1.27", NEWEST[-1])
SMALL = {"settings": {"management": None}, "podDisruptionBudget": {"maxUnavailable": "25%"}}
ROUTED = {"ingress": {"enabled": True, "className": "nginx", "annotations": {"a/b": "true"}, "hosts": ["a.test", "*.b.test"]},
          "certificate": {"enabled": True}, "httpRoute": {"enabled": True, "annotations": {"a/b": "1"}}}
WATCHED = {"metrics": {"scrape": "serviceMonitor", "labels": {"release": "kube-prometheus-stack"}},
           "prometheusRule": {"enabled": True, "runbookUrl": "https://wiki.test/runbook"}, "dashboard": {"enabled": True}}
OWN = {
    "fullnameOverride": "web",
    "commonLabels": {"team": "harbour", "cost-centre": "17"},
    "commonAnnotations": {"example.com/owner": "harbour"},
    "image": {"repository": "registry.test:5000/team/web", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "extraEnv": [{"name": "BERTH__LOG__FILTER", "value": "debug"},
                 {"name": "DATABASE", "valueFrom": {"secretKeyRef": {"name": "database", "key": "url"}}}],
    "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    "extraVolumes": [{"name": "cache", "emptyDir": {"sizeLimit": "10Mi"}}, {"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "cache", "mountPath": "/tmp"}, {"name": "ca", "mountPath": "/ca", "readOnly": True}],
}
PLACED = {
    "podSecurityContext": {"fsGroup": 2000, "runAsUser": 1001, "supplementalGroups": [3000]},
    "podAnnotations": {"sidecar.istio.io/inject": "false"},
    "podLabels": {"version": "1"},
    "priorityClassName": "high",
    "runtimeClassName": "gvisor",
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "berth"}}}]}},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "topologySpread": {"nodes": "None", "zones": "None"},
    "resources": {"limits": {"memory": "1Gi", "ephemeral-storage": "10Mi"}},
}
SPREAD = {"topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname", "maxSkew": 2,
                                         "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}]}
ACCOUNT = {"serviceAccount": {"name": "mine", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}}}
NETWORK = {"networkPolicy": {"defaultDeny": True, "dns": False, "managementFrom": [], "httpFrom": [
    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}], "egress": [
    {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 5432}]}]}}
SETTINGS = {"settings": {
    "server": {"port": 8081, "trusted_proxies": ["10.0.0.0/8"], "max_connections": 1000000, "workers": "auto"},
    "shutdown": {"drain_delay": "1m 30s", "timeout": "25s"}, "metrics": {"path": "/internal/metrics"},
    "readiness": {"checks": [{"name": "db", "url": "tcp://db:5432", "interval": "5s", "required": False}]}},
    "terminationGracePeriodSeconds": 120, "rollOnSettingsChange": False}

# What is in the chart to begin with.
EXAMPLES = [yaml.safe_load(path.read_text()) for path in sorted((helm.CHART / "examples").glob("*.yaml"))]

# One of each is taken.
CHOICES: list[list[dict]] = [
    [{}, {"autoscaling": {"by": "keda"}}, {"autoscaling": {"by": "external"}}, {"autoscaling": {"by": "none"}},
     {"autoscaling": {"by": "keda", "minReplicas": 3, "kedaTriggers": [{"type": "cron", "metadata": {
         "timezone": "Europe/Berlin", "start": "0 6 * * *", "end": "0 20 * * *", "desiredReplicas": "10"}}]}},
     *EXAMPLES],
    [{}, {"service": {"type": "NodePort", "nodePort": 30081}},
     {"service": {"type": "LoadBalancer", "port": 8000, "annotations": {"a": "b"}}}],
    [{}, ROUTED], [{}, WATCHED, {"metrics": {"scrape": "podMonitor"}}, {"metrics": {"scrape": "none"}}],
    [{}, OWN], [{}, PLACED, SPREAD], [{}, ACCOUNT], [{}, NETWORK], [{}, SETTINGS, SMALL],
]


def combinations() -> list[dict]:
    """Each choice alone, all the last ones together, and some by chance, the same ones each time."""
    alone = [option for choice in CHOICES for option in choice[1:]]
    chance = random.Random(1)
    some = [helm.merged(*(chance.choice(choice) for choice in CHOICES)) for _ in range(20)]
    return [{}, helm.DEV, *alone, helm.merged(*(choice[1] for choice in CHOICES)), *some]


COMBINATIONS = [(values, helm.render(values, "my-release", "team")) for values in combinations()]


def is_custom(thing: dict) -> bool:
    group = thing["apiVersion"].split("/")[0]
    return "." in group and (not group.endswith(".k8s.io") or group.startswith("gateway."))


class Combinations(unittest.TestCase):
    def test_the_schemas_of_kubernetes(self):
        seen = {json.dumps(thing): thing for _, objects in COMBINATIONS for thing in objects if not is_custom(thing)}
        for version, thing in itertools.product(BOUNDS, seen.values()):
            with self.subTest(version=version, kind=thing["kind"]):
                self.assertEqual(schema_faults([thing], version), [])
        for major, minor in VERSIONS:
            if (major, minor) >= (1, 27):
                self.assertEqual(schema_faults(helm.render({}), f"{major}.{minor}"), [])
        print(f"\n{len(COMBINATIONS)} combinations of values, {len(seen)} different objects, "
              f"Kubernetes {' and '.join(BOUNDS)}", flush=True)

    def test_custom_resources(self):
        seen = {json.dumps(thing): thing for _, objects in COMBINATIONS for thing in objects if is_custom(thing)}
        self.assertEqual({thing["kind"] for thing in seen.values()},
                         {"Certificate", "HTTPRoute", "PodMonitor", "PrometheusRule", "ScaledObject", "ServiceMonitor"})
        self.assertEqual(custom_faults(list(seen.values())), [])

    def test_pod_security_and_what_linters_ask_for(self):
        for values, objects in COMBINATIONS:
            with self.subTest(values):
                pods = [thing["spec"]["template"]["spec"] if thing["kind"] == "Deployment" else thing["spec"]
                        for thing in objects if thing["kind"] in ("Deployment", "Pod")]
                self.assertEqual(len(pods), 3)
                for pod in pods:
                    self.assertEqual(restricted_faults(pod), [])
                own = faults(objects, is_trial=values == helm.DEV)
                # What the values ask for, and the reader of the values sees there.
                spread = {"no-anti-affinity"} if helm.merged(values).get("topologySpread", {}).get("nodes") == "None" else set()
                self.assertEqual({fault.split(" ")[0] for fault in own} - spread, set())

    def test_each_object_is_there_once_and_has_the_common_labels(self):
        for values, objects in COMBINATIONS:
            with self.subTest(values):
                names = [(thing["kind"], thing["metadata"]["name"]) for thing in objects]
                self.assertEqual(sorted(names), sorted(set(names)))
                for thing in objects:
                    self.assertEqual(thing["metadata"]["namespace"], "team")
                    self.assertLessEqual(values.get("commonLabels", {}).items(), thing["metadata"]["labels"].items())
                    self.assertLessEqual(values.get("commonAnnotations", {}).items(),
                                         thing["metadata"].get("annotations", {}).items())
                [deployment] = [thing["spec"] for thing in objects if thing["kind"] == "Deployment"]
                labels = deployment["template"]["metadata"]["labels"]
                self.assertLessEqual(values.get("commonLabels", {}).items(), labels.items())
                self.assertLessEqual(set(deployment["selector"]["matchLabels"]), {
                    f"app.kubernetes.io/{label}" for label in ("name", "instance", "component")})
                by = helm.merged(helm.DEFAULTS, values)["autoscaling"]["by"]
                self.assertEqual("replicas" in deployment, by == "none")

    def test_the_binary_takes_the_settings(self):
        for number, (values, objects) in enumerate(COMBINATIONS):
            file = WORK / "mounted" / f"chart-{number}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(yaml.safe_dump(helm.settings_of(objects)))
            done = subprocess.run([PROGRAM, "--config", file, "check"], env=clean_environment(**helm.NEEDED), capture_output=True, text=True)
            with self.subTest(values):
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_annotations_of_ones_own_win(self):
        own = {"prometheus.io/scrape": "false", "a": "b"}
        [thing] = [thing for thing in helm.render({"podAnnotations": own}) if thing["kind"] == "Deployment"]
        found = thing["spec"]["template"]["metadata"]["annotations"]
        self.assertLessEqual(own.items(), found.items())
        self.assertEqual(found["prometheus.io/port"], "9090")

    def test_liveness_is_asked_on_the_management_port_where_the_kubelet_reaches_one(self):
        for management, wanted in (
            ({}, "management"), ({"port": 9999}, "management"), ({"host": "::"}, "management"),
            ({"host": "10.1.27.1"}, "management"), (None, "http"),
            ({"host": "127.0.0.1"}, "http"), ({"host": "localhost"}, "http"), ({"host": "::1"}, "http"),
        ):
            [thing] = [thing for thing in helm.render({"settings": {"management": management}}) if thing["kind"] == "Deployment"]
            [container] = thing["spec"]["template"]["spec"]["containers"]
            asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
            with self.subTest(management):
                self.assertEqual(asked, {"startup": {"path": "/health", "port": wanted},
                                         "liveness": {"path": "/health", "port": wanted},
                                         "readiness": {"path": "/ready", "port": "http"}})

    def test_settings_without_a_restart(self):
        def template(**values) -> dict:
            [thing] = [thing for thing in helm.render(values) if thing["kind"] == "Deployment"]
            return thing["spec"]["template"]
        changed = {"log": {"filter": "debug"}}
        self.assertNotEqual(template(settings=changed), template())
        self.assertEqual(template(settings=changed, rollOnSettingsChange=False), template(rollOnSettingsChange=False))


class HelmTest(unittest.TestCase):
    """The pods of `helm test`, with a server of ours where the Service is."""

    def run_pod(self, name: str, **instead: str) -> subprocess.CompletedProcess:
        objects = helm.render({"settings": {"log": {"access": False}}})
        [pod] = [thing["spec"] for thing in objects if thing["metadata"]["name"] == name and thing["kind"] == "Pod"]
        [container] = pod["containers"]
        self.assertNotIn("command", container)
        file = WORK / "mounted" / "settings.yaml"
        file.write_text(yaml.safe_dump(helm.settings_of(objects)))
        env = helm.NEEDED | {v["name"]: v["value"].replace("/etc/berth", str(file.parent)) for v in container["env"] if "value" in v}
        self.assertLessEqual(set(instead), set(env))
        return subprocess.run([PROGRAM, *container["args"]], env=clean_environment(**env | instead),
                              capture_output=True, text=True, timeout=20)

    def test_the_service_answers(self):
        port = str(free_port())
        where = {"BERTH__SERVER__HOST": "localhost", "BERTH__SERVER__PORT": port}
        silent = self.run_pod("berth-test-service", **where)
        self.assertEqual(silent.returncode, 1)
        self.assertIn("Connection refused", silent.stderr)
        with subprocess.Popen([PROGRAM], env=clean_environment(PORT=port, **helm.NEEDED), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as server:
            try:
                wait_for(f"http://127.0.0.1:{port}/ready", server)
                done = self.run_pod("berth-test-service", **where)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
            finally:
                server.terminate()

    def test_the_settings_are_right(self):
        done = self.run_pod("berth-test-settings")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn('app.environment = "production"', done.stdout)

    def test_its_policy_lets_it_reach_the_pods_and_nothing_else_selects_it(self):
        objects = helm.render({"networkPolicy": {"httpFrom": [{"podSelector": {}}]}})
        [pod] = [thing for thing in objects if thing["metadata"]["name"] == "berth-test-service"]
        labels = pod["metadata"]["labels"].items()
        selecting = [thing["metadata"]["name"] for thing in objects if thing["kind"] == "NetworkPolicy"
                     and thing["spec"]["podSelector"]["matchLabels"].items() <= labels]
        self.assertEqual(selecting, ["berth-test"])
        [own] = [thing["spec"] for thing in objects if thing["kind"] == "NetworkPolicy" and thing["metadata"]["name"] == "berth"]
        peers = [peer.get("podSelector", {}).get("matchLabels") for peer in own["ingress"][0]["from"]]
        self.assertTrue(any(peer and peer.items() <= labels for peer in peers))
        [service] = [thing["spec"] for thing in objects if thing["kind"] == "Service"]
        self.assertFalse(service["selector"].items() <= labels)


if __name__ == "__main__":
    unittest.main()
