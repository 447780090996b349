"""The folder of one training run: its settings, its lock, its history."""

import csv
import json
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import torch

from dmagnet.config import TrainConfig, to_dict
from dmagnet.errors import CheckpointError
from dmagnet.storage.disk import open_file, write_whole
from dmagnet.storage.records import as_written, differences, read_json

RESUME = "last.ckpt"
SETTINGS = "run.json"


def settings_of(
    config: TrainConfig, class_names: tuple[str, ...], data_hash: str, parent: str = ""
) -> dict[str, Any]:
    """Collect what makes two runs the same run."""
    return {
        "config": to_dict(config),
        "class_names": list(class_names),
        "data_hash": data_hash,
        **({"parent": parent} if parent else {}),
    }


def enter(out: Path, settings: dict[str, Any], finished: int | None = None) -> None:
    """Start a run folder, or make sure that it holds this run, or a shorter one."""
    path = out / SETTINGS
    text = json.dumps(settings, indent=1)
    if not path.exists():
        if finished:
            raise CheckpointError(
                f"{out}: expected a new folder or that of a run, found weights without "
                f"{SETTINGS}; choose another folder with -o"
            )
        write_whole(path, text.encode())
        return
    old = read_json(
        path,
        "the settings of a run",
        "choose another folder with -o",
        error=CheckpointError,
    )
    new = json.loads(text)
    difference = _first_difference(old, new)
    if finished and finished != (wanted := new["config"]["epochs"]):
        shorter = new | {"config": new["config"] | {"epochs": finished}}
        difference = _first_difference(old, shorter)
        if not difference:
            _refuse_fewer(out, finished, wanted)
            write_whole(path, text.encode())
            return
    if difference:
        raise CheckpointError(
            f"{out}: holds another run ({difference}); repeat that run's settings to "
            "resume it, or choose another folder with -o"
        )


def _refuse_fewer(out: Path, finished: int, wanted: int) -> None:
    """Refuse to go on with a finished run backwards, or without its state."""
    if wanted < finished:
        raise CheckpointError(
            f"{out}: expected {finished} epochs or more, as this run has finished "
            f"{finished}, got {wanted}; choose another folder with -o"
        )
    if state_of(out) is None:
        raise CheckpointError(
            f"{out}: expected {RESUME} to go on from, found none; start from the "
            f"weights instead: --from {out} -o another folder"
        )


def state_of(out: Path) -> Path | None:
    """Find what a stopped run goes on from, and see that it is whole."""
    path = out / RESUME
    if not path.exists():
        return None
    what, advice = "the state of a stopped training", "delete it to begin anew"
    with as_written(path, what, advice, error=CheckpointError):
        open_file(path).close()
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if missing := {"loops", "optimizer_states", "state_dict"} - set(state):
            raise KeyError(min(missing))
    return path


def history(out: Path) -> list[dict[str, float]]:
    """Read the logged metrics of a run, over all its resumptions.

    Parameters
    ----------
    out : Path
        The run folder.

    Returns
    -------
    list of dict
        One row an epoch that logged anything, with ``epoch``, ``step`` and metrics;
        where a resumed part repeats an epoch, the later one counts.
    """
    rows: dict[int, dict[str, float]] = {}
    paths = (out / "logs").glob("version_*/metrics.csv")
    for path in sorted(paths, key=_version):
        with (
            as_written(path, "the log of a training", "take it away"),
            open_file(path) as raw,
            TextIOWrapper(raw, "utf-8", newline="") as file,
        ):
            for row in csv.DictReader(file):
                values = {k: float(v) for k, v in row.items() if v}
                if "epoch" in values:
                    rows.setdefault(int(values["epoch"]), {}).update(values)
    return [rows[epoch] for epoch in sorted(rows)]


def _version(path: Path) -> int:
    """Sort logs as they were begun; folders of other names come first."""
    number = path.parent.name.removeprefix("version_")
    return int(number) if number.isdecimal() else -1


def _first_difference(before: Any, wanted: Any) -> str:
    """Name where two nested settings differ first; empty if they do not."""
    for name, old, new in differences(before, wanted):
        return f"{name.removeprefix('config.')}: {old} there, {new} here"
    return ""
