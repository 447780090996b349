#!/bin/sh
# From JPEG files to a table: rate, memory, cost, kills. WEIGHTS is a run of size s.
#
# The rate stands beside ResNet-18 and needs timm (benchmarks/torchvision_stub.py).
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
weights=${WEIGHTS:-runs/out/sim10/s}
$python benchmarks/classify_rate.py --weights "$weights" -o runs/out/classify_rate.json
$python benchmarks/classify_kills.py --weights "$weights" -o runs/out/classify_kills.json
$python benchmarks/classify_memory.py --weights "$weights" \
    -o runs/out/classify_memory.json
