"""A rollout in a real cluster: `just test-cluster [kustomize|helm]`, for the cluster that kubectl talks to.

Deploys the image `berth:dev`, which `just load-image` has brought there, replaces its pods three times under load
through a NodePort, and counts failures: there may be none. Then everything is taken away. The cluster is one of
deploy/kind.yaml; another one is refused, so that no real one is tried by mistake.

.github/workflows/e2e.yml runs it. Needs kubectl, wrk and, for `helm`, Helm.
"""

import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from replacements import load, report, wrk_script

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NAMESPACE, PORT, ROLLOUTS = "berth-dev", 30080, 3
URL = f"http://localhost:{PORT}"


def run(*command: str) -> str:
    print(f"$ {' '.join(command)}", flush=True)
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


def deploy(way: str) -> None:
    if way == "kustomize":
        run("deploy/deploy.sh", "deploy", "dev")
        return
    run("helm", "install", "berth", "deploy/charts/berth", "--values", "deploy/charts/berth/values-dev.yaml",
        "--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "150s")


def undeploy(way: str) -> None:
    if way == "helm":
        run("helm", "uninstall", "berth", "--namespace", NAMESPACE, "--wait")
    run("kubectl", "delete", "namespace", NAMESPACE)


def wait_until_served() -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{URL}/ready", timeout=2).close()
            return
        except (OSError, urllib.error.HTTPError):
            assert time.monotonic() < deadline, f"{URL}/ready does not answer"
            time.sleep(0.5)


def roll() -> list[tuple[str, int, int]]:
    """Replaces the pods under load; gives what each kind of client saw."""
    with tempfile.TemporaryDirectory() as folder:
        script = wrk_script(pathlib.Path(folder) / "report.lua")
        loads = {
            "keep-alive": load(script, f"{URL}/api/v1/hello"),
            "new connections": load(script, f"{URL}/api/v1/hello", "-H", "Connection: close", connections=2),
        }
        try:
            time.sleep(2)
            for _ in range(ROLLOUTS):
                run("kubectl", "-n", NAMESPACE, "rollout", "restart", "deployment/berth")
                run("kubectl", "-n", NAMESPACE, "rollout", "status", "deployment/berth", "--timeout=180s")
                # Until the old pod is gone, too.
                time.sleep(15)
            return [(kind, *report(wrk)) for kind, wrk in loads.items()]
        finally:
            for wrk in loads.values():
                wrk.kill()
                wrk.communicate()


def main() -> int:
    way = sys.argv[1] if len(sys.argv) > 1 else "kustomize"
    if way not in ("kustomize", "helm"):
        sys.exit(f"cluster: '{way}' is neither kustomize nor helm")
    context = subprocess.run(["kubectl", "config", "current-context"], capture_output=True, text=True).stdout.strip()
    if not context.startswith("kind-"):
        sys.exit(f"cluster: kubectl talks to '{context}', which kind has not made: kind create cluster --config deploy/kind.yaml")
    deploy(way)
    wait_until_served()
    if way == "helm":
        run("helm", "test", "berth", "--namespace", NAMESPACE)
    seen = roll()
    undeploy(way)
    for kind, requests, failures in seen:
        print(f"{ROLLOUTS} rollouts, {kind}: {requests} requests, {failures} failures")
    return 0 if all(requests >= 1000 and not failures for _, requests, failures in seen) else 1


if __name__ == "__main__":
    sys.exit(main())
