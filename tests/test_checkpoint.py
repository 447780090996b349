"""Weights come back as they were, and what is not whole is refused."""

import json
import resource
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dmagnet.calibration import Calibration, fit_space
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.errors import CheckpointError
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, load, save, weights_hash


@pytest.fixture
def checkpoint():
    torch.manual_seed(0)
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs", num_classes=3))
    model = DMAGNet(config.model).eval()
    return Checkpoint(model, config, ("a", "b", "é <c>"), {"data": "blobs"})


def test_what_is_saved_comes_back_bit_for_bit(checkpoint, tmp_path):
    found = load(save(tmp_path / "w.safetensors", checkpoint))
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(found.model(images), checkpoint.model(images))
    assert found.config == checkpoint.config
    assert found.class_names == checkpoint.class_names
    assert found.provenance == checkpoint.provenance
    assert found.weights_hash == weights_hash(checkpoint.model)


def test_a_run_folder_stands_for_its_weights(checkpoint, tmp_path):
    save(tmp_path / "weights.safetensors", checkpoint)
    assert load(tmp_path).class_names == checkpoint.class_names


def test_the_hash_sees_a_single_changed_weight(checkpoint):
    before = weights_hash(checkpoint.model)
    checkpoint.model.head.bias.data[0] += 1e-6
    assert weights_hash(checkpoint.model) != before


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such file"):
        load(tmp_path / "none.safetensors")


def test_a_truncated_file_is_refused(checkpoint, tmp_path):
    path = save(tmp_path / "w.safetensors", checkpoint)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load(path)


def test_altered_weights_are_refused(checkpoint, tmp_path):
    path = save(tmp_path / "w.safetensors", checkpoint)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="altered"):
        load(path)


def test_weights_of_another_network_are_refused(checkpoint, tmp_path):
    path = save(tmp_path / "w.safetensors", checkpoint)
    state = load_file(path)
    del state["head.bias"]
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(state, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=r"do not fit.*head\.bias"):
        load(path)


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="not of dmagnet"):
        load(tmp_path / "x.safetensors")


def test_a_newer_format_asks_for_an_update(checkpoint, tmp_path):
    path = save(tmp_path / "w.safetensors", checkpoint)
    header = {"format": 99}
    save_file(load_file(path), path, metadata={"dmagnet": json.dumps(header)})
    with pytest.raises(CheckpointError, match="update dmagnet"):
        load(path)


def test_weights_of_the_older_network_are_refused_in_one_line(checkpoint, tmp_path):
    path = save(tmp_path / "w.safetensors", checkpoint)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["dmagnet"]) | {"format": 1}
    save_file(load_file(path), path, metadata={"dmagnet": json.dumps(header)})
    with pytest.raises(
        CheckpointError, match=r"older network.*train it again"
    ) as found:
        load(path)
    assert "\n" not in str(found.value)


def test_a_full_disk_keeps_the_old_weights_whole(checkpoint, tmp_path):
    path = save(tmp_path / "w.safetensors", checkpoint)
    old = path.read_bytes()
    checkpoint.model.head.bias.data += 1
    # A limit on file size fails in the middle of a write, as a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="could not write the weights"):
            save(path, checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_file_in_the_place_of_the_folder_is_one_clear_line(checkpoint, tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(CheckpointError, match="could not write the weights"):
        save(tmp_path / "run" / "w.safetensors", checkpoint)


@pytest.fixture
def calibrated(checkpoint):
    width = checkpoint.model.head.in_features
    points = np.random.default_rng(0).normal(size=(100, width))
    space = fit_space(points).limited(points)
    calibration = Calibration(1.4, (0.3, 0.1), space, {"sets": [{"n": 7}]})
    return replace(checkpoint, calibration=calibration)


def rewritten(path, change, arrays=None):
    """Change the header's calibration, and put tensors in or take them out."""
    state = load_file(path)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["dmagnet"])
    change(header)
    for name, value in (arrays or {}).items():
        state.pop(name, None)
        if value is not None:
            state[name] = value
    save_file(state, path, metadata={"dmagnet": json.dumps(header)})
    return path


def test_a_calibration_comes_back_with_the_weights(calibrated, tmp_path):
    want, got = calibrated, load(save(tmp_path / "w.safetensors", calibrated))
    assert got.calibration.temperature == 1.4
    assert got.calibration.thresholds == (0.3, 0.1)
    assert got.calibration.provenance == {"sets": [{"n": 7}]}
    points = np.random.default_rng(1).normal(size=(3, len(want.calibration.space.mean)))
    np.testing.assert_array_equal(
        got.calibration.space.score(points), want.calibration.space.score(points)
    )
    assert got.weights_hash == weights_hash(want.model)


def test_weights_without_calibration_have_none(checkpoint, tmp_path):
    assert load(save(tmp_path / "w.safetensors", checkpoint)).calibration is None


def test_a_calibration_without_a_space_adds_no_tensors(checkpoint, tmp_path):
    bare = save(tmp_path / "a.safetensors", checkpoint)
    warm = replace(checkpoint, calibration=Calibration(2.0))
    path = save(tmp_path / "b.safetensors", warm)
    assert set(load_file(path)) == set(load_file(bare))
    assert load(path).calibration.temperature == 2.0


def test_an_altered_calibration_is_refused_and_the_file_named(calibrated, tmp_path):
    path = save(tmp_path / "w.safetensors", calibrated)
    rewritten(path, lambda header: header["calibration"].update(temperature=1.0))
    with pytest.raises(
        CheckpointError, match=r"w\.safetensors: calibration: .*differs"
    ):
        load(path)


def test_a_calibration_that_lost_a_tensor_is_refused(calibrated, tmp_path):
    path = save(tmp_path / "w.safetensors", calibrated)
    rewritten(path, lambda _: None, {"calibration.axes": None})
    with pytest.raises(CheckpointError, match=r"in place of calibration\.axes"):
        load(path)


def test_tensors_of_a_calibration_that_is_not_there_are_refused(checkpoint, tmp_path):
    path = save(tmp_path / "w.safetensors", checkpoint)
    rewritten(path, lambda _: None, {"calibration.mean": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="expected none, found"):
        load(path)


def test_a_calibration_of_another_network_is_refused(calibrated, tmp_path):
    points = np.random.default_rng(0).normal(size=(40, 9))
    other = replace(calibrated.calibration, space=fit_space(points))
    path = save(tmp_path / "w.safetensors", replace(calibrated, calibration=other))
    with pytest.raises(
        CheckpointError, match=r"expected a space of \d+ features, got 9"
    ):
        load(path)


def test_a_network_that_was_loaded_needs_its_file_no_more(checkpoint, tmp_path):
    path = save(tmp_path / "w.safetensors", checkpoint)
    loaded = load(path).model
    path.write_bytes(bytes(path.stat().st_size))  # the same file, not a new one
    expected = checkpoint.model.state_dict()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert all(parameter.requires_grad for parameter in loaded.parameters())
