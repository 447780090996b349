"""All that the network and the rulers say of one galaxy."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmagnet.calibration.judgement import views_to_take
from dmagnet.config import DreamConfig, PageConfig, SourceConfig, to_dict
from dmagnet.config.checks import settled
from dmagnet.dreaming.runs import dream_target
from dmagnet.dreaming.sheets import to_bytes
from dmagnet.dreaming.targets import Network, Target, layer_target, open_network
from dmagnet.explaining.explanation import Explanation, stems
from dmagnet.explaining.maps import enlarged, evidence_maps
from dmagnet.figures.overlays import detail_picture
from dmagnet.judging.predict import (
    attention,
    batches_of,
    evaluating,
    features_of,
    over_views,
)
from dmagnet.network.checkpoint import Checkpoint, weights_hash
from dmagnet.pictures.inputs import Item, read_picture
from dmagnet.pictures.standard import find_extent
from dmagnet.reporting.classical import measure_classical
from dmagnet.reporting.galaxy_record import Dreamt, Portrait
from dmagnet.reporting.reference import Reference, nearest
from dmagnet.storage.arrays import Pixels, Singles
from dmagnet.storage.records import stamp

BATCH = 8  # galaxies that are dreamed together
GIVEN_PX = 256  # side of a frame of 67.07 arcsec at the survey's own sampling
TAKEN = ("index",)  # page names
PAGE = PageConfig()

Step = Callable[[int], None]


def portraits(
    checkpoint: Checkpoint,
    explanations: Sequence[Explanation],
    *,
    reference: Reference | None = None,
    config: PageConfig = PAGE,
    progress: Step | None = None,
    **settings: Any,
) -> Iterator[Portrait]:
    """Collect all that a page shows, galaxy by galaxy.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network that explained them.
    explanations : sequence of Explanation
        From `dmagnet.explaining.explain`.
    reference : Reference, optional
        Where to look for galaxies that are alike; none if not given.
    config : PageConfig
        What to show, and how the inputs were read.
    progress : callable, optional
        Called with the number of galaxies done.
    **settings
        Fields of ``config`` by name, in its place.

    Yields
    ------
    Portrait
        One for each explanation, in order.

    Raises
    ------
    ConfigError
        If there is no such layer.
    """
    config = settled(portraits, config, settings)
    network = open_network(checkpoint)
    targets = [layer_target(network, name) for name in config.layers]
    names = page_names([why.item for why in explanations])
    told = _provenance(checkpoint, config, reference)
    for start in range(0, len(explanations), BATCH):
        some = explanations[start : start + BATCH]
        images = np.stack([why.rgb for why in some])
        (seen,) = batches_of(images, len(images), network.device)
        evidence, masks, features = _looks(checkpoint, images, seen)
        alike = nearest(reference, features) if reference else [((), ())] * len(some)
        dreams = [_dreamt(network, seen, target, config.dream) for target in targets]
        for i, why in enumerate(some):
            given, box = _given(checkpoint, why.item, config.source)
            whole = why.rgb if given is None else given
            yield Portrait(
                name=names[start + i],
                explanation=why,
                given=given,
                box=box,
                evidence=evidence[i],
                attention=None if masks is None else masks[i],
                dreams=tuple(each[i] for each in dreams),
                classical=measure_classical([whole])[0] if config.classical else None,
                neighbors=alike[i][0],
                votes=alike[i][1],
                reference=reference.words if reference else "",
                provenance=told,
            )
            if progress:
                progress(start + i + 1)


def page_names(items: Sequence[Item]) -> list[str]:
    """Name the pages of galaxies."""
    bare = [
        re.sub(r"(\.[A-Za-z]\w*)+$", "", PurePosixPath(item.id).name) for item in items
    ]
    return stems([*TAKEN, *bare])[len(TAKEN) :]


def _looks(
    checkpoint: Checkpoint, images: Pixels, batch: Tensor
) -> tuple[Singles, Singles | None, Singles]:
    """Return evidence (B, K, S, S), attention (B, S, S) and features (B, D)."""
    model, views = checkpoint.model, views_to_take(None, checkpoint.calibration)
    with evaluating(model), torch.inference_mode():

        def _evidence(seen: Tensor) -> Tensor:
            return enlarged(evidence_maps(model, seen), seen.shape[2])

        evidence = over_views(_evidence, batch, views).cpu().numpy()
        features = features_of(model, batch).cpu().numpy()
    lam = checkpoint.config.model.lam
    return evidence, attention(model, images, views=views) if lam else None, features


def _dreamt(
    network: Network, images: Tensor, target: Target, config: DreamConfig
) -> list[Dreamt]:
    """Dream one target on all images."""
    dreamed = dream_target(network, images, target, config, trajectory="octave")
    after = None if dreamed.probabilities is None else dreamed.probabilities[1]
    return [
        Dreamt(
            target.name,
            to_bytes(image),
            detail_picture(dreamed.detail[i].cpu().numpy()),
            None if after is None else after[i],
        )
        for i, image in enumerate(dreamed.images)
    ]


def _given(
    checkpoint: Checkpoint, item: Item, source: SourceConfig
) -> tuple[Pixels | None, tuple[float, float, float] | None]:
    """Read a galaxy again as it is, and say which part of it the network sees."""
    if not item.files:
        return None, None
    rgb = read_picture(item, GIVEN_PX, 1.0, source).rgb
    if rgb is None:
        return None, None
    trained = checkpoint.config
    side = trained.field
    if trained.radii is not None:
        side = trained.radii * find_extent(rgb).radius / GIVEN_PX
    return rgb, ((1 - side) / 2, (1 - side) / 2, side) if side <= 1 else None


def _provenance(
    checkpoint: Checkpoint, config: PageConfig, reference: Reference | None
) -> dict[str, Any]:
    """Collect what is needed to make a page again."""
    calibration = checkpoint.calibration
    space = calibration.space if calibration else None
    return {
        **stamp(),
        "weights_hash": checkpoint.weights_hash or weights_hash(checkpoint.model),
        "image_size": checkpoint.config.image_size,
        "radii": checkpoint.config.radii,
        "dilations": list(checkpoint.config.model.dilations),
        "temperature": calibration.temperature if calibration else None,
        "ood_limit": space.limit if space and np.isfinite(space.limit) else None,
        "layers": list(config.layers),
        "dream": to_dict(config.dream),
        "reference": reference.words if reference else None,
        "reference_hash": reference.galaxies.data_hash if reference else None,
    }
