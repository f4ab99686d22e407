#!/usr/bin/env bash
# Tries the steps of a release in a registry of its own on loopback; installs what that needs.
#
#     release/test.sh            a small image stands for the real one
#     release/test.sh IMAGE…     builds of one commit that are there already, in docker (or what ENGINE names)
#
# Signatures, attestations and the release at GitHub need an account, and are not tried.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
registry=
cleanup() {
    [ -z "$registry" ] || kill "$registry" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
passed=0
failed=0
check() { # check TEXT COMMAND…
    local text=$1
    shift
    if "$@"; then passed=$((passed + 1)); echo "ok    $text"; else failed=$((failed + 1)); echo "FAIL  $text"; fi
}
refused() { # refused TEXT COMMAND…: ends with an error that has TEXT
    local text=$1 said
    shift
    if ! said=$("$@" 2>&1) && grep -qF -- "$text" <<<"$said"; then return 0; fi
    echo "$said"
    return 1
}
has_not() { ! grep -q "$@"; } # has_not [OPTION…] TEXT FILE

.ci/need skopeo skopeo
.ci/need docker-registry docker-registry
.ci/need buildah buildah

# A copy, so that versions and a changelog can be tried, and target/ is nobody else's.
git clone --quiet . "$work/copy"
cp -r release .ci "$work/copy/"
cd "$work/copy"
git config user.name test
git config user.email test@example.com
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# ---- The tag and the notes -----------------------------------------------------------------------

check "a tag of another version is refused" refused "the tag is to be v$version" release/release.sh check v999.0.0
printf '# Changelog\n\n## Unreleased\n\n- Later.\n\n## 0.0.1 - 2026-01-01\n\n- First.\n' >CHANGELOG.md
git add --all && git commit --quiet --message "Not yet"
check "a version without a section in the changelog is refused" \
    refused "no section '## $version - YYYY-MM-DD'" release/release.sh check "v$version"
sed -i "s/^## Unreleased$/## $version - 2026-11-28/" CHANGELOG.md
check "what is not committed is refused" refused "not committed" release/release.sh check "v$version"
git add --all && git commit --quiet --message "A release"
for chart in deploy/charts/*/Chart.yaml; do
    [ -e "$chart" ] || continue
    sed -i 's/^version: .*/version: 9.9.9/' "$chart"
    check "a chart of another version is refused" refused "has another version" release/release.sh check "v$version"
    git checkout --quiet "$chart"
done
check "the tag of a version that is in the changelog can be released" \
    [ "$(release/release.sh check "v$version")" = "v$version can be released" ]
check "the notes are its section, and no other" [ "$(release/release.sh notes "$version" | xargs)" = "- Later." ]
check "a version that the changelog does not have has no notes" refused "says nothing" release/release.sh notes 9.9.9

# ---- Images: two builds, and one of another platform ---------------------------------------------

# As two machines would build it: with other times, other containers, another folder.
small() { # small TAG ARCHITECTURE [TEXT]
    local folder
    folder=$(mktemp -d "$work/build.XXX")
    echo "${3:-berth for $2}" >"$folder/berth"
    touch --date=@1700000000 "$folder/berth"
    cat >"$folder/Dockerfile" <<DOCKERFILE
FROM scratch
COPY berth /berth
USER 65532:65532
HEALTHCHECK --interval=5s CMD ["/berth", "healthcheck"]
ENTRYPOINT ["/berth"]
LABEL org.opencontainers.image.created="2026-11-28T00:00:00Z" org.opencontainers.image.version="$version"
DOCKERFILE
    buildah build --quiet --no-cache --format docker --platform "linux/$2" --timestamp 1700000000 --tag "localhost/$1" \
        "$folder" >/dev/null
}
images=("$@")
if [ "$#" -eq 0 ]; then
    export ENGINE=buildah STORAGE_DRIVER=vfs
    CONTAINERS_STORAGE_CONF=$work/storage.conf
    export CONTAINERS_STORAGE_CONF
    printf '[storage]\ndriver = "vfs"\nrunroot = "%s/run"\ngraphroot = "%s/storage"\n' "$work" "$work" \
        >"$CONTAINERS_STORAGE_CONF"
    for image in first second; do small "$image:test" amd64; done
    images=(first:test second:test)
fi
if [ "$#" -eq 0 ]; then
    small changed:test amd64 "another berth"
    changed=$(release/release.sh image changed:test)
fi
digests=()
for image in "${images[@]}"; do digests+=("$(release/release.sh image "$image")"); done
check "builds of one commit have one digest: ${digests[*]}" [ "$(printf '%s\n' "${digests[@]}" | sort -u | wc -l)" = 1 ]
digest=${digests[0]}
[ "$#" -gt 0 ] || check "another file has another digest" [ "$changed" != "$digest" ]

# ---- A registry ----------------------------------------------------------------------------------

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/registry.yml" <<YAML
version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: "$work/registry" } }
http: { addr: "127.0.0.1:$port" }
YAML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
registry=$!
for _ in $(seq 100); do
    curl --silent --fail "http://127.0.0.1:$port/v2/" >/dev/null && break
    kill -0 "$registry" || { cat "$work/registry.log" >&2; exit 1; }
    sleep 0.1
