"""Show the galaxies that a network got wrong, a sheet for each confusion."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from textwrap import wrap

import numpy as np
from astropy.table import MaskedColumn, Table

from dmagnet import figures
from dmagnet.calibration.judgement import views_to_take
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.judging.trust import Judged, judge_labeled
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.reporting.assess import HASHES, labeled_table, provenance_of, write_table
from dmagnet.storage.arrays import Ints
from dmagnet.storage.disk import claimed, made_here

TABLE = "failures.ecsv"
SHEETS = "[0-9][0-9][0-9]-*-as-*.png"
PER_SHEET = 20
COLUMNS = 5  # pictures a row
LETTERS = 30  # in a line under a picture
FEW = 3  # classes whose names fit under a picture


@dataclass(frozen=True, eq=False)
class Failures:
    """What `show_failures` found, and where it wrote it.

    Attributes
    ----------
    num : int
        Galaxies judged.
    num_wrong : int
        Of them with another class than their label.
    sheets : tuple of Path
        One for each pair of label and answer, the most frequent first.
    table : Path
        One row for each wrong galaxy, in the order of the sheets.
    """

    num: int
    num_wrong: int
    sheets: tuple[Path, ...]
    table: Path


def show_failures(
    checkpoint: Checkpoint,
    galaxies: Galaxies,
    out: Path,
    *,
    views: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Failures:
    """Classify labeled galaxies, and show where the answer is not the label.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network, with its calibration if it has one.
    galaxies : Galaxies
        As `dmagnet.reporting.assess.galaxies_to_judge` gives them.
    out : Path
        Folder for sheets and table; made if it is missing. Sheets of an earlier call
        are replaced.
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns to average over; if not given, as
        the calibration was fitted, and one look without any.
    progress : callable, optional
        Called with the number of galaxies done so far.

    Returns
    -------
    Failures
        How many were wrong, and the files.

    Raises
    ------
    ConfigError
        If ``views`` is none of 1, 2, 4 and 8.
    DataError
        If two coarse labels share a class, or the disk refuses.

    Notes
    -----
    Each sheet has the surest mistakes first, `PER_SHEET` at most; the table has all.
    Under a picture stand its file, how probable the network found its answer and the
    label, and the classes of the 90 % set where the weights are calibrated. A label
    may be wrong too: what a person sees on these sheets is worth more than a score.
    """
    views = views_to_take(views, checkpoint.calibration)
    with claimed(out, TABLE):
        judged = judge_labeled(checkpoint, galaxies, views=views, progress=progress)
        pairs = list(confusions(judged))
        for old in filter(made_here, out.glob(SHEETS)):
            old.unlink()
        sheets = [
            figures.save(
                figures.galaxy_grid(
                    galaxies.images[wrong[:PER_SHEET]],
                    [_caption(galaxies, judged, one) for one in wrong[:PER_SHEET]],
                    num_columns=COLUMNS,
                    title=_title(judged, label, answer, len(wrong)),
                ),
                out / _file_name(judged, number, label, answer),
            )
            for number, (label, answer, wrong) in enumerate(pairs, start=1)
        ]
        order = [(k, one) for k, pair in enumerate(pairs) for one in pair[2]]
        table = _table(galaxies, judged, sheets, order)
        told = provenance_of(checkpoint, galaxies, views)
        write_table(out / TABLE, table, told, (*HASHES, "views", "notes"))
    return Failures(len(galaxies), len(order), tuple(sheets), out / TABLE)


def confusions(judged: Judged) -> Iterator[tuple[int, int, Ints]]:
    """Sort what went wrong by label and answer.

    Parameters
    ----------
    judged : Judged
        From `dmagnet.judging.trust.judge_labeled`.

    Yields
    ------
    tuple of int, int, (M,) int64
        Label, answer and the galaxies: the most frequent pair first, the surest
        galaxy of each first.
    """
    answers = judged.probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != judged.labels)
    found = {}
    for label, answer in set(zip(judged.labels[wrong], answers[wrong], strict=True)):
        mine = wrong[(judged.labels[wrong] == label) & (answers[wrong] == answer)]
        sure = judged.probabilities[mine, answer]
        found[int(label), int(answer)] = mine[np.argsort(-sure, kind="stable")]
    for pair in sorted(found, key=lambda pair: (-len(found[pair]), pair)):
        yield (*pair, found[pair])


def _title(judged: Judged, label: int, answer: int, num: int) -> str:
    names = judged.names
    of = int((judged.labels == label).sum())
    some = f"; the {PER_SHEET} surest" if num > PER_SHEET else ""
    return (
        f"labeled {names[label]}, called {names[answer]}: {num} of {of} galaxies{some}"
    )


def _caption(galaxies: Galaxies, judged: Judged, one: int) -> str:
    """Caption one galaxy: its name, and how sure the network was of what."""
    chances = judged.probabilities[one]
    name = PurePosixPath(str(galaxies.ids[one])).name
    lines = [
        name if len(name) <= LETTERS else f"...{name[3 - LETTERS :]}",
        f"answer {chances.max():.2f}, label {chances[judged.labels[one]]:.2f}",
    ]
    members = _members(judged, one)
    if members is not None:
        few = len(members) <= FEW
        text = ", ".join(judged.names[k] for k in members)
        lines += wrap(f"90 %: {text if few else f'{len(members)} classes'}", LETTERS)
    return "\n".join(lines)


def _members(judged: Judged, one: int) -> list[int] | None:
    """List the classes of the 90 % set, if there are sets."""
    sets = judged.trust.set90
    return None if sets is None else np.flatnonzero(sets[one]).tolist()


def _file_name(judged: Judged, number: int, label: int, answer: int) -> str:
    """Name a sheet so that a folder lists the most frequent confusion first."""
    names = (judged.names[label], judged.names[answer])
    slugs = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] for name in names]
    return f"{number:03d}-{slugs[0]}-as-{slugs[1]}.png"


def _table(
    galaxies: Galaxies, judged: Judged, sheets: list[Path], order: list[tuple[int, int]]
) -> Table:
    """Make one row a wrong galaxy; what is not known is masked."""
    rows = np.array([one for _, one in order], dtype=np.int64)
    chances, trust = judged.probabilities[rows], judged.trust
    sets = ["|".join(map(str, _members(judged, one) or ())) for one in rows]
    table = labeled_table(galaxies, judged, rows)
    names = np.array([sheets[k].name for k, _ in order], dtype=str)
    table.add_column(names, index=0, name="sheet")
    table["class_index"] = chances.argmax(axis=1)
    table["class_name"] = np.array(judged.names)[table["class_index"]]
    table["probability"] = chances.max(axis=1)
    table["probability_of_label"] = chances[np.arange(len(rows)), table["label"]]
    unknown = trust.set90 is None
    table["set90"] = MaskedColumn(np.array(sets, dtype=str), mask=unknown)
    known = {"disagreement": trust.disagreement, "ood_flag": trust.flagged}
    for name, values in known.items():
        if values is not None:
            table[name] = np.asarray(values)[rows]
    return table
