#!/usr/bin/env bash
# The steps of a release, each of them a recipe of release/release.just; .github/workflows/release.yml takes them in
# this order. What they make is in target/release-files.
set -euo pipefail
cd "$(dirname "$0")/.."

out=target/release-files
fail() { printf 'release: %s\n' "$1" >&2; exit 1; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) arch=$(uname -m) ;;
esac

# A registry of one's own on this machine has no certificate.
tls() { # tls REPOSITORY [src|dest]: skopeo's option, where there is none
    case $1 in localhost:* | 127.0.0.1:*) echo "--${2:+$2-}tls-verify=false" ;; esac
}

check() { # check TAG: what a tag must agree with
    local tag=${1:?} chart
    [ "$tag" = "v$version" ] || fail "the tag is $tag, and Cargo.toml has the version $version: the tag is to be v$version"
    grep -qE "^## \[?${version//./\\.}\]? - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
        fail "CHANGELOG.md has no section '## $version - YYYY-MM-DD': give the one called Unreleased this name"
    for chart in deploy/charts/*/Chart.yaml; do
        [ -e "$chart" ] || continue
        [ "$(sed -n 's/^version: *"\?\([^"]*\)"\?$/\1/p' "$chart")" = "$version" ] ||
            fail "$chart has another version than $version"
    done
    [ -z "$(git status --porcelain --untracked-files=no)" ] || fail "there are changes that are not committed"
    echo "$tag can be released"
}

notes() { # notes [VERSION]: its section of the changelog
    local wanted=${1:-$version} section
    section=$(awk -v wanted="${wanted#v}" '
        /^## / { name = $2; gsub(/[][]/, "", name); inside = name == wanted; next }
        inside' CHANGELOG.md)
    [ -n "${section//[[:space:]]/}" ] || fail "CHANGELOG.md says nothing of ${wanted#v}"
    printf '%s\n' "$section"
}

binary() { # binary: the static binary, packed the same each time
    local name=berth-$version-linux-$arch
    just build-static
    mkdir -p "$out/$name"
    cp target/berth LICENSE-* README.md "$out/$name/"
    tar -C "$out" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' \
        -c "$name" | gzip -n9 >"$out/$name.tar.gz"
    rm -rf "${out:?}/$name"
    (cd "$out" && sha256sum "$name.tar.gz")
}

# A base image with its digest, where its registry can be asked: the tag may be another image tomorrow.
pinned() { # pinned IMAGE
    local digest
    case $1 in *@sha256:*) echo "$1"; return ;; esac
    if digest=$(timeout 60 skopeo inspect --format '{{.Digest}}' "docker://$1" 2>/dev/null); then
        echo "$1@$digest"
    else
        echo "release: the registry of $1 does not answer, so it is taken from this machine, whatever it is" >&2
        echo "$1"
    fi
}

image() { # image [BUILT]: builds, or takes an image that is there already, and makes what is published of it
    .ci/need skopeo skopeo
    local built=${1:-} engine=${ENGINE:-docker} rust builder runtime annotations=() digest
    if [ -z "$built" ]; then
        built=berth:release
        rust=$(sed -n 's/^ARG RUST_VERSION=//p' docker/Dockerfile)
        builder=$(pinned "${BUILDER_IMAGE:-rust:$rust-slim-bookworm}")
        runtime=$(pinned "${RUNTIME_IMAGE:-$(sed -n 's/^ARG RUNTIME_IMAGE=//p' docker/Dockerfile)}")
        BUILD_ARGS="${BUILD_ARGS:-} --build-arg BUILDER_IMAGE=$builder --build-arg RUNTIME_IMAGE=$runtime" \
            ENGINE=$engine docker/build-image.sh "$built"
        annotations=("org.opencontainers.image.base.name=${runtime%@*}" "dev.berth.builder=$builder")
        case $runtime in *@*) annotations+=("org.opencontainers.image.base.digest=${runtime#*@}") ;; esac
    fi
    rm -rf "$out/engine" "$out/image-$arch"
    mkdir -p "$out"
    if [ "$engine" = docker ]; then
        # As a file: a newer daemon refuses the client that older versions of skopeo have.
        docker save --output "$out/engine.tar" "$built"
        skopeo copy --quiet "docker-archive:$out/engine.tar" "dir:$out/engine"
        rm "$out/engine.tar"
    else
        # What is built here, of no registry, has this one in its name.
        case $built in localhost/*) ;; *) built=localhost/$built ;; esac
        skopeo copy --quiet "containers-storage:$built" "dir:$out/engine"
    fi
    digest=$(release/oci.py normal "$out/engine" "$out/image-$arch" "${annotations[@]}")
    rm -rf "$out/engine"
    echo "$digest" | tee "$out/image-$arch.digest"
}

push() { # push REPOSITORY: the image, by its digest and without a tag
    local repository=${1:?} digest
    digest=$(cat "$out/image-$arch.digest")
    # shellcheck disable=SC2046 # one word or none
    skopeo copy --quiet --preserve-digests $(tls "$repository" dest) "oci:$out/image-$arch" \
        "docker://$repository@$digest"
    echo "$repository@$digest"
}

index() { # index REPOSITORY: joins what *.digest names, and gives that the version
    local repository=${1:?} file digest digests=()
    .ci/need skopeo skopeo
    rm -rf "$out/index"
    mkdir -p "$out/index"
    for file in "$out"/image-*.digest; do
        digest=$(cat "$file")
        # shellcheck disable=SC2046 # one word or none
        skopeo copy --quiet --preserve-digests $(tls "$repository" src) "docker://$repository@$digest" \
            "oci:$out/index"
        digests+=("$digest")
    done
    digest=$(release/oci.py join "$out/index" "${digests[@]}")
    # shellcheck disable=SC2046 # one word or none
    skopeo copy --quiet --all --preserve-digests $(tls "$repository" dest) "oci:$out/index" \
        "docker://$repository:$version"
    echo "$digest" >"$out/index.digest"
    echo "$repository:$version"
    echo "$repository@$digest" | tee "$out/index.reference"
}

chart() { # chart REPOSITORY: packs the chart, and pushes it
    local repository=${1:?} plain=()
    command -v helm >/dev/null || fail "helm is not installed: https://helm.sh/docs/intro/install/"
    .ci/need skopeo skopeo
    case $repository in localhost:* | 127.0.0.1:*) plain=(--plain-http) ;; esac
    mkdir -p "$out"
    helm package deploy/charts/berth --version "$version" --app-version "$version" --destination "$out"
    helm push "${plain[@]}" "$out/berth-$version.tgz" "oci://$repository"
    # shellcheck disable=SC2046 # one word or none
    skopeo inspect --raw $(tls "$repository") "docker://$repository/berth:$version" | sha256sum |
        sed 's/^\([0-9a-f]*\).*/sha256:\1/' >"$out/chart.digest"
    echo "$repository/berth@$(cat "$out/chart.digest")"
}

