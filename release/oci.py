#!/usr/bin/env python3
"""Makes of an image what is published: the same digest for the same files and labels, whatever engine has built it.

    oci.py normal FOLDER LAYOUT [NAME=VALUE…]   of FOLDER, which `skopeo copy … dir:FOLDER` has written, into LAYOUT;
                                                NAME=VALUE are annotations
    oci.py join LAYOUT DIGEST…                  an index of images in LAYOUT, one a platform

Each prints the digest of what it has made. LAYOUT is a folder in the OCI image layout, as `skopeo copy oci:LAYOUT` reads
it. What an engine adds of its own (names of the containers that it built in, the time of the build, its way to compress)
is left out; what Docker alone knows of an image (HEALTHCHECK) stays.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile
import zlib

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# Of an image's configuration; the rest is the engine's own.
KEPT = ("architecture", "os", "variant", "config", "rootfs")
KEPT_CONFIG = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Healthcheck", "WorkingDir", "Labels", "StopSignal")
CREATED = "org.opencontainers.image.created"


class Layout:
    """A folder in the OCI image layout."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.blobs = folder / "blobs" / "sha256"
        self.blobs.mkdir(parents=True, exist_ok=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def add(self, media_type: str, content: bytes) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def add_json(self, media_type: str, value: dict) -> dict:
        return self.add(media_type, json.dumps(value, sort_keys=True, separators=(",", ":")).encode())

    def read(self, digest: str) -> bytes:
        content = (self.blobs / digest.removeprefix("sha256:")).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest.removeprefix("sha256:"):
            sys.exit(f"oci: {digest} has another content in {self.folder}")
        return content

    def point_to(self, descriptor: dict) -> str:
        """What is copied where a name is given without more."""
        (self.folder / "index.json").write_text(json.dumps(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}))
        return descriptor["digest"]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def packed(tar: bytes) -> bytes:
    """Compressed, without a time and a name."""
    return gzip.compress(tar, compresslevel=9, mtime=0)


def unpacked(blob: bytes) -> bytes:
    return zlib.decompress(blob, wbits=31) if blob[:2] == b"\x1f\x8b" else blob


def plain(tar: bytes) -> bytes:
    """A layer whose archive says of each file what an image needs, in one order: engines write other headers."""
    packed_again = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(tar)) as source, \
            tarfile.open(fileobj=packed_again, mode="w", format=tarfile.PAX_FORMAT) as target:
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            content = source.extractfile(member) if member.isreg() else None
            member.uname = member.gname = ""
            member.mtime = int(member.mtime)
            member.pax_headers = {key: value for key, value in member.pax_headers.items()
                                  if key.startswith("SCHILY.xattr.")}
            target.addfile(member, content)
    return packed_again.getvalue()


def normal(folder: pathlib.Path, layout: Layout, annotations: dict[str, str]) -> str:
    source = json.loads((folder / "manifest.json").read_bytes())
    blob = lambda descriptor: (folder / descriptor["digest"].removeprefix("sha256:")).read_bytes()  # noqa: E731
    given = json.loads(blob(source["config"]))
    tars = [unpacked(blob(descriptor)) for descriptor in source["layers"]]
    if [digest_of(tar) for tar in tars] != given["rootfs"]["diff_ids"]:
        sys.exit(f"oci: the layers in {folder} are not those that its configuration names")
    # The last one is ours, and of the engine that has built it; those below are the base image's.
    tars[-1] = plain(tars[-1])
    layers = [layout.add(LAYER, packed(tar)) for tar in tars]
    config = {key: given[key] for key in KEPT if given.get(key)}
    config["rootfs"] = {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]}
    config["config"] = {key: value for key, value in given["config"].items() if key in KEPT_CONFIG and value}
    # Which version of an engine has built it is the engine's own, too.
    labels = {name: value for name, value in config["config"].get("Labels", {}).items()
              if not name.startswith("io.buildah.")}
    config["config"]["Labels"] = labels
    config["created"] = labels.get(CREATED, "1970-01-01T00:00:00Z")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add_json(CONFIG, config),
        "layers": layers,
        "annotations": {name: value for name, value in labels.items() if name.startswith("org.opencontainers.")}
        | annotations,
    }
    return layout.point_to(layout.add_json(MANIFEST, manifest))


def join(layout: Layout, digests: list[str]) -> str:
    images, annotations = [], None
    for digest in digests:
        content = layout.read(digest)
        manifest = json.loads(content)
        config = json.loads(layout.read(manifest["config"]["digest"]))
        platform = {key: config[key] for key in ("architecture", "os", "variant") if key in config}
        images.append({"mediaType": MANIFEST, "digest": digest, "size": len(content), "platform": platform})
        # What all of them say.
        said = manifest.get("annotations", {}).items()
        annotations = dict(said) if annotations is None else dict(annotations.items() & said)
    # In one order, whichever build was first.
    images.sort(key=lambda image: json.dumps(image["platform"], sort_keys=True))
    platforms = [json.dumps(image["platform"], sort_keys=True) for image in images]
    if len(set(platforms)) != len(platforms) or not platforms:
        sys.exit(f"oci: an index has one image for each platform, not {', '.join(platforms) or 'none'}")
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images, "annotations": annotations}
    return layout.point_to(layout.add_json(INDEX, index))


def main() -> None:
    match sys.argv[1:]:
        case ["normal", folder, layout, *annotations]:
            pairs = dict(annotation.split("=", 1) for annotation in annotations)
            print(normal(pathlib.Path(folder), Layout(pathlib.Path(layout)), pairs))
        case ["join", layout, *digests]:
            print(join(Layout(pathlib.Path(layout)), digests))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