done
repository=127.0.0.1:$port/berth
tags() { curl --silent "http://127.0.0.1:$port/v2/berth/tags/list"; }
pulled() { skopeo copy --quiet --src-tls-verify=false "docker://$repository$1" "dir:$work/pulled"; }
sum() { sha256sum "$1" | cut -d ' ' -f 1; }

check "the image is pushed by its digest" [ "$(release/release.sh push "$repository")" = "$repository@$digest" ]
check "and has no tag: $(tags)" [ -z "$(tags | grep -F "$version")" ]
pulled "@$digest"
check "what is pulled by the digest has it" [ "sha256:$(sum "$work/pulled/manifest.json")" = "$digest" ]
if [ "$#" -eq 0 ]; then
    config=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["config"]["digest"][7:])' <"$work/pulled/manifest.json")
    check "Docker's HEALTHCHECK is still in it" grep -q '"Healthcheck":' "$work/pulled/$config"
    check "the names of the containers that it was built in are not" has_not -i hostname "$work/pulled/$config"
    # The other platform's job leaves its digest, as a file.
    mv target/release-files/image-*.digest "$work/"
    small other:test arm64
    other=$(release/release.sh image other:test)
    release/release.sh push "$repository" >/dev/null
    for file in target/release-files/image-*.digest; do mv "$file" target/release-files/image-other.digest; done
    mv "$work"/image-*.digest target/release-files/
    check "two images of one platform are not joined" \
        refused "one image for each platform" release/oci.py join "target/release-files/image-$(
            [ "$(uname -m)" = aarch64 ] && echo arm64 || echo amd64)" "$other" "$other"
fi
joined=$(release/release.sh index "$repository" | tail -n 1)
check "the platforms are joined: $joined" [ -n "${joined#*@}" ]
skopeo inspect --raw --tls-verify=false "docker://$repository:$version" >"$work/index.json"
check "the version is the tag of that" [ "sha256:$(sum "$work/index.json")" = "${joined#*@}" ]
check "which names the digest that was built" grep -qF "\"digest\":\"$digest\"" "$work/index.json"
if [ "$#" -eq 0 ]; then
    for arch in amd64 arm64; do
        skopeo copy --quiet --override-arch "$arch" --src-tls-verify=false "docker://$repository:$version" "dir:$work/$arch"
        layer=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["layers"][0]["digest"][7:])' <"$work/$arch/manifest.json")
        check "$arch gets its own" [ "$(tar -xzOf "$work/$arch/$layer" berth)" = "berth for $arch" ]
    done
    again=$(release/release.sh index "$repository" | tail -n 1)
    check "joined again, it is the same" [ "$again" = "$joined" ]
fi

# ---- The chart -----------------------------------------------------------------------------------

if [ -d deploy/charts/berth ]; then
    if ! command -v helm >/dev/null; then
        python3 -c 'import ensurepip' 2>/dev/null || .ci/need python3-venv-is-missing python3-venv
        python3 -m venv "$work/venv"
        "$work/venv/bin/pip" install --quiet --disable-pip-version-check helm-python-sdk==0.2.2
        printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$work/venv/bin/python3" "$PWD/release/helm_of_sdk.py" >"$work/venv/bin/helm"
        chmod +x "$work/venv/bin/helm"
        PATH=$work/venv/bin:$PATH
    fi
    chart=$(release/release.sh chart "127.0.0.1:$port/charts" | tail -n 1)
    check "the chart is pushed, and is there by its digest: $chart" \
        [ "$(curl --silent --head --header 'Accept: application/vnd.oci.image.manifest.v1+json' \
            "http://127.0.0.1:$port/v2/charts/berth/manifests/$version" | tr -d '\r' |
            sed -n 's/^docker-content-digest: //Ip')" = "${chart#*@}" ]
else
    echo "note  the chart is not tried: there is none"
fi

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
