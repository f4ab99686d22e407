#!/usr/bin/env python3
"""Packages each crate of the kit as `cargo publish` would, and builds it from what is in that package alone:

    just package-kit [--no-verify]      --no-verify builds nothing, and takes seconds

Before that: each has what a registry and docs.rs show of it, the workspace names the version that it has, and the
minimal Rust version is that of rust-toolchain.toml, with which CI builds all there is.
"""

import json
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHOWN = ("description", "license", "rust-version", "keywords", "categories")


def main() -> None:
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    toolchain = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    faults = []
    minimum = workspace["package"]["rust-version"]
    if toolchain not in (minimum, f"{minimum}.0"):
        faults.append(f"rust-version is {minimum}, and CI builds with {toolchain}: no build holds to it")
    names = []
    for manifest in sorted((ROOT / "crates" / "kit").glob("*/Cargo.toml")):
        package = tomllib.loads(manifest.read_text())["package"]
        names.append(package["name"])
        faults += [f"{package['name']} has no {key}" for key in SHOWN if key not in package]
        named = workspace["dependencies"][package["name"]].get("version")
        if named != package["version"]:
            faults.append(f"{package['name']} is {package['version']}, and Cargo.toml names {named}")
    if faults:
        sys.exit("\n".join(faults))
    packages = [word for name in names for word in ("--package", name)]
    subprocess.run(["cargo", "package", "--locked", "--quiet", *packages, *sys.argv[1:]], cwd=ROOT, check=True)
    metadata = json.loads(subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT,
                                         check=True, capture_output=True).stdout)
    folder = pathlib.Path(metadata["target_directory"]) / "package"
    for name in names:
        version = next(package["version"] for package in metadata["packages"] if package["name"] == name)
        print(f"{name}-{version}.crate: {(folder / f'{name}-{version}.crate').stat().st_size} bytes")


if __name__ == "__main__":
    main()
