"""How long the report of a run takes, and the pages of galaxies; JSON on the last line.

    OMP_NUM_THREADS=1 python benchmarks/report.py [--galaxies 1000] [--side 256]

A run folder is made as `dmagnet evaluate` leaves it for so many simulated galaxies: the
answers are drawn by lot, since what the network says costs the page nothing. Timed is
`dmagnet.reporting.report_run`, in a fresh process as the command line would, imports
included, and again in the same process; then the HTML of galaxies' pages from portraits
that are there already, and the index of as many.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dmagnet import __version__, load
from dmagnet.classes import CLASS_NAMES
from dmagnet.config import DreamConfig, SimulateConfig
from dmagnet.explaining import explain_images
from dmagnet.judging import reliability, score, write_metrics
from dmagnet.pictures import standardize
from dmagnet.reporting import Examples, Report, portraits, report_run
from dmagnet.reporting.assess import examples_by_class
from dmagnet.reporting.galaxy_page import entry_of, render_index, render_portrait
from dmagnet.reporting.report_record import keep
from dmagnet.simulator import simulate

NUM_PORTRAITS = 4
FRESH = "import sys; from dmagnet.cli import main; sys.exit(main(sys.argv[1:]))"


def write_run(folder: Path, num: int, side: int) -> None:
    """Write what `dmagnet evaluate` leaves for so many galaxies."""
    rng = np.random.default_rng(0)
    images, labels = simulate(SimulateConfig(num=num, image_size=side))
    probabilities = rng.dirichlet(np.full(10, 0.1), size=num)
    rows = np.arange(num)
    best = probabilities.argmax(axis=1)
    right = rng.random(num) < 0.8
    swapped = probabilities[rows[right], labels[right]].copy()
    probabilities[rows[right], labels[right]] = probabilities[rows[right], best[right]]
    probabilities[rows[right], best[right]] = swapped
    shown = examples_by_class(labels, probabilities)
    masks = rng.uniform(0.8, 1.2, (10, side // 16, side // 16))
    metrics = score(labels, probabilities, CLASS_NAMES)
    report = Report(
        title="A run",
        summary=f"{num} simulated galaxies",
        metrics=metrics,
        calibration=reliability(labels, probabilities),
        examples=Examples(images[shown], labels[shown], probabilities[shown]),
        attention=Examples(images[:10], labels[:10], probabilities[:10], masks),
        history=[{"epoch": k, "train_loss": 2 / (k + 1)} for k in range(30)],
        provenance={},
    )
    write_metrics(folder / "metrics.json", metrics, {"version": __version__})
    keep(folder, report)


def timed(call: object) -> tuple[float, object]:
    """Return seconds and result of a call."""
    start = time.perf_counter()
    result = call()  # type: ignore[operator]
    return time.perf_counter() - start, result


def main() -> None:
    """Make a run, time its page, time pages of galaxies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"a run of {given.galaxies} galaxies...", file=sys.stderr)
        write_run(folder, given.galaxies, given.side)
        command = [sys.executable, "-c", FRESH, "report", name]
        fresh, _ = timed(lambda: subprocess.run(command, check=True, stdout=2))
        again, page = timed(lambda: report_run(folder))
        size = Path(page).stat().st_size
    checkpoint = load("s")
    config = checkpoint.config
    drawn, _ = simulate(SimulateConfig(num=NUM_PORTRAITS, image_size=256))
    seen = np.stack([standardize(i, config.image_size) for i in drawn])
    found = list(
        portraits(
            checkpoint,
            explain_images(checkpoint, seen, methods=()),
            dream=DreamConfig(steps=1),
        )
    )
    pages, _ = timed(lambda: [render_portrait(one, index="i") for one in found])
    entries = [entry_of(found[0], "a.html")] * given.galaxies
    index, text = timed(lambda: render_index(entries, found[0].provenance))
    result = {
        "galaxies": given.galaxies,
        "report_fresh_s": round(fresh, 2),
        "report_again_s": round(again, 2),
        "report_mb": round(size / 1e6, 2),
        "page_s": round(pages / NUM_PORTRAITS, 4),
        "pages_of_all_s": round(pages / NUM_PORTRAITS * given.galaxies, 2),
        "index_of_all_s": round(index, 2),
        "index_mb": round(len(str(text)) / 1e6, 2),
        "version": __version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
