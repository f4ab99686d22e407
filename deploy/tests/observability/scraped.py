"""Rules, alerts and dashboard against a real Prometheus that scrapes the real binary."""

import http.client
import json
import math
import re
import shutil
import subprocess
import threading
import time
import unittest
import urllib.parse

import promql_parser as promql
import yaml

from common import DEPLOY, PROGRAM, WORK, kustomize, settings_of
from observability.rules import ALERTS, DASHBOARD, PROMETHEUS, RECORDS, RULES, metrics_and_labels, panels, substituted
from processes import clean_environment, free_port, get, wait_for

# How long the load runs: rates need several scrapes, and they come once a second.
LOAD_SECONDS = 12


class Load(threading.Thread):
    """A short mixed load: all there is, fast and slow, good and bad, known and unknown."""

    requests = (
        ("GET", "/api/v1/hello"), ("GET", "/api/v1/hello?name=Ada"), ("GET", "/api/v1/info"),
        ("GET", "/health"), ("GET", "/ready"), ("HEAD", "/api/v1/hello"), ("GET", "/nowhere"),
        ("POST", "/api/v1/hello"), ("GET", "/debug/status/500"), ("GET", "/debug/status/503"),
        ("GET", "/debug/delay/300ms"), ("GET", "/debug/delay/400ms"), ("GET", "/debug/panic"),
        ("GET", "/debug/bytes/100000"), ("GET", "/debug/headers"),
    )

    def __init__(self, port: int):
        super().__init__()
        self.port = port
        self.sent = 0

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        end = time.monotonic() + LOAD_SECONDS
        while time.monotonic() < end:
            for method, target in self.requests:
                connection.request(method, target)
                connection.getresponse().read()
                self.sent += 1
        connection.close()


