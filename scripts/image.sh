#!/usr/bin/env bash
# Builds the image of a context that `lockstep build` wrote, and asks it, with neither a daemon nor a
# registry: the base is a fresh Debian. Needs root, and `apt-get install buildah debootstrap`.
#
#   scripts/image.sh path/to/image
set -euo pipefail
context=$1 base=localhost/lockstep-python image=localhost/lockstep-served port=8377
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
certificates=/etc/ssl/certs:/etc/ssl/certs:ro # of this machine, which may be behind a proxy

if ! buildah images "$base" >/dev/null 2>&1; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  debootstrap --variant=minbase --include=python3-venv,ca-certificates bookworm "$work/root" >/dev/null
  tar --create --directory "$work/root" --file "$work/root.tar" .
  printf 'FROM scratch\nADD root.tar /\nRUN python3 -m venv /opt/python\nENV PATH=/opt/python/bin:/usr/bin:/bin\n' \
    >"$work/Dockerfile"
  buildah build --quiet --ignorefile /dev/null --tag "$base" "$work"
fi
buildah build --quiet --format docker --volume "$certificates" --build-arg BASE="$base" \
  --build-arg PIP_INDEX_URL="${PIP_INDEX_URL:-https://pypi.org/simple}" --tag "$image" "$context"

container=$(buildah from "$image")
buildah run --user 10001:10001 --env LOCKSTEP_SERVE_PORT=$port --env LOCKSTEP_SERVE_TOKEN=secret "$container" -- \
  python -m lockstep serve model &
server=$!
trap 'kill $server; wait $server || true; buildah rm "$container" >/dev/null' EXIT
for _ in $(seq 300); do
  curl --silent --fail "http://127.0.0.1:$port/health" >/dev/null && break
  sleep 0.2
done
curl --silent --show-error --fail --header "Authorization: Bearer secret" "http://127.0.0.1:$port/version"
echo
