"""Deep Dream at every depth of a network, and galleries of dreams."""

from dmagnet.dreaming.compose import LocalObjective, Objective, Sum, balanced
from dmagnet.dreaming.dream_folder import Folder
from dmagnet.dreaming.dream_record import Dream, Moment, PassRecord, Redream
from dmagnet.dreaming.entries import write_dream
from dmagnet.dreaming.gallery import write_dreams
from dmagnet.dreaming.layers import find_layer, layer_names, private_copy, read
from dmagnet.dreaming.maco import MacoFrame, fourier_start, maco_frames
from dmagnet.dreaming.objectives import (
    Attention,
    Channel,
    Direction,
    Energy,
    Logit,
    Neuron,
)
from dmagnet.dreaming.octaves import DreamFrame, check_images, dream_frames, resample
from dmagnet.dreaming.receptive import ReceptiveField, receptive_field
from dmagnet.dreaming.redream import Pass, default_schedule, redream_frames, zoom_frames
from dmagnet.dreaming.relations import Diversity, Guide
from dmagnet.dreaming.request import Request, make_request, read_record, read_request
from dmagnet.dreaming.runs import dream_target, redream_target
from dmagnet.dreaming.sources import Source, gather
from dmagnet.dreaming.statistics import Statistics, measure_statistics
from dmagnet.dreaming.targets import (
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
    "DreamFrame",
    "Energy",
    "Folder",
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
    "Request",
    "Source",
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
    "gather",
    "layer_names",
    "layer_target",
    "maco_frames",
    "make_request",
    "measure_statistics",
    "open_network",
    "plain_name",
    "private_copy",
    "read",
    "read_record",
    "read_request",
    "receptive_field",
    "redream_frames",
    "redream_target",
    "resample",
    "write_dream",
    "write_dreams",
    "zoom_frames",
]
