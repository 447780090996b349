"""DMAGNet: dilated multi-scale blocks, a local attention module, a linear head.

Neither "DMA" nor "LAM" is spelled out where the name DMAGNet first appeared, so
both are our reading: Dilated Multi-scale Attention, and the Local Attention
Module of GALD (Li et al. 2019, BMVC) without the ReLU that kept its mask from
suppressing anything.
"""

from dmagnet.model.blocks import DMA as DMA
from dmagnet.model.blocks import LAM as LAM
from dmagnet.model.network import GALAXY10_MEAN as GALAXY10_MEAN
from dmagnet.model.network import GALAXY10_STD as GALAXY10_STD
from dmagnet.model.network import SHAPES as SHAPES
from dmagnet.model.network import DMAGNet as DMAGNet
