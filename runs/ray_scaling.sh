#!/bin/sh
# What a second Ray worker adds to one, a thread each: sh runs/ray_scaling.sh RUN
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
$python benchmarks/ray_scaling.py --weights "${1:-runs/out/sim10/s}" --workers 1 2 --rounds 3
