"""Concentration, asymmetry, clumps, Gini, M20 and Sersic: ours and statmorph's."""

import warnings
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from astropy.convolution import convolve
from astropy.stats import sigma_clipped_stats

from dmagnet.measuring.apertures import ApertureFlag, grey
from dmagnet.measuring.morphology import measure_morphology
from dmagnet.measuring.segments import central, find_sources
from dmagnet.storage.arrays import Floats, Pixels
from dmagnet.storage.records import plain_json

# Ours: statmorph's name of it, and what a person should know.
QUANTITIES = {
    "concentration": ("concentration", "Concentration C",
                      "how much of the light is in the middle; ellipticals 3 to 5"),
    "asymmetry": ("asymmetry", "Asymmetry A",
                  "light that half a turn does not find again; mergers above 0.35"),
    "smoothness": ("smoothness", "Clumpiness S",
                   "light in clumps; the larger, the less smooth"),
    "gini": ("gini", "Gini", "0 if all pixels are equally bright, 1 if one has all"),
    "m20": ("m20", "M20", "where the brightest fifth is; nearer to 0 is farther out"),
    "ellipticity": ("ellipticity_asymmetry", "Ellipticity", "0 is round, 1 is a line"),
    "r_petro": ("rpetro_circ", "Petrosian radius", "in pixels of this picture"),
    "r50": ("r50", "Half-light radius", "in pixels of this picture"),
}  # fmt: skip
SERSIC = {
    "sersic_n": ("S\u00e9rsic index n", "1 is a disc, 4 a giant elliptical"),
    "sersic_rhalf": ("S\u00e9rsic half-light radius", "in pixels of this picture"),
    "sersic_ellip": ("S\u00e9rsic ellipticity", "0 is round, 1 is a line"),
}
STATMORPH_FLAGS = ("good", "suspect", "bad", "catastrophic", "catastrophic")
DOUBTS = {
    ApertureFlag.NO_SOURCE: "nothing stands out of the sky",
    ApertureFlag.NO_RADIUS: "the light never falls off: no Petrosian radius",
    ApertureFlag.NO_SKY: "there is hardly any sky in the picture",
    ApertureFlag.CUT_OFF: "the galaxy reaches beyond the picture",
    ApertureFlag.DRIFTED: "it has no center of symmetry",
    ApertureFlag.SPLIT: "its brightest pixels fall into several pieces",
    ApertureFlag.SMALL: "it is too small for its clumps",
    ApertureFlag.NOT_POSITIVE: "its light does not add up",
}
NO_STATMORPH = "statmorph is not installed: pip install 'dmagnet[astro]'"


@dataclass(frozen=True)
class Classical:
    """The shape of a galaxy in numbers; NaN is what could not be measured.

    Attributes
    ----------
    ours : dict of str to float
        By `dmagnet.measuring.morphology`.
    statmorph : dict of str to float
        By statmorph, under our names, and its Sersic fit; empty without it.
    notes : tuple of str
        What to know about the numbers.
    """

    ours: dict[str, float]
    statmorph: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Bring the numbers side by side.

        Returns
        -------
        list of dict
            ``name``, ``ours``, ``statmorph`` (None where there is none) and ``words``.
        """
        told = {key: words for key, (_, *words) in QUANTITIES.items()}
        told |= {key: [*SERSIC[key]] for key in SERSIC if key in self.statmorph}
        return [
            {
                "name": name,
                "ours": self.ours.get(key),
                "statmorph": self.statmorph.get(key),
                "words": words,
            }
            for key, (name, words) in told.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns
        -------
        dict
            ``ours``, ``statmorph`` and ``notes``; None for NaN.
        """
        return {
            "ours": plain_json(self.ours, 5),
            "statmorph": plain_json(self.statmorph, 5) or None,
            "notes": list(self.notes),
        }


def measure_classical(images: list[Pixels]) -> list[Classical]:
    """Measure the classical morphology of galaxies.

    Parameters
    ----------
    images : list of (H, W, 3) uint8
        Each with the galaxy near its center; they may differ in size.

    Returns
    -------
    list of Classical
        Of the mean of red, green and blue. Numbers of a stretched picture are not those
        that papers quote of fluxes.

    Notes
    -----
    Ours are those of `dmagnet.measuring.morphology.measure_morphology`. statmorph
    (Rodriguez-Gomez et al. 2019, MNRAS 483, 4140) is given the sources that photutils
    finds 1.5 sigma above the sky, the one nearest to the center among them, as in its
    tutorial; seconds a galaxy.
    """
    return [_measure(image) for image in images]


def _measure(image: Pixels) -> Classical:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double() / 255
    found = measure_morphology(pixels)
    ours = {name: float(getattr(found, name)[0]) for name in QUANTITIES}
    flag = ApertureFlag(int(found.flag[0]))
    notes = [words for bit, words in DOUBTS.items() if flag & bit]
    if find_spec("statmorph") is None:
        return Classical(ours, notes=(*notes, NO_STATMORPH))
    theirs, doubt = _statmorph(grey(pixels)[0].numpy())
    return Classical(ours, theirs, (*notes, *([doubt] if doubt else [])))


def _statmorph(image: Floats) -> tuple[dict[str, float], str]:
    """Let photutils find the galaxy in the middle, and statmorph measure it."""
    import statmorph
    from photutils.segmentation import detect_sources, make_2dgaussian_kernel

    sources = find_sources(torch.from_numpy(image)[None])
    mask = ~sources.sky_mask[0].numpy()
    if mask.all():
        return {}, "statmorph: no sky in this picture"
    _, sky, sigma = sigma_clipped_stats(image, sigma=3, mask=mask)
    if not sigma > 0:
        return {}, "statmorph: the sky of this picture has no noise"
    smooth = convolve(image - sky, make_2dgaussian_kernel(3.0, size=5))
    with warnings.catch_warnings():
        # What statmorph doubts it says in its flag.
        warnings.simplefilter("ignore")
        regions = detect_sources(smooth, 1.5 * sigma, 5)
        if regions is None:
            return {}, "statmorph: nothing stands out of the sky"
        result = statmorph.SourceMorphology(
            image - sky,
            regions,
            int(regions.data[central(regions.data)].max()),
            weightmap=np.full_like(image, sigma),
        )
        found = {key: float(result[name]) for key, (name, *_) in QUANTITIES.items()}
        fits = {key: float(result[key]) for key in SERSIC}
        quality, fit = int(result.flag), int(result.flag_sersic)
    notes = []
    if quality:
        notes.append(f"its measures are {STATMORPH_FLAGS[min(quality, 4)]}")
    if fit:
        notes.append("its S\u00e9rsic fit is doubtful")
    known = {k: v for k, v in (found | fits).items() if v != -99}  # it failed there
    return known, f"statmorph says that {' and that '.join(notes)}" if notes else ""
