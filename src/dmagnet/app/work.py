"""Galaxies in, answers out: every answer is a call of another chapter."""

import dataclasses
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dmagnet.app.answers import VIEW_PX, DreamAnswer, Floats, Galaxy, Progress
from dmagnet.app.given import position
from dmagnet.app.readers import Readers
from dmagnet.calibration.judgement import Classifier
from dmagnet.classes import CLASSES
from dmagnet.classifying.local import Device, open_classifier
from dmagnet.config.app_config import AppConfig
from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.objectives import Logit
from dmagnet.dreaming.octaves import DreamFrame, octave_frames, resample
from dmagnet.dreaming.sheets import to_bytes
from dmagnet.dreaming.targets import (
    Network,
    Target,
    class_target,
    layer_target,
    open_network,
    second_opinion,
)
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.explaining.explanation import Explanation
from dmagnet.explaining.explanations import explain_images
from dmagnet.network.bundled import load
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.pictures.cutout import moved_wcs
from dmagnet.pictures.inputs.cutouts import fetched
from dmagnet.pictures.inputs.item import Item
from dmagnet.simulator.scene import draw

LOOKS = 2  # at a time: more threads than cores make all of them late
DREAM_SIDE, DREAM_SIDES = 192, (128, 192, VIEW_PX)
MAX_STEPS = 40
MAX_LAYERS = 6  # at a time
USUAL = ("evidence", "lam")
ORDER = (7, 9, 1, 5, 2, 0, 8, 4, 6, 3)  # of classes: the first few differ most


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
        self.config = config
        self.name = str(weights)
        self.classifier: Classifier = open_classifier(
            weights, views=config.views, device=device
        )
        self.checkpoint: Checkpoint = load(weights)
        if device != "cpu" and torch.cuda.is_available():
            self.checkpoint.model.cuda()
        self.network: Network = open_network(self.checkpoint)
        self._drawn = count()
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
            galaxy = self.simulated(Path(scratch))
        self._drawn = count()
        self.explain(galaxy)
        once = DreamConfig(steps=1, octaves=1)
        list(self.dream(galaxy, self.layers[-1:], config=once))

    def look(self, path: Path, name: str) -> Galaxy:
        """Read a file, and classify it."""
        known = Path(name).stem or name
        return self._galaxy(Item(id=known, path=name, files=(str(path),)))

    def look_at(self, place: str, cache: Path) -> Galaxy:
        """Ask the cut-out service for a position, and classify what it shows."""
        ra, dec = position(place)
        item = Item(id=f"{ra:.5f} {dec:+.5f}", path="", kind="position", ra=ra, dec=dec)
        (found,) = fetched([item], self.config.cutout, cache=cache)
        return self._galaxy(found)

    def simulated(self, folder: Path) -> Galaxy:
        """Draw a galaxy, each time another, and classify it."""
        number = next(self._drawn)
        entry = CLASSES[ORDER[number % len(ORDER)]]
        drawn = draw(
            torch.tensor([entry.index]), image_size=VIEW_PX, field=1.0,
            generator=torch.Generator().manual_seed(number),
        )  # fmt: skip
        path = folder / f"simulated-{number}.png"
        Image.fromarray(to_bytes(drawn[0].float() / 255)).save(path)
        try:
            return self.look(path, f"simulated {entry.slug} {number + 1}")
        finally:
            path.unlink()

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
        wcs = galaxy.wcs
        if wcs is not None:
            zoom = len(galaxy.seen) / VIEW_PX
            wcs = moved_wcs(wcs, (0.0, 0.0), (zoom, zoom))
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

    def _judged(self, images: Tensor) -> Floats | None:
        """Classify one picture of any side as its network sees it, calibrated."""
        raw = self.network.judge(images)
        calibration = self.checkpoint.calibration
        if raw is None or calibration is None:
            return None if raw is None else np.asarray(raw[0], np.float32)
        return np.asarray(calibration.probabilities(raw)[0], np.float32)

    def _second(
        self, target: Target, *images: Tensor
    ) -> tuple[str, float, float] | None:
        """Ask the package's other network how likely it finds a dreamed class."""
        if not isinstance(target.objective, Logit) or self._judge is None:
            return None
        name, network = self._judge
        number = target.objective.class_index
        low, high = map(network.judge, images)
        if low is None or high is None:
            return None
        return name, float(low[0, number]), float(high[0, number])

    def _galaxy(self, item: Item) -> Galaxy:
        """Read a file as classify does, once for the network and once for people."""
        found, (seen, view), wcs, notes = self._readers.read(item)
        with self._at_work():
            judgement = self.classifier.judge(seen[None])
        found = dataclasses.replace(found, files=())
        return Galaxy(found, seen, view, wcs, judgement, notes)
