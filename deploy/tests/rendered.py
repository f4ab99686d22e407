"""Every overlay, alone, with each component and with all, as kustomize renders them."""

import itertools
import pathlib
import re

import kubernetes_validate

from common import DEPLOY, composition, folders, kustomize

OVERLAYS = folders("overlays")
COMPONENTS = folders("components")

RENDERED = {overlay: kustomize(DEPLOY / "overlays" / overlay) for overlay in OVERLAYS}
for overlay_, component_ in itertools.product(OVERLAYS, COMPONENTS):
    name_ = f"{overlay_}+{component_}"
    RENDERED[name_] = composition(name_, overlay_, [component_])
for overlay_ in OVERLAYS:
    RENDERED[f"{overlay_}+all"] = composition(f"{overlay_}+all", overlay_, COMPONENTS)

SCHEMAS = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"

# The versions of Kubernetes that there are schemas for, as (1, 37); and the newest three, as "1.37".
VERSIONS = sorted(
    tuple(map(int, re.findall(r"\d+", path.name)[:2])) for path in SCHEMAS.glob("v*-local-strict"))
NEWEST = [f"{major}.{minor}" for major, minor in VERSIONS[-3:]]


def schema_faults(objects: list[dict], version: str) -> list[str]:
    faults = []
    for thing in objects:
        if "." in thing["apiVersion"].split("/")[0] and "k8s.io" not in thing["apiVersion"]:
            continue
        if thing["apiVersion"].startswith("gateway.networking.k8s.io"):
            continue
        try:
            kubernetes_validate.validate(thing, version, strict=True)
        except (
            kubernetes_validate.ValidationError,
            kubernetes_validate.SchemaNotFoundError,
            kubernetes_validate.InvalidSchemaError,
        ) as error:
            faults.append(f"{thing['kind']}/{thing['metadata']['name']} in {version}: {error}")
    return faults
