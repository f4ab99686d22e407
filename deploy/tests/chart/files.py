"""The chart as a folder and as a package: what is written, what is linked, and what `helm lint` says."""

import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import unittest

import yaml

from chart import helm
from chart.combinations import COMBINATIONS
from common import DEPLOY, WORK


def leaves(values: dict, path: str = "") -> set[str]:
    found = set()
    for key, value in values.items():
        found |= leaves(value, f"{path}{key}.") if isinstance(value, dict) and value else {f"{path}{key}"}
    return found


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = WORK / "chart"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def test_what_is_written_is_up_to_date(self):
        subprocess.run([sys.executable, helm.CHARTS / "write.py", self.folder], check=True)
        for name in ("values.schema.json", "README.md"):
            self.assertEqual((helm.CHART / name).read_text(), (self.folder / name).read_text(), "run `just chart`")

    def test_the_readme_has_every_value_and_says_what_it_is(self):
        rows = {name: about for name, _, about in helm.write().rows((helm.CHART / "values.yaml").read_text())}
        # A flow mapping is one value.
        wanted = {re.sub(r"^(probes\.\w+|dashboard\.labels)\..*", r"\1", name) for name in leaves(helm.DEFAULTS)}
        self.assertLessEqual(wanted, set(rows))
        for name in wanted:
            parts = name.split(".")
            groups = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
            self.assertTrue(any(rows.get(group) for group in groups), f"{name} has no comment in values.yaml")

    def test_the_readmes_example_is_taken(self):
        [example] = re.findall(r"```yaml\n(.*?)```", (helm.CHART / "README.md").read_text(), re.S)
        values = yaml.safe_load(example.replace("sha256:…", "sha256:" + "0" * 64))
        self.assertEqual(helm.settings_of(helm.render(values))["log"]["filter"], values["settings"]["log"]["filter"])

    def test_every_value_is_in_the_schema_and_has_a_default(self):
        schema = helm.schema()["properties"]
        self.assertEqual(set(schema) - {"global"}, set(helm.DEFAULTS))
        for name, value in helm.DEFAULTS.items():
            # Both ways; in `settings` the binary has the other defaults.
            known = schema[name].get("properties")
            if isinstance(value, dict) and known and name not in ("settings", "resources", "podSecurityContext", "affinity"):
                self.assertEqual(set(known), set(value), name)

    def test_every_value_is_used(self):
        templates = "".join(file.read_text() for file in (helm.CHART / "templates").rglob("*.*"))
        for name in leaves(helm.DEFAULTS):
            key = name.split(".")[0] if name.startswith(("settings.", "resources.", "dashboard.labels.", "probes.")) \
                else re.sub(r"(behavior)\..*", r"\1", name).rsplit(".", 1)[-1]
            self.assertRegex(templates, rf'[."]{key}\b', name)

    def test_lint(self):
        for values in ({}, helm.DEV, *(values for values, _ in COMBINATIONS[-5:])):
            self.assertEqual(helm.lint(values), [])
        self.assertTrue(helm.lint({"replicas": "2"}))

    def test_the_package_has_everything_that_the_links_lead_to(self):
        package = pathlib.Path(helm.package(self.folder))
        self.assertRegex(package.name, r"^berth-\d+\.\d+\.\d+\.tgz$")
        with tarfile.open(package) as archive:
            self.assertTrue(all(member.isreg() for member in archive))
            files = {name.split("/", 1)[1]: archive.extractfile(name).read().decode() for name in archive.getnames()}
        for name, source in {
            **{f"files/rules/{file.name}": file for file in (DEPLOY / "prometheus" / "rules").iterdir()},
            "files/dashboard.json": next((DEPLOY / "grafana" / "dashboards").iterdir()),
            **{name: helm.CHART / name for name in ("README.md", "values-dev.yaml", "values.schema.json")},
        }.items():
            self.assertEqual(files[name], source.read_text(), name)
        with helm.load(package) as packaged:
            for values, _ in COMBINATIONS[:3] + COMBINATIONS[-3:]:
                self.assertEqual(helm.files(values, chart=packaged), helm.files(values))

    def test_a_checkout_without_links_is_told(self):
        copy = self.folder / "copy"
        shutil.copytree(helm.CHART, copy, symlinks=True)
        # As Git leaves them on a system that has none.
        for link in (copy / "files").iterdir():
            text = str(link.readlink())
            link.unlink()
            link.write_text(text)
        with helm.load(copy) as chart:
            helm.files({}, chart=chart)
            for values, file in (({"prometheusRule": {"enabled": True}}, "rules/alerts.yml"),
                                 ({"dashboard": {"enabled": True}}, "dashboard.json")):
                with self.assertRaises(helm.Refused) as caught:
                    helm.files(values, chart=chart)
                self.assertIn(f"files/{file} is missing: the chart was taken from a checkout without", str(caught.exception))

    def test_the_versions(self):
        chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
        workspace = tomllib.loads((DEPLOY.parent / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        self.assertEqual(chart["appVersion"], workspace)
        smallest = re.search(r"^Kubernetes (\d+\.\d+) or later\.", (DEPLOY / "README.md").read_text(), re.M)[1]
        self.assertEqual(chart["kubeVersion"], f">={smallest}.0-0")

    def test_no_two_releases_get_into_each_others_way(self):
        # A name of Kubernetes has 63 characters, also with what the chart puts after it.
        for name in ("berth", "a", "x" * 53, "blue", "berth-green"):
            objects = helm.render({**COMBINATIONS[-1][0], "fullnameOverride": "", "dashboard": {"enabled": True}}, name)
            names = {thing["metadata"]["name"] for thing in objects}
            self.assertLessEqual(max(map(len, names)), 63)
        one, two = ({(thing["kind"], thing["metadata"]["name"]) for thing in helm.render({}, name)} for name in ("one", "two"))
        self.assertEqual(one & two, set())

    def test_the_notes(self):
        def notes(**values) -> str:
            return next(text for path, text in helm.files(values).items() if path.endswith("NOTES.txt"))
        self.assertIn("WARNING: that is the image of the example", notes())
        own = notes(image={"repository": "registry.test/berth"}, ingress={"enabled": True})
        self.assertNotIn("WARNING", own)
        self.assertIn("curl https://berth.example.com/api/v1", own)
        self.assertIn("helm -n berth test berth", own)
        # No line is left of a template.
        for values, _ in COMBINATIONS:
            text = next(text for path, text in helm.files(values).items() if path.endswith("NOTES.txt"))
            self.assertNotRegex(text, r"\{\{|<no value>|%!")


if __name__ == "__main__":
    unittest.main()
