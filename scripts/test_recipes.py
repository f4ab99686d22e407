#!/usr/bin/env python3
"""Follows the recipes of docs/recipes, each in a copy of the service, and has the compiler judge what comes of it:

    just test-recipes [RECIPE ...]

A recipe names a file in bold, says in code what to add to it in a word or two, and shows the rest in a block. What is
followed here is what stands there, and nothing else; a recipe that shows its code in another way is a fault.
"""

import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
from test_docs import ROOT  # noqa: E402

RECIPES = ROOT / "docs" / "recipes"
WORK = ROOT / "target" / "recipes"
COPY = WORK / "service"
# Those that go on from another one; the rest stands alone.
AFTER = {"testing": ["database"]}
# What shows no code of a service.
WITHOUT_CODE = {"README", "from-httpserver"}
CRATES = ("berth", "berth-config", "berth-handlers", "berth-metrics")

WORDS = r"^\*\*`(?P<file>[\w./-]+)`\*\*(?P<what>(?:(?!\n\n).)*)\n\n"
BLOCK = re.compile(WORDS + r"```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.S | re.M)
NO_BLOCK = re.compile(WORDS + r"(?!```)", re.S | re.M)
LIBRARY = "crates/handlers/src/lib.rs"


def follow(recipe: str) -> None:
    """Does what the recipe says."""
    page = (RECIPES / f"{recipe}.md").read_text()
    # Its own tests and what is tried by hand are another matter.
    page = page.split("\n## Test it")[0]
    places = list(BLOCK.finditer(page))
    assert places, f"{recipe}: there is nothing to follow"
    for place in places:
        after = page[place.end():].lstrip().split("\n\n")[0]
        change(place["file"], " ".join(place["what"].split()), place["kind"], place["body"], after)
    for place in NO_BLOCK.finditer(page):
        assert place["file"] == LIBRARY, place["file"]
        mount(place["what"])


def change(file: str, what: str, kind: str, body: str, after: str) -> None:
    path = COPY / file
    if ", new" in what:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    elif kind == "toml":
        section = re.search(r"under `(\[[\w-]+\])`", what)[1]
        replace(path, f"{section}\n", f"{section}\n{body}")
    elif file == "crates/config/src/lib.rs":
        field, name = re.search(r"`pub (\w+: \w+)`", what)[1], re.search(r"`(\w+: sections\.take\(\"\w+\"\))`", what)[1]
        replace(path, "    pub hello: Hello,\n", f"    pub hello: Hello,\n    /// Of the recipe.\n    pub {field},\n")
        replace(path, 'hello: sections.take("hello"),\n', f'hello: sections.take("hello"),\n            {name},\n')
        path.write_text(f"{path.read_text()}\n{body}")
    elif file == "crates/metrics/src/lib.rs":
        field = re.search(r"`pub (\w+: \w+)`", what)[1]
        replace(path, "    pub greetings: IntCounter,\n", f"    pub greetings: IntCounter,\n    /// Of the recipe.\n    pub {field},\n")
        replace(path, '"Greetings that were given.")?,\n', f'"Greetings that were given.")?,\n{body}')
        replace(path, "prometheus::IntCounter}", f"{re.search(r'`(prometheus::{[^`]*})`', after)[1]}}}")
    elif file == LIBRARY:
        mount(what)
        build(path, body)
        for used in re.findall(r"`([a-z_]+::[\w:{}, \n]+)`", after):
            replace(path, "use berth_config::Settings;\n", f"use berth_config::Settings;\nuse {used};\n")
    elif file == "crates/server/tests/service.rs":
        text = path.read_text()
        start = re.search(r"^fn start\(.*?^}\n", text, re.S | re.M)[0]
        used = re.search(r"^use berth_testkit::[^;]*;\n", text, re.M)[0]
        path.write_text(text.replace(start, "").replace(used, "", 1) + "\n" + body)
    else:
        sys.exit(f"nobody knows what to do with {file}: {what}")


def mount(what: str) -> None:
    """The modules and the handlers that a sentence names."""
    path = COPY / LIBRARY
    for module in re.findall(r"`(mod \w+;)`", what):
        replace(path, "pub mod info;\n", f"pub mod info;\n{module}\n")
    for service in re.findall(r"`((?:\.service\([\w:]+\))+)`", what):
        replace(path, ".service(info::info)", f".service(info::info){service}")


def build(path: pathlib.Path, body: str) -> None:
    """Lines for `build`, above its last one or with it, and, where the block says so, for `routes`."""
    in_build, _, in_routes = body.partition("    // In routes")
    last = re.search(r"^    Ok\(Routes::new.*\n", path.read_text(), re.M)[0]
    replace(path, last, in_build if "    Ok(Routes::new" in in_build else in_build + last)
    if in_routes:
        lines, _, functions = in_routes.partition("\n\n")
        served = re.search(r"^    cfg\.service.*\n", path.read_text(), re.M)[0]
        replace(path, served, lines.split("\n", 1)[1] + "\n")
        replace(path, "#[cfg(test)]", f"{functions}\n#[cfg(test)]")


def replace(path: pathlib.Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path}: there is no {old!r}"
    path.write_text(text.replace(old, new, 1))


def copy() -> None:
    """Makes the copy as it is here; what is the same keeps its time, so that it is not compiled again."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {path for path in files.split("\0") if path.startswith(("crates/", "Cargo", "rust-toolchain", "clippy"))}
    for path in listed:
        source, target = ROOT / path, COPY / path
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for crate in ("config", "handlers", "metrics", "server"):
        for target in (COPY / "crates" / crate).rglob("*"):
            if target.is_file() and str(target.relative_to(COPY)) not in listed:
                target.unlink()


def cargo(*arguments: str) -> bool:
    return subprocess.run(["cargo", *arguments], cwd=COPY, env=ENVIRONMENT).returncode == 0


def main() -> None:
    wanted = sys.argv[1:] or sorted(page.stem for page in RECIPES.glob("*.md") if page.stem not in WITHOUT_CODE)
    failed = []
    for recipe in wanted:
        print(f"== {recipe}", flush=True)
        copy()
        for each in [*AFTER.get(recipe, []), recipe]:
            follow(each)
        packages = [word for crate in CRATES for word in ("-p", crate)]
        # The lines of a page are shorter than those of the code.
        holds = cargo("clippy", "--quiet", *packages, "--all-targets", "--", "-D", "warnings")
        if not (holds and cargo("test", "--quiet", "-p", "berth-handlers", "-p", "berth-config")):
            failed.append(recipe)
    if failed:
        sys.exit(f"these recipes do not hold: {', '.join(failed)}")
    print(f"{len(wanted)} recipes hold, followed word for word")


if __name__ == "__main__":
    import os

    ENVIRONMENT = os.environ | {"CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(WORK / "target"))}
    main()
