"""Galaxies in, answers out: every answer is a call of another chapter."""

import dataclasses
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dmagnet.app.answers import VIEW_PX, DreamAnswer, Galaxy, Progress
from dmagnet.app.readers import Readers
from dmagnet.calibration.judgement import Classifier
from dmagnet.classes import CLASSES
from dmagnet.classifying.local import Device, open_classifier
from dmagnet.config import AppConfig, DreamConfig, SourceConfig
from dmagnet.config.classify_config import SERVICE
from dmagnet.dreaming.objectives import Logit
from dmagnet.dreaming.octaves import DreamFrame, octave_frames, resample
from dmagnet.dreaming.targets import (
    Network,
    Target,
    class_target,
    layer_target,
    open_network,
    second_opinion,
)
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.explaining import Explanation, explain_images
from dmagnet.network.bundled import load
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.pictures.inputs.cutouts import fetched
from dmagnet.pictures.inputs.footprints import open_tiles
from dmagnet.pictures.inputs.item import Item
from dmagnet.pictures.tables.coordinates import typed_position
from dmagnet.reporting import Portrait, portraits
from dmagnet.simulator.scene import draw
from dmagnet.storage.arrays import Pixels, Singles

LOOKS = 2  # at a time: more threads than cores make all of them late
DREAM_SIDE, DREAM_SIDES = 192, (128, 192, VIEW_PX)
MAX_STEPS = 40
MAX_LAYERS = 6  # at a time
USUAL = ("evidence", "lam")
ORDER = (7, 9, 1, 5, 2, 0, 8, 4, 6, 3)  # of classes: the first few differ most
TYPICAL = 13  # seed whose ten galaxies look most like their classes
FOLDERS = re.compile(r"[^\s,]*/")


