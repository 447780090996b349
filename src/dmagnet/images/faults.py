"""What can be wrong with an image, a word for a program, a line for a person."""

from typing import Literal

from dmagnet.errors import DataError

Fault = Literal[
    "missing", "damaged", "too large", "too small", "no image", "shape", "no band",
    "no values",
]  # fmt: skip
Doubt = Literal[
    "nan", "faint", "wcs", "small field", "one band", "other bands", "no units"
]
Note = tuple[Doubt, str]  # a doubt, and what a person should know of it


class ImageError(DataError):
    """An image that cannot be used.

    Parameters
    ----------
    message : str
        For a person: expected, got, what to do.
    fault : str
        For a program.
    """

    def __init__(self, message: str, fault: Fault = "damaged") -> None:
        super().__init__(message)
        self.fault: Fault = fault
