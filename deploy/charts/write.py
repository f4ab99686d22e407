#!/usr/bin/env python3
"""Writes what of the chart follows from something else, as `just chart` does:

    values.schema.json    from schema.py, and docs/settings.md, which `just settings-reference` writes
    README.md             from the comments of values.yaml

With a folder as argument it writes there; a test compares both. Needs nothing but Python's standard library.
"""

import json
import pathlib
import re
import sys

import schema

CHARTS = pathlib.Path(__file__).resolve().parent
CHART = next(CHARTS.glob("*/Chart.yaml")).parent
REFERENCE = CHARTS.parent.parent / "docs" / "settings.md"


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else CHART
    (folder / "values.schema.json").write_text(values_schema())
    (folder / "README.md").write_text(readme())


def values_schema() -> str:
    values = schema.VALUES
    values["properties"]["settings"] = schema.settings(REFERENCE.read_text())
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", **values}
    return layout(whole) + "\n"


def layout(value: object, indent: int = 0) -> str:
    """JSON with each object on one line, where it is short."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or len(line) + indent < 200:
        return line
    space = " " * (indent + 1)
    inner = ",\n".join(f"{space}{json.dumps(key)}: {layout(entry, indent + 1)}" for key, entry in value.items())
    return f"{{\n{inner}\n{space[1:]}}}"


def readme() -> str:
    head = (CHARTS / "readme.md").read_text()
    table = ["| value | default | what it is |", "|---|---|---|"]
    for name, default, about in rows((CHART / "values.yaml").read_text()):
        shown = f"`{default}`" if default else ""
        table.append("| `{}` | {} | {} |".format(name, shown.replace("|", "\\|"), about.replace("|", "\\|")))
    return head.replace("{{ values }}", "\n".join(table))


def rows(text: str) -> list[tuple[str, str, str]]:
    """Each value with its default and its comment; a group has no default. values.yaml keeps to what this reads: keys,
    values on the line of their key, and lists with an item a line."""
    found: list[tuple[str, str, str]] = []
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        entry = re.fullmatch(r"( *)([\w./-]+):(?: (.*))?", line)
        item = re.fullmatch(r" *- (.*)", line)
        if not line:
            comment = []
        elif said := re.fullmatch(r" *# ?(.*)", line):
            comment.append(said[1])
        elif item:
            name, default, about = found[-1]
            found[-1] = (name, f"{default[:-1]}, {item[1]}]" if default else f"[{item[1]}]", about)
        elif entry:
            path[len(entry[1]) // 2:] = [entry[2]]
            found.append((".".join(path), entry[3] or "", " ".join(comment)))
            comment = []
        else:
            sys.exit(f"values.yaml: this is more than write.py reads: {line}")
    return [row for row in found if row[1] or row[2]]


if __name__ == "__main__":
    main()
