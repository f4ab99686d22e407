"""The Pod Security Standard "restricted", field by field."""

import itertools


def restricted_faults(pod: dict) -> list[str]:
    """What the Pod Security Standard "restricted" (with "baseline" in it) forbids, field by field.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    faults = []

    def must(holds: bool, what: str) -> None:
        if not holds:
            faults.append(what)

    of_pod = pod.get("securityContext", {})
    profiles = (None, "RuntimeDefault", "Localhost")
    must(of_pod.get("seccompProfile", {}).get("type") in profiles, "seccompProfile of the pod")
    must(of_pod.get("runAsNonRoot") in (None, True), "runAsNonRoot of the pod")
    for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        allowed = (None, True) if field == "hostUsers" else (None, False)
        must(pod.get(field) in allowed, field)
    must(of_pod.get("windowsOptions", {}).get("hostProcess") in (None, False), "hostProcess")
    must(not of_pod.get("sysctls"), "sysctls")
    must(of_pod.get("runAsUser") != 0, "runAsUser of the pod")
    must("seLinuxOptions" not in of_pod, "seLinuxOptions of the pod")
    must("appArmorProfile" not in of_pod, "appArmorProfile of the pod")
    volumes = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
               "projected", "secret"}
    for volume in pod.get("volumes", []):
        must(set(volume) - {"name"} <= volumes, f"volume {volume['name']}")
    kinds = ("initContainers", "containers", "ephemeralContainers")
    for container in itertools.chain(*(pod.get(kind, []) for kind in kinds)):
        own = container.get("securityContext", {})
        name = container["name"]
        must(own.get("privileged") in (None, False), f"{name}: privileged")
        must(own.get("procMount") in (None, "Default"), f"{name}: procMount")
        must("seLinuxOptions" not in own, f"{name}: seLinuxOptions")
        must("appArmorProfile" not in own, f"{name}: appArmorProfile")
        must(own.get("windowsOptions", {}).get("hostProcess") in (None, False), f"{name}: hostProcess")
        for port in container.get("ports", []):
            must(port.get("hostPort") in (None, 0), f"{name}: hostPort")
        must(own.get("allowPrivilegeEscalation") is False, f"{name}: allowPrivilegeEscalation")
        must(own.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is True, f"{name}: runAsNonRoot")
        must(own.get("runAsUser") != 0, f"{name}: runAsUser")
        profile = own.get("seccompProfile", of_pod.get("seccompProfile", {})).get("type")
        must(profile is not None and profile in profiles, f"{name}: seccompProfile")
        capabilities = own.get("capabilities", {})
        must("ALL" in capabilities.get("drop", []), f"{name}: capabilities.drop")
        must(set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}, f"{name}: capabilities.add")
        asking = {probe: container.get(probe, {}) for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
        for place, handler in (asking | container.get("lifecycle", {})).items():
            for way in ("httpGet", "tcpSocket"):
                must("host" not in handler.get(way, {}), f"{name}: host of the {place}")
    return faults
