"""What can be wrong with an image, a word for a program, a line for a person."""

import contextlib
import errno
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from typing import Literal

from astropy.io.fits.hdu.compressed._compression import CfitsioException
from astropy.io.fits.verify import VerifyError
from PIL.Image import DecompressionBombError

from dmagnet.errors import DataError
from dmagnet.storage.disk import FULL

Fault = Literal[
    "missing", "damaged", "too large", "too small", "no image", "shape", "no band",
    "no values", "outside",
]  # fmt: skip
Doubt = Literal[
    "nan", "faint", "wcs", "small field", "one band", "other bands", "no units",
    "grids",
]  # fmt: skip
Note = tuple[Doubt, str]  # a doubt, and what a person should know of it

LONGEST = 160  # characters of what a library says

# What astropy, Pillow, h5py, NumPy, pyarrow and zipfile raise on damaged files, and
# what the system raises on names that it does not like.
BROKEN = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    AssertionError, RuntimeError, EOFError, SyntaxError, Warning,
    struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tokenize.TokenError,
    DecompressionBombError, VerifyError,
    CfitsioException,  # nothing public stands above it
)  # fmt: skip


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


def in_short(error: BaseException) -> str:
    """Say in one line what a library said."""
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__


@contextlib.contextmanager
def refused(name: object, expected: str) -> Iterator[None]:
    """Turn whatever a library raises on a file into an `ImageError`."""
    try:
        yield
    except DataError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        line = f"{name}: expected {expected}, found nothing"
        raise ImageError(line, "missing") from None
    except (MemoryError, *BROKEN) as error:
        told, number = in_short(error), getattr(error, "errno", None)
        if number in FULL:  # who writes what is read says so
            raise
        if number == errno.ENAMETOOLONG:
            raise ImageError(f"{name}: {told}", "missing") from None
        fault: Fault = "too large" if isinstance(error, MemoryError) else "damaged"
        if not isinstance(error, MemoryError) and not number:
            told = f"got a damaged one ({told})"
        raise ImageError(f"{name}: expected {expected}, {told}", fault) from error
