"""The weights that come with the package: found, checked, loaded, and shared."""

from dmagnet.weights.bundled import BUNDLED as BUNDLED
from dmagnet.weights.bundled import DEFAULT as DEFAULT
from dmagnet.weights.bundled import bundled_path as bundled_path
from dmagnet.weights.bundled import load as load
from dmagnet.weights.bundled import model_card as model_card
from dmagnet.weights.bundled import path_of as path_of
