#!/bin/sh
# The table of hypotheses: every measure, on the trained network and on its controls.
#   sh runs/measure.sh WEIGHTS DATA OUT [SHUFFLED]
# Goes on where it was stopped. WEIGHTS is s, xs, a run folder or a .safetensors file;
# SHUFFLED are weights of the same size that were trained on shuffled labels.
set -eu
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} $bin/dmagnet measure "$1" "$2" -o "$3" \
    ${4:+--shuffled-labels "$4"}
