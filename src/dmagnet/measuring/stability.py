"""How alike two dreams are, and what of a dream is the network's, not the dice's."""

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from dmagnet.errors import DataError


def similarity(first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """Compare details of dreams, image by image."""
    # SSIM of Wang et al. (2004) as in torchmetrics. It was made for brightness between
    # two fixed ends, which details do not have: each is first divided by its own
    # largest absolute value, as Adebayo et al. (2018) do with saliency maps, and the
    # range is 2.
    if first.shape != second.shape or first.ndim != 4 or min(first.shape[2:]) < 11:
        raise DataError(
            "expected two sets of details of one shape (B, C, H, W) from 11 px, got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    a, b = _unit_peak(first), _unit_peak(second)
    ssim = structural_similarity_index_measure(a, b, data_range=2.0, reduction="none")
    assert isinstance(ssim, Tensor)  # a tuple only where its parts are asked for
    cosine = F.cosine_similarity(a.flatten(1), b.flatten(1), dim=1)
    return {"ssim": ssim.reshape(-1), "cosine": cosine}


def _unit_peak(detail: Tensor) -> Tensor:
    detail = detail.float()
    return detail / detail.abs().amax(dim=(1, 2, 3), keepdim=True)


def seed_stability(details: Tensor) -> dict[str, Tensor]:
    """Compare dreams of the same galaxies with several seeds."""
    # The shares are the variance components of a two-way random-effects analysis of
    # variance without repeats (Searle, Casella & McCulloch 1992, chapter 4), the
    # squares added over pixels: with mean squares MS, galaxies = (MS_g - MS_rest)/S,
    # seeds = (MS_s - MS_rest)/B, rest = MS_rest, negative ones set to 0, over their
    # sum. Unlike raw sums of squares they do not credit galaxies with the noise of few
    # seeds.
    if details.ndim != 5 or min(details.shape[:2]) < 2:
        raise DataError(
            "expected details of shape (S, B, C, H, W) with two seeds and two galaxies "
            f"or more, got {tuple(details.shape)}"
        )
    pairs = [similarity(a, b) for a, b in combinations(details, 2)]
    mean = {
        name: torch.stack([pair[name] for pair in pairs]).mean(dim=0)
        for name in ("ssim", "cosine")
    }
    parts = _variance_components(details)
    return mean | {name: part / sum(parts.values()) for name, part in parts.items()}


def _variance_components(details: Tensor) -> dict[str, Tensor]:
    """Return the variance of galaxies, of seeds, and of what neither explains."""
    x = details.flatten(2).float()  # (S, B, P)
    num_seeds, num_galaxies = x.shape[:2]
    grand = x.mean(dim=(0, 1))
    galaxy, seed = x.mean(dim=0) - grand, x.mean(dim=1) - grand
    rest = x - grand - galaxy - seed[:, None]
    ms_galaxy = galaxy.square().sum() * num_seeds / (num_galaxies - 1)
    ms_seed = seed.square().sum() * num_galaxies / (num_seeds - 1)
    ms_rest = rest.square().sum() / ((num_seeds - 1) * (num_galaxies - 1))
    return {
        "galaxies": ((ms_galaxy - ms_rest) / num_seeds).clamp(min=0),
        "seeds": ((ms_seed - ms_rest) / num_galaxies).clamp(min=0),
        "rest": ms_rest,
    }
