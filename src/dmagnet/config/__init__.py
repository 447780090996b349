"""Every knob: name, type, default, help and limit, written once.

Configurations are frozen dataclasses; flags, JSON and checks follow from their
fields. Presets are functions in `dmagnet.config.recipes`. No torch in here.
"""

from dmagnet.config.app_config import AppConfig
from dmagnet.config.checks import from_dict, to_dict, typed
from dmagnet.config.classify_config import (
    ClassifyConfig,
    ClusterConfig,
    CutoutConfig,
    SourceConfig,
)
from dmagnet.config.dream_config import (
    Basis,
    DreamConfig,
    MeasureConfig,
    Normalize,
    RedreamConfig,
)
from dmagnet.config.train_config import (
    AugmentConfig,
    ModelConfig,
    Precision,
    SimulateConfig,
    Size,
    SplitName,
    TrainConfig,
)

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
