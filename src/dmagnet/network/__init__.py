"""DMAGNet: dilated multi-scale blocks, a local attention module, a linear head.

Neither "DMA" nor "LAM" is spelled out where the name DMAGNet first appeared, so
both are our reading: Dilated Multi-scale Attention, and the Local Attention
Module of GALD (Li et al. 2019, BMVC) without the ReLU that kept its mask from
suppressing anything.
"""

from typing import TYPE_CHECKING

from dmagnet import _lazily
from dmagnet.config.classify_config import DEFAULT as DEFAULT
from dmagnet.network.bundled import BUNDLED as BUNDLED
from dmagnet.network.bundled import bundled_path as bundled_path
from dmagnet.network.bundled import load as load
from dmagnet.network.bundled import model_card as model_card
from dmagnet.network.bundled import path_of as path_of

if TYPE_CHECKING:
    from dmagnet.network.blocks import DMA as DMA
    from dmagnet.network.blocks import LAM as LAM
    from dmagnet.network.dmagnet import GALAXY10_MEAN as GALAXY10_MEAN
    from dmagnet.network.dmagnet import GALAXY10_STD as GALAXY10_STD
    from dmagnet.network.dmagnet import SHAPES as SHAPES
    from dmagnet.network.dmagnet import DMAGNet as DMAGNet

__getattr__ = _lazily(__name__)  # torch, when it is wanted
