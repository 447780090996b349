#!/bin/sh
# Images per second beside ResNet-18 and ResNet-50 at 256 px, and the wait for data.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=2
$python benchmarks/speed.py --side 256 --batch 16
$python benchmarks/data_wait.py --recipe laptop --size s --image-size 128
$python benchmarks/data_wait.py --recipe demo --size xs --image-size 96 --num 2000
