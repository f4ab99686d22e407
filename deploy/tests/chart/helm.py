"""The chart, as Helm itself renders it: its SDK as a library of Python's, because no registry has the command."""

import contextlib
import copy
import importlib
import json
import os
import sys
from collections.abc import Iterator

import helm_python
import yaml

from common import DEPLOY, WORK

CHARTS = DEPLOY / "charts"
CHART = next(CHARTS.glob("*/Chart.yaml")).parent
DEV = yaml.safe_load((CHART / "values-dev.yaml").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())

# What the service does not start without and no settings file has, as variables: `{"BERTH__DATABASE__URL": "postgres://…"}`.
NEEDED: dict[str, str] = {}

Refused = helm_python.HelmError


@contextlib.contextmanager
def log_in_a_file() -> Iterator[None]:
    """What Helm says beside its answers: a line for each link of the chart, and for each value of another kind."""
    before = os.dup(2)
    with open(WORK / "helm.log", "a") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def load(path: os.PathLike) -> helm_python.Chart:
    with log_in_a_file():
        return helm_python.Chart.load(path)


_loaded = load(CHART)


def merged(*layers: dict) -> dict:
    """Values over values, as several `-f` are."""
    whole: dict = {}
    for layer in layers:
        for key, value in copy.deepcopy(layer).items():
            is_deeper = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if is_deeper else value
    return whole


def check(values: dict) -> None:
    """Ends with `Refused` where values.schema.json does not allow them."""
    with log_in_a_file():
        _loaded.validate_schema(values)


def files(values: dict, name: str = "berth", namespace: str = "berth", chart: helm_python.Chart = _loaded) -> dict[str, str]:
    """Each template with what comes of it, in the order that `helm install` has: the schema first."""
    with log_in_a_file():
        chart.validate_schema(values)
        return chart.render(values, name=name, namespace=namespace)


def lint(values: dict) -> list[str]:
    """What `helm lint --strict` finds, but for hints, such as that an icon would be nice."""
    with log_in_a_file():
        report = helm_python.lint(CHART, values, strict=True)
    return [message["error"] for message in report["messages"] if message["severity"] > 1] + report["errors"]


def package(folder: os.PathLike) -> str:
    with log_in_a_file():
        return helm_python.package(CHART, destination=folder)


def render(values: dict, name: str = "berth", namespace: str = "berth") -> list[dict]:
    """The objects, those of `helm test` among them."""
    return [thing for path, text in files(values, name, namespace).items() if path.endswith(".yaml")
            for thing in yaml.safe_load_all(text) if thing]


def is_hook(thing: dict) -> bool:
    return "helm.sh/hook" in thing["metadata"].get("annotations", {})


def settings_of(objects: list[dict]) -> dict:
    """What the ConfigMap has that the Deployment mounts."""
    [deployment] = [thing for thing in objects if thing["kind"] == "Deployment"]
    name = deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
    [text] = [thing["data"]["settings.yaml"] for thing in objects
              if thing["kind"] == "ConfigMap" and thing["metadata"]["name"] == name]
    return yaml.safe_load(text)


def schema() -> dict:
    return json.loads((CHART / "values.schema.json").read_text())


def write():
    """deploy/charts/write.py."""
    if str(CHARTS) not in sys.path:
        sys.path.insert(0, str(CHARTS))
    return importlib.import_module("write")
