"""Dreams in the space of galaxies: parameters, gradients, views, the command."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.table import Table
from dreamers import weights
from PIL import Image

from dmagnet.cli import main
from dmagnet.config.dream_config import DreamConfig, GalaxyConfig
from dmagnet.dreaming import Energy, Logit, dream_frames, galaxy_frames
from dmagnet.dreaming.galaxy import Camera, dream_galaxies
from dmagnet.dreaming.targets import class_target, open_network, second_opinion
from dmagnet.errors import ConfigError
from dmagnet.network.bundled import load
from dmagnet.simulator.grid import Grid
from dmagnet.simulator.parameters import (
    PARAMETERS,
    draw_neutral,
    light_of,
    values_of,
    with_values,
)

GRID = Grid(64, 0.52, torch.device("cpu"))
KINDS = list(PARAMETERS)


@pytest.fixture(scope="module")
def xs():
    return load("xs").model


def inside(kind):
    """A galaxy whose parameters are all well within their limits."""
    galaxy, known = draw_neutral(kind, 3), PARAMETERS[kind]
    values = {
        name: torch.tensor([one.low + float(share) * (one.high - one.low)])
        for (name, one), share in zip(
            known.items(), np.linspace(0.3, 0.7, len(known)), strict=True
        )
    }
    return with_values(galaxy, known, values), values


@pytest.mark.parametrize("kind", KINDS)
def test_a_galaxy_has_the_parameters_that_it_was_given(kind):
    galaxy, values = inside(kind)
    found = values_of(galaxy, PARAMETERS[kind])
    assert {n: float(v) for n, v in found.items()} == pytest.approx(
        {n: float(v) for n, v in values.items()}, rel=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_every_parameter_are_those_of_small_changes(kind):
    galaxy, values = inside(kind)
    weight = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))

    def _sum(changed):
        light = light_of(with_values(galaxy, PARAMETERS[kind], changed), GRID)
        return (weight * light.double().clamp(min=1e-9).log()).mean()

    free = {n: v.clone().requires_grad_() for n, v in values.items()}
    slopes = dict(
        zip(free, torch.autograd.grad(_sum(free), free.values()), strict=True)
    )
    for name, one in PARAMETERS[kind].items():
        step = 0.005 * (one.high - one.low)
        up, down = (
            _sum({**values, name: values[name] + sign * step}) for sign in (1, -1)
        )
        slope = float((up - down) / (2 * step))
        assert slope != 0, name
        assert float(slopes[name]) == pytest.approx(slope, rel=0.05, abs=1e-3), name


def test_arms_wind_up_around_the_place_where_they_begin():
    galaxy, values = inside("disc")
    arms = galaxy.disc.arms
    wound = with_values(
        galaxy, PARAMETERS["disc"], {**values, "pitch": values["pitch"] / 2}
    )
    for one in (arms, wound.disc.arms):
        where = one.number * one.winding * one.start.log() - one.phase
        assert float(where) == pytest.approx(
            float(arms.number * arms.winding * arms.start.log() - arms.phase), abs=1e-4
        )
    assert float(wound.disc.arms.winding.abs()) > 1.9 * float(arms.winding.abs())


def test_the_view_is_the_one_that_classify_frames():
    galaxy = draw_neutral("disc", 0)
    camera = Camera(128, 3.0, 0)
    seen = camera.views(galaxy, 8)[0].mean(dim=0)
    framed = camera.pictures(galaxy, 8).mean(dim=0)
    # What differs is the noise: the mean of 8 by 8 pixels has hardly any.
    seen, framed = (torch.nn.functional.avg_pool2d(i, 8) for i in (seen, framed))
    assert float((seen - framed).abs().max()) < 0.03


def test_a_dream_of_bars_grows_bars_that_both_networks_see():
    config = GalaxyConfig(starts=2, steps=12, lr=0.8, kinds=("disc",))
    network = open_network("xs")
    target = class_target(network, "barred")
    climb = dream_galaxies(network, target, config, judge=open_network("s"))["disc"]
    first, last = climb.frames[0].parameters, climb.frames[-1].parameters
    assert bool((first["bar_share"] < 0.05).all())
    assert bool((last["bar_share"] > 0.15).all())
    for seen in (climb.probabilities, climb.judged):
        assert (seen[0, :, 5] < 0.2).all()
        assert seen[1, :, 5].mean() > 0.6


def test_only_the_free_parameters_change_and_the_network_does_not(xs):
    before = {n: v.clone() for n, v in xs.state_dict().items()}
    how = {"starts": 1, "steps": 2, "parameters": ("bar_share", "pitch")}
    first, *_, last = galaxy_frames(xs, Energy("stage2"), **how)
    assert set(last.parameters) == {"bar_share", "pitch"}
    changed = [
        name
        for name, value in values_of(last.galaxies[0], PARAMETERS["disc"]).items()
        if float(value) != float(values_of(first.galaxies[0], PARAMETERS["disc"])[name])
    ]
    assert changed == ["bar_share", "pitch"]
    assert all(torch.equal(v, before[n]) for n, v in xs.state_dict().items())


def test_a_seed_gives_the_same_galaxies_and_more_starts_begin_alike(xs):
    one, again = (
        list(galaxy_frames(xs, Logit(5), starts=1, steps=1, seed=4))[-1]
        for _ in range(2)
    )
    assert torch.equal(one.images, again.images)
    two = next(galaxy_frames(xs, Logit(5), starts=2, steps=0, seed=4))
    alone = next(galaxy_frames(xs, Logit(5), starts=1, steps=0, seed=4))
    for name, value in alone.parameters.items():
        assert float(value[0]) == pytest.approx(float(two.parameters[name][0]))


def test_given_galaxies_are_climbed_from_there(xs):
    own = [draw_neutral("disc", 11), draw_neutral("disc", 12)]
    first, *_, last = galaxy_frames(xs, Logit(5), galaxies=own, steps=1)
    for galaxy, given in zip(first.galaxies, own, strict=True):
        assert torch.equal(galaxy.disc.scale_length, given.disc.scale_length)
    assert last.scores.shape == (2,)


def test_what_the_simulator_does_not_have_is_named(xs):
    with pytest.raises(
        ConfigError, match=r"no 'bars'; a galaxy of kind disc has bar_sh"
    ):
        next(galaxy_frames(xs, Logit(5), parameters=("bars",)))
    with pytest.raises(ConfigError, match="spheroid has pitch; spheroid has ax"):
        next(galaxy_frames(xs, Logit(5), kind="spheroid", parameters=("pitch",)))
    with pytest.raises(ConfigError, match="kinds: expected disc, edge-on, spheroid"):
        next(galaxy_frames(xs, Logit(5), kind="ring"))
    with pytest.raises(ConfigError, match="starts: expected 1 to 1000, got 0"):
        GalaxyConfig(starts=0)
    image = torch.rand(1, 3, 64, 64)
    with pytest.raises(ConfigError, match="galaxy_frames"):
        next(dream_frames(xs, image, Logit(5), DreamConfig(basis="galaxy")))


# The command

QUICK = ("--basis", "galaxy", "--device", "cpu", "--starts", 2, "--galaxy-steps", 1)


def dmagnet(*words):
    return main(["dream", *map(str, words)])


@pytest.fixture(scope="module")
def dreamed(tmp_path_factory):
    out = tmp_path_factory.mktemp("galaxies") / "out"
    words = ("--classes", "barred", "-o", out, "--weights", "xs", *QUICK)
    assert dmagnet(*words) == 0
    return out, words


def test_the_command_writes_pictures_a_sheet_and_parameters_with_units(dreamed):
    out, _ = dreamed
    folder = out / "class-barred-spiral"
    assert len(list(folder.glob("*.png"))) == 3 * 2 * 2
    with Image.open(folder / "disc-01-end.png") as picture:
        assert picture.size == (128, 128)
    assert (out / "class-barred-spiral.png").is_file()
    table = Table.read(out / "class-barred-spiral.ecsv")
    assert len(table) == 12
    assert (table["pitch"].unit, table["inclination"].unit) == ("deg", "deg")
    edge_on = table[table["kind"] == "edge-on"]
    assert set(edge_on["inclination"]) == {90.0}
    assert np.isfinite(table["judged"]).all()
    record = json.loads((out / "galaxies.json").read_text())
    one = record["targets"]["class-barred-spiral"]["kinds"]["disc"]
    assert one["start"]["pitch"]["median"] == pytest.approx(18.75)
    assert one["end"]["bar_share"]["low"] <= one["end"]["bar_share"]["high"]


def test_the_command_goes_on_and_refuses_another(dreamed, capsys):
    out, words = dreamed
    table = out / "class-barred-spiral.ecsv"
    before = table.stat().st_mtime_ns
    assert dmagnet(*words) == 0
    assert table.stat().st_mtime_ns == before
    assert dmagnet(*words, "--seed", 1) == 1
    assert "the dreams of another command" in capsys.readouterr().err


@pytest.mark.parametrize("lost", [".ecsv", ".png", "/disc-01-end.png"])
def test_the_command_dreams_again_what_has_lost_a_file(dreamed, lost):
    out, words = dreamed
    path = out / f"class-barred-spiral{lost}"
    path.unlink()
    assert dmagnet(*words) == 0
    assert path.is_file()


@pytest.mark.parametrize(
    "damage",
    [
        *("{", "[]", "{}", '{"targets": []}', '{"targets": {"lam": 1}}'),
        *('{"targets": {"lam": {}}}', '{"targets": {"lam": {"files": 1}}}'),
    ],
)
def test_a_damaged_record_is_refused_in_a_line(dreamed, tmp_path, capsys, damage):
    (tmp_path / "galaxies.json").write_text(damage)
    assert dmagnet(*dreamed[1], "-o", tmp_path) == 1
    told = capsys.readouterr().err
    assert "galaxies.json: expected a galaxies.json that dmagnet wrote, got" in told


def test_a_folder_of_others_is_left_alone(dreamed, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("precious")
    assert dmagnet(*dreamed[1], "-o", tmp_path) == 1
    assert "this folder holds other files" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_judge_of_other_classes_is_refused_before_any_work(tmp_path, capsys):
    judge, out = weights(tmp_path), tmp_path / "out"
    words = ("--classes", "barred", "--weights", "xs", "--judge", judge, *QUICK)
    assert dmagnet(*words, "-o", out) == 1
    told = capsys.readouterr().err
    assert f"judge: expected a network of the same classes, got {judge}" in told
    assert not out.exists()


def test_a_judge_may_spell_the_classes_in_its_own_way():
    network = open_network("xs")
    folders = [f"{i}_{n.lower()}" for i, n in enumerate(network.class_names)]
    name, judge = second_opinion(replace(network, class_names=tuple(folders)))
    assert (name, judge.class_names) == ("s", tuple(folders))


def test_the_command_refuses_what_does_not_belong(tmp_path, capsys):
    run = weights(tmp_path)
    for words, line in (
        (("a.png", *QUICK), "leave out a.png"),
        ((*QUICK, "--octaves", 2), "nothing of images"),
        ((*QUICK, "--parameters", "bars"), "no 'bars'"),
        ((*QUICK, "--layers"), "expected one or more --layers or --classes"),
        (("a.png", "--starts", 3), "for --basis galaxy"),
    ):
        assert dmagnet(*words, "-o", tmp_path / "out", "--weights", run) == 1
        assert line in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
