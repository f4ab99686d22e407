#!/usr/bin/env bash
# Merges a later Berth into a service that `just new` has made of an earlier one:
#
#     just update-from BERTH [REVISION]     BERTH is the path or the URL of its repository
#
# What came from Berth has a line of history of its own, whose commits carry the trailers below: the last of them
# gets what this revision makes of the service's name, and git merges that. The kit is nobody's to edit, so it merges
# without a conflict; what the team has changed elsewhere may have some, as in any merge.
set -euo pipefail
cd "$(dirname "$0")/../.."

berth=${1:?usage: just update-from BERTH [REVISION]}
revision=${2:-HEAD}
fail() { printf 'update-from: %s\n' "$1" >&2; exit 1; }
trailer() { git log -1 --format="%(trailers:key=$1,valueonly)" "$2" | tr -d '[:space:]'; }

[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed: commit or stash them first"
last=$(git log -1 --format=%H --grep='^Berth-Revision: ')
[ -n "$last" ] || fail "no commit here was made by \`just new\`: none has the trailer Berth-Revision"
name=$(trailer Service-Name "$last")

work=$(mktemp -d)
trap 'git worktree remove --force "$work/vendor" 2>/dev/null || true; rm -rf "$work"' EXIT
git clone --quiet "$berth" "$work/berth"
git -C "$work/berth" checkout --quiet --detach "$revision"
revision=$(git -C "$work/berth" rev-parse HEAD)
if [ "$revision" = "$(trailer Berth-Revision "$last")" ]; then
    echo "this is Berth $revision already"
    exit
fi

"$work/berth/scripts/new.py" "$name" "$work/new" --tree
git worktree add --quiet --detach "$work/vendor" "$last"
git -C "$work/vendor" rm --quiet -r .
cp -a "$work/new/." "$work/vendor/"
git -C "$work/vendor" add --all
git -C "$work/vendor" commit --quiet --allow-empty --message \
    "Berth ${revision:0:12}"$'\n\n'"Service-Name: $name"$'\n'"Berth-Revision: $revision"

if ! git merge --quiet --no-ff --message "Take over Berth ${revision:0:12}" \
    "$(git -C "$work/vendor" rev-parse HEAD)" >/dev/null; then
    # What both have added to the lock file cannot be merged as text. The team's stays, and cargo adds what is missing.
    if git diff --name-only --diff-filter=U | grep -qx Cargo.lock; then
        git checkout --quiet --ours Cargo.lock
        git add Cargo.lock
    fi
    conflicts=$(git diff --name-only --diff-filter=U)
    if [ -n "$conflicts" ]; then
        fail "these files have conflicts; resolve them, \`git add\` them, and \`git commit\`:"$'\n'"$conflicts"
    fi
    cargo update --workspace --quiet
    git add Cargo.lock
    git commit --quiet --no-edit
fi
echo "Berth ${revision:0:12} is merged; next: cargo test --workspace"
