"""What the tests of deploy/ share. deploy/test.sh runs them, and sets the environment they need."""

import os
import pathlib
import shutil
import subprocess

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
WORK = pathlib.Path(os.environ["WORK"])
PROGRAM = os.environ["SERVICE_BIN"]


def kustomize(folder: pathlib.Path) -> list[dict]:
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def copy_of_deploy(name: str) -> pathlib.Path:
    """A copy to change, of what kustomize reads."""
    copy = WORK / "copies" / name
    shutil.rmtree(copy, ignore_errors=True)
    for folder in ("base", "components", "overlays"):
        shutil.copytree(DEPLOY / folder, copy / folder)
    return copy


def composition(name: str, overlay: str, components: list[str]) -> list[dict]:
    """An overlay with components, added as its comment tells its user to."""
    folder = copy_of_deploy(name) / "overlays" / overlay
    file = folder / "kustomization.yaml"
    added = "".join(f"  - ../../components/{component}\n" for component in components)
    file.write_text(file.read_text() + "\ncomponents:\n" + added)
    return kustomize(folder)


def folders(kind: str) -> list[str]:
    return sorted(path.name for path in (DEPLOY / kind).iterdir() if path.is_dir())


def the(objects: list[dict], kind: str, name: str = "berth") -> dict:
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind}/{name}"
    return found[0]


def namespace_of(overlay: str) -> dict:
    """What `just deploy` makes before it applies the overlay."""
    return yaml.safe_load((DEPLOY / "overlays" / overlay / "namespace.yaml").read_text())


def settings_of(objects: list[dict]) -> dict:
    """The ConfigMap that the Deployment mounts."""
    volumes = the(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
    return the(objects, "ConfigMap", volumes[0]["configMap"]["name"])
