"""Every knob: name, type, default, help and limit, written once.

Configurations are frozen dataclasses; flags, JSON and checks follow from their
fields. Presets are functions in `dmagnet.recipes`. No torch in here.
"""

from dmagnet.config.checks import from_dict, to_dict, typed
from dmagnet.config.classifying import (
    ClassifyConfig,
    ClusterConfig,
    CutoutConfig,
    SourceConfig,
)
from dmagnet.config.dreaming import (
    Basis,
    DreamConfig,
    MeasureConfig,
    Normalize,
    RedreamConfig,
)
from dmagnet.config.learning import (
    AugmentConfig,
    ModelConfig,
    Precision,
    SimulateConfig,
    Size,
    SplitName,
    TrainConfig,
)
from dmagnet.config.serving import AppConfig

__all__ = [
    "AppConfig",
    "AugmentConfig",
    "Basis",
    "ClassifyConfig",
    "ClusterConfig",
    "CutoutConfig",
    "DreamConfig",
    "MeasureConfig",
    "ModelConfig",
    "Normalize",
    "Precision",
    "RedreamConfig",
    "SimulateConfig",
    "Size",
    "SourceConfig",
    "SplitName",
    "TrainConfig",
    "from_dict",
    "to_dict",
    "typed",
]
