"""What is served against what /openapi.json says of it."""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import urllib.request

import common
from common import Berth, free_port, short_or_long, trial

CONFIG = pathlib.Path(__file__).with_name("schemathesis.toml")

# A request that takes longer is a 503, so that no delay that is asked for takes the trial's time.
REQUEST_TIMEOUT = "200ms"

CHECK = "db"


def document(port: int) -> dict:
    """What a port says of itself, without the word on all other statuses: each must be named."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=5) as answer:
        contract = json.load(answer)
    for item in contract["paths"].values():
        for operation in item.values():
            operation["responses"].pop("default", None)
    # A name that is there.
    contract["paths"]["/ready/{check}"]["get"]["parameters"][0]["example"] = CHECK
    return contract


def try_out(contract: dict, port: int, name: str, examples: int, seed: int, *arguments: str) -> tuple[int, set[str]]:
    """Has schemathesis try an API: how many cases it made of it, and what is wrong with them."""
    assert shutil.which("schemathesis"), "schemathesis is missing: run.sh installs it"
    folder = common.WORK / "contract" / name
    folder.mkdir(parents=True)
    (folder / "openapi.json").write_text(json.dumps(contract))
    done = subprocess.run(
        ["schemathesis", "--config-file", CONFIG, "run", "openapi.json", "--url", f"http://127.0.0.1:{port}",
         "--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure",
         "--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--no-color", *arguments],
        capture_output=True, text=True, cwd=folder)
    (folder / "report.txt").write_text(done.stdout + done.stderr)
    faults = set(re.findall(r"^- (ST\d+ .*)$", done.stdout, re.MULTILINE))
    cases = re.search(r"(\d+) generated, \d+ (passed|found)", done.stdout)
    assert cases and bool(faults) == (done.returncode != 0), f"schemathesis did not do its work: see {folder}/report.txt"
    return int(cases[1]), faults


@trial("contract")
def contract() -> str:
    """Both ports; and documents that are not true, to see that it is noticed."""
    examples = short_or_long(25, 100)
    seeds = range(1, short_or_long(2, 4))
    with socket.create_server(("127.0.0.1", 0)) as db, Berth(
            BERTH__DEBUG__ROUTES="true", BERTH__MANAGEMENT__PORT=str(private := free_port()),
            BERTH__SERVER__REQUEST_TIMEOUT=REQUEST_TIMEOUT,
            BERTH__READINESS__CHECKS=f'[{{ name = "{CHECK}", url = "tcp://127.0.0.1:{db.getsockname()[1]}" }}]',
    ) as server:
        ports = {"public": server.port, "private": private}
        operations, cases = 0, dict.fromkeys(ports, 0)
        for name, port in ports.items():
            told = document(port)
            operations += sum(map(len, told["paths"].values()))
            for seed in seeds:
                more, faults = try_out(told, port, f"{name}-{seed}", examples, seed)
                assert not faults, f"{', '.join(sorted(faults))}: see {common.WORK}/contract/{name}-{seed}/report.txt"
                cases[name] += more
        assert server.alive()
        for name, path, make_wrong, fault in WRONG:
            told = document(ports[name])
            make_wrong(told["paths"][path]["get"]["responses"])
            _, faults = try_out(told, ports[name], f"{name}-wrong", 5, 1, "--include-path", path)
            assert any(fault in seen for seen in faults), f"a document that is wrong about {path} is not noticed"
    return (f"{operations} operations, {cases['public']} cases on the public port and {cases['private']} on the"
            f" private one: no server error, no status and no body that is not documented")


def another_body(responses: dict) -> None:
    content = responses["200"]["content"]["application/json"]
    content["schema"] = {"allOf": [content["schema"], {"required": ["nonsense"]}]}


def without_404(responses: dict) -> None:
    del responses["404"]


WRONG = [
    ("public", "/health", another_body, "Response violates schema"),
    ("private", "/ready/{check}", without_404, "Undocumented status code"),
]
