#!/usr/bin/env python3
"""Makes a service of one's own out of Berth, in a repository of its own with one commit:

    just new NAME [FOLDER]      FOLDER is ../NAME unless it is given

What is the team's gets the name: crates, binary, image, manifests, chart, dashboard, alerts, variables. What is the
kit's stays as it is, to the byte, so that `just update-from` can bring later versions of it.
`--tree` writes the files and makes no repository of them.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

BERTH = pathlib.Path(__file__).resolve().parent.parent

# Of no use to a service: what measures Berth, shows it, and makes services of it.
LEFT_OUT = (".ci/kit", ".ci/nightly", ".github/workflows/nightly.yml", ".github/workflows/semver.yml",
            "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "README.md",
            "crates/bench/", "crates/fuzz/", "examples/", "scripts/")
# What a service has in their place.
INSTEAD = ("CHANGELOG.md", "README.md")
# The kit's, to the byte.
KIT = "crates/kit/"
# Where a word with a capital names the service; elsewhere it names the kit.
DEPLOYED = ("deploy/", "docker/", "release/", "README.md")
# A line of a file that the service has, but for this line.
OF_BERTHS_OWN = "# of Berth's own"

RESERVED = set("""abstract as async await become box break const continue crate do dyn else enum extern false final fn
    for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct super trait
    true try type typeof unsafe unsized use virtual where while yield
    alloc core proc-macro std test
    build deps examples incremental
    default""".split())
LONGEST = 30


def main() -> None:
    parser = argparse.ArgumentParser(prog="just new")
    parser.add_argument("name")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--tree", action="store_true", help="write the files, and make no repository of them")
    given = parser.parse_args()
    fault = fault_of(given.name)
    if fault:
        fail(f"{given.name!r} will not do as a name: {fault}")
    folder = pathlib.Path(given.folder) if given.folder else BERTH.parent / given.name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{folder} is there already, and not an empty folder: name another one, as in `just new {given.name} FOLDER`")
    if run(BERTH, "git", "status", "--porcelain", "--untracked-files=no"):
        fail("there are changes here that are not committed, and `just update-from` will begin at a commit:"
             " commit or stash them first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{given.name}-") as temporary:
        made = pathlib.Path(temporary) / given.name
        write(Name(given.name), made)
        settle(made)
        if not given.tree:
            commit(given.name, made)
        made.replace(folder)
    if not given.tree:
        print(f"{folder} is {given.name} now. Next:\n  cd {folder}\n  cargo run\n  just --list")


def fail(text: str) -> None:
    print(f"new: {text}", file=sys.stderr)
    sys.exit(2)


def fault_of(name: str) -> str | None:
    """What is wrong with a name, which has to do for crates, images, Kubernetes and variables alike."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        return "it must begin with a letter, and have only a-z, 0-9 and single dashes between them, as in `my-shop`"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters, and the names made of it in Kubernetes leave room for {LONGEST}"
    if name in RESERVED or name.startswith("kube-"):
        return "it is reserved by Rust, Cargo or Kubernetes"
    if name == "berth" or name.startswith(("berth-kit", "berth-testkit")):
        return "it is Berth's own"
    lock = tomllib.loads((BERTH / "Cargo.lock").read_text())
    taken = {package["name"].replace("_", "-") for package in lock["package"]}
    for package in (name, *(f"{name}-{part}" for part in ("config", "handlers", "metrics"))):
        if package in taken:
            return f"{package} is a package that the kit depends on, and two of one name cannot be told apart"
    return None


class Name:
    """The spellings of a name."""

    def __init__(self, name: str):
        self.kebab = name
        self.snake = name.replace("-", "_")
        self.upper = self.snake.upper()
        self.camel = "".join(word.capitalize() for word in name.split("-"))
        self.title = " ".join(word.capitalize() for word in name.split("-"))

    def renamed(self, text: str, names_service: bool) -> str:
        def spelling(found: re.Match) -> str:
            word, before, after = found[0], text[:found.start()][-1:], text[found.end():][:1]
            if word == "BERTH":
                return self.upper
            if word == "berth":
                # Cargo's variables have the names of binaries as they are.
                is_binary = text[:found.start()].endswith("CARGO_BIN_EXE_")
                return self.snake if "_" in (before, after) and not is_binary else self.kebab
            if word == "Berth" and names_service:
                return self.camel if after.isupper() else self.title
            return word
        return pattern().sub(spelling, text)


def pattern() -> re.Pattern:
    """Finds the name in all spellings; what is the kit's own is found as a whole, and kept."""
    metrics = set()
    for source in (BERTH / KIT).glob("*/src/**/*.rs"):
        metrics.update(re.findall(r'"(berth_[a-z_]+)"', source.read_text()))
    # A variable in a test of the kit may be called as a crate of the team.
    metrics -= {f"berth_{crate.name}" for crate in (BERTH / "crates").iterdir()}
    kept = [r"berth[-_]kit", r"berth[-_]testkit", *sorted(metrics, key=len, reverse=True)]
    return re.compile("|".join([*(f"{word}(?![a-z])" for word in kept), "BERTH", "Berth", "berth"]))


def write(name: Name, folder: pathlib.Path) -> None:
    listed = run(BERTH, "git", "ls-files", "-z").split("\0")
    sources = {path: BERTH / path for path in listed if path and not path.startswith(LEFT_OUT)}
    sources |= {path: BERTH / "scripts" / path for path in INSTEAD}
    for path, source in sources.items():
        is_kits = path.startswith(KIT)
        target = folder / (path if is_kits else name.renamed(path, names_service=False))
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(name.renamed(str(source.readlink()), names_service=False))
            continue
        content = source.read_bytes()
        if not is_kits:
            text = "".join(line for line in content.decode().splitlines(keepends=True)
                           if not line.rstrip().endswith(OF_BERTHS_OWN))
            content = name.renamed(text, names_service=path.startswith(DEPLOYED)).encode()
        target.write_bytes(content)
        target.chmod(source.stat().st_mode)


def settle(folder: pathlib.Path) -> None:
    """Another name has another place in a sorted list, and another length in a line."""
    run(folder, "cargo", "update", "--workspace", "--quiet")
    run(folder, "cargo", "fmt", "--all")
    run(folder, sys.executable, "-B", "deploy/charts/write.py")


def commit(name: str, folder: pathlib.Path) -> None:
    revision = run(BERTH, "git", "rev-parse", "HEAD").strip()
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "git", "add", "--all")
    # `just update-from` reads the trailers.
    run(folder, "git", "commit", "--quiet", "--message",
        f"{name}, made of Berth\n\nService-Name: {name}\nBerth-Revision: {revision}\n")


def run(folder: pathlib.Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        fail(f"`{' '.join(command)}` has failed:\n{done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
