"""Results in parts: each is written once and whole, so that a study can go on."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dmagnet.errors import DataError
from dmagnet.storage.disk import beside, write_whole
from dmagnet.storage.records import Arrays, read_arrays


class Parts:
    """A folder of named arrays, each made when it is not there yet."""

    def __init__(self, folder: Path, question: Mapping[str, Any]) -> None:
        self.folder = folder
        asked = folder / "question.json"
        text = json.dumps(question, indent=1, sort_keys=True) + "\n"
        if not asked.exists():
            write_whole(asked, text.encode())
        if asked.read_bytes() != text.encode():
            raise DataError(
                f"{folder}: expected parts of this study, got those of another one "
                "(other weights, galaxies or settings); choose another folder with -o"
            )

    def get(self, name: str, make: Callable[[], Mapping[str, Any]]) -> Arrays:
        """Read a part, or make and write it."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            arrays = make()
            with beside(path) as part, part.open("wb") as file:
                np.savez_compressed(file, **arrays)
        return read_arrays(path, "a part of a study", "delete it: it is measured again")
