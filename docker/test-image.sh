#!/usr/bin/env bash
# Builds the image with the real Dockerfile and tries it as its users would. Prints a line a trial,
# with its figure, and ends with their number. Installs and starts Docker where there is none, makes
# stand-ins of the base images where no registry is reached, and stops what it has started.
# The scripts given to bash -c expand their own arguments.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "$0")/.."

tag=berth:test-$$
changed=berth:test-changed-$$
work=$(mktemp -d)
dockerd_pid=
passed=0
failed=0

pass() { passed=$((passed + 1)); printf 'ok    %s\n' "$*"; }
fail() { failed=$((failed + 1)); printf 'FAIL  %s\n' "$*"; }
check() { # check TEXT COMMAND…
    local text=$1
    shift
    if "$@"; then pass "$text"; else fail "$text"; fi
}
is_and_within() { [ "$1" = "$2" ] && [ "$3" -le "$4" ]; } # VALUE EXPECTED FIGURE LIMIT
step() { printf '\n== %s\n' "$*"; }
millis() { date +%s%3N; }

cleanup() {
    local id
    for id in $(docker ps --all --quiet --filter "label=berth-test=$$" 2>/dev/null); do
        docker rm --force "$id" >/dev/null 2>&1 || true
    done
    docker rmi --force "$tag" "$changed" >/dev/null 2>&1 || true
    if [ -n "$dockerd_pid" ]; then
        kill "$dockerd_pid" 2>/dev/null || true
        wait "$dockerd_pid" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT

# ---- An engine -----------------------------------------------------------------------------------

if ! docker info >/dev/null 2>&1 && [ "$(id -u)" -ne 0 ]; then
    echo "test-image: '$(command -v docker || echo docker) info' fails; start Docker and let this user use it, or run this as root" >&2
    exit 1
fi
if ! docker info >/dev/null 2>&1 && ! command -v dockerd >/dev/null; then
    step "install docker.io"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io >/dev/null
    hash -r
fi
if ! docker info >/dev/null 2>&1; then
    step "start dockerd"
    # The containers share the host's network, so it needs no bridge and no firewall rules.
    dockerd --bridge=none --iptables=false >"$work/dockerd.log" 2>&1 &
    dockerd_pid=$!
    for _ in $(seq 100); do
        docker info >/dev/null 2>&1 && break
        kill -0 "$dockerd_pid" 2>/dev/null || { tail -n 20 "$work/dockerd.log" >&2; exit 1; }
        sleep 0.2
    done
fi

step "base images"
DOCKER=docker docker/offline-bases.sh

# ---- Build ---------------------------------------------------------------------------------------

build() { # build TAG LOG [OPTION…], in the current folder
    local tag=$1 log=$2
    shift 2
    ENGINE=docker BUILD_ARGS="--network host --progress plain $*" docker/build-image.sh "$tag" >"$log" 2>&1 ||
        { tail -n 40 "$log" >&2; echo "the build failed" >&2; exit 1; }
}

# Nothing from the cache, so that it is the clean build that a rebuild is compared to.
step "build"
started=$SECONDS
build "$tag" "$work/build.log" --no-cache
clean=$((SECONDS - started))
tail -n 2 "$work/build.log"

step "what is in it"
size=$(docker image inspect --format '{{.Size}}' "$tag")
check "image size: $size bytes, at most 10000000" [ "$size" -le 10000000 ]
id=$(docker create --label "berth-test=$$" "$tag")
docker cp "$id:/berth" "$work/berth" >/dev/null
binary=$(stat -c %s "$work/berth")
check "binary size: $binary bytes, at most 8000000" [ "$binary" -le 8000000 ]
# What the documents say of both, to the half megabyte that they are rounded to. A service that was made of this one
# has a size of its own.
is_near() { [ -n "$1" ] && awk -v said="$1" -v is="$2" 'BEGIN { d = said * 1e6 - is; exit !(d * d <= 0.25e12) }'; } # MB BYTES
if [ -f scripts/new.py ]; then
    for said in \
        "$(sed -n 's/^\$ just build-image .*# \([0-9.]*\) MB, distroless.*/\1/p' README.md)" \
        "$(sed -n 's/.* It has some \([0-9.]*\) MB, runs as .*/\1/p' docs/image.md)"; do
        check "the image has the $said MB that the documents say" is_near "$said" "$size"
    done
    said=$(sed -n 's/^target\/berth: \([0-9]\)\([0-9]*\) bytes, statically linked$/\1.\2/p' docs/image.md)
    check "the binary has the $said MB that docs/image.md says" is_near "$said" "$binary"
fi
headers=$(readelf --wide --file-header --section-headers --program-headers --dynamic "$work/berth")
type=$(awk '/^ *Type:/ { print $2 }' <<<"$headers")
needs=$(grep -cE '\((NEEDED|RUNPATH|RPATH)\)|^ *INTERP ' <<<"$headers" || true)
check "the binary is static-pie: type $type, $needs interpreters and libraries" is_and_within "$type" DYN "$needs" 0
check "the binary is stripped: no .symtab" bash -c '! grep -q "\.symtab" <<<"$1"' _ "$headers"
check "the binary carries its dependency list: .dep-v0" grep -q '\.dep-v0' <<<"$headers"
user=$(docker image inspect --format '{{.Config.User}}' "$tag")
check "USER is numeric and not root: $user" [ "$user" = 65532:65532 ]
docker export "$id" >"$work/image.tar"
base=$(docker create --label "berth-test=$$" "$(sed -n 's/^ARG RUNTIME_IMAGE=//p' docker/Dockerfile)" /none)
ours=$(comm -13 <(docker export "$base" | tar -t | sort) <(tar -tf "$work/image.tar" | sort) | xargs)
check "one file of ours on the base: $ours" [ "$ours" = berth ]
shells=$(tar -tf "$work/image.tar" | grep -cE '(^|/)(sh|bash|busybox|apt|dpkg)$' || true)
check "no shell and no package manager: $shells" [ "$shells" = 0 ]
certificates=$(tar -xOf "$work/image.tar" etc/ssl/certs/ca-certificates.crt | grep -c 'BEGIN CERTIFICATE')
check "CA bundle: $certificates certificates" [ "$certificates" -gt 50 ]
revision=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$tag")
check "label revision: $revision" [ "$revision" = "$(git rev-parse --short=12 HEAD)" ]
created=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.created"}}' "$tag")
check "label created is the commit's time: $created" \
    [ "$(date -d "$created" +%s)" = "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" ]
modified=$(stat -c %Y "$work/berth")
check "so is the file's, for one layer digest a commit: $modified" [ "$modified" = "$(date -d "$created" +%s)" ]

# ---- Run -----------------------------------------------------------------------------------------

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
run() { # run IMAGE PORT [OPTION…]: prints the container's id
    local image=$1 port=$2
    shift 2
    docker run --detach --label "berth-test=$$" --network host \
        --read-only --cap-drop ALL --security-opt no-new-privileges --memory 32m --pids-limit 64 \
        --env "PORT=$port" --env BERTH__SERVER__HOST=localhost --env BERTH__DEBUG__ROUTES=true \
        "$@" "$image"
}
answers() { # answers PORT PATH TEXT: within five seconds
    local _
    for _ in $(seq 100); do
        curl --silent --max-time 2 "http://localhost:$1$2" | grep -qF "$3" && return 0
        sleep 0.05
    done
    return 1
}
exit_code() { docker wait "$1" 2>/dev/null; }
since_start() { # since_start CONTAINER: the milliseconds since Docker started it
    echo $(($(millis) - $(date -d "$(docker inspect --format '{{.State.StartedAt}}' "$1")" +%s%3N)))
}
healthy_after() { # healthy_after CONTAINER: the milliseconds from its start to Docker's word that it is
    local elapsed=0
    until [ "$(docker inspect --format '{{.State.Health.Status}}' "$1")" = healthy ] || [ "$elapsed" -gt 15000 ]; do
        sleep 0.02
        elapsed=$(since_start "$1")
    done
    since_start "$1"
}

step "run, read-only, without capabilities, in 32 MB and 64 processes"
port=$(free_port)
id=$(run "$tag" "$port" --health-interval 300ms)
check "/health answers" answers "$port" /health '"status":"healthy"'
check "/api/v1/hello answers, $(since_start "$id") ms after the start" \
    answers "$port" '/api/v1/hello?name=Ada' 'Hello, Ada!'
healthy=$(healthy_after "$id")
check "healthy by its HEALTHCHECK, asked every 300 ms: $healthy ms after the start, at most 1000" \
    [ "$healthy" -le 1000 ]
# Docker waits one interval before it asks first: the image's own five seconds, to be cheap for ever.
plain=$(run "$tag" "$(free_port)")
plain_healthy=$(healthy_after "$plain")
check "healthy by its HEALTHCHECK as it is: $plain_healthy ms after the start, at most 6000" \
    [ "$plain_healthy" -le 6000 ]
code=0
docker exec --env "PORT=$(free_port)" "$id" /berth healthcheck >/dev/null 2>&1 || code=$?
check "the probe says no where nothing listens: exit code $code" [ "$code" = 1 ]
# Nobody but the server knows what was in its settings file when it was started.
moved=$work/settings/settings.toml
install -d -m 755 "$work/settings"
printf '[server]\nhost = "localhost"\nport = %s\n' "$(free_port)" >"$moved"
chmod 644 "$moved"
by_file=$(docker run --detach --label "berth-test=$$" --network host --read-only --cap-drop ALL \
    --security-opt no-new-privileges --memory 32m --pids-limit 64 \
    --volume "$work/settings:/settings:ro" "$tag" --config /settings/settings.toml)
plain_healthy=$(healthy_after "$by_file")
check "healthy where only the server has --config: $plain_healthy ms after the start" [ "$plain_healthy" -le 6000 ]
echo '[server' >"$moved"
code=0
docker exec "$by_file" /berth healthcheck || code=$?
check "and with a file that has been spoilt since: exit code $code" [ "$code" = 0 ]
docker rm --force "$by_file" >/dev/null
# It listens on the name `localhost`, and its HEALTHCHECK has found it by that name: both resolved
# inside, from /etc/hosts. A name that is not there has to reach DNS and come back with a no.
check "names resolve inside: 'localhost' is served" [ "$healthy" -le 10000 ]
said=$(docker run --rm --label "berth-test=$$" --network host --env BERTH__SERVER__HOST=no-such-host.invalid "$tag" 2>&1 || true)
check "a name that does not exist is refused by the resolver" grep -q 'no address' <<<"$said"

step "docker stop with a request in flight"
curl --silent --output /dev/null --write-out '%{http_code}' "http://localhost:$port/debug/delay/2s" >"$work/status" &
request=$!
sleep 0.5
started=$(millis)
docker stop --time 10 "$id" >/dev/null
elapsed=$(($(millis) - started))
wait "$request" || true
check "the request ended with $(cat "$work/status")" [ "$(cat "$work/status")" = 200 ]
code=$(docker inspect --format '{{.State.ExitCode}}' "$id")
check "exit code $code after $elapsed ms of 10000" is_and_within "$code" 0 "$elapsed" 6000
check "docker logs has the access line" \
    bash -c 'docker logs "$1" 2>&1 | grep -q "\[GET\] /debug/delay/2s .* | Status: 200 | "' _ "$id"

step "a wrong setting"
id=$(run "$tag" 99999)
code=$(exit_code "$id")
said=$(docker logs "$id" 2>&1)
check "exit code $code, and it says: $(tail -n 1 <<<"$said" | xargs)" \
    bash -c '[ "$1" = 2 ] && grep -q "server.port.*65535" <<<"$2"' _ "$code" "$said"

# ---- Rebuild -------------------------------------------------------------------------------------

step "a changed string in a handler"
# Another one in each run: the engine keeps the layers of earlier runs, and a build that finds all of
# its layers compiles nothing that could be looked at.
greeting="Ahoy$(date +%s%N)"
git clone --quiet . "$work/clone"
# The working tree's, should it differ from the commit.
cp -r Cargo.toml Cargo.lock crates docker .dockerignore "$work/clone/"
started=$SECONDS
(
    cd "$work/clone"
    sed -i "s/, {name}!\"/, {name}! $greeting\"/" crates/handlers/src/hello.rs
    grep -q "$greeting" crates/handlers/src/hello.rs ||
        { echo "crates/handlers/src/hello.rs has no ', {name}!\"' that could be changed; what it has instead belongs here" >&2; exit 1; }
    # Older than anything that was built: only what is in a file may count, not its time.
    find crates -exec touch -d 2001-01-01 {} +
    build "$changed" "$work/rebuild.log"
)
rebuild=$((SECONDS - started))
port=$(free_port)
id=$(run "$changed" "$port")
check "the rebuilt image answers with the new string" answers "$port" '/api/v1/hello?name=Ada' ", Ada! $greeting"
compiled=$(grep -oE 'Compiling [a-z0-9_-]+ v' "$work/rebuild.log" | awk '{print $2}' | sort -u | xargs || true)
members=$(cargo tree --locked --package berth --edges normal,build --prefix none |
    grep -v '/crates/kit/' | sed -n 's| v[^ ]* (/.*||p' | sort -u | xargs)
check "only the service was compiled again: $compiled" [ "$compiled" = "$members" ]

check "a rebuild takes $rebuild s, $((100 * rebuild / clean)) % of the clean build's $clean s, at most 35 %" \
    [ $((100 * rebuild)) -le $((35 * clean)) ]
# The clean build compiles cargo-chef and cargo-auditable too, once for a machine. The rest, in seconds: the
# dependencies, the kit, and the service with the link, which a fat LTO makes anew for all of it.
took() { # took TEXT: how long the step took whose command contains TEXT
    awk -v text="$1" 'index($0, text) && $2 == "[build" { step = $1 }
        step != "" && $1 == step && $2 == "DONE" { print int($3); exit }' "$work/build.log"
}
dependencies=$(took 'chef cook')
kit=$(took 'cargo clean')
service=$(took 'BUILD_REVISION=')
all=$((${dependencies:-0} + ${kit:-0} + ${service:-0}))
if [ "$all" -gt 0 ]; then
    printf 'note  without the tools: %s s for the dependencies, %s s for the kit, %s s for the service, which is %s %% of all\n' \
        "$dependencies" "$kit" "$service" $((100 * service / all))
fi

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
