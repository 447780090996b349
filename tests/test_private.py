"""Nothing is told to anybody: no address is asked, and no machine gets a number."""

import json
import os
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

# Verbs one after the other in one process; sockets of Python are seen as they are
# made, those of compiled libraries as they are left open, and by what they keep.
WATCHED = """
import json, os, sys
asked = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        asked.append(f"{event} {args}")
sys.addaudithook(watch)
from dmagnet.cli import main
for words in json.loads(sys.argv[1]):
    if status := main(words):
        sys.exit(f"{words}: {status}")
import onnxscript, torch.onnx  # with which export writes
from dmagnet.exporting import open_exported
open_exported(sys.argv[2], runtime="openvino")
for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
    try:
        where = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        continue
    if where.startswith("socket:"):
        asked.append(where)
sys.exit("\\n".join(asked) or 0)
"""
OURS = ".cache/dmagnet"


@pytest.mark.slow
def test_no_verb_opens_a_socket_or_notes_an_id_of_the_machine(untrained, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "g.png")
    weights, onnx = map(str, untrained)
    few = ("--weights", weights)
    verbs = [
        ["classify", "g.png", "-o", "a.csv", "--weights", onnx],
        ["classify", "g.png", "-o", "b.csv", *few],
        ["explain", "g.png", "-o", "why", *few],
        ["dream", "g.png", "-o", "dreams", *few, "--layers", "stem", "--steps", "1"],
        ["page", "g.png", "-o", "page", *few, "--no-compare", "--steps", "1"],
    ]
    words = {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    words["MPLCONFIGDIR"] = mpl.get_cachedir()  # a list of fonts takes a while
    kept = {n: os.environ[n] for n in ("PATH", "PYTHONPATH") if n in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(verbs), onnx],
        env=kept | words,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    written = [p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()]
    assert [path for path in written if not path.startswith(OURS)] == []
