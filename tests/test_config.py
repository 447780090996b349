"""Settings, recipes, classes: plain data that must be right."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

import dmagnet
from dmagnet.classes import CLASS_NAMES, CLASSES, FAMILIES
from dmagnet.config import (
    AugmentConfig,
    DreamConfig,
    MeasureConfig,
    ModelConfig,
    RedreamConfig,
    SimulateConfig,
    TrainConfig,
    from_dict,
    to_dict,
)
from dmagnet.config.recipes import RECIPES, recipe
from dmagnet.errors import ConfigError, DmagnetError


def test_the_class_counts_add_up_to_the_published_number():
    assert sum(entry.count for entry in CLASSES) == 17736


def test_classes_stand_at_their_index_and_in_a_known_family():
    assert [entry.index for entry in CLASSES] == list(range(10))
    assert {entry.family for entry in CLASSES} == set(FAMILIES)


def test_class_three_is_in_between_and_four_is_cigar():
    # astroNN's table calls class 3 "Cigar shaped"; the data set's own does not.
    assert CLASS_NAMES[3] == "In-between Round Smooth"
    assert CLASS_NAMES[4] == "Cigar Shaped Smooth"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name):
    config = recipe(name)
    assert from_dict(TrainConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(ConfigError, match="smoke, laptop, gpu"):
        recipe("feast")


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (ModelConfig, {"size": "xl"}),
        (ModelConfig, {"num_classes": 1}),
        (ModelConfig, {"dropout": 1.0}),
        (ModelConfig, {"dilations": ()}),
        (ModelConfig, {"dilations": (0,)}),
        (ModelConfig, {"fusion": "sum"}),
        (AugmentConfig, {"zoom": 0.5}),
        (AugmentConfig, {"noise": -0.1}),
        (TrainConfig, {"image_size": 32}),
        (TrainConfig, {"field": 0.0}),
        (TrainConfig, {"epochs": 0}),
        (TrainConfig, {"lr": float("nan")}),
        (TrainConfig, {"precision": "fp8"}),
        (SimulateConfig, {"num": 0}),
    ],
)
def test_a_setting_out_of_range_is_named_with_its_value(config, changes):
    ((name, value),) = changes.items()
    with pytest.raises(ConfigError, match=name) as caught:
        config(**changes)
    assert str(value) in str(caught.value)
    assert isinstance(caught.value, DmagnetError)


@pytest.mark.parametrize("basis", ["maco", "galaxy"])
@pytest.mark.parametrize("config", [MeasureConfig, RedreamConfig])
def test_a_basis_that_keeps_no_galaxy_is_refused_where_one_is_needed(config, basis):
    line = f"basis: expected fourier or pixel, got {basis}"
    with pytest.raises(ConfigError, match=line):
        config(dream=DreamConfig(basis=basis))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("strength", 0.1), ("tv", 0.1), ("keep_color", True), ("fade", 1.0)),
        *(("octaves", 2), ("scale", 1.2), ("step_size", 0.1), ("noise", 0.1)),
    ],
)
def test_maco_refuses_a_setting_that_it_does_not_read(name, value):
    with pytest.raises(ConfigError, match=rf"^{name}: .* got {value}; leave it out"):
        DreamConfig(basis="maco", **{name: value})


def test_maco_takes_what_it_reads():
    assert DreamConfig(basis="maco", steps=1, views=2, seed=3).views == 2


def test_maco_and_a_study_refuse_no_steps():
    with pytest.raises(ConfigError, match="steps: expected 1 to 100000, got 0"):
        DreamConfig(basis="maco", steps=0)
    with pytest.raises(ConfigError, match="steps: expected 1 to 100000, got 0"):
        MeasureConfig(dream=DreamConfig(steps=0))


@pytest.mark.parametrize("layers", [("stem",), ("stem", "lam")])
def test_a_study_of_too_few_layers_for_a_trend_is_refused(layers):
    with pytest.raises(ConfigError, match=f"layers: expected 3 .* got {len(layers)}"):
        MeasureConfig(layers=layers)


def test_settings_cannot_be_changed_in_place():
    config = recipe("laptop")
    with pytest.raises(AttributeError):
        config.lr = 1.0
    assert replace(config, lr=1.0).lr == 1.0


@pytest.mark.parametrize(
    ("call", "given", "line"),
    [
        ("explain", {"class_name": "x"}, "explain: .*got class_name; .*meant target"),
        ("explain", {"classes": "x"}, "meant target"),
        ("explain", {"weight": "xs"}, "meant weights"),
        ("classify", {"ra": "RA"}, r"got ra; .*source=SourceConfig\(ra=...\)"),
        ("classify", {"divice": "cpu"}, "classify: .*meant device"),
        ("dream", {"classes": "x"}, "dream: .*got classes; .*meant class_name"),
        ("dream", {"stepz": 1}, "meant steps"),
        ("redream", {"steps": 1}, r"redream: .*dream=DreamConfig\(steps=...\)"),
        ("cutouts", {"size": 64}, r"cutout=CutoutConfig\(size=...\)"),
        ("embed", {"view": 1}, "embed: .*meant views"),
        ("page", {"qqq": 1}, "write_pages: .*it has inputs, out, weights"),
        ("train", {"epoch": 1}, "train: .*meant epochs"),
        ("evaluate", {"splits": "val"}, "evaluate: .*meant split"),
        ("failures", {"meaning": "x"}, "failures: .*meant meanings"),
        ("calibrate", {"vote": "x"}, "calibrate: .*meant votes"),
        ("simulate", {"nmu": 1}, "simulate: .*meant num"),
        ("simulate", {"config": 100}, "simulate: expected settings by name.*got 100"),
        ("classify", {"config": None}, "classify: .*or a record of them, got None"),
        (
            "train",
            {"accelerator": "cpu"},
            "expected device, auto, cpu or gpu;",
        ),
        ("train", {"weights": "s"}, "train: .*meant start"),
        ("train", {"epochs": "1"}, "epochs: expected 1 to .*, got 1"),
    ],
)
def test_an_unknown_setting_of_a_call_names_the_right_one(call, given, line):
    positional = {"simulate": 0, "cutouts": 2, "page": 2, "train": 2, "calibrate": 2}
    positional |= {"evaluate": 3, "failures": 3}
    nowhere = ["nowhere"] * positional.get(call, 1)
    with pytest.raises(ConfigError, match=line):
        getattr(dmagnet, call)(*nowhere, **given)


def test_the_settings_are_found_on_the_package():
    words = "import dmagnet; print(dmagnet.config.DreamConfig().steps)"
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{DreamConfig().steps}\n", done.stderr
