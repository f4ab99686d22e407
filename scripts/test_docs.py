#!/usr/bin/env python3
"""Holds the documents to what they say: `just test-docs`, or `scripts/test_docs.py [BINARY]`.

Links and their anchors lead somewhere, also in a service that has these pages from `just new`; the README is short,
each `just X` is a recipe, the map of crates is true, and what a `console` block shows is what comes. BINARY is what is
asked; without it, `cargo build` makes it.

A block is run in the root of the repository with a server of its own (but for those of examples/, whose services are
others). `localhost:8080` is its port, `localhost:9090` its management port, `berth` the binary. A comment on the line
before a block says otherwise:

    <!-- run with: BERTH__DEBUG__ROUTES=true -->     the server has these variables
    <!-- not run: needs a cluster -->                nothing is run, for this reason

What follows a command up to the next one, or to an empty line, is what it is to print; a command without such lines
only has to end with 0. Some of it differs each time, so these are the same to the comparison (see VARIES): timestamps,
durations, ids and revisions in hexadecimal, names of hosts and pods, versions, a client's port, and the value of a
metric.
"""

import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.dont_write_bytecode = True
import new  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
README_LINES = 200
# What `just new` makes the README of a service.
SERVICE_README = ROOT / "scripts" / "README.md"
VARIES = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r'"(uptime|age|waited|reverts_in)":"[^"]*"', r'"\1":"<duration>"'),
    (r'"(pod|hostname)":"[^"]*"', r'"\1":"<host>"'),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", "<hex>"),
    (r"\b(localhost|\d+\.\d+\.\d+\.\d+):\d+\b", "<address>"),
    (r"\b\d+\.\d+\.\d+\b", "<version>"),
    (r"(?m)^(\w+(\{.*\})?) [0-9.e+]+$", r"\1 <value>"),
]
FENCE = re.compile(r"^(?P<mark><!--[^\n]*-->\n)?```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.S | re.M)
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")

faults: list[str] = []


def documents() -> list[pathlib.Path]:
    """Every page that people read."""
    pages = [README, SERVICE_README]
    pages += [ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "CODE_OF_CONDUCT", "SECURITY")]
    for folder, pattern in [("docs", "**/*.md"), ("deploy", "*.md"), ("deploy", "charts/*/README.md"),
                            ("examples", "**/README.md")]:
        pages += sorted((ROOT / folder).glob(pattern))
    return [page for page in pages if page.exists()]


def fault(page: pathlib.Path, text: str, what: str, start: int = 0) -> None:
    """Tells of one, with the line where `what` stands, or its beginning."""
    line = text.count("\n", 0, max(text.find(what.split("\n")[0], start), start)) + 1
    faults.append(f"{page.relative_to(ROOT)}:{line}: {what.strip()}")
    print(f"  {faults[-1]}")


def anchors(page: pathlib.Path) -> set[str]:
    """What can stand after a `#`, as GitHub makes it from the headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*)$", FENCE.sub("", page.read_text()), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        same = sum(1 for other in found if re.fullmatch(re.escape(name) + r"(-\d+)?", other))
        found.add(f"{name}-{same}" if same else name)
    return found


def is_in_services(path: pathlib.Path) -> bool:
    """Whether `just new` takes it along."""
    return path == SERVICE_README or not f"{os.path.relpath(path, ROOT)}/".startswith(new.LEFT_OUT)


def check_links(page: pathlib.Path, text: str) -> None:
    """That each leads somewhere; those that lead out of here are looked at, not followed."""
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))):
        if re.match(r"[a-z]+:", target):
            if not re.fullmatch(r"(https?://[\w.-]+(:\d+)?(/\S*)?|mailto:\S+@\S+)", target):
                fault(page, text, target)
            continue
        path, _, anchor = target.partition("#")
        base = ROOT if page == SERVICE_README else page.parent
        there = (base / path).resolve() if path else page
        if is_in_services(page) and not is_in_services(there) and there != README:
            fault(page, text, f"({target}), which services do not have")
        elif not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            fault(page, text, f"({target})")


def check_recipes(page: pathlib.Path, text: str, recipes: set[str]) -> None:
    """That each `just X` is one; only where it stands as a command, in code."""
    code = "\n".join(re.findall(r"`[^`\n]+`", text) + [block["body"] for block in FENCE.finditer(text)])
    for recipe in re.findall(r"(?:^|[`&;(]|\$ |: )\s*just ([a-z][\w-]*)", code, re.M):
        if recipe not in recipes:
            fault(page, text, f"just {recipe}")


def check_map(text: str) -> None:
    """That the README's map has each crate, by its folder and its name, and no other."""
    shown = dict(re.findall(r"^(crates/[\w/]+) +([\w-]+) ", text, re.M))
    manifests = [*ROOT.glob("crates/*/Cargo.toml"), *ROOT.glob("crates/kit/*/Cargo.toml")]
    there = {}
    for manifest in manifests:
        folder = str(manifest.parent.relative_to(ROOT))
        if folder not in ("crates/bench", "crates/fuzz"):
            there[folder] = re.findall(r'^name = "(.*)"$', manifest.read_text(), re.M)[0]
    for folder in sorted(shown.keys() | there.keys()):
        if shown.get(folder) != there.get(folder):
            fault(README, text, f"{folder}  {shown.get(folder)}, which is {there.get(folder)}")


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


