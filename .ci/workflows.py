"""Rules of our own for .github/workflows, which .ci/workflows asks for.

- `ci.yml` runs each part of `.ci/run` once.
- Every job has a time limit and says its permissions; the workflow itself grants none.
- Each `just X` that a step runs is a recipe.
- An action is pinned by a commit, with its version beside it, and one action has one version everywhere.
"""

import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / ".github" / "workflows"

faults: list[str] = []


def said(*command: str) -> list[str]:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


def is_complete(workflow: dict) -> None:
    rows = workflow["jobs"]["part"]["strategy"]["matrix"]["include"]
    run = sorted(part for row in rows for part in row["parts"].split())
    there = sorted(said(".ci/run", "--list"))
    if run != there:
        missing, twice = set(there) - set(run), {part for part in run if run.count(part) > 1}
        faults.append(f"ci.yml: parts of .ci/run that are missing: {sorted(missing)}, that are there twice: "
                      f"{sorted(twice)}, that do not exist: {sorted(set(run) - set(there))}")


def check(path: pathlib.Path, recipes: set[str], versions: dict[str, str]) -> None:
    text = path.read_text()
    workflow = yaml.safe_load(text)
    if workflow.get("permissions") != {}:
        faults.append(f"{path.name}: `permissions: {{}}` is missing at the top")
    if "concurrency" not in workflow:
        faults.append(f"{path.name}: has no concurrency group")
    for name, job in workflow["jobs"].items():
        for key in ("timeout-minutes", "permissions"):
            if key not in job:
                faults.append(f"{path.name}: the job {name} has no {key}")
        for step in job["steps"]:
            for recipe in re.findall(r"(?:^|&& |; )just ([a-z][\w-]*)", step.get("run", ""), re.M):
                if recipe not in recipes:
                    faults.append(f"{path.name}: `just {recipe}` is no recipe")
    for used in re.findall(r"uses: *(.*)", text):
        pinned = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+", used)
        if not pinned:
            faults.append(f"{path.name}: {used} is not pinned as OWNER/ACTION@COMMIT # vX.Y.Z")
        elif versions.setdefault(pinned[1], pinned[0]) != pinned[0]:
            faults.append(f"{path.name}: {used} is another version than {versions[pinned[1]]}")
    if path.name == "ci.yml":
        is_complete(workflow)


def main() -> None:
    paths = sorted(WORKFLOWS.glob("*.yml"))
    recipes, versions = set(said("just", "--summary")), {}
    for path in paths:
        check(path, recipes, versions)
    if faults or not paths:
        sys.exit("\n".join(faults) or "there are no workflows")
    print(f"{len(paths)} workflows hold to our rules, with {len(versions)} actions")


if __name__ == "__main__":
    main()
