"""Training goes on from weights: trunk kept, head as the classes ask."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import blobs
from PIL import Image

from dmagnet.calibration import Calibration
from dmagnet.classes import matched
from dmagnet.cli import main
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.config.recipes import as_trained, finetune
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, load, save
from dmagnet.training import fit, what_is_kept
from dmagnet.training.finetune import fit_head, pooled, start_of

CPU = torch.device("cpu")
NAMES = ("class 0", "class 1", "class 2")


@pytest.fixture(scope="module")
def parent():
    torch.manual_seed(0)
    config = TrainConfig(
        image_size=64,
        field=0.8,
        radii=3.0,
        model=ModelConfig(size="xs", num_classes=3, drop_path=0.0),
    )
    model = DMAGNet(config.model).eval()
    made = Checkpoint(model, config, NAMES, {"version": "0.1"}, "parent")
    return replace(made, calibration=Calibration(2.0, (0.1, 0.1), None, {}))


@pytest.fixture(scope="module")
def config(parent):
    tuned = replace(
        as_trained(finetune(), parent.config), epochs=1, batch_size=15, field=1.0
    )
    return replace(tuned, model=replace(tuned.model, num_classes=3))


def renamed(galaxies, *names):
    return replace(galaxies, class_names=names)


def same_trunk(one, other):
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[k], b[k]) for k in a if not k.startswith("head"))


def test_side_field_radii_and_network_come_from_the_weights(parent):
    config = as_trained(finetune(), parent.config)
    assert (config.image_size, config.field, config.radii) == (64, 0.8, 3.0)
    assert config.model == parent.config.model
    assert config.lr == finetune().lr


def test_names_match_but_for_case_signs_and_leading_numbers():
    old = ("Round Smooth", "Cigar", "Merging")
    new = ("0_merging", "1_unknown", "2-round_smooth")
    assert matched(new, old) == {0: 2, 2: 0}


def test_with_the_same_classes_the_whole_network_is_kept(parent, galaxies, config):
    model = start_of(parent, galaxies, config, CPU)
    assert same_trunk(model, parent.model)
    assert torch.equal(model.head.weight, parent.model.head.weight)
    assert torch.equal(model.head.bias, parent.model.head.bias)


def test_classes_in_another_order_take_their_rows_along(parent, galaxies, config):
    turned = renamed(galaxies, "class 2", "class 0", "class 1")
    model = start_of(parent, turned, config, CPU)
    assert torch.equal(model.head.weight, parent.model.head.weight[[2, 0, 1]])


def test_new_classes_get_a_head_that_is_fitted_before_training(
    parent, galaxies, config
):
    model = start_of(parent, renamed(galaxies, "x", "y", "z"), config, CPU)
    assert same_trunk(model, parent.model)
    train = galaxies.subset("train")
    images = torch.from_numpy(train.images).permute(0, 3, 1, 2)
    scores = model.head(pooled(model, images, 64, CPU))
    right = (scores.argmax(1) == torch.from_numpy(train.labels)).float().mean()
    assert right > 0.8  # random features tell blobs apart, a random head does not


def test_known_classes_among_new_ones_start_from_their_rows(parent, galaxies, config):
    some = replace(galaxies, split=np.ones_like(galaxies.split))  # nothing to fit on
    model = start_of(parent, renamed(some, "x", "Class_2", "z"), config, CPU)
    assert torch.equal(model.head.weight[1], parent.model.head.weight[2])
    assert not model.head.weight[[0, 2]].any()


def test_a_head_is_fitted_as_scikit_learn_fits_it():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    x = rng.normal(3 + labels[:, None], [0.5, 2, 5, 1], (90, 4)).astype(np.float32)
    head = torch.nn.Linear(4, 3)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    fit_head(head, torch.from_numpy(x), torch.from_numpy(labels), strength=5.0)
    ours = head(torch.from_numpy(x)).softmax(1).detach().numpy()
    scaler = StandardScaler()
    model = LogisticRegression(C=1 / 5, tol=1e-8)
    theirs = model.fit(scaler.fit_transform(x), labels).predict_proba(
        scaler.transform(x)
    )
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_a_network_of_another_shape_is_refused(parent, galaxies, config):
    other = replace(config, model=replace(config.model, size="s"))
    with pytest.raises(ConfigError, match=r"size: expected that of the weights .* xs"):
        start_of(parent, galaxies, other, CPU)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (NAMES, "their head is kept"),
        (("class 1", "x"), "1 of these 2 classes; the head learns anew: x"),
        (("x", "y"), "none of these 2 classes: a new head is trained"),
    ],
)
def test_a_line_says_what_happens_to_the_head(parent, names, line):
    assert line in what_is_kept(parent, names)[0]


def test_a_line_says_that_the_calibration_goes(parent):
    assert "'dmagnet calibrate'" in what_is_kept(parent, NAMES)[1]
    assert len(what_is_kept(replace(parent, calibration=None), NAMES)) == 1


@pytest.fixture(scope="module")
def run(parent, galaxies, config, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned")
    other = renamed(galaxies, "class 1", "new", "newer")
    fit(other, config, out, start_from=parent, accelerator="cpu", progress=False)
    return out


def test_the_provenance_names_the_parent(run, parent):
    found = load(run)
    assert found.provenance["parent"] == {
        "weights_hash": "parent",
        "version": "0.1",
        "data_hash": None,
        "kept_classes": ["class 1"],
    }
    assert json.loads((run / "run.json").read_text())["parent"] == "parent"


def test_the_calibration_of_the_parent_is_dropped(run):
    assert load(run).calibration is None


def test_the_weights_move_from_those_of_the_parent(run, parent):
    assert not same_trunk(load(run).model, parent.model)


def test_another_parent_may_not_use_the_folder(run, galaxies, config, parent):
    other = renamed(galaxies, "class 1", "new", "newer")
    with pytest.raises(CheckpointError, match="parent: parent there, another here"):
        fit(
            other,
            config,
            run,
            start_from=replace(parent, weights_hash="another"),
            progress=False,
        )
    with pytest.raises(CheckpointError, match="parent: parent there, None here"):
        fit(other, config, run, progress=False)


def test_the_command_fine_tunes_a_folder_of_images(tmp_path, parent, capsys):
    save(tmp_path / "old" / "weights.safetensors", replace(parent, calibration=None))
    source = blobs(24)
    for i, (image, label) in enumerate(zip(source.images, source.labels, strict=True)):
        folder = tmp_path / "data" / f"kind{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    words = ["train", str(tmp_path / "data"), "-o", str(tmp_path / "new")]
    words += ["--from", str(tmp_path / "old"), "--epochs", "1"]
    assert main([*words, "--batch-size", "8", "--device", "cpu"]) == 0
    assert "a new head is trained" in capsys.readouterr().err
    found = load(tmp_path / "new")
    assert (found.config.radii, found.config.field) == (3.0, 0.8)
    assert found.class_names == ("kind0", "kind1", "kind2")
