#!/usr/bin/env bash
# Runs the torture trials on target/hello, the static release binary; installs what they need.
#
#     crates/kit/runtime/tests/torture/run.sh [--long] [TRIAL ...]
#
# Needs Linux, root and, where something is missing, Debian.
set -euo pipefail
cd "$(dirname "$0")/../../../../.."

export PYTHONDONTWRITEBYTECODE=1
here=crates/kit/runtime/tests/torture
venv=target/torture-venv

.ci/need haproxy haproxy
.ci/need nginx nginx-light
.ci/need curl curl
.ci/need wrk wrk
.ci/need prlimit util-linux
.ci/need "qemu-$(uname -m)" qemu-user
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || .ci/need libfaketime-is-missing libfaketime
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    .ci/need python3-venv-is-missing python3-venv
fi
[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
PATH=$PWD/$venv/bin:$PATH

if [ ! -x target/hello ]; then
    echo "torture/run.sh: there is no target/hello: run \`just build-hello\`" >&2
    exit 1
fi
exec python3 "$here/torture.py" target/hello "$@"