class Observability(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = WORK / "prometheus"
        shutil.rmtree(cls.folder, ignore_errors=True)
        cls.folder.mkdir(parents=True)
        cls.processes = []
        cls.addClassCleanup(cls.stop)
        cls.port, cls.private, cls.prometheus = free_port(), free_port(), free_port()

        settings = cls.folder / "settings.toml"
        settings.write_text(settings_of(kustomize(DEPLOY / "overlays" / "dev"))["data"]["settings.toml"])
        process = cls.start("berth", [PROGRAM, "--config", settings],
                          clean_environment(PORT=str(cls.port), BERTH__MANAGEMENT__PORT=str(cls.private),
                                            BERTH__READINESS__CHECKS=(
                              f"[{{ name = 'self', url = 'tcp://127.0.0.1:{cls.port}' }}]")))
        wait_for(f"http://127.0.0.1:{cls.port}/ready", process)

        # The shipped configuration but for the address and the pace, with the shipped rules.
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(PROMETHEUS / pattern) for pattern in config["rule_files"]]
        jobs = {job["job_name"]: job for job in config["scrape_configs"]}
        jobs["berth"]["static_configs"][0]["targets"] = [f"127.0.0.1:{cls.private}"]
        jobs["prometheus"]["static_configs"][0]["targets"] = [f"127.0.0.1:{cls.prometheus}"]
        config["scrape_configs"].append(cls.in_kubernetes())
        (cls.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        prometheus = cls.start("prometheus", [
            "prometheus", f"--config.file={cls.folder}/prometheus.yml",
            f"--storage.tsdb.path={cls.folder}/data",
            f"--web.listen-address=127.0.0.1:{cls.prometheus}",
        ], None)
        wait_for(f"http://127.0.0.1:{cls.prometheus}/-/ready", prometheus)
        time.sleep(2)

        load = Load(cls.port)
        load.start()
        load.join()
        # The last scrape, and the evaluation of what it brought.
        time.sleep(3)
        print(f"\n{load.sent} requests of {len(load.requests)} kinds; {len(RECORDS)} recorded series "
              f"names, {len(ALERTS)} alerts, {len(panels())} panel queries", flush=True)

    @classmethod
    def in_kubernetes(cls) -> dict:
        """The job of kubernetes.yml, with what the cluster would have told it about three pods."""
        job = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())["scrape_configs"][0]
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
        pod = {
            "__meta_kubernetes_namespace": "somewhere",
            "__meta_kubernetes_pod_phase": "Running",
            "__meta_kubernetes_pod_label_app_kubernetes_io_name": "annotated",
            "__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
            "__meta_kubernetes_pod_annotation_prometheus_io_port": str(cls.private),
            "__meta_kubernetes_pod_annotation_prometheus_io_path": "/metrics",
            "__meta_kubernetes_pod_container_port_number": str(cls.private),
        }
        name = "__meta_kubernetes_pod_name"
        job["static_configs"] = [
            {"targets": [f"127.0.0.1:{cls.private}"], "labels": pod | {name: "wanted"} | change}
            for change in (
                {},
                {name: "done", "__meta_kubernetes_pod_phase": "Succeeded"},
                {name: "other-port", "__meta_kubernetes_pod_container_port_number": "1"},
                {name: "silent", "__meta_kubernetes_pod_annotation_prometheus_io_scrape": "false"},
            )
        ]
        return job

    @classmethod
    def start(cls, name, command, env):
        log = open(cls.folder / f"{name}.log", "w")
        cls.addClassCleanup(log.close)
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        cls.processes.append(process)
        return process

    @classmethod
    def stop(cls):
        for process in cls.processes:
            process.terminate()
            process.wait(timeout=30)

    def api(self, path: str, **parameters):
        query = urllib.parse.urlencode(parameters)
        status, body = get(f"http://127.0.0.1:{self.prometheus}/api/v1/{path}?{query}")
        self.assertEqual(status, 200, f"{path} {parameters}: {body}")
        return json.loads(body)["data"]

    def values(self, expr: str) -> list[float]:
        return [float(sample["value"][1]) for sample in self.api("query", query=expr)["result"]]

    def test_every_metric_and_label_that_is_named_exists(self):
        queries = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES] + panels()
        queries += [(note["name"], substituted(note["expr"]).replace('alertstate="firing"', 'alertstate=~".+"'))
                    for note in DASHBOARD["annotations"]["list"]]
        checked = set()
        for name, expr in queries:
            for selector, labels in metrics_and_labels(promql.parse(expr)):
                with self.subTest(query=name, selector=selector.prettify()):
                    # The values of the matchers have to occur, too.
                    series = self.api("series", **{"match[]": re.sub(r"\s+offset.*", "", selector.prettify())})
                    self.assertTrue(series)
                    for label in labels - {"__name__"}:
                        self.assertTrue(any(label in one for one in series), f"no label {label}")
                    checked.add(selector.name)
        self.assertGreater(len(checked), 20)

    def test_the_check_sees_a_metric_and_a_label_that_do_not_exist(self):
        expr = 'sum by (pod_name) (rate(api_request_total{job="berth", kode="200"}[5m])) > 0'
        (selector, labels), = metrics_and_labels(promql.parse(expr))
        self.assertEqual(labels, {"pod_name", "job", "kode"})
        self.assertEqual(self.api("series", **{"match[]": selector.prettify()}), [])

    def test_every_rule_evaluates_and_every_record_has_data(self):
        evaluated = [rule for group in self.api("rules")["groups"] for rule in group["rules"]]
        self.assertEqual(len(evaluated), len(RULES))
        for rule in evaluated:
            with self.subTest(rule["name"]):
                self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""))
        for rule in RULES:
            if "record" in rule:
                labels = ", ".join(f'{k}="{v}"' for k, v in rule.get("labels", {}).items())
                with self.subTest(rule["record"], labels=labels):
                    values = self.values(f'{rule["record"]}{{namespace="compose", {labels}}}')
                    self.assertTrue(any(not math.isnan(value) for value in values))

    def test_the_load_fires_what_it_should_and_nothing_else(self):
        firing = {alert["labels"]["alertname"] for alert in self.api("alerts")["alerts"]
                  if alert["state"] == "firing"}
        # It has many a 5xx and slow answer, and panics; no request longer than a stop, no lost line.
        burning = {name for name in ALERTS if "Burn" in name or "Leak" in name}
        self.assertEqual(firing, burning | {"BerthPanics"})

    def test_every_panel_has_data(self):
        for title, expr in panels():
            with self.subTest(title, expr=expr):
                values = self.values(expr)
                self.assertTrue(any(not math.isnan(value) for value in values))

    def test_probes_can_be_left_out(self):
        endpoints = {}
        for probes in ("/health|/ready.*", "none"):
            expr = DASHBOARD["panels"][1]["targets"][0]["expr"].replace("$probes", probes)
            result = self.api("query", query=substituted(expr))["result"]
            endpoints[probes] = {sample["metric"]["endpoint"] for sample in result}
        self.assertEqual(endpoints["none"] - endpoints["/health|/ready.*"], {"/health", "/ready", "/ready/{check}"})

    def test_a_plain_prometheus_finds_the_pods_by_their_annotations(self):
        found = self.api("query", query='up{namespace="somewhere"}')["result"]
        self.assertEqual([(s["metric"]["job"], s["metric"]["pod"], s["value"][1]) for s in found],
                         [("annotated", "wanted", "1")])

    def test_promtool_has_nothing_to_say_about_the_exposition(self):
        text = get(f"http://127.0.0.1:{self.private}/metrics")[1]
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
