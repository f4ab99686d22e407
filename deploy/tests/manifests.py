"""The Kubernetes objects, as kustomize renders them."""

import copy
import json
import re
import socket
import subprocess
import tomllib
import unittest

from common import DEPLOY, PROGRAM, WORK, copy_of_deploy, kustomize, namespace_of, settings_of, the
from processes import clean_environment, free_port, get, wait_for
from rendered import NEWEST, OVERLAYS, RENDERED, schema_faults

# How long the end may take after shutdown.timeout: actix looks once a second, and the log is flushed.
SLACK = 1.5


def seconds(duration: str) -> float:
    """A duration, as the settings and the Gateway API write it."""
    assert re.fullmatch(r"\d+(ms|s|m)( ?\d+(ms|s|m))*", duration), duration
    parts = re.findall(r"(\d+)(ms|s|m)", duration)
    return sum(int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit] for number, unit in parts)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def custom(objects: list[dict]) -> list[dict]:
    groups = ("gateway.networking.k8s.io", "monitoring.coreos.com")
    return [o for o in objects if o["apiVersion"].split("/")[0] in groups]


def custom_faults(objects: list[dict]) -> list[str]:
    done = subprocess.run(
        ["node", "crds.mjs"], cwd=WORK / "crds", input=json.dumps(objects),
        capture_output=True, text=True,
    )
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    return done.stdout.splitlines()


class Schemas(unittest.TestCase):
    def test_every_object_of_every_composition(self):
        for version in NEWEST:
            for name, objects in RENDERED.items():
                with self.subTest(version=version, composition=name):
                    self.assertEqual(schema_faults(objects, version), [])
        print(f"\nKubernetes {', '.join(NEWEST)}: {len(RENDERED)} compositions, "
              f"{len(RENDERED['production+all'])} objects in the largest", flush=True)

    def test_custom_resources(self):
        for overlay in OVERLAYS:
            objects = custom(RENDERED[f"{overlay}+all"])
            kinds = {thing["kind"] for thing in objects}
            self.assertEqual(kinds, {"HTTPRoute", "PodMonitor", "PrometheusRule"})
            self.assertEqual(custom_faults(objects), [])

    def test_the_schemas_refuse(self):
        newest = NEWEST[-1]
        for path, value in (
            (("spec", "template", "spec", "containers", 0, "readinesProbe"), {}),
            (("spec", "minReadySeconds"), "five"),
            (("spec", "strategie"), {}),
        ):
            objects = copy.deepcopy(RENDERED["production"])
            place = the(objects, "Deployment")
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            with self.subTest(path=path):
                self.assertEqual(len(schema_faults(objects, newest)), 1)
        route, monitor, rule = sorted(
            copy.deepcopy(custom(RENDERED["dev+all"])), key=lambda thing: thing["kind"]
        )
        route["spec"]["rules"][0]["timeouts"]["request"] = "a while"
        monitor["spec"]["podMetricsEndpoints"][0]["intervall"] = "15s"
        rule["spec"]["groups"][0]["rules"][0]["expr"] = []
        for thing in (route, monitor, rule):
            with self.subTest(kind=thing["kind"]):
                self.assertTrue(custom_faults([thing]))


