"""What linters of manifests ask for, as kube-linter and Polaris name it."""

import collections
import re
from collections.abc import Iterator

Faults = Iterator[str]


def faults(objects: list[dict], is_trial: bool = False) -> list[str]:
    """What the objects of one deployment break, each fault with its rule in front. A trial has one pod."""
    found: list[str] = []
    for thing in objects:
        name = f"{thing['kind']}/{thing['metadata']['name']}"
        for rule in (of_any, of_pods, of_rollouts):
            found += (f"{fault} ({name})" for fault in rule(thing))
    found += between(objects)
    if not is_trial:
        found += availability(objects)
    return found


def pod_of(thing: dict) -> tuple[dict, dict]:
    """Labels and spec of the pods that an object makes, or is."""
    if thing["kind"] == "Pod":
        return thing["metadata"].get("labels", {}), thing["spec"]
    if thing["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        template = thing["spec"]["template"]
        return template["metadata"].get("labels", {}), template["spec"]
    return {}, {}


def of_any(thing: dict) -> Faults:
    labels = thing["metadata"].get("labels", {})
    for label in ("name", "instance", "part-of"):
        if not labels.get(f"app.kubernetes.io/{label}"):
            yield f"required-label-{label}"
    if thing["kind"] != "Namespace" and thing["metadata"].get("namespace", "default") == "default":
        yield "use-namespace"
    if thing["kind"] in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        yield "access-to-the-api"
    if thing["kind"] == "Secret":
        yield "secret-in-a-manifest"


def of_pods(thing: dict) -> Faults:
    _, pod = pod_of(thing)
    if not pod:
        return
    if pod.get("serviceAccountName", "default") == "default":
        yield "default-service-account"
    if pod.get("automountServiceAccountToken") is not False:
        yield "automount-service-account-token"
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield re.sub("([A-Z]+)", r"-\1", field).lower()
    for volume in pod.get("volumes", []):
        if "hostPath" in volume:
            yield "sensitive-host-mounts"
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        yield from of_container(container)
        # What runs once has nobody who asks for it.
        if thing["kind"] not in ("Pod", "Job"):
            yield from of_server(container)


def of_container(container: dict) -> Faults:
    image = container.get("image", "").rsplit("/", 1)[-1]
    if "@sha256:" not in image and (":" not in image or image.endswith(":latest")):
        yield "latest-tag"
    resources = container.get("resources", {})
    for resource in ("cpu", "memory"):
        if resource not in resources.get("requests", {}):
            yield f"unset-{resource}-requirements"
    if "memory" not in resources.get("limits", {}):
        yield "unset-memory-limit"
    context = container.get("securityContext", {})
    if context.get("runAsNonRoot") is not True:
        yield "run-as-non-root"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "no-read-only-root-fs"
    if context.get("privileged"):
        yield "privileged-container"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "privilege-escalation-container"
    if "ALL" not in context.get("capabilities", {}).get("drop", []):
        yield "drop-all-capabilities"
    names = collections.Counter(variable["name"] for variable in container.get("env", []))
    if max(names.values(), default=0) > 1:
        yield "duplicate-env-var"
    for variable in container.get("env", []):
        if re.search("SECRET|PASSWORD|TOKEN", variable["name"]) and variable.get("value"):
            yield "env-var-secret"
    for port in container.get("ports", []):
        if port["containerPort"] < 1024:
            yield "privileged-ports"
        if port.get("hostPort"):
            yield "host-port"


def of_server(container: dict) -> Faults:
    ports = {port.get("name") for port in container["ports"]} | {port["containerPort"] for port in container["ports"]}
    for kind in ("startup", "liveness", "readiness"):
        probe = container.get(f"{kind}Probe")
        if not probe:
            yield f"no-{kind}-probe"
        elif probe.get("httpGet", {}).get("port") not in ports:
            yield f"{kind}-port"


def of_rollouts(thing: dict) -> Faults:
    if thing["kind"] != "Deployment":
        return
    spec = thing["spec"]
    if spec.get("strategy", {}).get("type") != "RollingUpdate":
        yield "no-rolling-update-strategy"
    labels, pod = pod_of(thing)
    if not spec["selector"]["matchLabels"].items() <= labels.items():
        yield "mismatching-selector"
    spread = [c["topologyKey"] for c in pod.get("topologySpreadConstraints", [])]
    if "kubernetes.io/hostname" not in spread and "podAntiAffinity" not in pod.get("affinity", {}):
        yield "no-anti-affinity"


def between(objects: list[dict]) -> Faults:
    """What points at something that is not there."""
    pods = [pod_of(thing) for thing in objects if pod_of(thing)[1]]
    named = {(thing["kind"], thing["metadata"]["name"]) for thing in objects}

    def selects(selector: dict) -> list[dict]:
        return [pod for labels, pod in pods if selector.items() <= labels.items()]

    for thing in objects:
        kind, spec = thing["kind"], thing.get("spec", {})
        if kind == "Service":
            ports = {port["name"] for pod in selects(spec["selector"])
                     for container in pod["containers"] for port in container.get("ports", [])}
            if not ports:
                yield "dangling-service"
            elif not {port["targetPort"] for port in spec["ports"]} <= ports:
                yield "invalid-target-ports"
        elif kind in ("NetworkPolicy", "PodMonitor", "PodDisruptionBudget"):
            selector = spec["podSelector"] if kind == "NetworkPolicy" else spec["selector"]
            if not selects(selector.get("matchLabels", {})):
                yield f"dangling-{kind.lower()}"
        elif kind == "ServiceMonitor":
            if not any(o["kind"] == "Service" and spec["selector"]["matchLabels"].items() <= o["metadata"]["labels"].items()
                       for o in objects):
                yield "dangling-servicemonitor"
        elif kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            target = spec["scaleTargetRef"]
            if (target.get("kind", "Deployment"), target["name"]) not in named:
                yield "dangling-horizontalpodautoscaler"
        elif kind == "Ingress":
            for path in (path for rule in spec["rules"] for path in rule["http"]["paths"]):
                if ("Service", path["backend"]["service"]["name"]) not in named:
                    yield "dangling-ingress"
    for _, pod in pods:
        account = pod.get("serviceAccountName", "default")
        if account != "default" and ("ServiceAccount", account) not in named:
            yield "non-existent-service-account"
    for thing in objects:
        if thing["kind"] == "Deployment" and not any(
                o["kind"] == "NetworkPolicy" and o["spec"]["podSelector"].get("matchLabels")
                and pod_of(thing)[1] in selects(o["spec"]["podSelector"]["matchLabels"]) for o in objects):
            yield "missing-network-policy"


def availability(objects: list[dict]) -> Faults:
    """What keeps a service up when a node goes."""
    by_kind = collections.defaultdict(list)
    for thing in objects:
        by_kind[thing["kind"]].append(thing["spec"] if "spec" in thing else {})
    budgets = by_kind["PodDisruptionBudget"]
    if not budgets:
        yield "missing-pod-disruption-budget"
    for budget in budgets:
        if budget.get("maxUnavailable", 0) in (0, "0%"):
            yield "pdb-max-unavailable"
        if budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield "pdb-unhealthy-pod-eviction-policy"
    scalers = by_kind["HorizontalPodAutoscaler"] + by_kind["ScaledObject"]
    for scaler in scalers:
        if scaler.get("minReplicas", scaler.get("minReplicaCount", 1)) < 2:
            yield "hpa-minimum-replicas"
    for deployment in by_kind["Deployment"]:
        if scalers and "replicas" in deployment:
            yield "replicas-beside-an-autoscaler"
        if "replicas" in deployment and deployment["replicas"] < 2:
            yield "minimum-replicas"
