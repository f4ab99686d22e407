"""Wrong values are refused, by a message that names them."""

import unittest
from collections.abc import Iterator

from chart import helm

# A value of each kind, wrong, and what is said of it.
WRONG: list[tuple[dict, str]] = [
    # Keys that there are not, at every depth.
    ({"replicaCount": 2}, "at '': additional properties 'replicaCount' not allowed"),
    ({"image": {"name": "x"}}, "at '/image': additional properties 'name' not allowed"),
    ({"settings": {"servr": {}}}, "at '/settings': additional properties 'servr' not allowed"),
    ({"settings": {"server": {"prot": 1}}}, "at '/settings/server': additional properties 'prot' not allowed"),
    ({"extraEnv": [{"name": "A", "vale": "b"}]}, "at '/extraEnv/0': additional properties 'vale' not allowed"),
    ({"extraVolumes": [{"name": "x", "hostPath": {"path": "/"}}]},
     "at '/extraVolumes/0': additional properties 'hostPath' not allowed"),
    ({"podSecurityContext": {"runAsNonRoot": False}}, "additional properties 'runAsNonRoot' not allowed"),
    # Wrong kinds of value.
    ({"replicas": "2"}, "at '/replicas': got string, want integer"),
    ({"image": {"tag": 1.27}}, "at '/image/tag': got number, want string"),
    ({"commonLabels": {"a": 1}}, "at '/commonLabels/a': got number, want string"),
    ({"ingress": {"enabled": "yes"}}, "at '/ingress/enabled': got string, want boolean"),
    ({"settings": {"server": {"port": "8080"}}}, "at '/settings/server/port': got string, want integer"),
    ({"settings": {"server": {"keep_alive": 75}}}, "at '/settings/server/keep_alive': got number, want string"),
    ({"tolerations": {}}, "at '/tolerations': got object, want array"),
    # Out of range, no such word, not of this form.
    ({"settings": {"server": {"port": 99999}}}, "at '/settings/server/port': maximum: got 99,999, want 65,535"),
    ({"autoscaling": {"minReplicas": 0}}, "at '/autoscaling/minReplicas': minimum: got 0, want 1"),
    ({"service": {"nodePort": 80}}, "at '/service/nodePort': minimum: got 80, want 30,000"),
    ({"podSecurityContext": {"runAsUser": 0}}, "at '/podSecurityContext/runAsUser': minimum: got 0, want 1"),
    ({"settings": {"log": {"format": "xml"}}}, "at '/settings/log/format': value must be one of 'text', 'json'"),
    ({"metrics": {"scrape": "both"}},
     "at '/metrics/scrape': value must be one of 'annotations', 'podMonitor', 'serviceMonitor', 'none'"),
    ({"settings": {"shutdown": {"timeout": "20"}}}, "at '/settings/shutdown/timeout': '20' does not match pattern"),
    ({"image": {"digest": "sha256:0"}}, "at '/image/digest': 'sha256:0' does not match pattern"),
    ({"ingress": {"hosts": ["https://x"]}}, "at '/ingress/hosts/0': 'https://x' does not match pattern"),
    ({"ingress": {"hosts": []}}, "at '/ingress/hosts': minItems: got 0, want 1"),
    ({"settings": {"app": {"environment": "x" * 65}}}, "at '/settings/app/environment': maxLength: got 65, want 64"),
    ({"resources": {"requests": {"memory": "24 MB"}}}, "at '/resources/requests/memory': '24 MB' does not match pattern"),
    ({"resources": {"limits": None}}, "at '/resources': missing property 'limits'"),
    # What does not fit together, or is not the user's.
    ({"image": {"tag": "latest"}}, "image.tag: latest is another image each day: name a version, or image.digest"),
    ({"commonLabels": {"app.kubernetes.io/name": "x"}}, "commonLabels: app.kubernetes.io/name is the chart's own"),
    ({"settings": {"shutdown": {"grace_period": "30s"}}}, "settings.shutdown.grace_period is terminationGracePeriodSeconds: set that"),
    ({"settings": {"shutdown": {"drain_delay": "8500ms"}}},
     "terminationGracePeriodSeconds: 30 is too short: it must be more than settings.shutdown.drain_delay (8500ms), "
     "settings.shutdown.timeout (20s) and 1.5 s together"),
    ({"terminationGracePeriodSeconds": 26}, "terminationGracePeriodSeconds: 26 is too short"),
    ({"settings": {"server": {"request_timeout": "20s"}}},
     "settings.server.request_timeout: 20s must be less than settings.shutdown.timeout (20s)"),
    ({"settings": {"server": {"request_timeout": None}}}, "settings.server.request_timeout: 30s must be less"),
    ({"settings": {"management": {"port": 0}}}, "settings.server.port and settings.management.port: 0 is a port that nobody can know"),
    ({"settings": {"metrics": {"enabled": False}}}, "metrics.scrape: annotations, but settings.metrics.enabled is false"),
    ({"httpRoute": {"enabled": True, "backendRequestTimeout": "15s"}},
     "httpRoute.backendRequestTimeout: 15s must be more than settings.server.request_timeout (15s)"),
    ({"httpRoute": {"enabled": True, "requestTimeout": "17s"}},
     "httpRoute.requestTimeout: 17s must be no less than httpRoute.backendRequestTimeout (18s)"),
    ({"certificate": {"enabled": True}}, "certificate.enabled: the certificate is for the Ingress: set ingress.enabled"),
    ({"autoscaling": {"minReplicas": 11}}, "autoscaling.minReplicas: 11 is more than autoscaling.maxReplicas (10)"),
    ({"service": {"nodePort": 30080}}, "service.nodePort: a Service of type ClusterIP has none: set service.type, too"),
]

