"""Contact sheets: rows of images, columns of dreams, names in plain words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dmagnet.storage.arrays import Pixels
from dmagnet.storage.disk import beside

PAPER, SLOT = (14, 14, 17), (30, 30, 35)
INK, PALE = (236, 236, 236), (150, 150, 158)
GAP, MARGIN = 6, 24
NAME_PX, TITLE_PX = 20, 28
NAMES_WIDTH = 256  # of the column of names, in px
LINE = 1.3  # line height over size of the letters
ROWS = 12  # on one page
LARGEST, SMALLEST = 256, 160  # sides of a picture on the sheet, in px
ENLARGED = 192  # small images are enlarged up to about this


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One image and what was dreamed of it."""

    name: str
    pictures: Sequence[Pixels | None]
    captions: Sequence[str] = ()  # one for each picture, in its corner


def to_bytes(image: Tensor) -> Pixels:
    """Bring an image to 8 bits."""
    values = image.detach().cpu().permute(1, 2, 0).numpy()
    return np.asarray((values * 255).round(), np.uint8)


def enlarge(picture: Pixels, side: int) -> Image.Image:
    """Bring a picture near a side without inventing anything."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    longer = max(image.size)
    if longer > side:
        width, height = (max(1, round(n * side / longer)) for n in image.size)
        return image.resize((width, height), Image.Resampling.LANCZOS)
    times = max(1, side // longer)
    return image.resize(
        (image.width * times, image.height * times), Image.Resampling.NEAREST
    )


def to_size(picture: Pixels, size: tuple[int, ...]) -> Pixels:
    """Bring a picture to a size, to stand beside others."""
    if picture.shape[:2] == size:
        return picture
    grows = size[0] > picture.shape[0]
    how = Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), how))


def tile_side(rows: Sequence[SheetRow]) -> int:
    """Choose the side of the pictures on a sheet."""
    longest: int = max(
        max(p.shape[:2]) for row in rows for p in row.pictures if p is not None
    )
    if longest < SMALLEST:
        return longest * max(2, ENLARGED // longest)
    return min(longest, LARGEST)


def contact_sheet(
    rows: Sequence[SheetRow], columns: Sequence[str], title: str, footer: str = ""
) -> Image.Image:
    """Lay out one page."""
    tile = tile_side(rows)
    font, large = ImageFont.load_default(NAME_PX), ImageFont.load_default(TITLE_PX)
    heads = [_wrap(name, font, tile) for name in columns]
    names = [_wrap(row.name, font, NAMES_WIDTH) for row in rows]
    images = [[p if p is None else enlarge(p, tile) for p in r.pictures] for r in rows]
    heights = [max((i.height for i in row if i), default=tile) for row in images]
    longest = max(font.getlength(line) for lines in names for line in lines)
    left = MARGIN + 3 * GAP + round(longest)
    top = MARGIN + round(TITLE_PX * LINE + max(map(len, heads)) * NAME_PX * LINE) + GAP
    foot = NAME_PX + 2 * GAP if footer else 0
    texts = (large.getlength(title), font.getlength(footer))
    width = max(left + len(columns) * (tile + GAP), MARGIN + round(max(texts)))
    height = top + sum(heights) + len(rows) * GAP + foot
    page = Image.new("RGB", (width + MARGIN, height + MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), title, INK, large)
    places = [left + column * (tile + GAP) for column in range(len(columns))]
    for x, lines in zip(places, heads, strict=True):
        _write(pen, lines, (x + tile / 2, top - 2 * GAP), "ms")
    y = top
    for row, given, lines, height in zip(images, rows, names, heights, strict=True):
        last = y + height / 2 + ((len(lines) - 1) * LINE + 0.7) * NAME_PX / 2
        _write(pen, lines, (MARGIN, last), "ls")
        for x, image in zip(places, row, strict=True):
            if image is None:
                pen.rectangle((x, y, x + tile - 1, y + height - 1), SLOT)
            else:
                middle = ((tile - image.width) // 2, (height - image.height) // 2)
                page.paste(image, (x + middle[0], y + middle[1]))
        for x, said in zip(places, given.captions, strict=False):
            corner = (x + GAP, y + height - GAP)
            pen.text(corner, said, INK, font, "ls", stroke_width=2, stroke_fill=PAPER)
        y += height + GAP
    if footer:
        pen.text((MARGIN, y + 2 * GAP), footer, PALE, font)
    return page


def _write(
    pen: ImageDraw.ImageDraw,
    lines: Sequence[str],
    last: tuple[float, float],
    anchor: str,
) -> None:
    """Write lines of which the last stands on a point."""
    font, (x, y) = ImageFont.load_default(NAME_PX), last
    for up, line in enumerate(reversed(lines)):
        pen.text((x, y - up * NAME_PX * LINE), line, INK, font, anchor=anchor)


def _wrap(name: str, font: Any, width: int) -> list[str]:
    """Break a name into lines that fit: at blanks and underscores, else anywhere."""
    lines = [""]
    for word in re.findall(r"[^ _]*[ _]?", name):
        if lines[-1] and font.getlength((lines[-1] + word).rstrip()) > width:
            lines.append("")
        for letter in word:
            if font.getlength((lines[-1] + letter).rstrip()) > width:
                lines.append("")
            lines[-1] += letter
    return [line.strip() for line in lines]


def pages(
    rows: Sequence[SheetRow], columns: Sequence[str], title: str, footer: str = ""
) -> list[Image.Image]:
    """Lay out as many pages as it takes."""
    starts = range(0, len(rows), ROWS)
    return [contact_sheet(rows[i : i + ROWS], columns, title, footer) for i in starts]


def write_pages(
    stem: Path,
    rows: Sequence[SheetRow],
    columns: Sequence[str],
    title: str,
    footer: str = "",
) -> list[str]:
    """Write as many pages as it takes, and return their names: a.png, a-2.png..."""
    names = []
    for number, page in enumerate(pages(rows, columns, title, footer), start=1):
        names.append(f"{stem.name}{f'-{number}' if number > 1 else ''}.png")
        write_png(page, stem.with_name(names[-1]))
    return names


def write_png(image: Image.Image, path: Path) -> None:
    """Write a picture, whole or not at all."""
    with beside(path) as part:
        image.save(part, format="PNG")


FRAME_MS, LAST_MS = 90, 1500
FPS = 12
STRIP = 8  # frames side by side
QUALITY = "17"  # x264's CRF: hardly to be told from the original
STEADY = "mbtree=0"  # x264's reads memory that nobody wrote: other bytes now and then
NO_MP4 = "no MP4 was written: that takes PyAV; pip install 'dmagnet[video]'"


class Film:
    """Frames of one dream, brought to one size as they come."""

    def __init__(self, size: tuple[int, int]) -> None:
        longer = max(size)
        larger = max(2, ENLARGED // longer) if longer < SMALLEST else 1
        shrink = min(1.0, 2 * LARGEST / longer)
        # even numbers: most players want them
        self.height, self.width = (
            2 * max(1, round(side * larger * shrink / 2)) for side in size
        )
        self.frames: list[Pixels] = []

    def add(self, picture: Pixels) -> None:
        """Add a frame."""
        image = Image.fromarray(np.ascontiguousarray(picture))
        how = Image.Resampling.BICUBIC
        self.frames.append(np.asarray(image.resize((self.width, self.height), how)))

    def strip(self) -> Pixels:
        """Lay some frames side by side."""
        chosen = np.linspace(0, len(self.frames) - 1, min(STRIP, len(self.frames)))
        return np.concatenate([self.frames[round(i)] for i in chosen], axis=1)


def write_gif(frames: Sequence[Pixels], path: Path) -> None:
    """Write a GIF that runs for ever and rests at its end."""
    images = [Image.fromarray(frame) for frame in frames]
    # One palette for all frames, of the first, middle and last: no flicker.
    three = np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]], axis=1)
    palette = Image.fromarray(three).quantize(256, Image.Quantize.MEDIANCUT)
    indexed = [image.quantize(palette=palette) for image in images]
    indexed[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=[FRAME_MS] * (len(indexed) - 1) + [LAST_MS],
        loop=0,
    )


def can_write_mp4() -> bool:
    """Return whether the library for films is installed."""
    try:
        import av  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def write_mp4(frames: Sequence[Pixels], path: Path) -> None:
    """Write an MP4 (H.264) that browsers and slides play."""
    import av

    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": QUALITY, "preset": "medium", "x264-params": STEADY}
        rest = [frames[-1]] * round(LAST_MS / 1000 * FPS)
        for frame in (*frames, *rest):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
