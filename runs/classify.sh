#!/bin/sh
# From JPEG files to a table: rate, memory, cost, kills. WEIGHTS is a run of size s,
# SMALL one of size xs.
#
# The rate stands beside ResNet-18 and needs timm (benchmarks/torchvision_stub.py).
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
weights=${WEIGHTS:-runs/out/sim10/s}
$python benchmarks/classify_rate.py --side 256 --loop 150 --rounds 3 \
    -o runs/out/classify_rate_256.json
$python benchmarks/classify_rate.py --weights "$weights" --rounds 3 \
    -o runs/out/classify_rate_128.json
$python benchmarks/kills.py -o runs/out/kills.json
small=${SMALL:-runs/out/demo_xs}
for i in 1 2 3; do
    $python benchmarks/classify_memory.py --weights "$small" \
        -o runs/out/classify_memory_$i.json
done
