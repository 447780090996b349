"""The attribution methods of captum, on the score of a class or of one over another."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from dmagnet.errors import ConfigError
from dmagnet.explaining.curves import find_sky, lead
from dmagnet.judging.predict import on_picture

STEPS, MOST_STEPS = 32, 512  # of the integral
COMPLETE = 0.01  # of the difference between picture and sky
WINDOWS = 8  # occluded squares along a side, each moved by half of itself
NOISE = 0.1  # standard deviation of SmoothGrad's noise, of white
SAMPLES = 25
AT_ONCE = 32  # pictures in one pass


def captum(name: str, part: str = "attr") -> Any:
    """Import a method of captum, or one of its metrics."""
    try:
        return getattr(import_module(f"captum.{part}"), name)
    except ImportError as error:
        raise ConfigError(
            f"{name}: expected captum for it, found none ({error}); "
            "pip install 'dmagnet[explain]'"
        ) from error


class TargetScore(nn.Module):
    """The logit of a class, or of one class minus another, one number a picture."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """Score pictures."""
        return lead(self.model(images), classes)


def integrated_gradients(score: TargetScore, images: Tensor, classes: Tensor) -> Tensor:
    """Integrate gradients from the picture's sky to the picture."""
    # Sundararajan et al. (2017, ICML, eq. 1 and proposition 1). Deviation: the baseline
    # is the sky, since black is no absence here; steps double, from 32 to 512, until
    # the sum is complete within 1 %.
    method = captum("IntegratedGradients")(score, multiply_by_inputs=True)
    base = find_sky(images).level.expand_as(images).contiguous()
    with torch.no_grad():
        rise = score(images, classes) - score(base, classes)
    found = images.new_zeros(len(images), *images.shape[2:])
    left, steps = torch.arange(len(images), device=images.device), STEPS
    while len(left):
        part = method.attribute(
            images[left],
            base[left],
            additional_forward_args=classes[left],
            n_steps=steps,
            internal_batch_size=AT_ONCE,
        )
        found[left] = part.detach().sum(dim=1).to(found.dtype)
        gap = (found[left].sum(dim=(1, 2)) - rise[left]).abs()
        steps *= 2
        if steps > MOST_STEPS:
            break
        left = left[gap > COMPLETE / 2 * rise[left].abs()]
    return found


def grad_cam(score: TargetScore, images: Tensor, classes: Tensor) -> Tensor:
    """Weigh the features of LAM by their mean gradients."""
    # Selvaraju et al. (2017, ICCV, eqs. 1 and 2). Before pooling and a linear layer it
    # is the evidence without its bias, and without all that speaks against the class.
    layer: nn.Module = score.model.lam  # type: ignore[assignment]
    coarse = captum("LayerGradCam")(score, layer).attribute(
        images,
        additional_forward_args=classes,
        relu_attributions=True,
    )
    return on_picture(coarse.detach()[:, 0], images.shape[2:])


def occlusion(score: TargetScore, images: Tensor, classes: Tensor) -> Tensor:
    """Lay sky over one square after another, and see what the score loses."""
    # Zeiler & Fergus (2014, ECCV, section 4.2), squares of an eighth of the side, moved
    # by half of that; the fill is the median color of the sky.
    side = images.shape[2]
    window = max(2, side // WINDOWS)
    found = captum("Occlusion")(score).attribute(
        images,
        sliding_window_shapes=(3, window, window),
        strides=(3, max(1, window // 2), max(1, window // 2)),
        baselines=find_sky(images).level.expand_as(images),
        additional_forward_args=classes,
    )
    return found.detach().sum(dim=1)  # type: ignore[no-any-return]


def smoothgrad(score: TargetScore, images: Tensor, classes: Tensor) -> Tensor:
    """Average the gradient over noisy copies of the picture."""
    # Smilkov et al. (2017, arXiv:1706.03825, section 3): 25 copies, noise of a tenth of
    # white, the same in every call.
    tunnel = captum("NoiseTunnel")(captum("Saliency")(score))
    found = []
    # One by one: a map is not to depend on the pictures beside it.
    for i in range(len(images)):
        one = slice(i, i + 1)
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(0)
            mean = tunnel.attribute(
                images[one],
                nt_type="smoothgrad",
                nt_samples=SAMPLES,
                stdevs=NOISE,
                abs=False,
                additional_forward_args=classes[one],
            )
        found.append(mean.detach().abs().sum(dim=1))
    return torch.cat(found)
