"""Sets of simulated galaxies: in memory, as a stream, and as a Galaxy10-like file."""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import torch

from dmagnet.classes import NUM_CLASSES
from dmagnet.config.checks import settled
from dmagnet.config.train_config import SimulateConfig
from dmagnet.simulator.grid import FRAME_ARCSEC
from dmagnet.simulator.scene import draw
from dmagnet.storage.disk import beside

CHUNK = 20  # galaxies drawn from one generator; a multiple of the classes
GALAXY10_CHUNKS = (555, 16, 16, 1)  # as the published file is stored

Pair = tuple[np.ndarray, np.ndarray]


def simulate(
    config: SimulateConfig | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    **settings: Any,
) -> Pair:
    """Draw a set of galaxies; the classes take turns.

    Parameters
    ----------
    config : SimulateConfig, optional
        How many, how large, which seed.
    progress : callable, optional
        Called with the number of galaxies drawn so far.
    **settings
        Fields of ``config`` by name, in its place: ``num=10``...

    Returns
    -------
    tuple of (N, H, W, 3) uint8 and (N,) int64
        RGB images and labels; label i is i modulo 10.

    Notes
    -----
    Image i depends on the seed, i and the size alone, so that a longer set begins
    with the shorter one.
    """
    config = settled(simulate, config or SimulateConfig(), settings)
    side = config.image_size
    images = np.empty((config.num, side, side, 3), np.uint8)
    done = 0
    for some, _ in simulate_chunks(config):
        images[done : done + len(some)] = some
        done += len(some)
        if progress:
            progress(done)
    return images, _labels(0, config.num)


def simulate_chunks(config: SimulateConfig, *, start: int = 0) -> Iterator[Pair]:
    """Draw a set of galaxies piece by piece, in constant memory.

    Parameters
    ----------
    config : SimulateConfig
        How many, how large, which seed.
    start : int, from 0
        Index of the first galaxy: its images are those of a set drawn from 0.

    Yields
    ------
    tuple of (n, H, W, 3) uint8 and (n,) int64
        RGB images and labels, at most `CHUNK` of them, in order.
    """
    stop = start + config.num
    for chunk in range(start // CHUNK, -(-stop // CHUNK)):
        first = chunk * CHUNK
        # Always whole chunks: what a galaxy looks like must not depend on `num`.
        labels = _labels(first, CHUNK)
        drawn = draw(
            torch.from_numpy(labels), image_size=config.image_size, field=config.field,
            generator=torch.Generator().manual_seed(chunk_seed(config.seed, chunk)),
        )  # fmt: skip
        wanted = slice(max(start - first, 0), stop - first)
        images = drawn.permute(0, 2, 3, 1)[wanted].contiguous().numpy()
        yield images, labels[wanted]


def write_hdf5(
    path: Path,
    config: SimulateConfig,
    *,
    chunks: Literal["image", "galaxy10"] = "image",
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write a simulated set as a file like the published Galaxy10 DECaLS.

    Parameters
    ----------
    path : Path
        The .h5 file to write; a file of that name is replaced when all is drawn.
    config : SimulateConfig
        How many, how large, which seed.
    chunks : {"image", "galaxy10"}
        Storage: one image a chunk, or the published (555, 16, 16, 1) gzip.
    progress : callable, optional
        Called with the number of galaxies written so far.

    Returns
    -------
    Path
        The file, with the keys images, ans, ra, dec, redshift and pxscale.

    Raises
    ------
    DataError
        If the disk is full or the folder cannot be written; no part of a file stays.

    Notes
    -----
    Positions are even over the sky and redshifts log-normal around 0.08; neither has
    to do with the image. The file's attributes say that it is simulated.
    """
    path = Path(path)
    with beside(path, _is_simulated) as part, _Disk(part, "w+") as disk:

        def _watch(done: int) -> None:
            if disk.refusal is not None:
                raise disk.refusal
            if progress:
                progress(done)

        try:
            with h5py.File(disk, "w") as file:
                _fill(file, config, chunks, _watch)
        finally:
            if disk.refusal is not None:
                raise disk.refusal
    return path


class _Disk(io.FileIO):
    """A file that keeps its first refusal: HDF5 would print each as a traceback."""

    refusal: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, or pretend to."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self.refusal is None and rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.refusal = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set its size, or pretend to."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.refusal = self.refusal or error
            return size or 0


def _is_simulated(path: Path) -> bool:
    """Recognize a simulated set."""
    try:
        with h5py.File(path) as file:
            return bool(file.attrs.get("simulated", False))
    except OSError:
        return False


def _fill(
    file: h5py.File,
    config: SimulateConfig,
    chunks: Literal["image", "galaxy10"],
    progress: Callable[[int], None],
) -> None:
    from dmagnet import __version__

    side, num = config.image_size, config.num
    shape = (num, side, side, 3)
    stored = (1, side, side, 3) if chunks == "image" else GALAXY10_CHUNKS
    limits = tuple(min(c, s) for c, s in zip(stored, shape, strict=True))
    images = file.create_dataset(
        "images", shape, np.uint8, chunks=limits, compression="gzip", compression_opts=4
    )
    about = "simulated galaxies in the form of Galaxy10 DECaLS"
    file.attrs.update(
        simulated=True, description=about, seed=config.seed, version=__version__
    )
    file["ans"] = _labels(0, num).astype(np.uint8)
    file.update(_catalog(config))
    # Whole rows of chunks at a time, or each would be compressed again and again.
    done = 0
    for block in _blocks(config, limits[0]):
        images[done : done + len(block)] = block
        done += len(block)
        progress(done)


def _blocks(config: SimulateConfig, rows: int) -> Iterator[np.ndarray]:
    """Regroup the stream into blocks of `rows` images, the last one shorter."""
    waiting: list[np.ndarray] = []
    for images, _ in simulate_chunks(config):
        waiting.append(images)
        have = sum(map(len, waiting))
        while have >= rows:
            joined = np.concatenate(waiting)
            yield joined[:rows]
            waiting, have = [joined[rows:]], have - rows
    if sum(map(len, waiting)):
        yield np.concatenate(waiting)


def _catalog(config: SimulateConfig) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([config.seed, 1])
    num = config.num
    return {
        "ra": rng.uniform(0, 360, num),
        "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, num))),
        "redshift": np.clip(rng.lognormal(math.log(0.08), 0.5, num), 0.005, 0.4),
        "pxscale": np.full(num, config.field * FRAME_ARCSEC / config.image_size),
    }


def _labels(first: int, num: int) -> np.ndarray:
    return np.arange(first, first + num, dtype=np.int64) % NUM_CLASSES


def chunk_seed(seed: int, chunk: int) -> int:
    """Mix seed and chunk, so that neighboring seeds share no chunk."""
    return int(np.random.SeedSequence([seed, chunk]).generate_state(1, np.uint64)[0])
