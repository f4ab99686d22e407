#!/usr/bin/env bash
# Writes prometheusrule.yaml from the rule files of deploy/prometheus: kustomize cannot put one file
# into the middle of another. deploy/test.sh fails when the two differ.
set -euo pipefail
cd "$(dirname "$0")"
{
    cat <<'HEAD'
# Made by render.sh from deploy/prometheus/rules; change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: berth
  labels:
    app.kubernetes.io/name: berth
    app.kubernetes.io/component: monitoring
    app.kubernetes.io/part-of: berth
spec:
  groups:
HEAD
    # Each file begins with its comment and the line `groups:`; what follows is the list.
    for rules in ../../prometheus/rules/*.yml; do
        sed '1,/^groups:$/d; s/^\(.\)/  \1/' "$rules"
        echo
    done | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
} >"${1:-prometheusrule.yaml}"
