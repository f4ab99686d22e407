"""Chart and kustomize make the same objects of the same settings."""

import copy
import re
import tomllib
import unittest

import yaml

from chart import helm
from common import DEPLOY
from rendered import COMPONENTS, OVERLAYS, RENDERED

OF_ITS_OWN = {"networkPolicy": {"defaultDeny": True}}
# What of the chart's values an overlay and a component are.
VALUES = {
    "dev": helm.merged(helm.DEV, OF_ITS_OWN),
    "production": OF_ITS_OWN,
    "ingress": {"ingress": {"enabled": True}},
    "gateway": {"httpRoute": {"enabled": True}},
    "prometheus-operator": {"metrics": {"scrape": "podMonitor"}, "prometheusRule": {"enabled": True}},
    "direct-load-balancer": {
        "settings": {"shutdown": {"drain_delay": "45s"}}, "terminationGracePeriodSeconds": 70},
}


def values_of(composition: str) -> dict:
    overlay, _, component = composition.partition("+")
    components = COMPONENTS if component == "all" else [component] if component else []
    return helm.merged(VALUES[overlay], *(VALUES[component] for component in components))


def normal(objects: list[dict]) -> dict[str, dict]:
    """The objects by kind and name, without what has to be different: who made them, the hash in the name of the
    ConfigMap, the form of the settings file, and what Kubernetes would fill in."""
    found = {}
    for thing in copy.deepcopy(objects):
        name = thing["metadata"]["name"] = without_hash(thing["metadata"]["name"])
        without_instance(thing)
        if thing["kind"] == "ConfigMap":
            [(file, text)] = thing["data"].items()
            thing["data"] = tomllib.loads(text) if file.endswith(".toml") else yaml.safe_load(text)
        if thing["kind"] == "Service" and thing["spec"].get("type") == "ClusterIP":
            del thing["spec"]["type"]
        found[f"{thing['kind']}/{name}"] = thing
    settings = found["ConfigMap/berth-settings"]["data"]
    pod = found["Deployment/berth"]["spec"]["template"]
    pod["metadata"]["annotations"].pop("checksum/settings", None)
    pod["spec"]["volumes"][0]["configMap"]["name"] = without_hash(pod["spec"]["volumes"][0]["configMap"]["name"])
    kept = []
    for variable in pod["spec"]["containers"][0]["env"]:
        if variable["name"].endswith("_CONFIG"):
            kept.append(variable | {"value": variable["value"].removesuffix(".toml").removesuffix(".yaml")})
        else:
            # A component has settings as variables, which win over the file.
            _, section, key = variable["name"].split("__")
            settings[section.lower()][key.lower()] = variable["value"]
    pod["spec"]["containers"][0]["env"] = kept
    return found


def without_hash(name: str) -> str:
    return re.sub(r"^(berth-settings)-\w{10}$", r"\1", name)


def without_instance(value: object) -> None:
    """Takes away the labels that tell one deployment from another, in selectors, too."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        without_instance(inner)
    if isinstance(value, dict):
        for label in ("app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"):
            value.pop(label, None)


class Same(unittest.TestCase):
    maxDiff = 4000

    def test_every_overlay_with_every_component(self):
        for name, objects in RENDERED.items():
            namespace = {"dev": "berth-dev", "production": "berth"}[name.split("+")[0]]
            made = helm.render(values_of(name), namespace=namespace)
            wanted = normal([thing for thing in objects if thing["kind"] != "Namespace"])
            found = normal([thing for thing in made if not helm.is_hook(thing)])
            self.assertEqual(set(found), set(wanted), name)
            for key, thing in wanted.items():
                with self.subTest(composition=name, object=key):
                    self.assertEqual(found[key], thing)
        print(f"\n{len(RENDERED)} compositions of kustomize are the chart's, too", flush=True)

    def test_a_difference_is_seen(self):
        wanted = normal(RENDERED["production"])
        for values in ({"resources": {"limits": {"memory": "65Mi"}}}, {"settings": {"log": {"format": "text"}}},
                       {"service": {"port": 81}}, {"networkPolicy": {"dns": False}}):
            found = normal(helm.render(helm.merged(OF_ITS_OWN, values))[:])
            with self.subTest(values):
                self.assertNotEqual({key: found[key] for key in wanted}, wanted)

    def test_nothing_is_left_out(self):
        self.assertEqual(set(VALUES), {*OVERLAYS, *COMPONENTS})

    def test_the_dashboard_is_the_one_of_the_repository(self):
        made = helm.render({"dashboard": {"enabled": True, "annotations": {"grafana_folder": "Services"}}})
        [thing] = [thing for thing in made if thing["metadata"]["name"] == "berth-dashboard"]
        self.assertEqual(thing["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(thing["metadata"]["annotations"], {"grafana_folder": "Services"})
        [(name, text)] = thing["data"].items()
        self.assertEqual(text, (DEPLOY / "grafana" / "dashboards" / name).read_text())


if __name__ == "__main__":
    unittest.main()
