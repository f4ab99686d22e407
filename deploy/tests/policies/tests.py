"""The manifests of kustomize hold to what linters ask for; and what breaks a rule is seen."""

import copy
import unittest
from collections.abc import Callable

from common import the
from policies.workloads import faults
from rendered import RENDERED

NEW = {"kind": "Secret", "metadata": {"name": "x", "namespace": "berth", "labels": {
    f"app.kubernetes.io/{label}": "x" for label in ("name", "instance", "part-of")}}}


def deployment(objects: list[dict]) -> dict:
    return the(objects, "Deployment")["spec"]


def pod(objects: list[dict]) -> dict:
    return deployment(objects)["template"]["spec"]


def container(objects: list[dict]) -> dict:
    return pod(objects)["containers"][0]


def context(objects: list[dict]) -> dict:
    return container(objects)["securityContext"]


def spec(kind: str) -> Callable[[list[dict]], dict]:
    return lambda objects: the(objects, kind)["spec"]


# What breaks each rule, by one change.
BROKEN: dict[str, Callable[[list[dict]], object]] = {
    "required-label-name": lambda o: the(o, "Service")["metadata"]["labels"].pop("app.kubernetes.io/name"),
    "required-label-part-of": lambda o: the(o, "Ingress")["metadata"]["labels"].pop("app.kubernetes.io/part-of"),
    "use-namespace": lambda o: the(o, "Service")["metadata"].update(namespace="default"),
    "access-to-the-api": lambda o: o.append(NEW | {"kind": "RoleBinding"}),
    "secret-in-a-manifest": lambda o: o.append(NEW),
    "default-service-account": lambda o: pod(o).pop("serviceAccountName"),
    "automount-service-account-token": lambda o: pod(o).pop("automountServiceAccountToken"),
    "host-network": lambda o: pod(o).update(hostNetwork=True),
    "host-pid": lambda o: pod(o).update(hostPID=True),
    "host-ipc": lambda o: pod(o).update(hostIPC=True),
    "sensitive-host-mounts": lambda o: pod(o)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "latest-tag": lambda o: container(o).update(image="registry.example.com:5000/berth"),
    "unset-cpu-requirements": lambda o: container(o)["resources"]["requests"].pop("cpu"),
    "unset-memory-requirements": lambda o: container(o)["resources"]["requests"].pop("memory"),
    "unset-memory-limit": lambda o: container(o)["resources"].pop("limits"),
    "run-as-non-root": lambda o: context(o).pop("runAsNonRoot"),
    "no-read-only-root-fs": lambda o: context(o).update(readOnlyRootFilesystem=False),
    "privileged-container": lambda o: context(o).update(privileged=True),
    "privilege-escalation-container": lambda o: context(o).pop("allowPrivilegeEscalation"),
    "drop-all-capabilities": lambda o: context(o)["capabilities"].update(drop=["NET_RAW"]),
    "duplicate-env-var": lambda o: container(o)["env"].append(container(o)["env"][0]),
    "env-var-secret": lambda o: container(o)["env"].append({"name": "DB_PASSWORD", "value": "x"}),
    "privileged-ports": lambda o: container(o)["ports"].append({"name": "x", "containerPort": 80}),
    "host-port": lambda o: container(o)["ports"][0].update(hostPort=8080),
    "no-startup-probe": lambda o: container(o).pop("startupProbe"),
    "no-liveness-probe": lambda o: container(o).pop("livenessProbe"),
    "no-readiness-probe": lambda o: container(o).pop("readinessProbe"),
    "liveness-port": lambda o: container(o)["livenessProbe"]["httpGet"].update(port=8081),
    "no-rolling-update-strategy": lambda o: deployment(o).update(strategy={"type": "Recreate"}),
    "mismatching-selector": lambda o: deployment(o)["selector"]["matchLabels"].update(x="y"),
    "no-anti-affinity": lambda o: pod(o).pop("topologySpreadConstraints"),
    "dangling-service": lambda o: spec("Service")(o)["selector"].update(x="y"),
    "invalid-target-ports": lambda o: spec("Service")(o)["ports"][0].update(targetPort="web"),
    "dangling-networkpolicy": lambda o: spec("NetworkPolicy")(o)["podSelector"]["matchLabels"].update(x="y"),
    "dangling-podmonitor": lambda o: spec("PodMonitor")(o)["selector"]["matchLabels"].update(x="y"),
    "dangling-poddisruptionbudget": lambda o: spec("PodDisruptionBudget")(o)["selector"]["matchLabels"].update(x="y"),
    "dangling-horizontalpodautoscaler": lambda o: spec("HorizontalPodAutoscaler")(o)["scaleTargetRef"].update(name="x"),
    "dangling-ingress": lambda o: spec("Ingress")(o)["rules"][0]["http"]["paths"][0]["backend"]["service"].update(name="x"),
    "non-existent-service-account": lambda o: pod(o).update(serviceAccountName="x"),
    "missing-network-policy": lambda o: o.remove(the(o, "NetworkPolicy")),
    "missing-pod-disruption-budget": lambda o: o.remove(the(o, "PodDisruptionBudget")),
    "pdb-max-unavailable": lambda o: spec("PodDisruptionBudget")(o).update(maxUnavailable=0),
    "pdb-unhealthy-pod-eviction-policy": lambda o: spec("PodDisruptionBudget")(o).pop("unhealthyPodEvictionPolicy"),
    "hpa-minimum-replicas": lambda o: spec("HorizontalPodAutoscaler")(o).update(minReplicas=1),
    "replicas-beside-an-autoscaler": lambda o: deployment(o).update(replicas=2),
    "minimum-replicas": lambda o: deployment(o).update(replicas=1),
}


class Workloads(unittest.TestCase):
    def test_what_linters_ask_for(self):
        for name, objects in RENDERED.items():
            with self.subTest(composition=name):
                self.assertEqual(faults(objects, is_trial=name.startswith("dev")), [])

    def test_each_rule_sees_what_breaks_it(self):
        for rule, change in BROKEN.items():
            objects = copy.deepcopy(RENDERED["production+all"])
            change(objects)
            with self.subTest(rule):
                self.assertIn(rule, {fault.split(" ")[0] for fault in faults(objects)})


if __name__ == "__main__":
    unittest.main()
