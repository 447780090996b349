"""The weights of the package are whole, small, ours, and never a pickle."""

import ast
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pack import add_to_package, matrices_of, rounded, save_half
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import dmagnet
from dmagnet import network as weights
from dmagnet.calibration import Calibration
from dmagnet.classes import CLASS_NAMES
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.errors import CheckpointError
from dmagnet.judging.predict import predict
from dmagnet.network import DMAGNet
from dmagnet.network.bundled import (
    BUNDLED,
    INDEX,
    checked,
    entry_of,
    package,
)
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.network.checkpoint import load as load_file_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dmagnet"


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(0)
    config = TrainConfig(image_size=64, radii=3.0, model=ModelConfig(size="xs"))
    model = DMAGNet(config.model).eval()
    calibration = Calibration(1.5, (0.1, 0.05), None, {"name": "blobs"})
    made = Checkpoint(model, config, CLASS_NAMES, {"data": "blobs"})
    return replace(made, calibration=calibration)


@pytest.fixture
def folder(checkpoint, tmp_path):
    """A folder like that of the package, with one network of random weights."""
    add_to_package(tmp_path, "xs", checkpoint)
    return tmp_path


def edit_index(folder, **changes):
    content = json.loads((folder / INDEX).read_text())
    content["weights"]["xs"] |= changes
    (folder / INDEX).write_text(json.dumps(content))


@pytest.mark.parametrize("name", BUNDLED)
def test_the_weights_of_the_package_are_those_of_the_index(name):
    found = dmagnet.load(name)
    assert found.class_names == CLASS_NAMES
    assert found.config.model.size == name
    assert found.weights_hash == entry_of(package(), name)["weights_hash"]
    assert {p.dtype for p in found.model.parameters()} == {torch.float32}
    assert not found.model.training


def test_the_default_and_bundled_are_size_s():
    assert weights.path_of("bundled") == weights.path_of("s")
    assert dmagnet.load().config.model.size == "s"


def test_the_weights_take_at_most_12_mb_in_the_package():
    sizes = [path.stat().st_size for path in (PACKAGE / "network").glob("*")]
    assert sum(sizes) <= 12e6
    assert len(list((PACKAGE / "network").glob("*.safetensors"))) == len(BUNDLED)


def test_a_file_of_the_package_is_checked_once_a_process():
    weights.bundled_path("xs")
    before = weights.bundled_path.cache_info()
    weights.load("xs")
    after = weights.bundled_path.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 0)


def test_a_name_becomes_a_path_without_torch():
    code = (
        "import sys; from dmagnet.network import path_of; print(path_of('xs').name); "
        "assert 'torch' not in sys.modules"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown == "dmagnet-xs.safetensors\n"


def test_a_path_that_exists_is_no_name(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_half(Path("xs/weights.safetensors"), checkpoint)
    assert weights.path_of(Path("xs")) == Path("xs")
    assert weights.load("./xs").class_names == CLASS_NAMES
    assert weights.load(Path("xs")).provenance == {"data": "blobs"}
    assert weights.path_of("xs").name == "dmagnet-xs.safetensors"
    assert weights.path_of(Path("s")).name == "dmagnet-s.safetensors"


def test_what_is_packed_comes_back_with_everything(folder, checkpoint):
    found = load_file_of(checked(folder, "xs"))
    assert found.config == checkpoint.config
    assert vars(found.calibration) == vars(checkpoint.calibration)
    assert found.provenance == checkpoint.provenance
    entry = entry_of(folder, "xs")
    assert entry["weights_hash"] == found.weights_hash


def test_packing_halves_the_matrices_and_leaves_the_vectors(folder, checkpoint):
    stored = load_file(folder / "dmagnet-xs.safetensors")
    matrices = matrices_of(checkpoint.model)
    for name, exact in checkpoint.model.state_dict().items():
        half = name in matrices
        assert stored[name].dtype == (torch.float16 if half else exact.dtype)
        assert half or torch.equal(stored[name], exact), name


def test_packing_moves_probabilities_by_less_than_a_hundredth(folder, checkpoint):
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    packed = load_file_of(folder / "dmagnet-xs.safetensors")
    moved = predict(packed.model, images) - predict(checkpoint.model, images)
    assert 0 < np.abs(moved).max() < 0.01


def test_packing_again_gives_the_same_bytes(folder, checkpoint, tmp_path):
    before = (folder / "dmagnet-xs.safetensors").read_bytes()
    add_to_package(tmp_path, "xs", checkpoint)
    assert (tmp_path / "dmagnet-xs.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", BUNDLED)
def test_the_weights_of_the_package_name_no_folder_of_the_machine_they_come_from(name):
    assert "/" not in dmagnet.load(name).provenance["data"]


def test_a_packed_network_names_each_file_it_was_trained_on_once(checkpoint, tmp_path):
    told = {"data": "/a/b/one.h5 + /a/b/two.zip + /a/b/two.zip + drawn pairs"}
    add_to_package(tmp_path, "xs", replace(checkpoint, provenance=told))
    packed = dmagnet.load(checked(tmp_path, "xs"))
    assert packed.provenance["data"] == "one.h5 + two.zip + drawn pairs"


def test_a_weight_that_half_precision_cannot_hold_is_refused(checkpoint):
    model = DMAGNet(checkpoint.config.model)
    model.head.weight.data[0, 0] = 1e5
    with pytest.raises(CheckpointError, match=r"head\.weight: .*not finite"):
        rounded(replace(checkpoint, model=model))


def test_a_network_of_another_size_is_not_packed(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="expected the size of the network"):
        add_to_package(tmp_path, "s", checkpoint)


def test_a_missing_file_is_refused(folder):
    (folder / "dmagnet-xs.safetensors").unlink()
    with pytest.raises(CheckpointError, match="got nothing; reinstall"):
        checked(folder, "xs")


def test_a_truncated_file_is_refused(folder):
    path = folder / "dmagnet-xs.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="altered or truncated: expected SHA-256"):
        checked(folder, "xs")


def test_an_altered_file_is_refused(folder):
    path = folder / "dmagnet-xs.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="altered or truncated: expected SHA-256"):
        checked(folder, "xs")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"format": 1, "wei', "list of bundled weights, got"),
        ("[]", "list of bundled weights, got"),
        ("{}", "list of bundled weights, got none with 'weights'"),
    ],
)
def test_a_damaged_index_is_refused(folder, text, line):
    (folder / INDEX).write_text(text)
    with pytest.raises(CheckpointError, match=line):
        checked(folder, "xs")