class Lifecycle(unittest.TestCase):
    """The manifests, the settings they mount and the binary agree."""

    def service(self, objects: list[dict], *arguments: str, **more: str):
        """The binary, with the mounted settings and the container's own environment."""
        container = the(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
        folder = WORK / "mounted" / settings_of(objects)["metadata"]["name"]
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in settings_of(objects)["data"].items():
            (folder / file).write_text(text)
        env = {variable["name"]: variable["value"] for variable in container["env"]}
        mount = container["volumeMounts"][0]["mountPath"]
        env = {key: value.replace(mount, str(folder)) for key, value in env.items()}
        self.assertIn(str(folder), env["BERTH_CONFIG"])
        self.assertNotIn("args", container)
        return subprocess.Popen(
            [PROGRAM, *arguments], env=clean_environment(**env, **more),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def effective(self, objects: list[dict]) -> dict[str, str]:
        process = self.service(objects, "check")
        out, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 0, err)
        lines = (line.split("=", 1) for line in out.splitlines() if "=" in line)
        return {key.strip(): value.strip().split("  ")[0].strip('"') for key, value in lines}

    def test_berth_check_accepts_the_mounted_settings(self):
        for name in OVERLAYS:
            with self.subTest(composition=name):
                self.assertEqual(self.effective(RENDERED[name])["app.environment"], name)

    def test_berth_check_refuses_a_drain_that_does_not_fit(self):
        objects = copy.deepcopy(RENDERED["production"])
        data = settings_of(objects)["data"]
        data["settings.toml"] = data["settings.toml"].replace('timeout = "20s"', 'timeout = "40s"')
        settings_of(objects)["metadata"]["name"] += "-broken"
        volumes = the(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
        volumes[0]["configMap"]["name"] += "-broken"
        process = self.service(objects, "check")
        self.assertIn("grace_period", process.communicate(timeout=10)[1])
        self.assertEqual(process.returncode, 2)

    def test_the_drain_fits_into_the_grace_period(self):
        for name, objects in RENDERED.items():
            with self.subTest(composition=name):
                pod = the(objects, "Deployment")["spec"]["template"]["spec"]
                grace = pod["terminationGracePeriodSeconds"]
                effective = self.effective(objects)
                delay = seconds(effective["shutdown.drain_delay"])
                timeout = seconds(effective["shutdown.timeout"])
                self.assertEqual(seconds(effective["shutdown.grace_period"]), grace)
                self.assertLess(delay + timeout + SLACK, grace)
                # Whoever decides by /ready must have seen it before the last connection is taken.
                probe = pod["containers"][0]["readinessProbe"]
                self.assertLess(probe["periodSeconds"] * probe["failureThreshold"], delay)
                # No handler can be cut off that keeps to its own limit.
                self.assertLess(seconds(effective["server.request_timeout"]), timeout)
                # The comment that explains it has the same figures.
                text = "".join(file.read_text() for file in (
                    DEPLOY / "base" / "deployment.yaml",
                    DEPLOY / "components" / "direct-load-balancer" / "deployment.yaml"))
                for line in (rf"# +{delay:g}    drain_delay", rf"# +{timeout:g}    timeout",
                             rf"# +{delay + timeout + SLACK:g}  < {grace}\b"):
                    self.assertRegex(text, line)

    def test_the_route_waits_longer_than_the_handler_may_take(self):
        for overlay in OVERLAYS:
            objects = RENDERED[f"{overlay}+gateway"]
            own = seconds(self.effective(objects)["server.request_timeout"])
            for rule in the(objects, "HTTPRoute")["spec"]["rules"]:
                backend = seconds(rule["timeouts"]["backendRequest"])
                self.assertLess(own, backend)
                self.assertLessEqual(backend, seconds(rule["timeouts"]["request"]))

    def test_ports_and_paths_are_the_binarys(self):
        for name in OVERLAYS:
            with self.subTest(composition=name):
                objects = RENDERED[name]
                effective = self.effective(objects)
                template = the(objects, "Deployment")["spec"]["template"]
                container = template["spec"]["containers"][0]
                ports = {port["name"]: port["containerPort"] for port in container["ports"]}
                self.assertEqual(ports, {
                    "http": int(effective["server.port"]),
                    "management": int(effective["management.port"]),
                })
                notes = template["metadata"]["annotations"]
                self.assertEqual(notes["prometheus.io/scrape"], "true")
                self.assertEqual(notes["prometheus.io/port"], effective["management.port"])
                self.assertEqual(notes["prometheus.io/path"], effective["metrics.path"])
                monitors = [e for o in RENDERED[f"{name}+prometheus-operator"]
                            if o["kind"] == "PodMonitor" for e in o["spec"]["podMetricsEndpoints"]]
                self.assertEqual([(m["port"], m["path"]) for m in monitors],
                                 [("management", effective["metrics.path"])])
                service = the(objects, "Service")
                self.assertEqual([p["targetPort"] for p in service["spec"]["ports"]], ["http"])

                port, private = free_port(), free_port()
                server = self.service(objects, PORT=str(port), BERTH__MANAGEMENT__PORT=str(private))
                try:
                    wait_for(f"http://127.0.0.1:{port}/health", server)
                    self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/health")
                    self.assertEqual(container["startupProbe"]["httpGet"]["path"], "/health")
                    self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/ready")
                    # Whether it lives is not asked where clients can keep a probe waiting; whether it takes more, is.
                    asked = {"startupProbe": "management", "livenessProbe": "management", "readinessProbe": "http"}
                    for probe, name_of_port in asked.items():
                        handler = container[probe]["httpGet"]
                        self.assertEqual(handler["port"], name_of_port)
                        there = {"http": port, "management": private}[name_of_port]
                        self.assertEqual(
                            get(f"http://127.0.0.1:{there}{handler['path']}")[0], 200)
                    # On every address, of both families: the kubelet asks the pod's first one.
                    self.assertEqual(effective["server.host"], "::")
                    if has_ipv6():
                        for there in (port, private):
                            self.assertEqual(get(f"http://[::1]:{there}/health")[0], 200)
                    metrics = notes["prometheus.io/path"]
                    self.assertEqual(get(f"http://127.0.0.1:{private}{metrics}")[0], 200)
                    self.assertEqual(get(f"http://127.0.0.1:{port}{metrics}")[0], 404)
                    # Faults are for a rehearsal, not for production.
                    faults = get(f"http://127.0.0.1:{private}/faults")[0]
                    self.assertEqual(faults, 200 if name == "dev" else 404)
                    for rule in self.public_paths():
                        path = "/api/v1/hello" if rule == "/api/v1" else rule
                        self.assertEqual(get(f"http://127.0.0.1:{port}{path}")[0], 200)
                    server.terminate()
                    server.communicate(timeout=10)
                    self.assertEqual(server.returncode, 0)
                finally:
                    server.kill()
                    server.communicate()

    def public_paths(self) -> set[str]:
        """What ingress and gateway let in; both the same, and nothing that is for machines."""
        objects = RENDERED["production+all"]
        ingress = {path["path"] for rule in the(objects, "Ingress")["spec"]["rules"]
                   for path in rule["http"]["paths"]}
        route = {match["path"]["value"] for rule in the(objects, "HTTPRoute")["spec"]["rules"]
                 for match in rule["matches"]}
        self.assertEqual(ingress, route)
        self.assertEqual(ingress, {"/api/v1", "/openapi.json"})
        return ingress


class Rollout(unittest.TestCase):
    def test_no_pod_goes_before_the_next_one_is_ready(self):
        for name in OVERLAYS:
            deployment = the(RENDERED[name], "Deployment")["spec"]
            self.assertEqual(
                deployment["strategy"],
                {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
            self.assertGreater(deployment["minReadySeconds"], 0)
            self.assertIn("revisionHistoryLimit", deployment)
            container = deployment["template"]["spec"]["containers"][0]
            self.assertNotIn("lifecycle", container)
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                self.assertNotIn("exec", container[probe])

    def test_a_change_of_the_settings_rolls_the_pods(self):
        for name in OVERLAYS:
            with self.subTest(overlay=name):
                folder = copy_of_deploy("changed") / "overlays" / name
                settings = folder / "settings.toml"
                settings.write_text(settings.read_text() + "\n# changed\n")
                changed = kustomize(folder)
                self.assertNotEqual(the(changed, "Deployment")["spec"]["template"],
                                    the(RENDERED[name], "Deployment")["spec"]["template"])

    def test_selectors_match_and_never_have_a_version(self):
        for name, objects in RENDERED.items():
            deployment = the(objects, "Deployment")["spec"]
            labels = deployment["template"]["metadata"]["labels"].items()
            selectors = [deployment["selector"]["matchLabels"], the(objects, "Service")["spec"]["selector"],
                         the(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
            selectors += [spread["labelSelector"]["matchLabels"]
                          for spread in deployment["template"]["spec"]["topologySpreadConstraints"]]
            selectors += [o["spec"]["selector"]["matchLabels"] for o in objects
                          if o["kind"] in ("PodDisruptionBudget", "PodMonitor")]
            with self.subTest(composition=name):
                for selector in selectors:
                    self.assertLessEqual(selector.items(), labels)
                    self.assertLessEqual(set(selector), {"app.kubernetes.io/name",
                                                         "app.kubernetes.io/component"})
                for thing in objects:
                    self.assertEqual(
                        thing["metadata"]["labels"]["app.kubernetes.io/name"], "berth")

    def test_every_deployment_tells_itself_from_the_others(self):
        instances = {}
        for name, objects in RENDERED.items():
            overlay = name.split("+")[0]
            template = the(objects, "Deployment")["spec"]["template"]
            labelled = [*objects, template, namespace_of(overlay)]
            found = {thing["metadata"]["labels"].get("app.kubernetes.io/instance") for thing in labelled}
            with self.subTest(composition=name):
                self.assertEqual(len(found), 1, found)
                self.assertNotIn(None, found)
                self.assertEqual(instances.setdefault(overlay, found), found)
        self.assertEqual(len({*map(str, instances.values())}), len(OVERLAYS))

    def test_pods_must_be_on_different_nodes_and_wait_for_no_zone(self):
        for name in OVERLAYS:
            pod = the(RENDERED[name], "Deployment")["spec"]["template"]["spec"]
            spread = {c["topologyKey"]: c for c in pod["topologySpreadConstraints"]}
            self.assertEqual({key: c["whenUnsatisfiable"] for key, c in spread.items()},
                             {"kubernetes.io/hostname": "DoNotSchedule",
                              "topology.kubernetes.io/zone": "ScheduleAnyway"})
            for constraint in spread.values():
                self.assertEqual(constraint["maxSkew"], 1)
                # Or the pods of the last revision bend the spread of the next.
                self.assertEqual(constraint["matchLabelKeys"], ["pod-template-hash"])
            # Or a node that is being drained must have a pod before another gets its second.
            self.assertEqual(spread["kubernetes.io/hostname"]["nodeTaintsPolicy"], "Honor")

    def test_a_pod_is_scraped_once(self):
        for name, objects in RENDERED.items():
            notes = the(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]
            by_annotation = sorted(key for key in notes if key.startswith("prometheus.io/"))
            monitors = [o for o in objects if o["kind"] == "PodMonitor"]
            with self.subTest(composition=name):
                self.assertEqual(by_annotation, [] if monitors else [
                    "prometheus.io/path", "prometheus.io/port", "prometheus.io/scrape"])
                self.assertEqual(notes["kubectl.kubernetes.io/default-container"], "berth")

    def test_dev(self):
        objects = RENDERED["dev"]
        deployment = the(objects, "Deployment")["spec"]
        self.assertEqual(deployment["replicas"], 1)
        container = deployment["template"]["spec"]["containers"][0]
        self.assertEqual(container["image"], "berth:dev")
        self.assertEqual(container["imagePullPolicy"], "IfNotPresent")
        service = the(objects, "Service")["spec"]
        self.assertEqual((service["type"], service["ports"][0]["nodePort"]), ("NodePort", 30080))

    def test_production(self):
        objects = RENDERED["production"]
        deployment = the(objects, "Deployment")["spec"]
        self.assertNotIn("replicas", deployment)
        scaler = the(objects, "HorizontalPodAutoscaler")
        self.assertEqual(scaler["apiVersion"], "autoscaling/v2")
        self.assertEqual(scaler["spec"]["scaleTargetRef"],
                         {"apiVersion": "apps/v1", "kind": "Deployment", "name": "berth"})
        self.assertGreaterEqual(scaler["spec"]["minReplicas"], 2)
        self.assertIn("scaleDown", scaler["spec"]["behavior"])
        budget = the(objects, "PodDisruptionBudget")["spec"]
        self.assertEqual(budget["maxUnavailable"], 1)
        self.assertEqual(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow")
        image = deployment["template"]["spec"]["containers"][0]["image"]
        self.assertRegex(image, r"^[^/]+\.[^/]+/.+(@sha256:[0-9a-f]{64}|:\d+\.\d+\.\d+)$")
        # The version is the workspace's.
        manifest = tomllib.loads((DEPLOY.parent / "Cargo.toml").read_text())
        self.assertTrue(image.endswith(":" + manifest["workspace"]["package"]["version"]))
        text = settings_of(objects)["data"]["settings.toml"]
        self.assertNotIn("debug", tomllib.loads(text))

    def test_the_prometheus_rule_is_what_the_rule_files_make(self):
        component = DEPLOY / "components" / "prometheus-operator"
        made = WORK / "prometheusrule.yaml"
        subprocess.run([component / "render.sh", made], check=True)
        self.assertEqual((component / "prometheusrule.yaml").read_text(), made.read_text(),
                         "run deploy/components/prometheus-operator/render.sh")


if __name__ == "__main__":
    unittest.main()
