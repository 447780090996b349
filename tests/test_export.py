"""Networks leave as ONNX, and say there what they say in torch."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch

from dmagnet.calibration import Calibration, fit_space
from dmagnet.classifying import open_classifier
from dmagnet.cli import main
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.exporting import (
    OnnxClassifier,
    OpenVINOClassifier,
    export_onnx,
    open_exported,
)
from dmagnet.exporting.onnx_export import largest_difference, write_checked
from dmagnet.exporting.onnx_header import Header, read_header, sealed
from dmagnet.galaxies.augment import dihedral_views
from dmagnet.judging.predict import predict
from dmagnet.network import DMAGNet
from dmagnet.network.blocks import folded, without_hooks
from dmagnet.network.checkpoint import Checkpoint, load, save, weights_hash
from dmagnet.pictures import resize
from dmagnet.simulator import draw

pytestmark = pytest.mark.slow

SIDE, CLASSES, T = 96, ("a", "b", "c", "é <d>"), 1.7


def galaxies(num, side=SIDE):
    """Simulated galaxies, (N, side, side, 3) uint8."""
    generator = torch.Generator().manual_seed(num)
    drawn = draw(torch.arange(num) % 10, image_size=side, generator=generator)
    return drawn.permute(0, 2, 3, 1).numpy()


def pixels_of(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def network(seed=0):
    """A network with norms of its own, whose logits differ from galaxy to galaxy."""
    torch.manual_seed(seed)
    model = DMAGNet(ModelConfig(size="xs", num_classes=len(CLASSES)))
    torch.nn.init.normal_(model.lam.gate[-1].weight)
    pixels = pixels_of(galaxies(20))
    with torch.no_grad():
        for _ in range(20):
            model(pixels)
        logits = model.eval()(pixels)
        model.head.weight *= 2 / logits.std(0)[:, None]
        model.head.bias -= model(pixels).mean(0)
    return model


@torch.inference_mode()
def features_of(model, images):
    """Pooled behind LAM, (N, C)."""
    return model.features(pixels_of(images)).mean(dim=(2, 3)).numpy()


@pytest.fixture(scope="module")
def checkpoint():
    shape = ModelConfig(size="xs", num_classes=4)
    config = TrainConfig(image_size=SIDE, field=0.75, radii=3.0, model=shape)
    model = network()
    space = replace(fit_space(features_of(model, galaxies(40))), limit=1.25)
    calibration = Calibration(T, (0.3, 0.1), space, {"fitted on": "blobs"}, 8)
    hashed = weights_hash(model)
    return Checkpoint(model, config, CLASSES, {"data": "blobs"}, hashed, calibration)


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    return export_onnx(checkpoint, tmp_path_factory.mktemp("onnx") / "m.onnx")


@pytest.fixture(scope="module")
def classifier(exported):
    return OnnxClassifier(exported, views=1, threads=1)


@pytest.fixture(scope="module")
def images():
    return galaxies(7)


def torch_says(checkpoint, images, views=1):
    """Mean of the network's probabilities, then the checkpoint's temperature."""
    pixels = pixels_of(images)
    seen = [pixels] if views == 1 else dihedral_views(pixels)
    with torch.inference_mode():
        each = [checkpoint.model(view).softmax(1) for view in seen]
    return (torch.stack(each).mean(0).log() / T).softmax(1).numpy()


def test_probabilities_are_those_of_torch_at_the_temperature(
    checkpoint, classifier, images
):
    expected = torch_says(checkpoint, images)
    assert expected.std() > 0.05  # so that agreement says something
    assert abs(expected - predict(checkpoint.model, images)).max() > 0.01  # T matters
    found = classifier.probabilities(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 97, 150), (5, 200, 64)])
def test_any_number_and_any_side_fit_one_file(checkpoint, classifier, shape):
    num, height, width = shape
    top, left = (200 - height) // 2, (200 - width) // 2
    images = galaxies(num, 200)[:, top : top + height, left : left + width]
    found, expected = classifier.probabilities(images), torch_says(checkpoint, images)
    assert (expected.max(1) < 0.999).any()  # so that agreement says something
    np.testing.assert_allclose(found, expected, atol=3e-5)  # of many places


def test_eight_views_are_the_mean_over_flips_and_quarter_turns(
    checkpoint, exported, images
):
    found = OnnxClassifier(exported, views=8, batch_size=3).probabilities(images)
    np.testing.assert_allclose(found, torch_says(checkpoint, images, 8), atol=1e-5)
    assert abs(found - torch_says(checkpoint, images)).max() > 1e-3


def test_no_images_give_no_rows(classifier):
    none = classifier.probabilities(np.empty((0, SIDE, SIDE, 3), np.uint8))
    assert none.shape == (0, 4)


def test_the_file_says_what_the_checkpoint_said(checkpoint, classifier, exported):
    assert classifier.class_names == CLASSES
    assert (classifier.image_size, classifier.field) == (SIDE, 0.75)
    assert (classifier.radii, classifier.ood_limit) == (3.0, 1.25)
    assert classifier.weights_hash == weights_hash(checkpoint.model)
    assert classifier.header.provenance == checkpoint.provenance
    calibration = classifier.calibration
    assert (calibration.temperature, calibration.thresholds) == (T, (0.3, 0.1))
    assert calibration.provenance == {"fitted on": "blobs"}
    assert (classifier.views, OnnxClassifier(exported).views) == (1, 8)


def test_the_file_warns_of_what_is_no_galaxy_as_the_checkpoint_does(
    checkpoint, classifier, images
):
    space = checkpoint.calibration.space
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    for pictures in (images, noise):
        expected = space.score(features_of(checkpoint.model, pictures))
        np.testing.assert_allclose(classifier.judge(pictures).ood, expected, rtol=1e-3)
    assert (expected > classifier.ood_limit).all()


def test_both_engines_judge_alike(checkpoint, exported, images, tmp_path):
    weights = save(tmp_path / "w.safetensors", checkpoint)
    for views in (1, 8):
        one, other = (
            open_classifier(path, views=views).judge(images)
            for path in (weights, exported)
        )
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        np.testing.assert_allclose(one.ood, other.ood, rtol=1e-3)
    np.testing.assert_allclose(one.disagreement, other.disagreement, atol=1e-5)
    assert one.disagreement.min() > 1e-3


def test_one_view_cannot_disagree_and_no_space_cannot_warn(untrained):
    seen = galaxies(2, side=64)
    expected = predict(load(untrained[0]).model, seen)
    for path in untrained:
        classifier = open_classifier(path)
        said = classifier.judge(seen)
        assert said.disagreement is None
        assert said.ood is None
        assert classifier.ood_limit is None
        assert classifier.calibration is None
        np.testing.assert_allclose(said.probabilities, expected, atol=1e-5)


def test_the_file_is_sound_onnx_with_its_outputs(exported):
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.name for entry in model.graph.input] == ["images"]
    assert [e.name for e in model.graph.output] == ["probabilities", "logits", "ood"]


def test_the_file_names_no_folder_of_the_one_who_wrote_it(exported):
    content = exported.read_bytes()
    assert str(Path(__file__).parents[1]).encode() not in content
    assert b"stack_trace" not in content


def test_the_network_that_was_exported_is_as_it_was(checkpoint, exported):
    assert weights_hash(checkpoint.model) == checkpoint.weights_hash
    assert checkpoint.model.head.weight.requires_grad


def test_a_file_that_says_something_else_than_torch_is_not_written(
    checkpoint, exported, tmp_path
):
    content = exported.read_bytes()
    assert largest_difference(checkpoint, content) < 1e-5
    other = replace(checkpoint, model=network(seed=1))
    with pytest.raises(CheckpointError, match="not written"):
        write_checked(other, content, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_no_number_counts_as_a_difference(checkpoint, exported, tmp_path):
    broken = replace(checkpoint, model=network())
    broken.model.head.bias.data[0] = torch.nan
    with pytest.raises(CheckpointError, match="differ by nan; not written"):
        write_checked(broken, exported.read_bytes(), tmp_path / "m.onnx")


def test_a_place_that_cannot_be_written_keeps_the_reason(
    checkpoint, exported, tmp_path
):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="could not write"):
        write_checked(checkpoint, exported.read_bytes(), tmp_path / "file" / "m.onnx")


def test_openvino_says_the_same(exported, classifier, images):
    found = OpenVINOClassifier(exported, views=1, batch_size=3, threads=1)
    assert found.class_names == CLASSES
    np.testing.assert_allclose(
        found.probabilities(images), classifier.probabilities(images), atol=1e-4
    )


def test_a_process_without_torch_classifies(exported, classifier, images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np;"
        "from pathlib import Path;"
        "from dmagnet.exporting.runtime import OnnxClassifier;"
        "p = OnnxClassifier(Path(sys.argv[1]), views=1);"
        "p = p.probabilities(np.load(sys.argv[2]));"
        "print(p.tolist())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, exported, tmp_path / "images.npy"],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = classifier.probabilities(images)
    np.testing.assert_allclose(json.loads(answer.stdout), expected, atol=1e-6)


def test_an_altered_file_is_refused(exported, tmp_path):
    content = bytearray(exported.read_bytes())
    weights = onnx.load(exported).graph.initializer
    largest = max(weights, key=lambda w: len(w.raw_data)).raw_data
    content[content.index(largest[:64]) + 2] ^= 1
    copy = tmp_path / "m.onnx"
    copy.write_bytes(content)
    for kind in (OnnxClassifier, OpenVINOClassifier):
        with pytest.raises(CheckpointError, match="altered"):
            kind(copy)


def test_a_truncated_file_is_refused(exported, tmp_path):
    copy = tmp_path / "m.onnx"
    copy.write_bytes(exported.read_bytes()[:-5000])
    for kind in (OnnxClassifier, OpenVINOClassifier):
        with pytest.raises(CheckpointError, match="not a whole ONNX file"):
            kind(copy)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.onnx: .*found nothing"):
        OnnxClassifier(tmp_path / "none.onnx")


def test_onnx_of_others_is_refused(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([node], "g", [value], [out])
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset), tmp_path / "x.onnx")
    for kind in (OnnxClassifier, OpenVINOClassifier):
        with pytest.raises(CheckpointError, match="not of dmagnet"):
            kind(tmp_path / "x.onnx")


def test_a_newer_format_asks_for_an_update():
    text = json.dumps({"format": 99, "digest": ""})
    with pytest.raises(CheckpointError, match=r"m: format 99 .*update dmagnet"):
        read_header(text, b"", "m")


def test_a_file_of_an_older_format_has_to_be_exported_again():
    text = json.dumps({"format": 1, "digest": ""})
    with pytest.raises(CheckpointError, match=r"m: format 1 .*export .* again"):
        read_header(text, b"", "m")


def test_a_header_comes_back_as_it_was():
    header = Header(
        class_names=("é",), image_size=64, field=0.5, weights_hash=64 * "0",
        radii=3.0, thresholds=(0.4, 0.2), has_ood=True, ood_limit=1.5,
    )  # fmt: skip
    content = sealed(b"before" + header.to_json().encode() + b"after")
    text = content[len(b"before") : -len(b"after")].decode()
    assert read_header(text, content, "m") == header


def test_images_of_another_form_are_refused(classifier):
    with pytest.raises(DataError, match=r"expected uint8 .* got float64"):
        classifier.probabilities(np.zeros((1, SIDE, SIDE, 3)))
    with pytest.raises(DataError, match=r"expected sides from 64 px, got 32x96"):
        classifier.probabilities(np.zeros((1, 32, SIDE, 3), np.uint8))


def test_what_a_runtime_cannot_do_is_refused(exported):
    with pytest.raises(ConfigError, match="expected 1, 2, 4 or 8, got 3"):
        open_exported(exported, views=3)
    with pytest.raises(ConfigError, match="onnxruntime computes in fp32"):
        open_exported(exported, precision="bf16")


def test_an_opset_that_torch_cannot_write_is_refused(checkpoint, tmp_path):
    with pytest.raises(ConfigError, match="expected 18 or later, got 5"):
        export_onnx(checkpoint, tmp_path / "m.onnx", opset=5)


def test_the_verb_refuses_another_ending_in_one_line(checkpoint, tmp_path, capsys):
    save(tmp_path / "weights.safetensors", checkpoint)
    assert main(["export", str(tmp_path), "-o", str(tmp_path / "m.pt")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "ends in .onnx" in line


def test_the_verb_says_what_it_is_about(checkpoint, tmp_path, capsys):
    save(tmp_path / "weights.safetensors", checkpoint)
    assert main(["export", str(tmp_path), "-o", str(tmp_path / "m.onnx")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told == ["Exporting", "Comparing with torch"]


def test_real_galaxies_get_the_probabilities_of_torch(shared, checkpoint, classifier):
    with h5py.File(shared / "galaxy10_real60.h5") as file:
        images = resize(file["images"][:], SIDE, 0.75)
    found, expected = classifier.probabilities(images), torch_says(checkpoint, images)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_folded_network_says_the_same_and_the_original_stays(checkpoint, images):
    quick = folded(without_hooks(checkpoint.model))
    norms = [m for m in quick.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not norms
    with torch.inference_mode():
        found, expected = (m(pixels_of(images)) for m in (quick, checkpoint.model))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert weights_hash(checkpoint.model) == checkpoint.weights_hash