class Server:
    """The service, with these variables, as long as a block runs."""

    def __init__(self, binary: pathlib.Path, settings: str, folder: str):
        self.ports = {"8080": free_port(), "9090": free_port()}
        given = dict(pair.split("=", 1) for pair in shlex.split(settings))
        if "BERTH__MANAGEMENT__PORT" in given:
            given["BERTH__MANAGEMENT__PORT"] = self.ports["9090"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
        # Without the progress that curl shows where its output is no terminal.
        (pathlib.Path(folder) / ".curlrc").write_text("silent\n")
        self.environment = clean | {"PATH": f"{folder}:{os.environ['PATH']}", "CURL_HOME": folder}
        self.log = open(pathlib.Path(folder) / "log", "w+")
        variables = self.environment | {"PORT": self.ports["8080"]} | given
        self.process = subprocess.Popen([binary], env=variables, stderr=self.log)

    def __enter__(self) -> "Server":
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.ports['8080']}/health").close()
                # What runs in the background has had its first turn.
                time.sleep(0.3)
                return self
            except OSError:
                time.sleep(0.05)
        self.__exit__()
        raise SystemExit("the server does not start")

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()

    def run(self, command: str) -> subprocess.CompletedProcess:
        for usual, port in self.ports.items():
            command = command.replace(f"localhost:{usual}", f"localhost:{port}")
        shell = ["timeout", "60", "bash", "-c", command]
        return subprocess.run(shell, cwd=ROOT, env=self.environment, capture_output=True, text=True)


def alike(text: str) -> str:
    """Without what differs each time."""
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return "\n".join(map(in_order, text.strip().splitlines()))


def in_order(line: str) -> str:
    """The members of JSON in the order of their names: which one they come in says nothing."""
    try:
        return json.dumps(json.loads(line), sort_keys=True)
    except ValueError:
        return line.rstrip()


def commands(body: str) -> list[tuple[str, str]]:
    """Each with what it is to print."""
    found: list[tuple[str, list[str]]] = []
    lines = iter(body.splitlines())
    for line in lines:
        if line.startswith("$ "):
            while line.endswith("\\"):
                line = f"{line[:-1]}{next(lines).strip()}"
            found.append((line[2:], []))
        elif line and found:
            found[-1][1].append(line)
    return [(command, "\n".join(shown)) for command, shown in found]


def check_console(page: pathlib.Path, text: str, binary: pathlib.Path) -> int:
    """Runs what is to be run; gives how many commands that were."""
    count = 0
    for block in FENCE.finditer(text):
        mark = re.fullmatch(r"<!-- (not run|run with): (.+) -->\n", block["mark"] or "")
        if block["mark"] and not mark:
            fault(page, text, block["mark"], block.start())
        if block["kind"] != "console" or (mark and mark[1] == "not run"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "berth").symlink_to(binary)
            with Server(binary, mark[2] if mark else "", folder) as server:
                for command, shown in commands(block["body"]):
                    count += 1
                    done = server.run(command)
                    printed = done.stdout + done.stderr
                    if alike(printed) != alike(shown) if shown else done.returncode:
                        fault(page, text, f"$ {command}", block.start())
                        print(f"    shown:   {alike(shown)}\n    printed: {alike(printed)}, and {done.returncode}")
    return count


def main() -> None:
    if len(sys.argv) > 1:
        binary = pathlib.Path(sys.argv[1]).resolve()
    else:
        subprocess.run(["cargo", "build", "--quiet", "--locked", "-p", "berth"], cwd=ROOT, check=True)
        binary = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "debug" / "berth"
    justfile = (ROOT / "justfile").read_text()
    imported = [(ROOT / path).read_text() for path in re.findall(r"^import\?? '(.*)'$", justfile, re.M)]
    recipes = set(re.findall(r"^([a-z][\w-]*)[^\n:]*:(?!=)", "\n".join([justfile, *imported]), re.M))
    pages, count = documents(), 0
    for page in pages:
        text = page.read_text()
        check_links(page, text)
        check_recipes(page, text, recipes)
        # Those are of other services.
        if page == SERVICE_README or page.is_relative_to(ROOT / "examples"):
            continue
        count += check_console(page, text, binary)
    check_map(README.read_text())
    if (lines := README.read_text().count("\n")) > README_LINES:
        fault(README, "", f"{lines} lines, of {README_LINES}")
    if faults or not count:
        sys.exit(f"{len(faults)} faults in the documents, {count} commands run")
    print(f"{len(pages)} documents hold: links, recipes, the map, {count} commands")


if __name__ == "__main__":
    main()
