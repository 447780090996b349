"""Deep Dream on every depth of a network, as an engine for measurements."""

from dmagnet.dreams.compose import LocalObjective, Objective, Sum, balanced
from dmagnet.dreams.layers import find_layer, layer_names, private_copy, read
from dmagnet.dreams.maco import MacoFrame, fourier_start, maco_frames
from dmagnet.dreams.objectives import (
    Attention,
    Channel,
    Direction,
    Energy,
    Logit,
    Neuron,
)
from dmagnet.dreams.octaves import Frame, check_images, dream_frames, resample
from dmagnet.dreams.receptive import ReceptiveField, receptive_field
from dmagnet.dreams.record import Dream, Moment, PassRecord, Redream
from dmagnet.dreams.redream import Pass, default_schedule, redream_frames, zoom_frames
from dmagnet.dreams.relations import Diversity, Guide
from dmagnet.dreams.run import dream_target, redream_target
from dmagnet.dreams.statistics import Statistics, measure_statistics
from dmagnet.dreams.targets import (
    Network,
    Target,
    class_target,
    layer_target,
    open_network,
    plain_name,
)

__all__ = [
    "Attention",
    "Channel",
    "Direction",
    "Diversity",
    "Dream",
    "Energy",
    "Frame",
    "Guide",
    "LocalObjective",
    "Logit",
    "MacoFrame",
    "Moment",
    "Network",
    "Neuron",
    "Objective",
    "Pass",
    "PassRecord",
    "ReceptiveField",
    "Redream",
    "Statistics",
    "Sum",
    "Target",
    "balanced",
    "check_images",
    "class_target",
    "default_schedule",
    "dream_frames",
    "dream_target",
    "find_layer",
    "fourier_start",
    "layer_names",
    "layer_target",
    "maco_frames",
    "measure_statistics",
    "open_network",
    "plain_name",
    "private_copy",
    "read",
    "receptive_field",
    "redream_frames",
    "redream_target",
    "resample",
    "zoom_frames",
]
