"""Dreams as films: GIF for all, MP4 where its library is installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dmagnet.dreaming.sheets import ENLARGED, LARGEST, SMALLEST

Bytes = NDArray[np.uint8]

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
        self.frames: list[Bytes] = []

    def add(self, picture: Bytes) -> None:
        """Add a frame."""
        image = Image.fromarray(np.ascontiguousarray(picture))
        how = Image.Resampling.BICUBIC
        self.frames.append(np.asarray(image.resize((self.width, self.height), how)))

    def strip(self) -> Bytes:
        """Lay some frames side by side."""
        chosen = np.linspace(0, len(self.frames) - 1, min(STRIP, len(self.frames)))
        return np.concatenate([self.frames[round(i)] for i in chosen], axis=1)


def write_gif(frames: Sequence[Bytes], path: Path) -> None:
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
    """Tell whether the library for films is installed."""
    try:
        import av  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def write_mp4(frames: Sequence[Bytes], path: Path) -> None:
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
