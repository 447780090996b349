#!/bin/sh
# Milliseconds per dream step beside torch-dreams 4.0.0 and lucent 0.1.8.
#
# Both need torchvision, and an install that follows their requirements replaces torch
# and kornia. So they live in a folder of their own, outside the environment:
#
#   pip install --no-deps --target "$DREAMLIBS" torch-dreams==4.0.0 \
#       torch-lucent==0.1.8 torchvision==0.28.0 opencv-python-headless
#   pip install --target "$DREAMLIBS" decorator ipython
#
# torchvision's compiled operators do not fit a CPU torch; benchmarks/torchvision_stub.py
# lets its Python parts import, and neither of the two uses others here.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
libraries=${DREAMLIBS:?folder of torch-dreams and lucent, made as above}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
# Behind the environment's own packages, so that those are used where both have one.
PYTHONPATH=benchmarks $python -c "import sys; sys.path.append('$libraries')
import runpy; sys.argv = ['dream_speed.py', *sys.argv[1:]]
runpy.run_path('benchmarks/dream_speed.py', run_name='__main__')" "$@"
