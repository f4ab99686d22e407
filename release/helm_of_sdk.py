#!/usr/bin/env python3
"""What release/release.sh asks of `helm`, by Helm's own code from PyPI (helm-python-sdk): for release/test.sh, on a
machine that has no Helm.

    helm package CHART --version X --app-version X --destination FOLDER
    helm push [--plain-http] ARCHIVE oci://REPOSITORY
"""

import argparse

import helm_python.chart
import helm_python.registry


def main() -> None:
    parser = argparse.ArgumentParser(prog="helm")
    commands = parser.add_subparsers(dest="command", required=True)
    package = commands.add_parser("package")
    package.add_argument("chart")
    for option in ("version", "app-version", "destination"):
        package.add_argument(f"--{option}")
    push = commands.add_parser("push")
    push.add_argument("--plain-http", action="store_true")
    push.add_argument("archive")
    push.add_argument("remote")
    given = parser.parse_args()
    if given.command == "package":
        print(helm_python.chart.package(given.chart, destination=given.destination, version=given.version,
                                        app_version=given.app_version))
    else:
        client = helm_python.registry.RegistryClient(plain_http=given.plain_http)
        client.push(given.archive, given.remote, plain_http=given.plain_http)


if __name__ == "__main__":
    main()
