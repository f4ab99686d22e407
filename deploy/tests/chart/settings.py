"""The schema of `settings` and the binary are of one mind about each key."""

import json
import re
import subprocess
import tempfile
import unittest

from chart import helm
from common import PROGRAM
from processes import clean_environment


def binary(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, *arguments], env=clean_environment(**helm.NEEDED), capture_output=True, text=True)


def keys() -> dict[str, dict]:
    """Each key of the schema, with what it may be."""
    found: dict[str, dict] = {}

    def walk(schema: dict, path: str) -> None:
        for key, inner in schema["properties"].items():
            if "properties" in inner:
                walk(inner, f"{path}{key}.")
            else:
                found[f"{path}{key}"] = inner
    walk(helm.schema()["properties"]["settings"], "")
    return found


def nested(key: str, value: object) -> dict:
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def candidates(schema: dict) -> dict[str, list]:
    """Values on both sides of each bound, and of other kinds."""
    right, wrong = [], [{"a": 1}] if schema.keys() & {"type", "enum", "anyOf"} and schema.get("type") != "object" else []
    for one in schema.get("anyOf", [schema]):
        kind = one.get("type")
        if "enum" in one:
            right += one["enum"]
            wrong += [f"{word}x" for word in one["enum"]]
        elif kind == "integer":
            right += [one[bound] for bound in ("minimum", "maximum") if bound in one]
            wrong += [1.5, "1"]
            wrong += [one["minimum"] - 1, one["maximum"] + 1] if "minimum" in one else []
        elif kind == "boolean":
            right += [True, False]
            wrong += ["true", 1]
        elif kind == "array":
            right.append([])
            wrong += ["", 1]
        elif kind == "string" and "pattern" in one:
            right.append(schema.get("default", "30s"))
            wrong += ["20", 20, "soon", "-1s"]
        elif kind == "string":
            wrong += [1, True]
            wrong += ["x" * (one["maxLength"] + 1)] if "maxLength" in one else []
    return {"right": right, "wrong": wrong}


# What a key needs of another one.
BESIDE = {"server.proxy_protocol": {"server": {"trusted_proxies": ["10.0.0.0/8"]}}}


class Settings(unittest.TestCase):
    def test_the_keys_are_those_of_the_binary(self):
        printed = binary("check").stdout
        self.assertEqual(sorted(re.findall(r"^(\S+) = ", printed, re.M)), sorted(keys()))

    def test_what_the_schema_says_of_a_value_the_binary_says_too(self):
        tried = 0
        with tempfile.NamedTemporaryFile("w+", suffix=".json.yaml") as file:
            for key, schema in keys().items():
                if any(name.lower().endswith(f"__{key.replace('.', '__')}") for name in helm.NEEDED):
                    # The variable wins over whatever the file says.
                    continue
                for verdict, value in ((v, value) for v, some in candidates(schema).items() for value in some):
                    given = helm.merged(BESIDE.get(key, {}), nested(key, value))
                    file.seek(0)
                    file.truncate()
                    json.dump(given, file)
                    file.flush()
                    done = binary("--config", file.name, "check")
                    is_refused = done.returncode == 2 and re.search(rf"^ *{re.escape(key)}( =|\.| \()", done.stderr, re.M)
                    try:
                        helm.check({"settings": given})
                        by_schema = "right"
                    except helm.Refused:
                        by_schema = "wrong"
                    with self.subTest(key, value=value):
                        self.assertEqual(by_schema, verdict)
                        self.assertEqual("wrong" if is_refused else "right", verdict, done.stderr)
                        tried += 1
        print(f"\n{tried} values of {len(keys())} keys: schema and binary agree", flush=True)

    def test_the_defaults_in_the_templates_are_those_of_the_binary(self):
        default = dict(re.findall(r"^(\S+) = (\S+)", binary("check").stdout, re.M))
        text = "".join(file.read_text() for file in (helm.CHART / "templates").rglob("*.*"))
        found = set(re.findall(r'dig "(\w+)" "(\w+)" ("[^"]*"|\S+) (?:\.Values\.settings|\$settings)', text))
        self.assertGreaterEqual(len(found), 6)
        for section, key, value in found:
            # Where it is asked for, there is a management port.
            if (section, key) != ("management", "port"):
                with self.subTest(f"{section}.{key}"):
                    self.assertEqual(value, default[f"{section}.{key}"])


if __name__ == "__main__":
    unittest.main()
