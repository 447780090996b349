"""Time the first answer of a fresh notebook, beside torch's import alone.

    python benchmarks/first_answer.py [--runs 5]

Each run starts a kernel of Jupyter, and times its first cell from sending it to its
last output. Runs of both cells alternate.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from jupyter_client.manager import start_new_kernel
from PIL import Image

from dmagnet.config import SimulateConfig
from dmagnet.simulator import simulate

ANSWER = "import dmagnet\ndmagnet.classify({!r})"


def seconds(cell: str) -> float:
    """Time the first cell of a new kernel."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        began = time.perf_counter()
        told: Any = client.execute_interactive(cell, output_hook=lambda _: None)
        took = time.perf_counter() - began
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if told["content"]["status"] != "ok":
        raise SystemExit(told["content"]["evalue"])
    return took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    num = parser.parse_args().runs
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs
    with tempfile.TemporaryDirectory() as folder:
        galaxy = str(Path(folder) / "galaxy.png")
        Image.fromarray(simulate(SimulateConfig(num=1))[0][0]).save(galaxy)
        cells = {"answer": ANSWER.format(galaxy), "import torch": "import torch"}
        seconds(cells["answer"])  # files in memory, as on any second day
        took: dict[str, list[float]] = {name: [] for name in cells}
        for _ in range(num):
            for name, cell in cells.items():
                took[name].append(seconds(cell))
    for name, all_of in took.items():
        low, middle, high = np.percentile(all_of, [0, 50, 100]).round(2).tolist()
        print(json.dumps({"cell": name, "s": middle, "from": low, "to": high}))