# Just inside what is refused above.
RIGHT = [
    {"settings": {"shutdown": {"drain_delay": "8499ms"}}},
    {"terminationGracePeriodSeconds": 27},
    {"settings": {"server": {"request_timeout": "19s 999ms"}}},
    {"settings": {"server": {"port": 65535}}},
    {"settings": {"metrics": {"enabled": False}}, "metrics": {"scrape": "none"}},
    {"httpRoute": {"enabled": True, "backendRequestTimeout": "15001ms"}},
    {"autoscaling": {"minReplicas": 10}},
    {"service": {"nodePort": 30080, "type": "LoadBalancer"}},
    {"global": {"anything": 1}},
    {"image": {"tag": "latest", "digest": "sha256:" + "1" * 64}},
    {"commonLabels": {"example.com/team": "x", "part-of": "y"}},
]


def values(schema: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Every value that the schema has a word for, with its schema."""
    for key, inner in schema.get("properties", {}).items():
        yield (*path, key), inner
        yield from values(inner, (*path, key))


class Refusals(unittest.TestCase):
    def test_each_wrong_value_is_refused_with_its_name(self):
        for wrong, said in WRONG:
            with self.subTest(wrong):
                with self.assertRaises(helm.Refused) as caught:
                    helm.render(wrong)
                self.assertIn(said, str(caught.exception))

    def test_what_is_just_right_is_taken(self):
        for right in RIGHT:
            with self.subTest(right):
                helm.render(right)

    def test_no_value_may_be_of_another_kind(self):
        checked = 0
        for path, schema in values(helm.schema()):
            # Of a setting that is unset, the reference may not tell what it is.
            if not schema.keys() & {"type", "enum", "anyOf"}:
                continue
            wrong = [] if schema.get("type") == "object" else {"wrong": 1}
            given: object = wrong
            for key in reversed(path):
                given = {key: given}
            with self.subTest(path):
                with self.assertRaises(helm.Refused) as caught:
                    helm.check(given)
                self.assertIn(f"at '/{'/'.join(path)}'", str(caught.exception))
                checked += 1
        print(f"\n{checked} values of another kind and {len(WRONG)} others are refused", flush=True)

    def test_a_section_and_a_key_of_the_services_own_have_to_be_documented_and_no_more(self):
        reference = ("### `uploads.part_bytes`\n\nThe size of a part, in bytes. 1 to 1000.\n\n"
                     "Default: `500`. Variable: `BERTH__UPLOADS__PART_BYTES`.\n\n"
                     "### `uploads.store.url`\n\nWhere they go.\n\nDefault: unset. Variable: `BERTH__UPLOADS__STORE__URL`.\n")
        section = helm.write().schema.settings(reference)["properties"]["uploads"]
        self.assertEqual(set(section["properties"]), {"part_bytes", "store"})
        self.assertEqual(section["properties"]["part_bytes"]["maximum"], 1000)
        self.assertEqual(section["properties"]["store"]["properties"]["url"], {"description": "Where they go."})


if __name__ == "__main__":
    unittest.main()
