#!/bin/sh
# What an exported network costs and keeps beside torch, with two threads and with one.
#   sh runs/export_speed.sh WEIGHTS [galaxy10_real60.h5]
# WEIGHTS is a run folder or a .safetensors file; the .h5 file holds real galaxies.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
for threads in 2 1; do
    OMP_NUM_THREADS=$threads $python benchmarks/export_speed.py "$1" ${2:+--real "$2"}
done
