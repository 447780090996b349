#!/bin/sh
# Galaxy10 DECaLS itself, from the published file to a table: networks of size s and b at
# 256 px, from scratch and from the weights of the package, three seeds, on the split
# that keeps shared sky together and on a naive one beside it.
#
#     runs/galaxy10.sh                        fetches the file (2.5 GB) first
#     FILE=Galaxy10_DECals.h5 runs/galaxy10.sh
#     FILE=small.h5 SIZES=xs SEEDS=0 EPOCHS=1 SIDE=64 runs/galaxy10.sh    to try it
#
# A killed run goes on where it was: give the same command again.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
dmagnet="$python -m dmagnet"
out=${OUT:-runs/out/galaxy10}
if [ -z "${FILE:-}" ]; then
    $dmagnet fetch -o "$out/file"
    FILE=$out/file/Galaxy10_DECals.h5
fi
$dmagnet audit "$FILE" -o "$out/pairs.ecsv"
$dmagnet prepare "$FILE" -o "$out/safe"  # leaves the black images out, and says which
$python runs/galaxy10.py naive "$out/safe" "$out/naive"
for seed in ${SEEDS:-0 1 2}; do
    for size in ${SIZES:-s b}; do
        for split in safe naive; do
            for start in scratch weights; do
                run=$out/$size-$split-$start-$seed
                if [ $start = scratch ]; then
                    how="--recipe ${RECIPE:-gpu} --size $size"
                elif [ "$size" = b ]; then
                    continue  # the package has no weights of this size
                else
                    how="--from $size"
                fi
                # shellcheck disable=SC2086  # several words
                $dmagnet train "$out/$split" -o "$run" $how --seed "$seed" \
                    --image-size "${SIDE:-256}" ${EPOCHS:+--epochs "$EPOCHS"}
                [ -e "$run/judged/metrics.json" ] ||
                    $dmagnet evaluate "$run" "$out/$split" -o "$run/judged" --split test
            done
        done
    done
done
$python runs/galaxy10.py table "$out"
