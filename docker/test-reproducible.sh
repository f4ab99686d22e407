#!/usr/bin/env bash
# Builds the static binary of the current commit in two different folders, from nothing, each with a
# CARGO_HOME of its own, and compares the two byte for byte. Then the image around each of them: by the last stage of the
# Dockerfile, in two builds, as it is published (release/oci.py); the two have to have one digest.
#
#     docker/test-reproducible.sh [BINARY]
#
# With BINARY, which somebody has built from this commit already, that is the first of the two.
set -euo pipefail
cd "$(dirname "$0")/.."

first=${1:+$(realpath "$1")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo_home=${CARGO_HOME:-$HOME/.cargo}
mkdir -p "$cargo_home/registry"

# Of different lengths, so that a path that gets into the binary also moves what follows it; and with
# a space, which no build may stumble over.
for folder in one "another place"; do
    mkdir -p "$work/$folder/cargo"
    if [ "$folder" = one ] && [ -n "$first" ]; then
        cp "$first" "$work/one/binary"
        continue
    fi
    # Another path to the same downloads and settings.
    for part in registry config.toml; do
        [ ! -e "$cargo_home/$part" ] || ln -s "$cargo_home/$part" "$work/$folder/cargo/$part"
    done
    git clone --quiet . "$work/$folder/berth"
    (
        cd "$work/$folder/berth"
        unset CARGO_TARGET_DIR
        export CARGO_HOME="$work/$folder/cargo"
        export XDG_CACHE_HOME="$work/cache"
        docker/static.sh cargo build --release --locked --quiet -p berth
        cp target/*/release/berth "$work/$folder/binary"
        rm -rf target
    )
done

# The image of a binary, on nothing in place of the base: that is the same for both.
image_of() { # image_of FOLDER: prints its digest
    local build="$1/image"
    mkdir -p "$build"
    cp "$1/binary" "$build/berth"
    # As the stage before does.
    touch --date="$created" "$build/berth"
    sed -n '/^FROM \${RUNTIME_IMAGE}/,$p' docker/Dockerfile |
        sed -e 's/^FROM .*/FROM scratch/' -e 's/^COPY --from=build /COPY /' >"$build/Dockerfile"
    buildah build --quiet --no-cache --format docker --tag "localhost/image:$$" --build-arg "CREATED=$created" \
        --build-arg "REVISION=$(git rev-parse --short=12 HEAD)" "$build" >/dev/null
    skopeo copy --quiet "containers-storage:localhost/image:$$" "dir:$1/engine"
    release/oci.py normal "$1/engine" "$1/layout"
}

passed=0
failed=0
same() { # same TEXT ONE OTHER
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "the same: $1"
    else
        failed=$((failed + 1))
        echo "NOT the same: $1: $2 and $3" >&2
    fi
}

sums=$(cd "$work" && sha256sum one/binary "another place/binary")
printf '%s\n' "$sums"
same "the binary" "$(cut -d ' ' -f 1 <<<"$sums" | head -n 1)" "$(cut -d ' ' -f 1 <<<"$sums" | tail -n 1)"

.ci/need buildah buildah
.ci/need skopeo skopeo
created=$(date -u -d "@$(git log -1 --format=%ct)" +%Y-%m-%dT%H:%M:%SZ)
# A store of its own, which needs nothing of the file system.
printf '[storage]\ndriver = "vfs"\nrunroot = "%s/run"\ngraphroot = "%s/storage"\n' "$work" "$work" >"$work/storage.conf"
export CONTAINERS_STORAGE_CONF=$work/storage.conf
one=$(image_of "$work/one")
# Neither the hour nor the container that it was built in may show.
sleep 1
other=$(image_of "$work/another place")
echo "$one"
same "the image" "$one" "$other"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
