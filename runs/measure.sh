#!/bin/sh
# The table of hypotheses: every measure, on the trained network and on random weights.
#   sh runs/measure.sh WEIGHTS DATA OUT
# Goes on where it was stopped. Two processes side by side share the dreams by layer.
set -eu
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} $bin/dmagnet measure "$1" "$2" -o "$3" --per-class 20 --seeds 8
