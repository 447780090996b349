"""Fit a network to labeled galaxies, resumably, on one device or many."""

from dmagnet.train.batches import GalaxyBatches as GalaxyBatches
from dmagnet.train.finetune import what_is_kept as what_is_kept
from dmagnet.train.fit import fit as fit
from dmagnet.train.fit import optimize as optimize
from dmagnet.train.module import Classifier as Classifier
from dmagnet.train.run import history as history
