"""The verbs that judge a network, and fit how far to trust it."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from dmagnet.cli.screen import LABELS, TRIAL, MaybeOut, Out, Trial, bars, print_scores
from dmagnet.config import LabelsConfig, SplitName

Galaxies = Annotated[Trial, arg(name="")]


def evaluate(
    weights: Positional[Path],
    data: Positional[Path],
    galaxies: Galaxies = TRIAL,
    *,
    out: Out,
) -> None:
    """Judge a network on labeled galaxies: metrics.json, figures and a page.

    Parameters
    ----------
    weights : Path
        A run folder, a .safetensors file, or s or xs of the package.
    data : Path
        As for train.
    galaxies : Trial
        Which of them, and how.
    out : Path
        Folder for the results.
    """
    from dmagnet.cli import verbs

    with bars() as bar:
        result = verbs.evaluate(weights, data, out, announce=bar, **vars(galaxies))
    print_scores(result.metrics)
    print(f"page: {out / 'report.html'}")


def failures(
    weights: Positional[Path],
    data: Positional[Path],
    galaxies: Galaxies = TRIAL,
    *,
    out: Out,
) -> None:
    """Show the labeled galaxies that a network gets wrong, one sheet per confusion.

    Parameters
    ----------
    weights : Path
        A run folder, a .safetensors file, or s or xs.
    data : Path
        As for train.
    galaxies : Trial
        Which of them, and how.
    out : Path
        Folder for the sheets and failures.ecsv.
    """
    from dmagnet.cli import verbs

    with bars() as bar:
        found = verbs.failures(weights, data, out, announce=bar, **vars(galaxies))
    print(
        f"{found.num_wrong} of {found.num} galaxies are called something else than "
        f"their label, on {len(found.sheets)} sheets"
    )
    print(found.table)


def calibrate(
    weights: Positional[str],
    data: Positional[Path],
    labels: Annotated[LabelsConfig, arg(name="")] = LABELS,
    *,
    out: MaybeOut = None,
    split: SplitName = "val",
    views: Literal[1, 2, 4, 8] | None = None,
) -> None:
    """Fit temperature, sets and the out-of-distribution flag on labeled galaxies.

    Parameters
    ----------
    weights : str
        A .safetensors file or a run folder; s or xs for those of the package.
    data : Path
        As for evaluate. Its train part says what galaxies look like; the rest is
        fitted on galaxies that trained nothing.
    labels : LabelsConfig
        How to read them.
    out : Path
        File for the calibrated weights; without one, they are written in their place.
    split : str
        Part to fit on; all also for few galaxies that trained nothing.
    views : int
        Average over 8 flips and quarter turns, or look once, now and whenever these
        weights are used; if not given, as they were calibrated before, else once.
    """
    from dmagnet.cli import verbs
    from dmagnet.network.bundled import path_of
    from dmagnet.network.checkpoint import WEIGHTS

    how = {"split": split, "views": views, **vars(labels)}
    with bars() as bar:
        calibration = verbs.calibrate(
            weights, data, out, announce=bar, **how
        ).calibration
    assert calibration is not None  # it was fitted
    fitted = calibration.provenance["sets"][0]
    print(
        f"temperature {calibration.temperature:.3f}: ECE {fitted['before']['ece']:.3f} "
        f"to {fitted['after']['ece']:.3f}, NLL {fitted['before']['nll']:.3f} to "
        f"{fitted['after']['nll']:.3f}"
    )
    low, high = calibration.thresholds
    print(
        f"a class is in the 90 % set from {low:.3f} on, in the 95 % set from {high:.3f}"
    )
    place = out or path_of(weights)
    print(place / WEIGHTS if place.is_dir() else place)
