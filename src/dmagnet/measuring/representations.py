"""Likeness of representations and of dreams."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from dmagnet.dreaming.layers import private_copy, read
from dmagnet.errors import DataError

Floats = NDArray[np.float64]
IMAGES_AT_ONCE = 64


@torch.no_grad()
def features_by_depth(
    model: nn.Module, images: NDArray[np.uint8], layers: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Read what layers say of galaxies, averaged over places."""
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise DataError(
            "expected images of shape (N, H, W, 3) and type uint8, got "
            f"{images.dtype} of shape {images.shape}"
        )
    network = private_copy(model, layers)
    weights = next(network.parameters(), torch.empty(0))
    pooled: dict[str, list[NDArray[np.float32]]] = {name: [] for name in layers}
    for start in range(0, len(images), IMAGES_AT_ONCE):
        part = torch.from_numpy(images[start : start + IMAGES_AT_ONCE])
        part = part.to(weights.device).permute(0, 3, 1, 2) / 255
        for name, output in read(network, part, layers).items():
            mean = output.flatten(2).mean(dim=2) if output.ndim > 2 else output
            pooled[name].append(mean.float().cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in pooled.items()}


def cka(first: ArrayLike, second: ArrayLike, *, debiased: bool = True) -> float:
    """Compare two representations of the same galaxies.

    Parameters
    ----------
    first, second : (N, C) and (N, D) float
        Features; rows are galaxies, in the same order.
    debiased : bool
        Correct for the likeness that few galaxies and many channels make by chance.

    Returns
    -------
    float
        1 where one is the other turned, shifted or scaled; about 0, debiased also
        below, for unrelated ones; NaN where one is constant.

    Raises
    ------
    DataError
        If the two have not the same galaxies, at least four, or are not finite.

    Notes
    -----
    Linear centered kernel alignment of Kornblith et al. (2019, ICML, section 3),
    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)). Debiased, HSIC is the unbiased estimate of
    Song et al. (2012, JMLR 13, eq. 5) as Nguyen, Raghu & Kornblith (2021, ICLR, eq. 3)
    have it, computed as the mean product of U-centered matrices (Szekely & Rizzo 2014),
    which is the same number.
    """
    return float(cka_table({"x": first}, {"y": second}, debiased=debiased)[0, 0])


def cka_table(
    features: Mapping[str, ArrayLike],
    others: Mapping[str, ArrayLike] | None = None,
    *,
    debiased: bool = True,
) -> Floats:
    """Compare every layer with every layer, of one network or of two."""
    rows = [_unit_gram(values, debiased=debiased) for values in features.values()]
    columns = rows
    if others is not None:
        columns = [_unit_gram(values, debiased=debiased) for values in others.values()]
    if rows and columns and len(rows[0]) != len(columns[0]):
        raise DataError(
            "features: expected the same galaxies in both, got "
            f"{len(rows[0])} and {len(columns[0])}"
        )
    return np.array([[np.vdot(a, b) for b in columns] for a in rows])


def _unit_gram(features: ArrayLike, *, debiased: bool) -> Floats:
    """Return the centered Gram matrix, its HSIC with itself scaled to 1."""
    x = checked_features(features)
    x = x - x.mean(axis=0)
    gram = x @ x.T
    if debiased:
        n = len(gram)
        np.fill_diagonal(gram, 0)
        sums = gram.sum(axis=0)
        gram -= (sums[:, None] + sums) / (n - 2)
        gram += sums.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(gram, 0)
    norm = np.linalg.norm(gram)
    return gram / norm if norm > 0 else np.full_like(gram, np.nan)


def checked_features(features: ArrayLike) -> Floats:
    """Return features in double precision, or say what is wrong with them."""
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] < 4 or x.shape[1] < 1:
        raise DataError(
            f"features: expected shape (N, C) with four galaxies or more, got {x.shape}"
        )
    if not np.isfinite(x).all():
        raise DataError("features: expected finite numbers, got NaN or infinity")
    return x


def participation_ratio(features: ArrayLike) -> float:
    """Count the directions in which galaxies differ."""
    # (sum of l)^2 / sum of l^2 of the eigenvalues l of the covariance (Gao et al. 2017,
    # bioRxiv 214262, eq. 5). With fewer galaxies than channels it comes out too low:
    # compare layers at equal numbers of galaxies.
    x = checked_features(features)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    total = values.sum()
    return float(total**2 / (values**2).sum()) if total > 0 else float("nan")


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
