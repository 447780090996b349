"""The folder of a run: never half a file, never another run's dreams overwritten."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmagnet.dreaming.request import RECORD, Request, read_record
from dmagnet.dreaming.targets import provenance_of
from dmagnet.errors import DataError
from dmagnet.storage.disk import beside, is_own
from dmagnet.storage.records import as_written

RUNNING, STOPPED, FINISHED = "running", "stopped", "finished"


@dataclass(eq=False)
class Folder:
    """The folder and record of one run.

    Attributes
    ----------
    path : Path
        The folder.
    request : Request
        What is dreamed.
    status : str
        ``running``, ``stopped`` or ``finished``.
    entries : list of dict
        One for each dream that is written.
    sheets : list of str
        Pictures of the whole run.
    notes : list of str
        What a person should know.
    """

    path: Path
    request: Request
    status: str = RUNNING
    entries: list[dict[str, Any]] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def has(self, image: str, target: str) -> bool:
        """Tell whether a dream is written.

        Parameters
        ----------
        image : str
            Name of its image.
        target : str
            Slug of its target.

        Returns
        -------
        bool
            True if it is.
        """
        return any((e["image"], e["target"]) == (image, target) for e in self.entries)

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Note what was written, and save the record.

        Parameters
        ----------
        entries : list of dict
            What `write_dream` returned; they replace older ones of the same dreams.
        """
        new = {(entry["image"], entry["target"]) for entry in entries}
        old = [e for e in self.entries if (e["image"], e["target"]) not in new]
        self.entries = old + entries
        self.save()

    def save(self) -> None:
        """Write the record."""
        record = {
            "status": self.status,
            "request": self.request.to_dict(),
            "provenance": provenance_of(self.request.network),
            "class_names": list(self.request.network.class_names),
            "notes": self.notes,
            "sheets": self.sheets,
            "dreams": self.entries,
        }
        with beside(self.path / self.request.record_name) as part:
            text = json.dumps(record, indent=1, allow_nan=False)
            part.write_text(text + "\n", encoding="utf-8")


def open_folder(path: Path, request: Request) -> Folder:
    """Begin a run, or go on with the same one."""
    record_path = path / request.record_name
    if not record_path.is_file():
        if any(not is_own(one.name) for one in path.iterdir()):
            raise DataError(
                f"{path}: this folder holds other files; choose a new -o, nothing is "
                "overwritten"
            )
        return Folder(path, request)
    record = read_record(record_path)
    if _what_counts(record["request"]) != _what_counts(request.to_dict()):
        raise DataError(
            f"{path}: holds the dreams of another command; choose a new -o or delete it"
        )
    folder = Folder(path, request)
    if record.get("provenance") == provenance_of(request.network):
        with as_written(record_path, RECORD):
            folder.entries = [e for e in record["dreams"] if _whole(path, e)]
    return folder


def _what_counts(request: Any) -> Any:
    """Leave out where files lie: what they hold is known by their hashes."""
    if isinstance(request, dict):
        return {k: _what_counts(v) for k, v in request.items() if k != "path"}
    return [_what_counts(v) for v in request] if isinstance(request, list) else request


def _whole(path: Path, entry: dict[str, Any]) -> bool:
    known = isinstance(entry["image"], str) and isinstance(entry["target"], str)
    return known and all((path / name).is_file() for name in entry["files"].values())
