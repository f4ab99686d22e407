#!/usr/bin/env bash
# Builds the image: docker/build-image.sh [TAG]. Finds docker, podman or buildah by itself; ENGINE
# chooses one. More arguments for the build go into BUILD_ARGS, such as
# BUILD_ARGS="--platform linux/arm64" or BUILD_ARGS="--network host".
set -euo pipefail
cd "$(dirname "$0")/.."

tag=${1:-berth:dev}
die() { printf 'build-image: %s\n' "$1" >&2; exit 1; }

# Whether this docker client can do BuildKit: up to version 22 it has it built in, later ones need
# the buildx plugin.
has_buildkit() {
    "$1" buildx version >/dev/null 2>&1 ||
        [ "$("$1" version --format '{{.Client.Version}}' 2>/dev/null | cut -d. -f1)" -lt 23 ] 2>/dev/null
}

# The first engine that is there and works; says why each of the others does not.
find_engine() {
    local engine path said=""
    for engine in ${ENGINE:-docker podman buildah}; do
        if ! command -v "$engine" >/dev/null; then
            said+=$'\n'"  $engine: not installed"
        fi
        # All of that name on the PATH: a client without buildx may stand before one that has it.
        for path in $(type -ap "$engine"); do
            if [ "$engine" = docker ] && ! has_buildkit "$path"; then
                said+=$'\n'"  $path: needs the buildx plugin (Debian: docker-buildx, or docker.io's own client)"
            elif ! "$path" info >/dev/null 2>&1; then
                said+=$'\n'"  $path: installed, but '$path info' fails; is its daemon running?"
            else
                printf '%s\n' "$path"
                return
            fi
        done
    done
    die "no container engine works:$said"
}

path=$(find_engine)
engine=$(basename "$path")
revision=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
# The time of the commit, so that two builds of it are the same.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
source_url=$(git remote get-url origin 2>/dev/null || true)
# A path says nothing to anybody else, and a URL may carry a password.
case $source_url in
    https://*@* | /* | .* | "") source_url=unknown ;;
esac
# One form, however it was cloned: two builds of a commit are to be the same.
case $source_url in
    ssh://git@*) source_url=https://${source_url#ssh://git@} ;;
    git@*:*) source_url=https://$(sed 's/^git@\([^:]*\):/\1\//' <<<"$source_url") ;;
esac
source_url=${source_url%.git}

args=(
    --file docker/Dockerfile --tag "$tag"
    --build-arg "REVISION=$revision"
    --build-arg "VERSION=$version"
    --build-arg "SOURCE=$source_url"
    --build-arg "CREATED=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
)
read -ra more <<<"${BUILD_ARGS:-}"

# A base image that can be had from nowhere is not the Dockerfile's fault; says what helps.
explain() {
    local arg image rust_version
    rust_version=$(sed -n 's/^ARG RUST_VERSION=//p' docker/Dockerfile)
    for arg in BUILDER_IMAGE RUNTIME_IMAGE; do
        case ${more[*]} in *"$arg="*) continue ;; esac
        image=$(sed -n "s/^ARG $arg=//p" docker/Dockerfile)
        # shellcheck disable=SC2016 # the Dockerfile expands it
        image=${image/'${RUST_VERSION}'/$rust_version}
        if [ "$engine" = buildah ]; then
            "$path" inspect --type image "$image" >/dev/null 2>&1 && continue
        else
            "$path" image inspect "$image" >/dev/null 2>&1 && continue
        fi
        timeout 60 "$path" pull --quiet "$image" >/dev/null 2>&1 && continue
        die "the base image $image is not on this machine, and its registry cannot be reached.
next: docker/offline-bases.sh makes local stand-ins of the base images (Debian, as root, with docker);
      or name ones of a registry of yours: BUILD_ARGS=\"--build-arg $arg=…\" just build-image"
    done
    die "the build failed; what it said is above"
}

case $engine in
    docker)
        DOCKER_BUILDKIT=1 "$path" build "${args[@]}" "${more[@]}" . || explain
        size="$("$path" image inspect --format '{{.Size}}' "$tag") bytes"
        next="docker run --rm -p 8080:8080 $tag"
        ;;
    podman)
        # Its own format has no HEALTHCHECK.
        "$path" build --format docker --timestamp "$SOURCE_DATE_EPOCH" "${args[@]}" "${more[@]}" . || explain
        size="$("$path" image inspect --format '{{.Size}}' "$tag") bytes"
        next="podman run --rm -p 8080:8080 $tag"
        ;;
    *)
        "$path" build --format docker --timestamp "$SOURCE_DATE_EPOCH" "${args[@]}" "${more[@]}" . || explain
        size=$("$path" images --format '{{.Size}}' "$tag")
        next="buildah push $tag docker://REGISTRY/$tag"
        ;;
esac

printf '\n%s: %s\nnext: %s\n' "$tag" "$size" "$next"
