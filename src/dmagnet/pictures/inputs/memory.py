"""Images that are in memory, as files: one reader for all that is given."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from dmagnet.errors import DataError
from dmagnet.pictures.cutout import from_array

MODES = ("1", "L", "LA", "P", "I;16", "RGB", "RGBA")  # of PNG
NUMBERS = ("I", "F")  # modes that are fluxes


@contextmanager
def as_files(inputs: Any) -> Iterator[Any]:
    """Write what is in memory into a folder that is gone at the end; leave paths alone.

    Parameters
    ----------
    inputs : path, image, or a sequence of these
        PIL images; (H, W), (H, W, 3) or (H, W, 4) arrays, integers or from 0 to 1;
        other arrays (H, W) and (bands, H, W) are fluxes; (N, H, W, 3) arrays;
        (3, H, W) and (N, 3, H, W) tensors from 0 to 1; HDUs, lists of HDUs and
        `astropy.nddata.Cutout2D`.

    Yields
    ------
    path or list of paths
        To be read as all other files are.

    Raises
    ------
    DataError
        If something is neither a path nor an image.
    """
    listed = isinstance(inputs, Sequence) and not isinstance(inputs, str)
    hdus = listed and hasattr(inputs, "writeto")
    several = (listed and not hdus) or getattr(inputs, "ndim", 0) == 4
    each = list(inputs) if several else [inputs]
    if all(isinstance(image, str | Path) for image in each):
        yield inputs
        return
    with TemporaryDirectory(prefix="dmagnet-") as folder:
        digits = len(str(len(each) - 1))
        yield [
            image
            if isinstance(image, str | Path)
            else _written(image, Path(folder) / f"image_{number:0{digits}}")
            for number, image in enumerate(each)
        ]


def _written(image: Any, stem: Path) -> Path:
    """Write an image as a picture, or what is none as FITS."""
    if isinstance(image, Image.Image):
        path = stem.with_suffix(".png")
        try:
            if image.mode not in NUMBERS:
                plain = image if image.mode in MODES else image.convert("RGB")
                plain.save(path)
                return path
            image = np.array(image)
        except (OSError, ValueError) as error:  # its file is cut off, or closed
            line = f"expected a whole image, got one damaged: {error}"
            raise DataError(line) from error
    if hasattr(image, "detach"):  # a tensor, whose colors are first
        values = image.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        image = (values.movedim(0, -1) if values.ndim == 3 else values).numpy()
    if isinstance(image, np.ndarray):
        hidden = np.ma.getmask(image)
        image = np.asarray(image)
        image = np.where(hidden, np.nan, image) if np.any(hidden) else image
        try:
            pixels = from_array(image).rgb
        except DataError:
            return _as_fits(image, None, stem)
        path = stem.with_suffix(".png")
        Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
        return path
    if hasattr(image, "writeto"):  # an HDU, or a list of them
        image.writeto(stem.with_suffix(".fits"))
        return stem.with_suffix(".fits")
    if hasattr(image, "data") and hasattr(image, "wcs"):
        return _as_fits(np.asarray(image.data), image.wcs, stem)
    raise DataError(
        "expected paths, PIL images, arrays, tensors, HDUs or Cutout2D, got "
        f"{type(image).__name__}"
    )


def _as_fits(values: np.ndarray[Any, Any], wcs: Any, stem: Path) -> Path:
    from astropy.io import fits

    kind = values.dtype
    if not values.ndim or kind.kind not in "biuf":
        raise DataError(f"expected an array of numbers, got {values.shape} of {kind}")
    if kind.kind in "bf":  # FITS has neither bits nor half precision
        values = values.astype(np.float64)
    path = stem.with_suffix(".fits")
    fits.PrimaryHDU(values, header=wcs and wcs.to_header()).writeto(path)
    return path
