#!/usr/bin/env bash
# Makes local stand-ins of the two base images, under their real names, for machines that reach no
# image registry: then the real Dockerfile builds there as it is. What they consist of comes from
# Debian packages and from the Rust toolchain of this machine.
#
# Needs root, Debian's apt, a running docker, and the toolchain of rust-toolchain.toml. An image of
# that name that was really pulled, or can be, is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

label=dev.berth.stand-in
docker=${DOCKER:-docker}
die() { printf 'offline-bases: %s\n' "$1" >&2; exit 1; }

default_of() { sed -n "s/^ARG $1=//p" docker/Dockerfile; }
rust_version=$(default_of RUST_VERSION)
builder=$(default_of BUILDER_IMAGE | sed "s/\${RUST_VERSION}/$rust_version/")
runtime=$(default_of RUNTIME_IMAGE)

# Whether the image has to be made: 0 if it is missing, 1 if a stand-in or the real one is there.
missing() {
    local found
    found=$("$docker" image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null) || return 0
    if [ "$found" = true ]; then
        echo "$1: a stand-in is there already"
    else
        echo "$1: the real image is there, which is better than a stand-in; left alone"
    fi
    return 1
}

# Else everything would look missing, and be made for nothing.
"$docker" info >/dev/null 2>&1 || die "'$docker info' fails; is its daemon running?"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Fresh lists, once: a new machine often has none, and old ones name packages that are gone.
updated=
update() { [ -n "$updated" ] || { apt-get update -qq && updated=yes; }; }

make_builder() {
    local root=$work/builder sysroot mirror
    rustc --version | grep -qF "rustc $rust_version " ||
        die "the Dockerfile wants Rust $rust_version, this machine has $(rustc --version)"
    update
    if ! command -v debootstrap >/dev/null; then
        apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    fi
    # From where this machine has its own packages.
    # shellcheck disable=SC2016 # the format is apt's, not the shell's
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        grep -m 1 '/debian/\?$' || true)
    debootstrap --variant=minbase --include=gcc,libc6-dev,make,ca-certificates \
        bookworm "$root" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 ||
        { tail -n 20 "$work/debootstrap.log" >&2; die "debootstrap failed"; }
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
    # The machine's own trust, for a registry behind a proxy with a certificate of its own.
    cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"

    # The toolchain's folder may be a link, and holds documentation that no build reads.
    sysroot=$(readlink -f "$(rustc --print sysroot)")
    mkdir -p "$root/usr/local/rustup" "$root/usr/local/cargo/bin"
    tar -C "$sysroot" --exclude=./share -c . | tar -C "$root/usr/local/rustup" -x
    for tool in cargo rustc rustdoc; do
        ln -s "../../rustup/bin/$tool" "$root/usr/local/cargo/bin/$tool"
    done
    tar -C "$root" -c . | "$docker" import \
        --change "LABEL $label=true" \
        --change 'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV CARGO_HOME=/usr/local/cargo' \
        - "$builder" >/dev/null
    echo "$builder: a stand-in was made"
}

make_runtime() {
    local root=$work/runtime packages=$work/packages package
    mkdir -p "$packages" "$root"/{etc/ssl/certs,home,tmp,usr/lib,var/tmp,proc,sys,dev}
    update
    # apt fetches as a user of its own.
    chmod 755 "$work"
    chmod 777 "$packages"
    (cd "$packages" && apt-get download -qq ca-certificates tzdata base-files >/dev/null)
    for package in ca-certificates tzdata base-files; do
        dpkg-deb -x "$packages/${package}"_*.deb "$packages/$package"
    done
    cat "$packages"/ca-certificates/usr/share/ca-certificates/mozilla/*.crt \
        >"$root/etc/ssl/certs/ca-certificates.crt"
    mkdir -p "$root/usr/share"
    cp -a "$packages/tzdata/usr/share/zoneinfo" "$root/usr/share/"
    cp -L "$packages/base-files/usr/lib/os-release" "$root/usr/lib/os-release"
    ln -s ../usr/lib/os-release "$root/etc/os-release"
    cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
PASSWD
    cat >"$root/etc/group" <<'GROUP'
root:x:0:
nobody:x:65534:
tty:x:5:
staff:x:50:
nonroot:x:65532:
GROUP
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    install -d -m 700 -o 65532 -g 65532 "$root/home/nonroot"
    install -d -m 700 "$root/root"
    chmod 1777 "$root/tmp" "$root/var/tmp"
    tar -C "$root" -c . | "$docker" import \
        --change "LABEL $label=true" \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
        --change 'USER 65532' \
        --change 'WORKDIR /home/nonroot' \
        - "$runtime" >/dev/null
    echo "$runtime: a stand-in was made"
}

# The real image is better, where it can be had after all.
pulled() { timeout 300 "$docker" pull --quiet "$1" 2>/dev/null; }

if missing "$builder" && ! pulled "$builder"; then make_builder; fi
if missing "$runtime" && ! pulled "$runtime"; then make_runtime; fi
