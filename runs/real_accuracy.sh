#!/bin/sh
# Accuracy from scratch on the real 5-class set: DMAGNet-s beside ResNet-18, three seeds.
# Two jobs side by side, one thread each; a killed job goes on where it was. Needs timm.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
for seed in 0 1 2; do
    for model in s resnet18; do
        $python benchmarks/real_accuracy.py --model $model --seed $seed --out runs/out/real5 &
    done
    wait
done
$python runs/compare.py runs/out/real5 s resnet18
