"""Every knob: name, type, default, help and limit, written once.

Configurations are frozen dataclasses; flags, JSON and checks follow from their
fields. Presets are functions in `dmagnet.config.recipes`. No torch in here.
"""

from dmagnet.config.app_config import AppConfig as AppConfig
from dmagnet.config.checks import from_dict as from_dict
from dmagnet.config.checks import to_dict as to_dict
from dmagnet.config.checks import typed as typed
from dmagnet.config.classify_config import ClassifyConfig as ClassifyConfig
from dmagnet.config.classify_config import ClusterConfig as ClusterConfig
from dmagnet.config.classify_config import ColumnsConfig as ColumnsConfig
from dmagnet.config.classify_config import CutoutConfig as CutoutConfig
from dmagnet.config.classify_config import CuttingConfig as CuttingConfig
from dmagnet.config.classify_config import ExplainConfig as ExplainConfig
from dmagnet.config.classify_config import FilesConfig as FilesConfig
from dmagnet.config.classify_config import LabelsConfig as LabelsConfig
from dmagnet.config.classify_config import PageConfig as PageConfig
from dmagnet.config.classify_config import SourceConfig as SourceConfig
from dmagnet.config.dream_config import DreamConfig as DreamConfig
from dmagnet.config.dream_config import GalaxyConfig as GalaxyConfig
from dmagnet.config.dream_config import GalleryConfig as GalleryConfig
from dmagnet.config.dream_config import MacoConfig as MacoConfig
from dmagnet.config.dream_config import MeasureConfig as MeasureConfig
from dmagnet.config.dream_config import RedreamConfig as RedreamConfig
from dmagnet.config.train_config import AugmentConfig as AugmentConfig
from dmagnet.config.train_config import ModelConfig as ModelConfig
from dmagnet.config.train_config import SimulateConfig as SimulateConfig
from dmagnet.config.train_config import SplitName as SplitName
from dmagnet.config.train_config import TrainConfig as TrainConfig
