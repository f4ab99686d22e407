#!/usr/bin/env python3
"""Holds the tutorial to what it shows: `just test-tutorial`, or `scripts/test_tutorial.py ORDERS`.

Runs the `console` blocks of examples/orders/README.md from the first to the last, on one database, with the finished
service, ORDERS. Needs a PostgreSQL that can be started (Debian: apt-get install postgresql).

As the tutorial has it: `cargo run` starts the service, and so does an `export`, anew and with that variable;
`docker stop` stops the database. A command with the comment `after step N` is run after the blocks of that step. An id
that is shown stands for the one that came in its place. What is shown below an order that is paid for is what the
payment service is sent.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from test_docs import FENCE, ROOT, alike, commands, free_port

PAGE = ROOT / "examples" / "orders" / "README.md"
ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
LATER = re.compile(r"# after step (\d+)$")
# Seconds: what the page says takes three checks that are 5 s apart.
PATIENCE = 30


class Tutorial:
    def __init__(self, binary: pathlib.Path, folder: pathlib.Path, stack: contextlib.ExitStack):
        self.folder, self.stack = folder, stack
        self.binary = folder / "orders"
        self.binary.symlink_to(binary)
        self.ports = {"8080": free_port(), "5432": free_port(), "9000": free_port()}
        (folder / ".curlrc").write_text("silent\n")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
        self.environment = clean | {"PATH": f"{folder}:{os.environ['PATH']}", "CURL_HOME": str(folder),
                                    "PORT": self.ports["8080"]}
        self.service: subprocess.Popen | None = None
        self.payments = folder / "payments.log"
        # What the page calls something, and what it is here.
        self.ids: dict[str, str] = {}
        self.faults = 0

    def start(self, *command: str, log: pathlib.Path, **given) -> subprocess.Popen:
        with log.open("w") as out:
            process = subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out, **given)
        self.stack.callback(process.wait, timeout=30)
        self.stack.callback(process.send_signal, signal.SIGTERM)
        return process

    def database(self) -> None:
        """The one that the page's `docker run` starts."""
        installed = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        programs = str(installed[-1]) + "/" if installed else ""
        data, password = self.folder / "data", self.folder / "password"
        password.write_text("s3cr3t")
        given = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to be root's.
            given = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self.folder, "nobody")
            shutil.chown(password, "nobody")
        subprocess.run([f"{programs}initdb", "--username=orders", "--auth=password", f"--pwfile={password}",
                        "--no-sync", data], cwd=self.folder, stdout=subprocess.DEVNULL, check=True, **given)
        self.postgres = self.start(f"{programs}postgres", "-D", str(data), "-p", self.ports["5432"], "-h", "127.0.0.1",
                                   "-k", str(self.folder), "-F", log=self.folder / "postgres.log", **given)
        ready = [f"{programs}psql", f"postgres://orders:s3cr3t@127.0.0.1:{self.ports['5432']}/postgres", "-c",
                 "CREATE DATABASE orders"]
        until = time.monotonic() + PATIENCE
        while subprocess.run(ready, capture_output=True).returncode:
            assert time.monotonic() < until, (self.folder / "postgres.log").read_text()
            time.sleep(0.1)

    def serve(self) -> None:
        """Starts the service, or starts it anew."""
        if self.service:
            self.service.send_signal(signal.SIGTERM)
            assert self.service.wait(30) == 0, (self.folder / "orders.log").read_text()
        self.service = self.start(str(self.binary), log=self.folder / "orders.log", env=self.environment)
        until = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.ports['8080']}/ready").close()
                return
            assert time.monotonic() < until and self.service.poll() is None, (self.folder / "orders.log").read_text()
            time.sleep(0.1)

    def here(self, text: str) -> str:
        """What the page says, with the ports and the ids that there are."""
        text = ID.sub(lambda found: self.ids.get(found[0], found[0]), text)
        text = text.replace("@127.0.0.1/orders", f"@127.0.0.1:{self.ports['5432']}/orders")
        return re.sub(r"(localhost|127\.0\.0\.1):(8080|9000)\b", lambda found: f"{found[1]}:{self.ports[found[2]]}", text)

    def run(self, command: str, shown: str) -> None:
        if command.startswith("cargo run"):
            self.serve()
        elif export := re.match(r"export (\w+)=(\S+)", command):
            self.environment[export[1]] = self.here(export[2])
            if self.service:
                self.serve()
        elif command.startswith("python3 -u payments.py"):
            self.start("python3", "-u", "payments.py", log=self.payments)
        elif command.startswith("docker stop"):
            # At once, whatever is open.
            self.postgres.send_signal(signal.SIGINT)
            self.postgres.wait(30)
        else:
            self.compare(command, shown)

    def compare(self, command: str, shown: str) -> None:
        is_paid = "payment service" in command
        # To look once more changes nothing.
        only_looks = not re.search(r" -d | -X ", command) or is_paid
        until = time.monotonic() + (PATIENCE if only_looks else 0)
        printed, ended = self.printed(command)
        while True:
            if is_paid:
                printed = self.payments.read_text() if self.payments.exists() else ""
                wanted = [alike(ID.sub("<id>", line)) for line in shown.splitlines()]
                got = alike(ID.sub("<id>", printed)).splitlines()
                holds = all(any(same(line, other) for other in got) for line in wanted)
            elif shown:
                holds = self.is_shown(shown, printed)
            else:
                holds = ended == 0
            if holds or time.monotonic() > until:
                break
            time.sleep(0.3)
            if not is_paid:
                printed, ended = self.printed(command)
        if not holds:
            self.faults += 1
            print(f"  $ {command}\n    shown:   {shown}\n    printed: {printed}, and {ended}")

    def is_shown(self, shown: str, printed: str) -> bool:
        """Whether this is what is to come; if so, the ids in it are known from now on."""
        here = self.here(shown)
        if plain(here) != plain(printed):
            return False
        self.ids.update(zip(ID.findall(shown), ID.findall(printed)))
        return True

    def printed(self, command: str) -> tuple[str, int]:
        shell = ["timeout", "60", "bash", "-c", self.here(command)]
        done = subprocess.run(shell, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        return done.stdout + done.stderr, done.returncode


def plain(text: str) -> str:
    lines = [line for line in alike(ID.sub("<id>", text.replace("\r", ""))).splitlines() if line]
    # Headers come in any order.
    return "\n".join(sorted(lines) if lines and lines[0].startswith("HTTP/") else lines)


def same(line: str, other: str) -> bool:
    # A span has a number of its own each time.
    return re.sub(r"-<hex>-01$", "-<span>-01", line.lower()) == re.sub(r"-<hex>-01$", "-<span>-01", other.lower())


def main() -> None:
    text = PAGE.read_text()
    count = 0
    later: dict[int, list[tuple[str, str]]] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        tutorial = Tutorial(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(name), stack)
        tutorial.database()
        # Of the block that starts a database, which is not run.
        url = re.search(r"^\$ export (ORDERS__DATABASE__URL)=(\S+)$", text, re.M)
        tutorial.environment[url[1]] = tutorial.here(url[2])
        for number, step in enumerate(re.split(r"^## ", text, flags=re.M)[1:], 1):
            for block in FENCE.finditer(step):
                if block["kind"] == "python":
                    (tutorial.folder / "payments.py").write_text(tutorial.here(block["body"]).replace(
                        '("127.0.0.1", 9000)', f'("127.0.0.1", {tutorial.ports["9000"]})'))
                if block["kind"] != "console" or (block["mark"] or "").startswith("<!-- not run: "):
                    continue
                for command, shown in commands(block["body"]):
                    if postponed := LATER.search(command):
                        later.setdefault(int(postponed[1]), []).append((command, shown))
                        continue
                    count += 1
                    tutorial.run(command, shown)
            for command, shown in later.pop(number, []):
                count += 1
                tutorial.run(command, shown)
    if tutorial.faults or later or count < 10:
        sys.exit(f"{tutorial.faults} of {count} commands of the tutorial do not do what it shows")
    print(f"the tutorial does what it shows: {count} commands")


if __name__ == "__main__":
    main()
