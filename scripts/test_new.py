#!/usr/bin/env python3
"""Tries `just new` and `just update-from`: names, what is renamed and what is not, the checks of a copy, and a later
version of the kit that is merged into one. `all` as an argument tries the copy's kit, too, and builds its image.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import new

NAME = "my-shop"
ALL = "all" in sys.argv[1:]


def run(folder: pathlib.Path, *command: str, code: int = 0, **environment: str) -> str:
    # What is built of packages that are not ours is built once for all.
    environment = {"CARGO_TARGET_DIR": str(new.BERTH / "target"), **os.environ, **environment}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == code, f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout[-6000:]}"
    return done.stdout


def commit(folder: pathlib.Path, message: str) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


def append(file: pathlib.Path, text: str) -> None:
    file.write_text(file.read_text() + text)


class Names(unittest.TestCase):
    def test_names_that_do(self):
        for name in ("shop", "my-shop", "a", "x1", "shop2-api", "orders", "the-name-of-a-service-of-ours",
                     "berth2", "harbour-berth", "config-server"):
            self.assertIsNone(new.fault_of(name), name)

    def test_names_that_do_not_and_why(self):
        for name, why in (
            ("", "begin with a letter"), ("Shop", "begin with a letter"), ("1shop", "begin with a letter"),
            ("my_shop", "only a-z"), ("my shop", "only a-z"), ("-shop", "begin with a letter"), ("shop-", "dashes"),
            ("my--shop", "single dashes"), ("shöp", "only a-z"), ("../shop", "only a-z"), ("--tree2", "letter"),
            ("the-name-of-a-service-that-is-too-long", "leave room for"), ("match", "reserved"), ("test", "reserved"),
            ("default", "reserved"), ("kube-shop", "reserved"), ("berth", "Berth's own"), ("berth-kit", "Berth's own"),
            ("config", "depends on"), ("serde", "depends on"), ("serde-json", "depends on"),
        ):
            self.assertIn(why, new.fault_of(name) or "nothing", name)

    def test_a_name_that_will_not_do_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            target = pathlib.Path(folder) / "copy"
            said = run(new.BERTH, "just", "new", "My_Shop", str(target), code=2)
            self.assertIn("'My_Shop' will not do as a name: it must begin with a letter", said)
            self.assertEqual(os.listdir(folder), [])

    def test_a_folder_that_is_in_use_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "mine").write_text("mine")
            self.assertIn("is there already", run(new.BERTH, "just", "new", "shop", folder, code=2))
            self.assertEqual(os.listdir(folder), ["mine"])


class Copy(unittest.TestCase):
    """A clone of Berth, and a service that is made of it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="test-new-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.berth, cls.copy = cls.folder / "berth", cls.folder / NAME
        run(cls.folder, "git", "clone", "--quiet", str(new.BERTH), str(cls.berth))
        for key in ("user.name", "user.email"):
            run(cls.berth, "git", "config", key, "test@example.com")
        run(cls.berth, "just", "new", NAME)
        for key in ("user.name", "user.email"):
            run(cls.copy, "git", "config", key, "test@example.com")

    def kit(self, folder: pathlib.Path) -> str:
        return run(folder, "git", "ls-tree", "HEAD:crates", "kit")

    def test_1_it_is_one_commit_and_nothing_is_left_over(self):
        self.assertEqual(run(self.copy, "git", "rev-list", "--count", "HEAD").strip(), "1")
        self.assertEqual(run(self.copy, "git", "status", "--porcelain"), "")
        self.assertEqual(self.kit(self.copy), self.kit(self.berth))
        kept = re.compile(r"berth[-_](kit|testkit)|" + "|".join(
            word for word in new.pattern().pattern.split("|") if word.startswith("berth_")))
        chart = self.copy / "deploy" / "charts" / NAME
        self.assertIn(f"name: {NAME}\n", (chart / "Chart.yaml").read_text())
        self.assertIn(f'define "{NAME}.fullname"', (chart / "templates" / "_helpers.tpl").read_text())
        for path in run(self.copy, "git", "ls-files").splitlines():
            if (self.copy / path).is_symlink():
                self.assertTrue((self.copy / path).exists(), path)
                self.assertNotIn("berth", str((self.copy / path).readlink()))
                continue
            if not path.startswith(new.KIT):
                self.assertNotIn("berth", path)
                text = kept.sub("", (self.copy / path).read_text())
                self.assertNotRegex(text, r"berth|BERTH", path)
                if path.startswith(new.DEPLOYED):
                    self.assertNotIn("Berth", text, path)

    def test_2_its_workflows_are_its_own(self):
        workflows = sorted(path.name for path in (self.copy / ".github/workflows").iterdir())
        self.assertEqual(workflows, ["audit.yml", "ci.yml", "e2e.yml", "release.yml"])
        # Complete, too: with the parts that a service has.
        self.assertIn("workflows hold to our rules", run(self.copy, "just", "lint-workflows"))
        parts = run(self.copy, ".ci/run", "--list").split()
        self.assertIn("deploy", parts)
        self.assertNotIn("torture", parts)
        own = (self.copy / ".github/dependabot.yml").read_text() + (self.copy / ".github/workflows/ci.yml").read_text()
        for word in ("crates/bench", "examples/orders", "torture", new.OF_BERTHS_OWN):
            self.assertNotIn(word, own)
        for path in (".editorconfig", ".devcontainer/devcontainer.json", ".githooks/pre-commit", "SECURITY.md",
                     "CHANGELOG.md", ".github/pull_request_template.md", ".github/ISSUE_TEMPLATE/bug.yml"):
            self.assertTrue((self.copy / path).exists(), path)
        for path in ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md"):
            self.assertFalse((self.copy / path).exists(), path)
        self.assertIn("the tag is to be v0.1.0", run(self.copy, "just", "release-check", "v9.9.9", code=1))

    def test_2_the_checks_of_the_copy_pass(self):
        # The kit is the same to the byte: what would be found in the copy's, is found here.
        if ALL:
            run(self.copy, "just", "lint")
            run(self.copy, "cargo", "test", "--workspace", "--locked")
            run(self.copy, "just", "test-release")
        else:
            own = ["--workspace", "--locked", "--test", "service", "--test", "settings"]
            run(self.copy, "cargo", "fmt", "--all", "--check")
            run(self.copy, "cargo", "clippy", *own, "--lib", "--bins", "--", "-D", "warnings")
            run(self.copy, "cargo", "test", *own)
        program = new.BERTH / "target" / "debug" / NAME
        said = run(self.copy, str(program), "check", MY_SHOP__SERVER__PORT="7000")
        self.assertRegex(said, r"server\.port = 7000 +# environment variable MY_SHOP__SERVER__PORT")
        self.assertIn('app.name = "my-shop"', said)
        run(self.copy, "just", "test-deploy", "manifests", "chart", SERVICE_BIN=str(program))

    @unittest.skipUnless(ALL, "only where it is asked for: it takes minutes")
    def test_3_the_image_is_built(self):
        self.assertIn(f"docker run --rm -p 8080:8080 {NAME}:dev", run(self.copy, "just", "build-image"))

    def test_4_later_versions_are_merged(self):
        self.assertIn("no commit here was made", run(self.berth, "just", "update-from", "../elsewhere", code=1))
        self.assertIn("already", run(self.copy, "just", "update-from", str(self.berth)))
        for number in (1, 2):
            # The team goes on, with a package of its own.
            append(self.copy / "crates/handlers/src/lib.rs", f"\n// The team's {number}.\n")
            append(self.copy / "crates/handlers/Cargo.toml", "\n[dependencies.semver]\nversion = \"1\"\n"
                   if number == 1 else "")
            run(self.copy, "cargo", "update", "--workspace", "--quiet")
            commit(self.copy, "The team's")
            # And so does Berth: the kit, an endpoint, the lock file.
            append(self.berth / "crates/kit/settings/defaults.toml", f"# Berth's {number}.\n")
            append(self.berth / "crates/handlers/src/hello.rs", f"\n// berth {number}\n")
            manifest = self.berth / "crates/kit/settings/Cargo.toml"
            manifest.write_text(manifest.read_text().replace('version = "0.1.', f'version = "0.1.{number}', 1))
            run(self.berth, "cargo", "update", "--workspace", "--quiet")
            commit(self.berth, "Berth's")

            append(self.copy / "README.md", "not committed")
            self.assertIn("commit or stash", run(self.copy, "just", "update-from", str(self.berth), code=1))
            run(self.copy, "git", "checkout", "README.md")
            said = run(self.copy, "just", "update-from", str(self.berth))
            self.assertIn("is merged", said)

            self.assertEqual(self.kit(self.copy), self.kit(self.berth))
            self.assertIn(f"// {NAME} {number}", (self.copy / "crates/handlers/src/hello.rs").read_text())
            self.assertIn(f"The team's {number}.", (self.copy / "crates/handlers/src/lib.rs").read_text())
            run(self.copy, "cargo", "check", "--quiet", "--locked", "-p", NAME)
            self.assertEqual(run(self.copy, "git", "status", "--porcelain"), "")
            self.assertEqual(run(self.copy, "git", "worktree", "list").count("\n"), 1)

        # What both have changed in one place is a conflict, and told.
        for folder, word in ((self.copy, "the team's"), (self.berth, "berth's")):
            file = folder / "crates/handlers/src/info.rs"
            file.write_text(file.read_text().replace("what is running here", word, 1))
            commit(folder, "Another word")
        said = run(self.copy, "just", "update-from", str(self.berth), code=1)
        self.assertIn("resolve them, `git add` them, and `git commit`:\ncrates/handlers/src/info.rs", said)


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "all"]
    unittest.main(verbosity=2)
