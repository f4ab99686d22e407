"""Clients that load the server while something happens to it."""

import pathlib
import sys

import common
from common import Berth

# Behind our own folder: what has the same name there is not meant.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[6] / "deploy" / "tests"))

from replacements import load, report, wrk_script  # noqa: E402


class Loads:
    """Several kinds of clients, until the end of a `with`; not one of their requests may fail."""

    def __init__(self, server: Berth, *kinds: tuple):
        self.server, self.kinds = server, kinds
        self.requests = 0

    def __enter__(self):
        url = f"http://127.0.0.1:{self.server.port}"
        self.running = []
        for number, (target, connections, lua, *arguments) in enumerate(self.kinds):
            script = wrk_script(common.WORK / f"load-{self.server.port}-{number}.lua", lua)
            self.running.append((target, load(script, url + target, *arguments, connections=connections)))
        return self

    def __exit__(self, kind, *_):
        try:
            # What went wrong already is what is to be told.
            if kind is None:
                for target, wrk in self.running:
                    requests, failures = report(wrk)
                    self.requests += requests
                    assert requests, f"{target}: that was no load"
                    assert failures == 0, f"{target}: {failures} of {requests} requests failed"
        finally:
            for _, wrk in self.running:
                wrk.kill()
                wrk.communicate()


KEPT_ALIVE = ("/api/v1/hello", 16, "")
NEW_CONNECTIONS = ("/api/v1/hello", 8, "", "-H", "Connection: close")
