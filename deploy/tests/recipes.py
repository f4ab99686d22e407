"""What `just deploy`, `undeploy` and `rollout` say, and what they ask of kubectl.

There is no cluster here: a kubectl of the test's own stands for one, hands `kustomize` to the real
one, and writes down the rest.
"""

import os
import pathlib
import pty
import shutil
import subprocess
import tempfile
import unittest

from common import DEPLOY, copy_of_deploy

KUBECTL = """#!/usr/bin/env bash
case "$*" in
    kustomize*) exec {real} "$@" ;;
esac
echo "$*" >>"$CALLS"
case "$*" in
    "config current-context") [ -n "${{CONTEXT:-}}" ] && echo "$CONTEXT" ;;
    version*) [ -z "${{UNREACHABLE:-}}" ] ;;
    *"get deployment/berth") [ -z "${{MISSING:-}}" ] ;;
    *"rollout status"*) [ -z "${{WAITING:-}}" ] ;;
    *jsonpath=*) echo "$WAITING" ;;
    *logs*) echo "last words" ;;
    *"get pods"*) echo "the pods" ;;
esac
"""

# A container engine that can build, has, or reaches what the environment says.
ENGINE = """#!/usr/bin/env bash
case "$1" in
    info) ;;
    build) [ -n "${BUILDS:-}" ] ;;
    pull) [ -n "${REACHED:-}" ] ;;
    image)
        case "${*: -1}" in
            berth:dev) echo 9000000 ;;
            ${HAS:-nothing}*) ;;
            *) exit 1 ;;
        esac ;;
esac
"""


