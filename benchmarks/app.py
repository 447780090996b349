"""How fast is the page? Measured on a page that runs, as a script asks it.

Start: ``python benchmarks/app.py [--weights s] [--rounds 5] [--out FILE]``. It starts
``dmagnet app`` on this machine, asks it over HTTP with gradio's own client, and prints
JSON: seconds from the upload of a galaxy to its class, for a dream of three layers at
256 px, from a cancel to its end, and for ten uploads at once, beside the limits.
"""

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from gradio_client import Client, handle_file
from PIL import Image

from dmagnet import __version__
from dmagnet.app import Server, serving
from dmagnet.config.app_config import AppConfig
from dmagnet.simulator import draw

LIMITS = {"first_answer_s": 1.5, "dream_s": 15.0, "cancel_s": 1.0}
LAYERS = ["stage1", "stage3", "lam"]
STEPS, SIDE, NOTHING = 10, 256, "(none)"
MANY = 10


def galaxies(folder: Path, num: int) -> list[Path]:
    """Draw galaxies as JPEG files, none like another."""
    drawn = draw(
        torch.arange(num) % 10,
        image_size=256,
        field=1.0,
        generator=torch.Generator().manual_seed(0),
    )
    paths = []
    for i, pixels in enumerate(drawn.permute(0, 2, 3, 1).numpy()):
        paths.append(folder / f"galaxy{i}.jpg")
        Image.fromarray(np.ascontiguousarray(pixels)).save(paths[-1], quality=92)
    return paths


def first_answer(client: Client, path: Path) -> float:
    """Seconds from the begin of an upload to the class; the reasons are waited for."""
    begun = time.perf_counter()
    job = client.submit(handle_file(str(path)), api_name="/look")
    steps = iter(job)
    first = next(steps)
    taken = time.perf_counter() - begun
    assert "dm-class" in first[0], first[0][:200]
    for _ in steps:
        pass
    return taken


def dream(client: Client, steps: int = STEPS, side: int = SIDE) -> float:
    """Seconds for a dream of three layers."""
    begun = time.perf_counter()
    job = client.submit(LAYERS, NOTHING, steps, side, api_name="/dream")
    *_, last = job
    assert last[0].count("<h3>") == len(LAYERS), last[0][:200]
    return time.perf_counter() - begun


def cancel(client: Client, after_s: float) -> float:
    """Seconds from a cancel in the middle of a dream to its end."""
    job = client.submit(LAYERS[::-1], NOTHING, STEPS, SIDE, api_name="/dream")
    steps = iter(job)
    next(steps)
    time.sleep(after_s)
    begun = time.perf_counter()
    threading.Thread(target=lambda: client.predict(api_name="/cancel")).start()
    *_, last = steps
    assert "Canceled" in last[0], last[0][:200]
    return time.perf_counter() - begun


def many(server: Server, paths: list[Path]) -> dict[str, float]:
    """Let ten people upload at once: how many were answered, and how late."""
    clients = [Client(server.url, verbose=False) for _ in paths]
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(paths)) as pool:
        taken = list(pool.map(first_answer, clients, paths))
    return {
        "asked": len(paths),
        "answered": len(taken),
        "last_first_answer_s": max(taken),
        "all_done_s": time.perf_counter() - begun,
    }


def summary(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": float(np.median(values)), "low": min(values), "high": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    config = AppConfig(port=0, per_second=1000, burst=1000)
    begun = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(config, weights=given.weights, device=given.device) as server,
    ):
        start_s = time.perf_counter() - begun
        paths = galaxies(Path(scratch), MANY)
        client = Client(server.url, verbose=False)
        answers = [first_answer(client, paths[i % MANY]) for i in range(given.rounds)]
        dreams = [dream(client) for _ in range(given.rounds)]
        cancels = [cancel(client, 0.1 + 0.3 * i) for i in range(given.rounds)]
        measured = {
            "first_answer_s": summary(answers),
            "dream_s": summary(dreams),
            "cancel_s": summary(cancels),
        }
        result = {
            "dmagnet": __version__,
            "date": time.strftime("%Y-%m-%d"),
            "machine": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "torch_threads": torch.get_num_threads(),
            "load": os.getloadavg()[0],
            "weights": given.weights,
            "rounds": given.rounds,
            "start_s": start_s,
            **measured,
            "at_once": many(server, paths),
            "limits": LIMITS,
            "kept": {
                name: measured[name]["high"] <= limit for name, limit in LIMITS.items()
            },
        }
    text = json.dumps(result, indent=1)
    print(text)
    if given.out:
        given.out.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
