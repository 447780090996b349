#!/bin/sh
# One switch of the network at a time, on the real 5-class set: size xs, 64 px, short.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1
for model in xs xs:no-lam xs:one-scale xs:mean-fusion xs:half-width xs:dilations-123; do
    for seed in 0 1; do
        $python benchmarks/real_accuracy.py --model $model --seed $seed \
            --epochs 12 --image-size 64 --out runs/out/ablations &
    done
    wait
done
for other in no-lam one-scale mean-fusion half-width dilations-123; do
    $python runs/compare.py runs/out/ablations xs xs-$other
done
