"""How far a linear classifier gets on simulated galaxies: it should not get far.

If raw pixels told the classes apart, a network could learn brightness and size
instead of shape. Prints JSON.

    python runs/simulator_linear.py
"""

import argparse
import json
import platform

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmagnet import __version__
from dmagnet.config import SimulateConfig
from dmagnet.simulator import simulate


def main() -> None:
    """Draw, shrink, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=4000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    num = args.train + args.test
    config = SimulateConfig(num=num, image_size=args.image_size, seed=args.seed)
    images, labels = simulate(config)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    accuracy = {}
    for side in (32, 64):
        small = torch.nn.functional.adaptive_avg_pool2d(pixels, side)
        flat = small.flatten(1).numpy() / 255
        for name, c in (("default", 1.0), ("regularized", 1e-4)):
            linear = make_pipeline(
                StandardScaler(), LogisticRegression(C=c, max_iter=300)
            )
            linear.fit(flat[: args.train], labels[: args.train])
            score = linear.score(flat[args.train :], labels[args.train :])
            accuracy[f"{side}px_{name}"] = round(float(score), 4)
    print(
        json.dumps(
            {
                "what": "accuracy of logistic regression on standardized RGB pixels",
                "accuracy": accuracy,
                "highest": max(accuracy.values()),
                "standard_error": round(float(np.sqrt(0.25 / args.test)), 4),
                **vars(args),
                "version": __version__,
                "torch": torch.__version__,
                "machine": platform.machine(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
