# The container engine of the recipes that run or move an image.
engine := env('ENGINE', 'docker')

# What tries the kit.
import 'crates/kit/kit.just'

# What publishes a version.
import 'release/release.just'

# What is Berth's own, and no service's.
import? 'scripts/berth.just'

# List the recipes.
default:
    @just --list --unsorted

# Serve on port 8080, or on $PORT.
run *args:
    cargo run -- {{ args }}

# Run every test that needs nothing but Rust.
test *args:
    cargo test --workspace {{ args }}

# Write crates/server/openapi.json, the contract that a test compares with what is served; needs nothing that the service does.
openapi:
    WRITE_OPENAPI=1 cargo test --quiet -p berth --test service the_contract_is_the_one_in_the_repository

# Write docs/settings.md, the reference of the settings, which a test compares with what the program knows; and what the chart has of it.
settings-reference: && chart
    WRITE_SETTINGS=1 cargo test --quiet -p berth --test settings the_reference_is_the_one_in_the_repository

# Write the chart's schema and README, from docs/settings.md and values.yaml; a test compares them.
chart:
    deploy/charts/write.py

# Format the code.
fmt:
    cargo fmt --all

# Clippy and rustdoc, with warnings as errors, and the formatting.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
    cargo clippy -p berth -p berth-kit --all-targets --no-default-features --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

# actionlint, zizmor and rules of our own for .github/workflows.
lint-workflows:
    .ci/workflows

# Build target/berth: one static, stripped file that needs nothing of the system it runs on.
build-static:
    #!/usr/bin/env bash
    set -euo pipefail
    docker/static.sh cargo build --release --locked -p berth
    cp "target/$(rustc -vV | sed -n 's/^host: //p')/release/berth" target/berth
    # ldd ends with an error on a file that is not dynamic, which is what we want to hear.
    linkage=$(ldd target/berth 2>&1 || true)
    case $linkage in
        *"statically linked"* | *"not a dynamic executable"*) ;;
        *) echo "target/berth is not static: $linkage" >&2; exit 1 ;;
    esac
    echo "target/berth: $(stat -c %s target/berth) bytes, statically linked"

# Build the image with docker, podman or buildah, whichever is there.
build-image tag="berth:dev":
    docker/build-image.sh {{ tag }}

# Run the image on port 8080, with as few rights as it needs.
run-image tag="berth:dev":
    [ -t 0 ] && [ -t 1 ] && terminal=-it; {{ engine }} run --rm ${terminal:-} --publish 8080:8080 --read-only --cap-drop ALL \
        --security-opt no-new-privileges --memory 32m --pids-limit 64 {{ tag }}

# Print the size of the image, and of each of its layers.
image-size tag="berth:dev":
    @{{ engine }} image inspect --format '{{{{ .Size }} bytes' {{ tag }}
    @{{ engine }} history {{ tag }}

# Bring the image into a local cluster: minikube, kind or k3d.
load-image cluster tag="berth:dev":
    #!/usr/bin/env bash
    set -euo pipefail
    case "{{ cluster }}" in
        minikube) minikube image load "{{ tag }}" ;;
        kind) kind load docker-image "{{ tag }}" ;;
        k3d) k3d image import "{{ tag }}" ;;
        *) echo "load-image: '{{ cluster }}' is not one of minikube, kind, k3d" >&2; exit 2 ;;
    esac
    echo "{{ tag }} is in {{ cluster }}; pods need imagePullPolicy: IfNotPresent to use it"

# Push the image: `just push-image registry.example.com/team`.
push-image registry tag="berth:dev":
    {{ engine }} tag {{ tag }} {{ registry }}/{{ tag }}
    {{ engine }} push {{ registry }}/{{ tag }}

# Build the image and try it: size, rights, health, stop, rebuild. Needs root where Docker is missing.
test-image:
    docker/test-image.sh

# Build the static binary in two places, and the image around each: the same to the byte. The first may be given.
test-reproducible *binary:
    docker/test-reproducible.sh {{ binary }}

# Deploy an overlay (dev or production) to the cluster that kubectl talks to, and wait for its pods.
deploy overlay="dev":
    deploy/deploy.sh deploy {{ overlay }}

# Delete what `just deploy` made, but for its namespace.
undeploy overlay="dev":
    deploy/deploy.sh undeploy {{ overlay }}

# Replace every pod by a new one, one after the other: after `just load-image` of the same tag.
rollout overlay="dev":
    deploy/deploy.sh rollout {{ overlay }}

# Try deploy/ without a cluster: schemas, security, chart, rules, dashboard, recipes, a rollout under load.
test-deploy *parts:
    deploy/test.sh {{ parts }}

# Deploy to the kind cluster that kubectl talks to, by kustomize or helm, and replace its pods under load.
test-cluster way="kustomize":
    .ci/need wrk wrk
    python3 deploy/tests/cluster.py {{ way }}

# Write target/berth.cdx.json: what the binary is made of, as CycloneDX.
sbom:
    @command -v cargo-cyclonedx >/dev/null || cargo install --locked cargo-cyclonedx
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) cargo cyclonedx --quiet --format json --manifest-path crates/server/Cargo.toml
    mv crates/server/berth.cdx.json target/berth.cdx.json
    find crates -name '*.cdx.json' -delete
    @echo "target/berth.cdx.json: $(grep -c '"purl"' target/berth.cdx.json) components"

# Check the dependencies: licences, duplicates, sources, and advisories where their database can be had.
audit:
    #!/usr/bin/env bash
    set -euo pipefail
    command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
    cargo deny check licenses bans sources
    if cargo deny fetch db; then
        cargo deny check advisories
    else
        echo "advisories: NOT checked, their database cannot be fetched from here" >&2
    fi

# What a scanner knows of the image: vulnerabilities for which there is a fix. Needs grype, and its database.
scan-image tag="berth:dev":
    grype {{ tag }} --only-fixed --fail-on medium

# Run .githooks/pre-commit before each commit of this clone: formatting, and lints of what is cheap to lint.
hooks:
    git config core.hooksPath .githooks

# Everything that CI checks, or the parts of it that are named; `just check --list` lists them.
check *parts:
    .ci/run {{ parts }}
