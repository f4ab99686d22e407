"""The rules, the alerts and the dashboard as they are shipped, and what their queries name."""

import json

import promql_parser as promql
import yaml

from common import DEPLOY

PROMETHEUS = DEPLOY / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
GROUPS = [g for file in RULE_FILES for g in yaml.safe_load(file.read_text())["groups"]]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDS = {rule["record"] for rule in RULES if "record" in rule}
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "berth.json").read_text())

# What Grafana would put in.
VARIABLES = {"$__rate_interval": "10s", "$namespace": ".+", "$probes": "/health|/ready.*"}


def substituted(expr: str) -> str:
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, f"a variable without a value in {expr}"
    return expr


def panels() -> list[tuple[str, str]]:
    """Title and query of each target of each panel."""
    found = [(panel["title"], substituted(target["expr"]))
             for panel in DASHBOARD["panels"] if panel["type"] != "row"
             for target in panel["targets"]]
    assert len(found) > 20
    return found


def metrics_and_labels(node, by=()):
    """Every selector in a query, with the labels that what is around it groups or matches by."""
    if isinstance(node, promql.VectorSelector):
        # `absent` has nothing to show the name of a label on.
        names = {matcher.name for matcher in node.matchers.matchers}
        yield node, names | set(by)
    elif isinstance(node, promql.MatrixSelector):
        yield from metrics_and_labels(node.vector_selector, by)
    elif isinstance(node, promql.AggregateExpr):
        inner = set(node.modifier.labels) if node.modifier else set()
        yield from metrics_and_labels(node.expr, inner)
    elif isinstance(node, promql.BinaryExpr):
        yield from metrics_and_labels(node.lhs, by)
        yield from metrics_and_labels(node.rhs, by)
    elif isinstance(node, promql.Call):
        for argument in node.args:
            yield from metrics_and_labels(argument, by)
    elif isinstance(node, (promql.ParenExpr, promql.UnaryExpr, promql.SubqueryExpr)):
        yield from metrics_and_labels(node.expr, by)
    else:
        assert isinstance(node, (promql.NumberLiteral, promql.StringLiteral)), type(node)
