"""What each value of the chart may be, as JSON Schema. `settings` comes from docs/settings.md; write.py puts both
together. A key that is not here is refused."""

import json
import re


def text(**more) -> dict:
    return {"type": "string", **more}


def whole(minimum: int, maximum: int | None = None) -> dict:
    return {"type": "integer", "minimum": minimum} | ({} if maximum is None else {"maximum": maximum})


def one_of(*words: str) -> dict:
    return {"enum": list(words)}


def many(item: dict | None = None, least: int = 0) -> dict:
    return {"type": "array", "items": item or {"type": "object"}} | ({"minItems": least} if least else {})


def record(required: tuple[str, ...] = (), /, **properties) -> dict:
    """An object with these keys and no others."""
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": list(required)} if required else {})


def strings(value: dict | None = None) -> dict:
    """Labels, annotations and the like: names of one's own, with text that has quotes where it looks otherwise."""
    return {"type": "object", "additionalProperties": value or text()}


BOOLEAN = {"type": "boolean"}
# As Kubernetes writes it: what is rendered is checked by the API server.
KUBERNETES = {"type": "object"}
DURATION = text(pattern="^([0-9]+ *(ms|s|m|h|d)[a-z]* *)+$")
QUANTITY = {"anyOf": [text(pattern="^[0-9]+(\\.[0-9]+)?(m|[EPTGMk]|[EPTGMK]i)?$"), {"type": "number", "minimum": 0}]}
HOST = text(pattern="^(\\*\\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$", maxLength=253)
NAME = text(pattern="^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$", maxLength=253)
URL = text(pattern="^(https?://.+)?$")
# Of the kinds of volumes those that the restricted Pod Security Standard allows.
VOLUME = record(("name",), name=NAME, **{kind: KUBERNETES for kind in (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")})
VARIABLE = record(("name",), name=text(minLength=1), value=text(), valueFrom=KUBERNETES)
SPREAD = one_of("DoNotSchedule", "ScheduleAnyway", "None")


def probe(**more) -> dict:
    return record(periodSeconds=whole(1), timeoutSeconds=whole(1), failureThreshold=whole(1), **more)


GRACE = {"terminationGracePeriodSeconds": whole(1)}
VALUES = record(
    # Helm's own, where the chart is part of another.
    **{"global": KUBERNETES},
    fullnameOverride=text(pattern="^([a-z]([a-z0-9-]*[a-z0-9])?)?$", maxLength=49),
    commonLabels=strings(text(pattern="^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$", maxLength=63)),
    commonAnnotations=strings(),
    image=record(
        ("repository",),
        repository=text(pattern="^[a-z0-9][a-z0-9._:/-]*[a-z0-9]$"),
        tag=text(pattern="^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$", maxLength=128),
        digest=text(pattern="^(sha256:[0-9a-f]{64})?$"),
        pullPolicy=one_of("", "Always", "IfNotPresent", "Never"),
    ),
    imagePullSecrets=many(record(("name",), name=NAME)),
    settings={},
    terminationGracePeriodSeconds=whole(2),
    rollOnSettingsChange=BOOLEAN,
    extraEnv=many(VARIABLE),
    extraEnvFrom=many(),
    extraVolumes=many(VOLUME),
    extraVolumeMounts=many(),
    replicas=whole(0),
    autoscaling=record(
        by=one_of("hpa", "keda", "external", "none"),
        minReplicas=whole(1),
        maxReplicas=whole(1),
        targetCpuUtilization=whole(1),
        metrics=many(),
        kedaTriggers=many(),
        behavior=KUBERNETES,
    ),
    podDisruptionBudget=record(
        enabled=BOOLEAN, maxUnavailable={"anyOf": [whole(1), text(pattern="^[1-9][0-9]*%$")]}),
    resources=record(
        ("requests", "limits"),
        requests={"type": "object", "additionalProperties": QUANTITY, "required": ["cpu", "memory"]},
        limits={"type": "object", "additionalProperties": QUANTITY, "required": ["memory"]},
        claims=many(),
    ),
    podSecurityContext=record(
        fsGroup=whole(0),
        fsGroupChangePolicy=one_of("Always", "OnRootMismatch"),
        runAsGroup=whole(0),
        runAsUser=whole(1),
        supplementalGroups=many(whole(0)),
    ),
    podAnnotations=strings(),
    podLabels=strings(),
    minReadySeconds=whole(0),
    progressDeadlineSeconds=whole(1),
    revisionHistoryLimit=whole(0),
    priorityClassName=NAME,
    runtimeClassName=NAME,
    nodeSelector=strings(),
    affinity=record(nodeAffinity=KUBERNETES, podAffinity=KUBERNETES, podAntiAffinity=KUBERNETES),
    tolerations=many(),
    topologySpread=record(nodes=SPREAD, zones=SPREAD),
    topologySpreadConstraints=many(),
    service=record(
        type=one_of("ClusterIP", "NodePort", "LoadBalancer"),
        port=whole(1, 65535),
        nodePort={"anyOf": [{"const": 0}, whole(30000, 32767)]},
        annotations=strings(),
    ),
    serviceAccount=record(create=BOOLEAN, name=NAME, annotations=strings(), automountToken=BOOLEAN),
    networkPolicy=record(
        enabled=BOOLEAN,
        defaultDeny=BOOLEAN,
        httpFrom=many(),
        managementFrom=many(),
        dns=BOOLEAN,
        egress=many(),
    ),
    publicPaths=many(record(("path", "type"), path=text(pattern="^/"), type=one_of("Prefix", "Exact")), 1),
    ingress=record(
        enabled=BOOLEAN, className=NAME, hosts=many(HOST, 1), annotations=strings(), tlsSecretName=NAME),
    certificate=record(
        enabled=BOOLEAN, issuerRef=record(kind=one_of("ClusterIssuer", "Issuer"), name=NAME | {"minLength": 1})),
    httpRoute=record(
        enabled=BOOLEAN,
        parentRefs=many(least=1),
        hostnames=many(HOST, 1),
        annotations=strings(),
        requestTimeout=DURATION,
        backendRequestTimeout=DURATION,
    ),
    metrics=record(
        scrape=one_of("annotations", "podMonitor", "serviceMonitor", "none"),
        interval=DURATION,
        scrapeTimeout=DURATION,
        labels=strings(),
    ),
    prometheusRule=record(enabled=BOOLEAN, runbookUrl=URL),
    dashboard=record(enabled=BOOLEAN, labels=strings(), annotations=strings()),
    probes=record(startup=probe(**GRACE), liveness=probe(**GRACE), readiness=probe()),
)


def settings(reference: str) -> dict:
    """The sections of docs/settings.md, with their keys. A section of the service's own is there like the kit's."""
    schema = record()
    for entry in re.split(r"^### ", reference, flags=re.M)[1:]:
        name, about, default = re.fullmatch(
            r"`([^`\n]+)`\n\n(?:(.*?)\n\n)?Default: (.*?)\. Variable: .*", entry, re.S).groups()
        *sections, key = name.split(".")
        place = schema["properties"]
        for section in sections:
            place = place.setdefault(section, record())["properties"]
        default = default.strip("`")
        place[key] = setting(default, about or "")
        if default != "unset" and set(default) != {"*"}:
            place[key]["default"] = json.loads(default)
    return schema


def setting(default: str, about: str) -> dict:
    """A key, from its default and what is said of it: `1 to 64 characters`, `1s to 5m`, `0 to 65535`, `true or false`."""
    about = re.sub(r"\s+", " ", about)
    schema = {"description": about.split(". ")[0].removesuffix(".") + "."} if about else {}
    length = re.search(r"(\d+) to (\d+) (?:characters|of [A-Z])", about)
    numbers = re.search(r"(?<![\w.])(\d+) to (\d+)(?! characters| of [A-Z]|\w)", about)
    if default in ("true", "false"):
        return schema | BOOLEAN
    if default.startswith("["):
        return schema | {"type": "array"}
    if default.startswith("{"):
        return schema | {"type": "object"}
    if re.fullmatch(r"-?\d+\.\d+", default):
        return schema | {"type": "number"}
    if length:
        return schema | text(minLength=int(length[1]), maxLength=int(length[2]))
    if numbers and '"auto" or' in about:
        return schema | {"anyOf": [one_of("auto"), whole(int(numbers[1]), int(numbers[2]))]}
    if numbers and (default == "unset" or not default.startswith('"')):
        return schema | whole(int(numbers[1]), int(numbers[2]))
    if re.fullmatch(r"-?\d+", default):
        return schema | {"type": "integer"}
    if re.fullmatch(r'"(\d+(ms|s|m|h|d)[a-z]* ?)+"', default) or re.search(r"\b\d+(ms|s|m)\b.* to \d+(ms|s|m|h)\b", about):
        return schema | DURATION
    # `"text" for people, "json" for machines`: that begins with the words that it may be.
    words = re.findall(r'"([^"]*)"', about)
    if about.startswith('"') and default.strip('"') in words:
        return schema | one_of(*words)
    # Stars are a secret.
    if default.startswith(('"', "*")) or "host" in about:
        return schema | text()
    return schema
