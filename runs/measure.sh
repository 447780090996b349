#!/bin/sh
# The table of hypotheses: every measure, on the trained network and on random weights.
#   sh runs/measure.sh WEIGHTS DATA OUT
# Goes on where it was stopped. WEIGHTS is a run folder or a .safetensors file, for the
# real galaxies what `runs/real_accuracy.sh` leaves in runs/out/real5/s-0.
set -eu
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} $bin/dmagnet measure "$1" "$2" -o "$3" --per-class 20 --seeds 8
