import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.table import Table

import dmagnet
from dmagnet.classes import CLASS_NAMES
from dmagnet.cli import main
from dmagnet.config import (
    DreamConfig,
    MeasureConfig,
    ModelConfig,
    RedreamConfig,
    SimulateConfig,
    TrainConfig,
)
from dmagnet.errors import ConfigError, DataError
from dmagnet.measuring.bench import layers_by_depth
from dmagnet.measuring.chains import commutator, redream_numbers, response_curve
from dmagnet.measuring.hypotheses import HYPOTHESES
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, save
from dmagnet.reporting.assess import galaxies_to_judge
from dmagnet.simulator import write_hdf5

pytestmark = pytest.mark.slow

SMALL = MeasureConfig(
    per_class=2,
    seeds=2,
    layers=("stem", "stage2", "lam"),
    chain_galaxies=2,
    dream=DreamConfig(steps=1),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with weights that were never trained, and simulated galaxies."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs"))
    network = DMAGNet(config.model).eval()
    save(folder / "weights.safetensors", Checkpoint(network, config, CLASS_NAMES))
    write_hdf5(
        folder / "galaxies.h5",
        SimulateConfig(num=60, image_size=64, field=0.6, seed=3),
    )
    return folder


@pytest.fixture(scope="module")
def checkpoint(made):
    return dmagnet.load(made)


@pytest.fixture(scope="module")
def galaxies(made, checkpoint):
    return galaxies_to_judge(checkpoint, made / "galaxies.h5")


@pytest.fixture(scope="module")
def finished(made, galaxies, checkpoint):
    out = made / "study"
    return out, dmagnet.measure(checkpoint, galaxies, out, SMALL)


def test_every_stated_hypothesis_gets_a_verdict(finished):
    _, study = finished
    assert [r.hypothesis for r in study.verdicts] == list(HYPOTHESES)


def test_weights_without_training_never_stand_out_from_random_ones(finished):
    _, study = finished
    assert "holds" not in {r.verdict for r in study.verdicts}


def test_a_study_writes_tables_figures_and_a_record(finished):
    out, study = finished
    record = json.loads((out / "measure.json").read_text())
    assert len(record["hypotheses"]) == len(HYPOTHESES)
    assert record["n"] == 20
    assert len(record["chains"]["trained_commutator"]) == len(study.layers)
    assert record["forgetting"]["forgotten"][-1] == "stem"
    rows = Table.read(out / "dreams.fits")
    assert len(rows) == 2 * 2 * 20 * len(study.layers)
    pictures = {path.name for path in out.glob("*.png")}
    assert {"depth.png", "probes.png", "likeness.png", "resolution.png"} <= pictures
    assert (out / "hypotheses.md").read_text().count("\n|") >= len(HYPOTHESES)


def test_a_stopped_study_goes_on_in_the_shell_with_what_it_has(made, finished):
    out, _ = finished
    lost = out / "parts" / "dreams-trained-stage2.npz"
    kept = out / "parts" / "dreams-trained-stem.npz"
    before, dreams = kept.stat().st_mtime_ns, (out / "dreams.fits").read_bytes()
    lost.unlink()
    (out / "dreams.fits").unlink()
    words = ["measure", made, made / "galaxies.h5", "-o", out, "--per-class", 2]
    words += ["--seeds", 2, "--chain-galaxies", 2, "--steps", 1]
    assert main([str(word) for word in (*words, "--layers", *SMALL.layers)]) == 0
    assert kept.stat().st_mtime_ns == before
    assert lost.is_file()
    assert (out / "dreams.fits").read_bytes() == dreams


def test_a_folder_answers_one_question_only(finished, galaxies, checkpoint):
    out, _ = finished
    with pytest.raises(DataError, match="another one"):
        dmagnet.measure(checkpoint, galaxies, out, replace(SMALL, seeds=3))


def test_seven_layers_are_chosen_by_depth():
    for size, middle in (("xs", "stage3.block2"), ("s", "stage3.block3")):
        layers = layers_by_depth(DMAGNet(ModelConfig(size=size)))
        expected = ["stem", "stage1", "stage2", middle, "stage3", "stage4", "lam"]
        assert list(layers) == expected


def test_a_network_without_named_layers_must_be_told_which():
    with pytest.raises(ConfigError, match="order of depth"):
        layers_by_depth(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)))


def test_a_class_without_galaxies_is_refused(galaxies, checkpoint, tmp_path):
    none = replace(galaxies, labels=np.where(galaxies.labels == 4, 3, galaxies.labels))
    with pytest.raises(DataError, match="expected 2 galaxies or more"):
        dmagnet.measure(checkpoint, none, tmp_path, SMALL)


def test_a_network_of_one_resolution_commutes_with_resampling_least():
    # A layer that reads single pixels dreams the same at every size, up to borders.
    class Pixels(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = torch.nn.Conv2d(3, 3, 1)

        def forward(self, images):
            return self.mix(images)

    torch.manual_seed(0)
    base = torch.rand(2, 3, 64, 64) * 0.2 + 0.4
    base = torch.nn.functional.avg_pool2d(base, 17, 1, 8)
    config = DreamConfig(octaves=1, steps=3, jitter=0)
    apart = commutator(Pixels(), base, "mix", config, 32)
    torch.manual_seed(0)
    edges = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.SiLU())
    assert float(apart.max()) < float(commutator(edges, base, "1", config, 32).min())


def test_a_response_curve_is_one_for_the_galaxy_itself(checkpoint, galaxies):
    base = torch.from_numpy(galaxies.images[:2].copy()).permute(0, 3, 1, 2) / 255
    curve = response_curve(checkpoint.model, base, base, "stage2", (48, 64, 96))
    torch.testing.assert_close(curve, torch.ones(3, 2))


def test_a_redream_without_steps_has_no_detail(checkpoint, galaxies):
    base = torch.from_numpy(galaxies.images[:2].copy()).permute(0, 3, 1, 2) / 255
    config = RedreamConfig(schedule=(96, 64), dream=DreamConfig(steps=0))
    chain = redream_numbers(checkpoint.model, base, "stage2", config)
    assert chain.sides == (96, 64)
    assert float(chain.size.max()) == 0
