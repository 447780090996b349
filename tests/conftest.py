"""What many tests need: a seed, small galaxies, and the real ones where they are."""

import os
import runpy
import warnings
import zipfile
from contextlib import chdir
from pathlib import Path

import pytest
from blobs import blobs
from filelock import FileLock

SHARED = Path(__file__).parents[2] / "shared" / "data"
# Few tests, but long ones: they begin first, so that no worker ends alone with them.
LONGEST = (
    *("test_survey_ray", "test_app_browser", "test_export", "test_app_http"),
    *("test_terminal", "test_measures_study", "test_story", "test_train_resume"),
    *("test_dream_verbs", "test_gallery", "test_catalog_run", "test_pages_browser"),
    *("test_sources_cutouts", "test_app_readers", "test_train", "test_weights"),
)


def pytest_collection_modifyitems(items):
    """Put the longest files first; see ./check."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def shared():
    """The folder of real galaxies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real galaxies not here")
    return SHARED


@pytest.fixture
def case(shared, tmp_path):
    """Make the small inputs of one of ../shared/cases, and return their folder."""

    def _make(name):
        script = shared.parent / "cases" / name / "make.py"
        folder = tmp_path / name
        folder.mkdir()
        with chdir(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runpy.run_path(str(script), run_name="__main__")
        return folder

    return _make


@pytest.fixture(scope="session")
def galaxy_zoo(shared, tmp_path_factory):
    """Every tenth galaxy of Galaxy Zoo 2, under the name of the whole."""
    path = tmp_path_factory.mktemp("zoo") / "galaxyzoo2_5class_train_val.zip"
    with (
        zipfile.ZipFile(shared / path.name) as whole,
        zipfile.ZipFile(path, "w") as part,
    ):
        for name in sorted(whole.namelist())[::10]:
            part.writestr(name, whole.read(name))
    return path


@pytest.fixture(scope="session")
def galaxies():
    """Sixty blobs of three classes, 64 px, three quarters of them for training."""
    return blobs()


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """Weights that were never trained, for ten classes, and the same as ONNX."""
    import torch

    from dmagnet.classes import CLASS_NAMES
    from dmagnet.config import ModelConfig, TrainConfig
    from dmagnet.exporting import export_onnx
    from dmagnet.network import DMAGNet
    from dmagnet.network.checkpoint import Checkpoint, save

    base = tmp_path_factory.getbasetemp()
    # To write ONNX takes seconds: all workers of a run share one file.
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    weights, onnx = folder / "untrained.safetensors", folder / "untrained.onnx"
    with FileLock(folder / "untrained.lock"):
        if not onnx.exists():
            torch.manual_seed(0)
            config = TrainConfig(
                model=ModelConfig(size="xs"), image_size=64, field=0.75
            )
            network = DMAGNet(config.model).eval()
            torch.nn.init.normal_(network.head.weight)  # galaxies differ
            save(weights, checkpoint := Checkpoint(network, config, CLASS_NAMES))
            export_onnx(checkpoint, onnx)
    return weights, onnx
