#!/bin/sh
# Repacking a full-size file, simulated, with the published chunks.
set -eu
cd "$(dirname "$0")/.."
${PYTHON:-.venv/bin/python} benchmarks/prepare.py -o runs/out/prepare.json "$@"
