"""The verb that fits how far to trust a network."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from dmagnet.cli.screen import bars, print_notes
from dmagnet.config.train_config import SplitName
from dmagnet.storage.disk import make_way, refuse_replacing, says_so

Given = Annotated[Path | None, arg(aliases=["-o"])]


def calibrate(
    weights: Positional[str],
    data: Positional[Path],
    *,
    out: Given = None,
    split: SplitName = "val",
    views: Literal[1, 8] | None = None,
    strict: bool = False,
    meanings: Path | None = None,
) -> None:
    """Fit temperature, sets and the out-of-distribution flag on labeled galaxies.

    Parameters
    ----------
    weights : str
        A .safetensors file or a run folder; s or xs for those of the package.
    data : Path
        As for evaluate. Its train part says what galaxies look like; the rest is
        fitted on galaxies that trained nothing.
    out : Path
        File for the calibrated weights; without one, they are written in their place.
    split : str
        Part to fit on; all also for few galaxies that trained nothing.
    views : int
        Average over 8 flips and quarter turns, or look once, now and whenever these
        weights are used; if not given, as they were calibrated before, else once.
    strict : bool
        Refuse unreadable images instead of leaving them out.
    meanings : Path
        JSON that gives each coarse class of the data the finer ones it may be.
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
        strict=strict,
        meanings=meanings,
        include_training=True,  # they say what galaxies look like
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