sign() { # sign REFERENCE@DIGEST…: keyless, as the workflow that this runs in
    command -v cosign >/dev/null || fail "cosign is not installed: https://docs.sigstore.dev/cosign/system_config/installation/"
    cosign sign --yes "$@"
}

sums() { # sums: of the files that a release has
    (cd "$out" && find . -maxdepth 1 -type f \( -name '*.tar.gz' -o -name '*.tgz' -o -name '*.cdx.json' \) -printf '%P\n' |
        sort | xargs sha256sum >SHA256SUMS && cat SHA256SUMS)
}

publish() { # publish TAG: the files and the notes, as a release at GitHub
    local tag=${1:?} files=("$out"/*.tar.gz "$out"/*.tgz "$out"/*.cdx.json "$out/SHA256SUMS")
    notes "${tag#v}" >"$out/notes.md"
    {
        echo
        echo "Image: \`$(cat "$out/index.reference")\`. Verify it: docs/releases.md."
    } >>"$out/notes.md"
    gh release create "$tag" --verify-tag --title "${tag#v}" --notes-file "$out/notes.md" "${files[@]}"
}

step=${1:-}
case $step in
    check | notes | binary | image | push | index | chart | sign | sums | publish) "$@" ;;
    *) fail "usage: release/release.sh check|notes|binary|image|push|index|chart|sign|sums|publish …" ;;
esac
