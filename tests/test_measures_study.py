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
    SimulateConfig,
    TrainConfig,
)
from dmagnet.errors import ConfigError, DataError
from dmagnet.measuring.apertures import find_aperture
from dmagnet.measuring.bench import points_of_depth
from dmagnet.measuring.hypotheses import HYPOTHESES
from dmagnet.measuring.sample import local_share, measure_details
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, save
from dmagnet.reporting.assess import galaxies_to_judge
from dmagnet.simulator import write_hdf5

pytestmark = pytest.mark.slow

SMALL = MeasureConfig(
    per_class=2,
    seeds=2,
    layers=("stem", "stage1", "stage2", "lam"),
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
    config = replace(SMALL, shuffled_labels=made / "weights.safetensors")
    return out, dmagnet.measure(checkpoint, galaxies, out, config)


def test_every_stated_hypothesis_gets_a_verdict(finished):
    _, study = finished
    assert [r.hypothesis for r in study.verdicts] == list(HYPOTHESES)


def test_weights_without_training_never_stand_out_from_their_controls(finished):
    _, study = finished
    assert "holds" not in {r.verdict for r in study.verdicts}


def test_a_study_writes_tables_figures_and_a_record(finished):
    out, study = finished
    record = json.loads((out / "measure.json").read_text())
    assert len(record["hypotheses"]) == len(HYPOTHESES)
    assert record["n"] == 20
    assert set(record["dreams"]) == {
        *("trained", "random weights", "shuffled weights", "shuffled labels")
    }
    assert "light alone" in record["hypotheses"][-2]["controls"]
    assert set(record["redreams"]) == {*record["dreams"], "random steps"}
    rows = Table.read(out / "dreams.fits")
    assert len(rows) == 4 * 2 * 20 * len(study.layers)
    pictures = {path.name for path in out.glob("*.png")}
    assert pictures == {"depth.png", "probes.png", "redreams.png"}
    assert (out / "hypotheses.md").read_text().count("\n|") >= len(HYPOTHESES)


def test_a_stopped_study_goes_on_in_the_shell_with_what_it_has(made, finished):
    out, _ = finished
    lost = out / "parts" / "dreams-trained-0-stage2.npz"
    kept = out / "parts" / "dreams-trained-0-stem.npz"
    before, dreams = kept.stat().st_mtime_ns, (out / "dreams.fits").read_bytes()
    lost.unlink()
    (out / "dreams.fits").unlink()
    words = ["measure", made, made / "galaxies.h5", "-o", out, "--per-class", 2]
    words += ["--seeds", 2, "--steps", 1]
    words += ["--shuffled-labels", made / "weights.safetensors"]
    assert main([str(word) for word in (*words, "--layers", *SMALL.layers)]) == 0
    assert kept.stat().st_mtime_ns == before
    assert lost.is_file()
    assert (out / "dreams.fits").read_bytes() == dreams


def test_a_folder_answers_one_question_only(finished, galaxies, checkpoint):
    out, _ = finished
    with pytest.raises(DataError, match="another one"):
        dmagnet.measure(checkpoint, galaxies, out, replace(SMALL, seeds=3))


def test_every_block_and_entrance_is_a_point_of_depth():
    for size, num in (("xs", 15), ("s", 20)):
        network = DMAGNet(ModelConfig(size=size))
        layers = points_of_depth(network)
        assert len(layers) == num
        assert layers[:3] == ("stem", "stages.stage1.enter", "stage1.block1")
        assert layers[-1] == "lam"


def without_lam():
    config = ModelConfig(size="xs", lam=False)
    train = TrainConfig(image_size=64, model=config)
    return Checkpoint(DMAGNet(config).eval(), train, CLASS_NAMES)


@pytest.mark.parametrize("weights", [without_lam(), torch.nn.Conv2d(3, 4, 3)])
def test_a_network_without_lam_is_refused_before_any_work(weights, galaxies, tmp_path):
    with pytest.raises(ConfigError, match=r"with LAM.* got (DMAGNet|Conv2d) without"):
        dmagnet.measure(weights, galaxies, tmp_path, SMALL)
    assert not (tmp_path / "parts").exists()


def test_a_control_without_lam_is_refused_before_any_work(
    checkpoint, galaxies, tmp_path
):
    save(tmp_path / "without.safetensors", without_lam())
    config = replace(SMALL, shuffled_labels=tmp_path / "without.safetensors")
    with pytest.raises(ConfigError, match=r"with LAM"):
        dmagnet.measure(checkpoint, galaxies, tmp_path / "out", config)
    assert not (tmp_path / "out/parts").exists()


def test_a_layer_that_is_not_there_is_refused_before_any_work(
    checkpoint, galaxies, tmp_path
):
    config = replace(SMALL, layers=("stem", "stage1", "stage9"))
    with pytest.raises(ConfigError, match="no layer 'stage9'"):
        dmagnet.measure(checkpoint, galaxies, tmp_path, config)
    assert not (tmp_path / "parts").exists()


def test_a_class_without_galaxies_is_refused(galaxies, checkpoint, tmp_path):
    none = replace(galaxies, labels=np.where(galaxies.labels == 4, 3, galaxies.labels))
    with pytest.raises(DataError, match="expected 2 galaxies or more"):
        dmagnet.measure(checkpoint, none, tmp_path, SMALL)


def test_a_detail_that_the_light_gives_is_local_and_noise_is_not(galaxies):
    base = torch.from_numpy(galaxies.images[:3].copy()).permute(0, 3, 1, 2) / 255
    around = torch.nn.functional.pad(base, (1, 1, 1, 1), mode="reflect")
    blurred = torch.nn.functional.avg_pool2d(around, 3, 1)
    noise = torch.rand(base.shape, generator=torch.Generator().manual_seed(0))
    assert float(local_share(base, base - blurred).min()) > 0.95
    assert float(local_share(base, noise).max()) < 0.1


def test_a_fine_detail_has_a_higher_centroid_than_a_coarse_one(galaxies):
    base = torch.from_numpy(galaxies.images[:3].copy()).permute(0, 3, 1, 2) / 255
    fine = torch.rand(base.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    coarse = torch.nn.functional.avg_pool2d(fine, 9, 1, 4)
    aperture = find_aperture(base)
    a, b = (measure_details(base, detail, aperture) for detail in (fine, coarse))
    assert (a["centroid"] > b["centroid"]).all()
    assert (a["coherent"] < b["coherent"]).all()


def test_controls_of_another_size_are_refused(made, galaxies, tmp_path):
    network = DMAGNet(ModelConfig(size="s")).eval()
    config = TrainConfig(image_size=64, model=ModelConfig(size="s"))
    with pytest.raises(ConfigError, match="no layer"):
        dmagnet.measure(
            Checkpoint(network, config, CLASS_NAMES), galaxies, tmp_path,
            MeasureConfig(per_class=2, shuffled_labels=made),
        )  # fmt: skip