class Work:
    """All that the page knows to do, with the network loaded once."""

    def __init__(
        self,
        weights: str | Path,
        config: AppConfig,
        scratch: Path,
        *,
        device: Device = "auto",
    ) -> None:
        if str(weights).lower().endswith(".onnx"):
            raise CheckpointError(
                f"{weights}: expected .safetensors, a run folder, s or xs, got ONNX"
            )
        if config.cutout.tiles != SERVICE:  # what is wrong with them is told at once
            open_tiles(config.cutout, SourceConfig())
        self.config = config
        self.name = str(weights)
        self.classifier: Classifier = open_classifier(
            weights, views=config.views, device=device
        )
        self.checkpoint: Checkpoint = load(weights)
        if device != "cpu" and torch.cuda.is_available():
            self.checkpoint.model.cuda()
        self.network: Network = open_network(self.checkpoint)
        self._busy, self._changed = 0, threading.Condition()
        trained = self.checkpoint.config
        self._readers = Readers(
            LOOKS + 1, (trained.image_size, VIEW_PX), (trained.field, trained.radii),
            scratch,
        )  # fmt: skip

    def close(self) -> None:
        """End what reads files."""
        self._readers.close()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Count what computes: a process must not end while the network runs."""
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def rest(self, wait_s: float) -> bool:
        """Wait until nothing computes any more."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, wait_s)

    @cached_property
    def _judge(self) -> tuple[str, Network] | None:
        """The package's other network, opened when a class is dreamed."""
        return second_opinion(self.network)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name the classes."""
        return self.checkpoint.class_names

    @property
    def layers(self) -> tuple[str, ...]:
        """Name the layers that a person chooses from."""
        names = self.checkpoint.model.layer_names
        has_lam = self.checkpoint.model.config.lam
        whole = [n for n in names if "." not in n and n not in ("lam", "logits")]
        return (*whole, "lam") if has_lam else tuple(whole)

    @property
    def methods(self) -> tuple[str, ...]:
        """Name the maps that this network can give at once."""
        return USUAL if self.checkpoint.model.config.lam else USUAL[:1]

    def warm(self) -> None:
        """Do everything once, so that nobody waits for what is loaded when needed."""
        with tempfile.TemporaryDirectory(prefix="dmagnet-") as scratch:
            folder = Path(scratch)
            galaxy = self.look(self.simulated(folder, ORDER[0]), folder)
        self.explain(galaxy)
        once = DreamConfig(steps=1, octaves=1)
        list(self.dream(galaxy, self.layers[-1:], config=once))

    def held(self, path: Path) -> list[Item]:
        """List what a file holds: itself, the images of a zip, the places of a table.

        There is one more than a page keeps if there are too many.
        """
        item = Item(id=path.stem or path.name, path=path.name, files=(str(path),))
        return self._readers.listed(item, self.config.max_galaxies)

    def place(self, text: str) -> Item:
        """Name a position that somebody typed."""
        ra, dec = typed_position(text)
        name = f"{ra:.5f} {dec:+.5f}"
        return Item(id=name, path="", kind="position", ra=ra, dec=dec)

    def simulated(self, folder: Path, index: int, number: int = 0) -> Item:
        """Draw a galaxy of a class into a file: its example, or after it another."""
        drawn = _drawn([index], number)[0] if number else self.examples[index]
        with tempfile.NamedTemporaryFile(
            dir=folder, suffix=".png", delete=False
        ) as file:
            Image.fromarray(drawn).save(file)
        name = f"simulated {CLASSES[index].slug} {number + 1}"
        return Item(id=name, path=name, files=(file.name,))

    @cached_property
    def examples(self) -> Pixels:
        """One drawn galaxy of each class, the same for everybody."""
        return _drawn(range(len(CLASSES)), TYPICAL)

    def look(self, item: Item, cache: Path) -> Galaxy:
        """Read what was listed, and classify it; a position is cut out or asked for."""
        if item.kind == "position":
            (item,) = fetched([item], self.config.cutout, cache=cache)
            if item.shared:  # where tiles of this machine lie is nobody's business
                path, reason = (FOLDERS.sub("", t) for t in (item.path, item.reason))
                item = dataclasses.replace(item, path=path, reason=reason)
        found, (seen, view), wcs, notes = self._readers.read(item)
        with self._at_work():
            judgement = self.classifier.judge(seen[None])
        found = dataclasses.replace(found, files=())
        return Galaxy(found, seen, view, wcs, judgement, notes)

    def portrait(self, galaxy: Galaxy) -> Portrait:
        """Collect what `dmagnet page` shows, without what takes long."""
        explained = self.explain(galaxy)
        less: dict[str, Any] = {"layers": (), "compare": False, "classical": False}
        with self._at_work():
            (found,) = portraits(self.checkpoint, [explained], **less)
        return found

    def explain(
        self,
        galaxy: Galaxy,
        methods: Sequence[str] = (),
        *,
        target: str | None = None,
        against: str | None = None,
    ) -> Explanation:
        """Explain which places speak for a class."""
        likeliest = int(galaxy.probabilities.argmax())
        with self._at_work():
            (found,) = explain_images(
                self.checkpoint,
                galaxy.seen[None],
                methods=tuple(methods) or self.methods,
                target=likeliest if target is None else target,
                against=against,
                items=[galaxy.item],
            )
        wcs = galaxy.wcs_at(len(galaxy.seen))
        return dataclasses.replace(found, wcs=wcs)

    def dream(
        self,
        galaxy: Galaxy,
        layers: Sequence[str],
        *,
        class_name: str | None = None,
        side: int = DREAM_SIDE,
        config: DreamConfig | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Progress | DreamAnswer]:
        """Dream what layers, or a class, see in a galaxy, step by step."""
        config = config or DreamConfig()
        if side not in DREAM_SIDES or config.steps > MAX_STEPS:
            raise ConfigError(
                f"expected a side of {', '.join(map(str, DREAM_SIDES))} px and at most "
                f"{MAX_STEPS} steps, got {side} px and {config.steps} steps"
            )
        targets = [layer_target(self.network, layer) for layer in layers]
        if class_name:
            targets.append(class_target(self.network, class_name))
        if not 1 <= len(targets) <= MAX_LAYERS:
            raise ConfigError(
                f"expected 1 to {MAX_LAYERS} layers or classes, got {len(targets)}; "
                "choose some"
            )
        small = Image.fromarray(galaxy.view).resize(
            (side, side), Image.Resampling.BILINEAR
        )
        start = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255
        start = start.to(self.network.device)
        stop = stop or threading.Event()
        for number, target in enumerate(targets):
            if stop.is_set():
                return
            with self._at_work():
                scorer = self.network.scorer(target.objective, start)
            for frame in self._step_by_step(octave_frames(scorer, start, config)):
                octave = frame.octave + frame.step / max(1, config.steps)
                share = octave / frame.octaves
                yield Progress(target, number, len(targets), share, frame.images[0])
                if stop.is_set():
                    break
            with self._at_work():
                end = resample(frame.images, (side, side))
                low, high = (float(scorer.score(each)[0]) for each in (start, end))
                before, after = map(self._judged, (start, end))
                judge = self._second(target, start, end)
            yield DreamAnswer(
                target, start[0], end[0], (low, high), before, after, config, share,
                judge,
            )  # fmt: skip

    def _step_by_step(self, frames: Iterator[DreamFrame]) -> Iterator[DreamFrame]:
        """Compute a step when it is asked for, and count it."""
        while True:
            with self._at_work():
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def _judged(self, images: Tensor) -> Singles:
        """Classify one picture of any side as its network sees it, calibrated."""
        raw: Any = self.network.judge(images)  # its classes have names
        calibration = self.checkpoint.calibration
        each = raw if calibration is None else calibration.probabilities(raw)
        return np.asarray(each[0], np.float32)

    def _second(
        self, target: Target, *images: Tensor
    ) -> tuple[str, float, float] | None:
        """Ask the package's other network how likely it finds a dreamed class."""
        if not isinstance(target.objective, Logit) or self._judge is None:
            return None
        name, network = self._judge
        answers: Any = [network.judge(each) for each in images]
        low, high = (float(each[0, target.objective.class_index]) for each in answers)
        return name, low, high


def _drawn(indices: Sequence[int], seed: int) -> Pixels:
    """Draw galaxies of classes, as large as people see them."""
    drawn = draw(
        torch.tensor([*indices]), image_size=VIEW_PX, field=1.0,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    return drawn.permute(0, 2, 3, 1).contiguous().numpy()
