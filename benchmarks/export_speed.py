"""What an exported network costs and keeps, beside torch, in one run, in turns.

    OMP_NUM_THREADS=2 python benchmarks/export_speed.py RUN --real galaxy10_real60.h5

Kept: probabilities and classes on real galaxies (an .h5 file like Galaxy10's) and on
simulated ones. Cost: images a second from uint8 to probabilities; each round times
every way once, and ratios are medians over rounds, with their range. Several threads
work as `dmagnet classify` lets them: each on images of its own, on one core. With one
thread the processor's time is compared as well, which other jobs hardly change.
OpenVINO has its own threads and takes one call after the other. One line of JSON.
"""

import argparse
import copy
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import torch

from dmagnet.config import SimulateConfig
from dmagnet.exporting import OnnxClassifier, OpenVINOClassifier, export_onnx
from dmagnet.judging.predict import batches_of, probabilities_of
from dmagnet.network.blocks import folded
from dmagnet.network.checkpoint import load
from dmagnet.pictures import resize
from dmagnet.simulator import simulate

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
CPU = torch.device("cpu")


def in_torch(model, images, batch: int):
    torch.set_num_threads(1)  # of this thread
    done = [probabilities_of(model, part) for part in batches_of(images, batch, CPU)]
    return torch.cat(done).numpy()


def as_written(model, images, batch: int):
    """Call the network as its first lines in a notebook do."""
    torch.set_num_threads(1)
    done = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            part = torch.from_numpy(images[start : start + batch])
            pixels = part.permute(0, 3, 1, 2).contiguous().float() / 255
            done.append(model(pixels).softmax(1))
    return torch.cat(done).numpy()


def ways(checkpoint, path: Path, batch: int):
    """Every way to classify with the same weights."""
    plain = checkpoint.model.eval()
    model = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    given = {"views": 1, "batch_size": batch}
    return {
        "torch": partial(in_torch, model, batch=batch),
        "torch as written": partial(as_written, plain, batch=batch),
        "torch, norms folded": partial(in_torch, folded(model), batch=batch),
        "onnxruntime": OnnxClassifier(path, threads=1, **given).probabilities,
        "openvino fp32": OpenVINOClassifier(
            path, threads=THREADS, **given
        ).probabilities,
        "openvino bf16": OpenVINOClassifier(
            path, threads=THREADS, **given, precision="bf16"
        ).probabilities,
    }


def kept(found, expected) -> dict[str, object]:
    """How far from torch, and whether the classes are the same."""
    same = found.argmax(1) == expected.argmax(1)
    ordered = np.sort(expected, axis=1)
    return {
        "n": len(expected),
        "largest_difference": float(f"{abs(found - expected).max():.2g}"),
        "other_class": int((~same).sum()),
        "margin_of_those": [
            round(float(m), 4) for m in (ordered[:, -1] - ordered[:, -2])[~same]
        ],
    }


def spread(values) -> list[float]:
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    return [round(float(v), 2) for v in (middle, low, high)]


def speed(every, images, rounds: int) -> dict[str, dict[str, object]]:
    """Images a second of each way, and how many times as fast as torch."""
    clocks = {"wall": time.perf_counter}
    if THREADS == 1:  # several threads spin while they wait, which counts as work
        clocks["cpu"] = time.process_time
    seconds = {name: {clock: [] for clock in clocks} for name in every}
    shares = np.array_split(images, THREADS)
    for i, (name, way) in product(range(rounds + 1), every.items()):
        with ThreadPoolExecutor(THREADS) as pool:
            starts = {clock: now() for clock, now in clocks.items()}
            list(pool.map(way, shares))
            if i:  # the first round warms up
                for clock, now in clocks.items():
                    seconds[name][clock].append(now() - starts[clock])
    return {
        name: {
            clock: {
                "images_per_s": spread(len(images) / np.array(took[clock])),
                "over_torch": spread(
                    np.array(seconds["torch"][clock]) / np.array(took[clock])
                ),
            }
            for clock in clocks
        }
        for name, took in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--num", type=int, default=64, help="images a round")
    parser.add_argument("--simulated", type=int, default=200)
    args = parser.parse_args()
    checkpoint = load(args.weights)
    side, field = checkpoint.config.image_size, checkpoint.config.field
    result = {"date": time.strftime("%Y-%m-%d"), "weights": str(args.weights)}
    result |= {"threads": THREADS, "torch": torch.__version__, "side": args.side}
    galaxies = {
        "simulated": simulate(
            SimulateConfig(
                num=args.simulated, image_size=side, field=field, seed=987_654
            )
        )[0]
    }
    if args.real:
        with h5py.File(args.real) as file:
            galaxies["real"] = resize(file["images"][:], side, field)
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(checkpoint, Path(folder) / "m.onnx")
        every = ways(checkpoint, path, 16)
        for name, images in galaxies.items():
            expected = every["torch"](images)
            result[name] = {w: kept(way(images), expected) for w, way in every.items()}
        noise = np.random.default_rng(0).integers(
            0, 255, (args.num, args.side, args.side, 3), np.uint8
        )
        for batch in args.batches:
            every = ways(checkpoint, path, batch)
            result[f"batches of {batch}"] = speed(every, noise, args.rounds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
