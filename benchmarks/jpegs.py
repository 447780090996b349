"""Folders of simulated galaxies as JPEG files, for the benchmarks of classify."""

from pathlib import Path

from PIL import Image

from dmagnet.config import SimulateConfig
from dmagnet.simulator import simulate

SIDE = 256
QUALITY = 90
DISTINCT = 500  # drawn; the others are the same galaxies under other names


def draw_folder(folder: Path, count: int, *, distinct: int = DISTINCT) -> Path:
    """Fill a folder with galaxies, if it is not there yet.

    Parameters
    ----------
    folder : Path
        To make.
    count : int
        Files.
    distinct : int
        Galaxies among them.

    Returns
    -------
    Path
        The folder.
    """
    last = folder / f"{count - 1:06d}.jpg"
    if last.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config = SimulateConfig(num=min(count, distinct), image_size=SIDE)
    images, _ = simulate(config)
    contents = []
    for i, image in enumerate(images):
        path = folder / f"{i:06d}.jpg"
        Image.fromarray(image).save(path, quality=QUALITY)
        contents.append(path.read_bytes())
    for i in range(len(contents), count):
        (folder / f"{i:06d}.jpg").write_bytes(contents[i % len(contents)])
    return folder
