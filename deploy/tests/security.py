"""What the objects may do, and whom they may reach."""

import copy
import unittest

from common import namespace_of, the
from policies.restricted import restricted_faults
from rendered import NEWEST, OVERLAYS, RENDERED, schema_faults


class Security(unittest.TestCase):
    def pod(self, name: str = "production") -> dict:
        return copy.deepcopy(the(RENDERED[name], "Deployment")["spec"]["template"]["spec"])

    def test_the_restricted_profile(self):
        for name in RENDERED:
            with self.subTest(composition=name):
                self.assertEqual(restricted_faults(self.pod(name)), [])

    def test_the_check_sees_what_is_forbidden(self):
        def pod(**fields):
            return self.pod() | fields

        def context(**fields):
            changed = self.pod()
            changed["securityContext"].update(fields)
            return changed

        def container(**fields):
            changed = self.pod()
            changed["containers"][0]["securityContext"].update(fields)
            return changed

        def without(*path):
            changed = place = self.pod()
            for step in path[:-1]:
                place = place[step]
            del place[path[-1]]
            return changed

        ports = self.pod()
        ports["containers"][0]["ports"][0]["hostPort"] = 8080
        overridden = context(seccompProfile={"type": "Unconfined"})
        overridden["containers"][0]["securityContext"]["seccompProfile"] = {"type": "RuntimeDefault"}
        probed, hooked = self.pod(), self.pod()
        probed["containers"][0]["livenessProbe"]["httpGet"]["host"] = "10.0.0.1"
        hooked["containers"][0]["lifecycle"] = {"preStop": {"tcpSocket": {"host": "10.0.0.1", "port": 80}}}
        root = without("containers", 0, "securityContext", "runAsNonRoot")
        del root["securityContext"]["runAsNonRoot"]
        for what, broken in {
            "hostNetwork": pod(hostNetwork=True),
            "hostPID": pod(hostPID=True),
            "hostIPC": pod(hostIPC=True),
            "hostPath": pod(volumes=[{"name": "root", "hostPath": {"path": "/"}}]),
            "sysctls": context(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
            "root": context(runAsUser=0),
            "no seccomp": without("securityContext", "seccompProfile"),
            "unconfined": context(seccompProfile={"type": "Unconfined"}),
            "unconfined container": container(seccompProfile={"type": "Unconfined"}),
            "privileged": container(privileged=True),
            "escalation": container(allowPrivilegeEscalation=True),
            "escalation by default": without(
                "containers", 0, "securityContext", "allowPrivilegeEscalation"),
            "capability": container(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
            "capabilities kept": container(capabilities={}),
            "root container": container(runAsUser=0),
            "may be root": container(runAsNonRoot=False),
            "may be root by default": root,
            "procMount": container(procMount="Unmasked"),
            "hostPort": ports,
            "unconfined pod, confined container": overridden,
            "root pod": context(runAsNonRoot=False),
            "host process": context(windowsOptions={"hostProcess": True}),
            "host of a probe": probed,
            "host of a hook": hooked,
            "SELinux": container(seLinuxOptions={"type": "spc_t"}),
            "AppArmor": container(appArmorProfile={"type": "Unconfined"}),
            "init container": pod(initContainers=[{"name": "init", "image": "x"}]),
        }.items():
            with self.subTest(what):
                self.assertTrue(restricted_faults(broken))

    def test_beyond_the_profile(self):
        for name in OVERLAYS:
            pod, objects = self.pod(name), RENDERED[name]
            own = pod["containers"][0]["securityContext"]
            with self.subTest(composition=name):
                self.assertIs(own["readOnlyRootFilesystem"], True)
                self.assertIs(pod["automountServiceAccountToken"], False)
                self.assertIs(pod["enableServiceLinks"], False)
                self.assertEqual(pod["serviceAccountName"], "berth")
                account = the(objects, "ServiceAccount")
                self.assertIs(account["automountServiceAccountToken"], False)
                # OpenShift assigns it.
                for context in (pod["securityContext"], own):
                    self.assertNotIn("runAsUser", context)
                    self.assertNotIn("fsGroup", context)
                self.assertIn("memory", pod["containers"][0]["resources"]["limits"])
                for resource in ("cpu", "memory"):
                    self.assertIn(resource, pod["containers"][0]["resources"]["requests"])

    def test_the_namespace_enforces_it(self):
        for name, objects in RENDERED.items():
            namespace = namespace_of(name.split("+")[0])
            labels = namespace["metadata"]["labels"]
            with self.subTest(composition=name):
                for mode in ("enforce", "warn", "audit"):
                    self.assertEqual(labels[f"pod-security.kubernetes.io/{mode}"], "restricted")
                for thing in (thing for thing in objects if thing["kind"] != "Namespace"):
                    self.assertEqual(thing["metadata"]["namespace"], namespace["metadata"]["name"])
                for version in NEWEST:
                    self.assertEqual(schema_faults([namespace], version), [])

    def test_to_delete_what_was_applied_leaves_a_namespace_that_others_may_use(self):
        for name, objects in RENDERED.items():
            with self.subTest(composition=name):
                # A trial is one `kubectl apply -k`, and one `kubectl delete -k`.
                is_trial = name.split("+")[0] == "dev"
                self.assertEqual("Namespace" in {thing["kind"] for thing in objects}, is_trial)

    def test_the_network_is_closed_but_for_what_is_needed(self):
        for name in OVERLAYS:
            deny = the(RENDERED[name], "NetworkPolicy", "default-deny")["spec"]
            self.assertEqual(deny, {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
            own = the(RENDERED[name], "NetworkPolicy")["spec"]
            open_to = {port["port"]: rule.get("from") for rule in own["ingress"] for port in rule["ports"]}
            self.assertEqual(open_to, {
                "http": None,
                "management": [{"namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            })
            names = {}
            for rule in own["egress"]:
                self.assertTrue(rule["to"])
                ports = {(p["protocol"], p["port"]) for p in rule["ports"]}
                self.assertEqual(len({port for _, port in ports}), 1)
                self.assertEqual({protocol for protocol, _ in ports}, {"UDP", "TCP"})
                for peer in rule["to"]:
                    space = peer.get("namespaceSelector", {}).get("matchLabels", {})
                    pods = peer.get("podSelector", {}).get("matchLabels", {})
                    where = (*space.values(), *(f"{k}={v}" for k, v in pods.items()))
                    names[where or (peer["ipBlock"]["cidr"],)] = rule["ports"][0]["port"]
            # The DNS of Kubernetes, its cache on each node, and that of OpenShift, whose pods listen
            # on another port than their Service.
            self.assertEqual(names, {
                ("kube-system", "k8s-app=kube-dns"): 53,
                ("169.254.20.10/32",): 53,
                ("openshift-dns", "dns.operator.openshift.io/daemonset-dns=default"): 5353,
            })


if __name__ == "__main__":
    unittest.main()
