"""Fit a network to labeled galaxies, resumably, on one device or many."""

from dmagnet.training.batches import GalaxyBatches as GalaxyBatches
from dmagnet.training.finetune import what_is_kept as what_is_kept
from dmagnet.training.fit import fit as fit
from dmagnet.training.fit import optimize as optimize
from dmagnet.training.module import TrainingModule as TrainingModule
from dmagnet.training.run_folder import history as history