def test_a_package_without_an_index_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="list of bundled weights, got nothing"):
        checked(tmp_path, "xs")


def test_an_unknown_name_lists_those_there_are(folder):
    with pytest.raises(CheckpointError, match=r"no weights 'b'.*expected xs"):
        checked(folder, "b")
    with pytest.raises(CheckpointError, match="b: no such file"):
        weights.load("b")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_as_one_whatever_its_name(zipped, tmp_path):
    for name in ("weights.safetensors", "last.ckpt", "best.pt"):
        torch.save(
            {"head.weight": torch.zeros(2)},
            tmp_path / name,
            _use_new_zipfile_serialization=zipped,
        )
        with pytest.raises(CheckpointError, match=r"a pickle or a zip.*never opened"):
            weights.load(tmp_path / name)


def header_of(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["dmagnet"])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"config": {"new_knob": 1}}, "this dmagnet, .*, knows, got .*new_knob"),
        ({"config": {"epochs": -1}}, "this dmagnet, .*, knows, got .*epochs"),
        ({"class_names": ["a", "b"]}, "expected names of 10 classes, got 2"),
    ],
)
def test_weights_of_another_version_or_class_table_are_refused(folder, change, line):
    path = folder / "dmagnet-xs.safetensors"
    header, tensors = header_of(path), load_file(path)
    for key, value in change.items():
        header[key] = header[key] | value if isinstance(value, dict) else value
    save_file(tensors, path, metadata={"dmagnet": json.dumps(header)})
    with pytest.raises(CheckpointError, match=line):
        weights.load(path)


def test_the_card_is_that_of_these_weights():
    for name in BUNDLED:
        own = entry_of(package(), name)["weights_hash"]
        assert own in weights.model_card(), "runs/card.py writes it anew"


def test_nothing_in_the_package_unpickles():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert "pickle" not in {name.name for name in node.names}, path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                safe = [k for k in node.keywords if k.arg == "weights_only"]
                assert safe, f"{path}: torch.load without weights_only"
                assert ast.unparse(safe[0].value) == "True", path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return out


def test_the_wheel_holds_weights_index_and_card(wheel):
    (path,) = wheel.glob("*.whl")
    names = set(zipfile.ZipFile(path).namelist())
    files = [f"dmagnet-{name}.safetensors" for name in BUNDLED]
    for file in (*files, INDEX, "MODEL_CARD.md"):
        assert f"dmagnet/network/{file}" in names


def test_the_source_distribution_holds_them_too(wheel):
    import tarfile

    (path,) = wheel.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert {f"dmagnet-{name}.safetensors" for name in BUNDLED} <= names


def test_weights_load_from_a_package_that_is_a_zip(wheel):
    (path,) = wheel.glob("*.whl")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from dmagnet.network import bundled as weights; "
        "print(weights.__file__); print(weights.load('xs').weights_hash)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert shown[0].startswith(str(path))
    assert shown[1] == weights.load("xs").weights_hash