class Recipes(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        stub = self.folder / "kubectl"
        stub.write_text(KUBECTL.format(real=shutil.which("kubectl")))
        stub.chmod(0o755)

    def run_recipe(self, *arguments, script=DEPLOY / "deploy.sh", answer="", **state):
        calls = self.folder / "calls"
        calls.write_text("")
        env = os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}", "CALLS": str(calls),
                            "CONTEXT": "test"} | state
        done = subprocess.run([script, *arguments], env=env, input=answer,
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr, calls.read_text()

    def test_deploy_applies_waits_and_says_the_next_step(self):
        code, out, err, calls = self.run_recipe("deploy", "dev")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("apply -k overlays/dev\n"
                      "-n berth-dev rollout status deployment/berth", calls)
        self.assertIn("berth:dev → namespace berth-dev of 'test'", out)
        self.assertIn("next:", out)
        self.assertIn(":30080/ready", out)
        self.assertIn("kubectl -n berth-dev port-forward service/berth 8080:80", out)

    def test_an_overlay_that_is_not_there(self):
        code, _, err, calls = self.run_recipe("deploy", "nowhere")
        self.assertEqual((code, calls), (1, ""))
        self.assertRegex(err, r"there are: .*\bdev\b.*\bproduction\b")

    def test_the_image_of_the_example_is_refused(self):
        code, _, err, calls = self.run_recipe("deploy", "production")
        self.assertEqual((code, calls), (1, ""))
        self.assertIn("registry.example.com/berth:", err)
        self.assertIn("next: just push-image", err)

    def test_production_with_an_image_of_ones_own(self):
        code, out, err, calls = self.run_recipe("deploy", "production", script=self.own_image())
        self.assertEqual((code, err), (0, ""))
        self.assertIn("apply -k overlays/production", calls)
        self.assertNotIn("30080", out)

    def own_image(self) -> pathlib.Path:
        """The script, beside overlays with an image that is not the example's."""
        copy = copy_of_deploy("own-image")
        shutil.copy(DEPLOY / "deploy.sh", copy)
        file = copy / "overlays" / "production" / "kustomization.yaml"
        file.write_text(file.read_text().replace("registry.example.com", "registry.test"))
        return copy / "deploy.sh"

    def test_the_first_deploy_starts_with_as_many_pods_as_the_autoscaler_wants(self):
        scale = "-n berth scale deployment/berth --current-replicas=1 --replicas=2\n"
        script = self.own_image()
        _, _, _, calls = self.run_recipe("deploy", "production", script=script, MISSING="1")
        self.assertIn(f"apply -k overlays/production\n{scale}-n berth rollout status", calls)
        # Later the number is the autoscaler's; and where there is none, the overlay's.
        for overlay, state in (("production", {}), ("dev", {}), ("dev", {"MISSING": "1"})):
            _, _, _, calls = self.run_recipe("deploy", overlay, script=script, **state)
            self.assertIn(f"apply -k overlays/{overlay}", calls)
            self.assertNotIn("scale", calls)

    def test_without_a_cluster_nothing_is_tried(self):
        for state, word in (({"CONTEXT": ""}, "minikube start"), ({"UNREACHABLE": "1"}, "does not answer")):
            for job in ("deploy", "undeploy", "rollout"):
                with self.subTest(job, **state):
                    code, _, err, calls = self.run_recipe(job, "dev", **state)
                    self.assertEqual(code, 1)
                    self.assertIn(word, err)
                    self.assertIn("next:", err)
                    self.assertNotIn("apply", calls)
                    self.assertNotIn("delete", calls)

    def test_the_real_kubectl_without_a_cluster(self):
        env = os.environ | {"KUBECONFIG": str(self.folder / "none")}
        done = subprocess.run([DEPLOY / "deploy.sh", "deploy", "dev"], env=env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no cluster to talk to", done.stderr)

    def test_pods_that_do_not_come_are_explained(self):
        for reason, word in (
            ("ImagePullBackOff ", "just load-image"),
            ("ErrImageNeverPull ", "just load-image"),
            ("CrashLoopBackOff ContainersNotReady", "last words"),
            ("CreateContainerConfigError ", "describe pods"),
            (" Unschedulable", "No node has room"),
            (" ContainersNotReady", "rollout undo"),
        ):
            for job in ("deploy", "rollout"):
                with self.subTest(reason, job=job):
                    code, out, err, _ = self.run_recipe(job, "dev", WAITING=reason)
                    self.assertEqual(code, 1)
                    self.assertIn("the pods", err)
                    self.assertIn(word, err)
                    self.assertIn("next:", err)
                    self.assertNotIn("is up", out)

    def test_rollout_restarts_and_waits(self):
        code, out, _, calls = self.run_recipe("rollout", "dev")
        self.assertEqual(code, 0)
        self.assertIn("-n berth-dev rollout restart deployment/berth\n-n berth-dev rollout status", calls)
        self.assertIn("next:", out)

    def test_nothing_is_deployed(self):
        for job in ("rollout", "undeploy"):
            code, _, err, calls = self.run_recipe(job, "dev", MISSING="1")
            self.assertEqual(code, 1)
            self.assertIn("next: just deploy dev", err)
            self.assertNotIn("delete", calls)

    def test_undeploy(self):
        code, out, _, calls = self.run_recipe("undeploy", "dev")
        self.assertEqual(code, 0)
        self.assertIn("delete -k overlays/dev --ignore-not-found\n", calls)
        self.assertIn("next: just deploy dev", out)
        self.assertEqual(calls.count("delete"), 1)
        self.assertIn("deletes the namespace berth-dev", out)

    def test_undeploy_of_production_wants_to_be_told_twice(self):
        for answer, deleted in (("", False), ("yes\n", False), ("berth\n", True)):
            code, out, _, calls = self.run_recipe("undeploy", "production", answer=answer)
            self.assertEqual((code == 0, "delete" in calls), (deleted, deleted))
        # The namespace stays, and whoever is sure is told how to delete it.
        self.assertIn("kubectl delete namespace berth ", out)

    def test_run_image_needs_no_terminal_and_takes_one(self):
        engine = self.folder / "engine"
        engine.write_text("#!/bin/sh\necho \"$*\" >\"$CALLS\"\n")
        engine.chmod(0o755)
        calls = self.folder / "calls"
        env = os.environ | {"ENGINE": str(engine), "CALLS": str(calls)}
        run = ["just", "run-image"]
        subprocess.run(run, cwd=DEPLOY.parent, env=env, stdin=subprocess.DEVNULL, check=True,
                       capture_output=True)
        self.assertRegex(calls.read_text(), r"^run --rm --publish 8080:8080 .* berth:dev\n$")
        ours, theirs = pty.openpty()
        subprocess.run(run, cwd=DEPLOY.parent, env=env, stdin=theirs, stdout=theirs, stderr=theirs, check=True)
        self.assertRegex(calls.read_text(), r"^run --rm -it --publish 8080:8080 .* berth:dev\n$")
        os.close(ours)
        os.close(theirs)

    def test_build_image_names_what_helps_where_no_registry_can_be_reached(self):
        engine = self.folder / "podman"
        engine.write_text(ENGINE)
        engine.chmod(0o755)
        for state, code, said in (
            ({}, 1, r"the base image rust:[0-9.]+-slim-bookworm is not .*\nnext: docker/offline-bases\.sh"),
            ({"HAS": "rust:"}, 1, r"the base image gcr\.io/distroless/.* is not .*\nnext: docker/offline-bases\.sh"),
            ({"REACHED": "1"}, 1, "build-image: the build failed; what it said is above$"),
            ({"HAS": "[rg]"}, 1, "build-image: the build failed; what it said is above$"),
            ({"BUILDS": "1"}, 0, "^$"),
        ):
            with self.subTest(**state):
                env = os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}", "ENGINE": "podman"} | state
                done = subprocess.run([DEPLOY.parent / "docker" / "build-image.sh"], env=env,
                                      capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertRegex(done.stderr.strip(), said)


if __name__ == "__main__":
    unittest.main()
