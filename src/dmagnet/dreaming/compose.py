"""What a dream climbs: one score per image from the activations of some layers.

Objectives compose: ``Energy("stage2") + 0.5 * Logit(3)``, and ``-Energy("lam")`` is
the mirror that a dream walks down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from dmagnet.dreaming.layers import Activations
from dmagnet.errors import ConfigError

Reader = Callable[[Tensor, Sequence[str]], Activations]


class Objective:
    """Base of all objectives: something that scores each image of a batch."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Name the layers whose activations it scores.

        Returns
        -------
        tuple of str
            Each once.
        """
        raise NotImplementedError

    @property
    def rolls(self) -> bool:
        """Say whether it means the same where an image is rolled.

        Returns
        -------
        bool
            False for what looks at one place: jitter would move the image under it.
        """
        return True

    def __call__(self, activations: Activations) -> Tensor:
        """Score each image.

        Parameters
        ----------
        activations : mapping of str to Tensor
            Outputs of `layers`.

        Returns
        -------
        (B,) float
            Higher is what a dream wants.
        """
        raise NotImplementedError

    def bind(self, read: Reader, images: Tensor) -> "Objective":  # noqa: ARG002
        """Look at the start images once, before the first step.

        Parameters
        ----------
        read : callable
            Images and layer names in, activations out.
        images : (B, 3, H, W) float in [0, 1]
            Where the dream starts.

        Returns
        -------
        Objective
            Itself, or one that knows what it saw.
        """
        return self

    def __add__(self, other: "Objective") -> "Objective":
        return Sum((self, other), (1.0, 1.0))

    def __sub__(self, other: "Objective") -> "Objective":
        return Sum((self, other), (1.0, -1.0))

    def __mul__(self, weight: float) -> "Objective":
        return Sum((self,), (float(weight),))

    __rmul__ = __mul__

    def __neg__(self) -> "Objective":
        return self * -1.0


@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum of objectives.

    Attributes
    ----------
    terms : tuple of Objective
        What is added.
    weights : tuple of float
        The weight of each term.
    balance : bool
        Divide each term by its own size on the start image, so that the weights
        mean something between layers of different strength.
    starts : tuple of (B,) Tensor
        Sizes on the start images; `bind` fills them in.
    """

    terms: tuple[Objective, ...]
    weights: tuple[float, ...]
    balance: bool = False
    starts: tuple[Tensor, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """Name the layers of all terms.

        Returns
        -------
        tuple of str
            Each once.
        """
        return tuple(dict.fromkeys(n for term in self.terms for n in term.layers))

    @property
    def rolls(self) -> bool:
        """Say whether all terms mean the same where an image is rolled.

        Returns
        -------
        bool
            False where one of them looks at one place.
        """
        return all(term.rolls for term in self.terms)

    def bind(self, read: Reader, images: Tensor) -> Objective:
        """Bind each term and, to balance them, measure each on the start images.

        Parameters
        ----------
        read : callable
            Images and layer names in, activations out.
        images : (B, 3, H, W) float in [0, 1]
            Where the dream starts.

        Returns
        -------
        Sum
            Of bound terms.
        """
        terms = tuple(term.bind(read, images) for term in self.terms)
        starts: tuple[Tensor, ...] = ()
        if self.balance:
            seen = read(images, self.layers)
            starts = tuple(t(seen).detach().abs().clamp(min=1e-8) for t in terms)
        return replace(self, terms=terms, starts=starts)

    def __call__(self, activations: Activations) -> Tensor:
        """Add up the terms."""
        scores = [term(activations) for term in self.terms]
        if self.starts:
            scores = [s / start for s, start in zip(scores, self.starts, strict=True)]
        weighted = [w * s for w, s in zip(self.weights, scores, strict=True)]
        return sum(weighted[1:], weighted[0])


def balanced(
    terms: Sequence[Objective], weights: Sequence[float] | None = None
) -> Objective:
    """Dream several layers at once, each measured against its own start.

    Parameters
    ----------
    terms : sequence of Objective
        For example the energies of several layers.
    weights : sequence of float, optional
        1 for each if not given.

    Returns
    -------
    Objective
        The weighted sum of the terms, each over its size on the start image.

    Raises
    ------
    ConfigError
        If there is not one weight for each term.
    """
    if weights is not None and len(weights) != len(terms):
        raise ConfigError(
            f"weights: expected one for each of the {len(terms)} objectives, got "
            f"{len(weights)}"
        )
    return Sum(tuple(terms), tuple(weights or [1.0] * len(terms)), balance=True)


class LocalObjective(Objective):
    """A mean over places of a map that each place makes of its own activations.

    Such scores can be added up from tiles.
    """

    def maps(self, activations: Activations) -> Tensor:
        """Score each place.

        Parameters
        ----------
        activations : mapping of str to Tensor
            Outputs of `layers`, each (B, C, h, w).

        Returns
        -------
        (B, h, w) float
            Their mean over places is the score.
        """
        raise NotImplementedError

    def __call__(self, activations: Activations) -> Tensor:
        """Average over places."""
        return self.maps(activations).mean(dim=(1, 2))
