"""The folder of one training run: its settings, its lock, its history."""

import csv
import json
from pathlib import Path
from typing import Any

from dmagnet.config import TrainConfig, to_dict
from dmagnet.disk import write_whole
from dmagnet.errors import CheckpointError

WEIGHTS = "weights.safetensors"
RESUME = "last.ckpt"
SETTINGS = "run.json"


def settings_of(
    config: TrainConfig, class_names: tuple[str, ...], data_hash: str, parent: str = ""
) -> dict[str, Any]:
    """Collect what makes two runs the same run.

    Parameters
    ----------
    config : TrainConfig
        All knobs.
    class_names : tuple of str
        Names of the outputs.
    data_hash : str
        Fingerprint of the data.
    parent : str
        Hash of the weights it starts from, if it does not start anew.

    Returns
    -------
    dict
        Plain values for JSON.
    """
    return {
        "config": to_dict(config),
        "class_names": list(class_names),
        "data_hash": data_hash,
        **({"parent": parent} if parent else {}),
    }


def enter(out: Path, settings: dict[str, Any]) -> None:
    """Start a run folder, or make sure that it holds the same run.

    Parameters
    ----------
    out : Path
        The run folder.
    settings : dict
        From `settings_of`.

    Raises
    ------
    CheckpointError
        If the folder holds a run with other settings or other data; the message
        names the first difference.
    """
    path = out / SETTINGS
    text = json.dumps(settings, indent=1)
    if not path.exists():
        write_whole(path, text.encode())
        return
    try:
        old = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"{path}: expected the settings of a run, found damaged JSON ({error}); "
            "choose another folder with -o"
        ) from error
    difference = _first_difference(old, json.loads(text))
    if difference:
        raise CheckpointError(
            f"{out}: holds another run ({difference}); repeat that run's settings to "
            "resume it, or choose another folder with -o"
        )


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
    folders = sorted(
        (out / "logs").glob("version_*"), key=lambda p: int(p.name.split("_")[1])
    )
    for folder in folders:
        path = folder / "metrics.csv"
        if not path.exists():
            continue
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                values = {k: float(v) for k, v in row.items() if v}
                if "epoch" in values:
                    rows.setdefault(int(values["epoch"]), {}).update(values)
    return [rows[epoch] for epoch in sorted(rows)]


def _first_difference(old: Any, new: Any, name: str = "") -> str:
    """Say where two nested settings differ first; empty if they do not."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            found = _first_difference(
                old.get(key), new.get(key), f"{name}.{key}" if name else key
            )
            if found:
                return found
        return ""
    name = name.removeprefix("config.")
    return "" if old == new else f"{name}: {old} there, {new} here"
