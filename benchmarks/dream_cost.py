"""What a dream costs a user: by the library, and as the page dreams three layers.

    python benchmarks/dream_cost.py [--weights s] [--rounds 3]

Seconds of the default dream of one simulated galaxy of 256 px at LAM, the first time in
a process and later; of three layers with the page's own settings, from the request to
the last picture; and from Cancel to the end. Prints median and range as a table.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch
from app import LAYERS, cancel, dream, first_answer, galaxies, summary
from gradio_client import Client

import dmagnet
from dmagnet.app import serving
from dmagnet.app.work import DREAM_SIDE
from dmagnet.config.app_config import AppConfig
from dmagnet.config.dream_config import DreamConfig


def alone(path: Path, weights: str) -> float:
    """Seconds of one dream by the library, from the file on."""
    begun = time.perf_counter()
    dmagnet.dream(path, "lam", weights=weights)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="s")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rounds, config = range(given.rounds), AppConfig(port=0, per_second=1000, burst=1000)
    with tempfile.TemporaryDirectory() as scratch:
        (galaxy,) = galaxies(Path(scratch), 1)
        found = {"LAM, the first time": [alone(galaxy, given.weights)]}
        found["LAM, later"] = [alone(galaxy, given.weights) for _ in rounds]
        with serving(config, weights=given.weights) as server:
            client = Client(server.url, verbose=False)
            first_answer(client, galaxy)
            steps, side = DreamConfig().steps, DREAM_SIDE
            pages = [dream(client, steps, side) for _ in rounds]
            found[f"page, {side} px: {', '.join(LAYERS)}"] = pages
            found["page, Cancel to end"] = [cancel(client, 0.3 * i) for i in rounds]
    print(
        f"{given.weights}, {torch.get_num_threads()} threads, load "
        f"{os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}\n\n"
        "| dream | seconds | lowest | highest |\n|---|---|---|---|"
    )
    for name, seconds in found.items():
        cells = " | ".join(f"{value:.2f}" for value in summary(seconds).values())
        print(f"| {name} | {cells} |")


if __name__ == "__main__":
    main()
