"""The verbs that judge a network, and fit how far to trust it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from dmagnet.cli.screen import (
    LABELS,
    TRIAL,
    Labels,
    MaybeOut,
    Out,
    Trial,
    bars,
    print_notes,
    print_scores,
)
from dmagnet.config.train_config import SplitName
from dmagnet.storage.disk import make_way, refuse_replacing, says_so

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
    from dmagnet.reporting.assess import assess
    from dmagnet.training.run_folder import history

    checkpoint, chosen = _open(weights, data, galaxies, out)
    with bars() as bar:
        result = assess(
            checkpoint,
            chosen,
            out,
            views=galaxies.views,
            history=history(weights) if weights.is_dir() else (),
            progress=bar("Judging", len(chosen)),
        )
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
    from dmagnet.reporting.failures import show_failures

    checkpoint, chosen = _open(weights, data, galaxies, out)
    with bars() as bar:
        found = show_failures(
            checkpoint,
            chosen,
            out,
            views=galaxies.views,
            progress=bar("Judging", len(chosen)),
        )
    print(
        f"{found.num_wrong} of {found.num} galaxies are called something else than "
        f"their label, on {len(found.sheets)} sheets"
    )
    print(found.table)


def _open(weights: Path, data: Path, galaxies: Trial, out: Path) -> tuple[Any, Any]:
    """Load a network and the galaxies to judge it on; print what to know of them."""
    from dmagnet.network.bundled import load
    from dmagnet.reporting.assess import galaxies_to_judge

    refuse_replacing(out, data)
    checkpoint, how = load(weights), asdict(galaxies)
    del how["views"]
    chosen = galaxies_to_judge(checkpoint, data, **how)
    print_notes((*chosen.notes, *chosen.skipped))
    return checkpoint, chosen


def calibrate(
    weights: Positional[str],
    data: Positional[Path],
    labels: Annotated[Labels, arg(name="")] = LABELS,
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
    labels : Labels
        How to read them.
    out : Path
        File for the calibrated weights; without one, they are written in their place.
    split : str
        Part to fit on; all also for few galaxies that trained nothing.
    views : int
        Average over 8 flips and quarter turns, or look once, now and whenever these
        weights are used; if not given, as they were calibrated before, else once.
    """
    from dataclasses import replace

    from dmagnet.errors import ConfigError
    from dmagnet.judging.trust import fit_calibration
    from dmagnet.network.bundled import ALIASES, BUNDLED, load, path_of
    from dmagnet.network.checkpoint import save
    from dmagnet.reporting.assess import galaxies_to_judge

    if out is None and weights in (*BUNDLED, *ALIASES):
        raise ConfigError(
            f"{weights}: expected a place for the calibrated weights, those of the "
            "package stay as they are; give -o WEIGHTS.safetensors"
        )
    if out is not None:
        refuse_replacing(out, data)
        make_way(out, says_so)
    checkpoint = load(weights)
    whole = galaxies_to_judge(
        checkpoint,
        data,
        split="all",
        include_training=True,  # they say what galaxies look like
        **asdict(labels),
    )
    held, known = whole.subset(split), whole.subset("train")
    known_parts = [known] if len(known) and split != "all" else []
    print_notes(whole.skipped)
    own = checkpoint.provenance.get("data_hash") == whole.data_hash
    if own and split in ("train", "all"):
        print_notes(["fitted on galaxies that it was trained on: it will be too sure"])
    print_notes([f"{len(held)} galaxies fit; {sum(map(len, known_parts))} are known"])
    with bars() as bar:
        total = len(held) + sum(map(len, known_parts))
        calibration = fit_calibration(
            checkpoint,
            [held],
            known_parts,
            views=views,
            progress=bar("Looking", total),
        )
    place = path_of(weights)
    if place.is_dir():
        place /= "weights.safetensors"
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
    print(save(out or place, replace(checkpoint, calibration=calibration)))
