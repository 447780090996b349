"""The steps of runs/galaxy10.sh between the commands."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from dmagnet.config import SimulateConfig
from dmagnet.galaxies import prepare, read_prepared
from dmagnet.simulator import write_hdf5


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "runs"))
    import galaxy10

    yield galaxy10
    del sys.modules["galaxy10"]


@pytest.fixture
def prepared(tmp_path):
    h5 = write_hdf5(tmp_path / "g.h5", SimulateConfig(num=200, image_size=32))
    return prepare(h5, tmp_path / "safe")


def test_a_naive_split_has_parts_of_the_same_sizes_and_other_members(
    script, prepared, tmp_path
):
    script.naive(prepared, tmp_path / "naive")
    safe, naive = read_prepared(prepared), read_prepared(tmp_path / "naive")
    assert naive.counts() == safe.counts()
    assert (naive.split != safe.split).any()
    np.testing.assert_array_equal(naive.images, safe.images)
    np.testing.assert_array_equal(naive.ids, safe.ids)
    assert any("blind to the sky" in note for note in naive.notes)


def test_the_same_again_changes_nothing_and_a_half_made_one_is_made_anew(
    script, prepared, tmp_path
):
    (tmp_path / "naive.part").mkdir()
    (tmp_path / "naive.part/images.npy").write_bytes(b"half")
    script.naive(prepared, tmp_path / "naive")
    made = (tmp_path / "naive/galaxies.ecsv").stat().st_mtime_ns
    script.naive(prepared, tmp_path / "naive")
    assert (tmp_path / "naive/galaxies.ecsv").stat().st_mtime_ns == made


def test_a_naive_split_of_other_images_is_not_taken_for_this_one(
    script, prepared, tmp_path
):
    script.naive(prepared, tmp_path / "naive")
    manifest = tmp_path / "naive/prepared.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sha256": "0"}))
    with pytest.raises(SystemExit, match="made from other images"):
        script.naive(prepared, tmp_path / "naive")


def test_the_table_has_means_and_spreads_over_seeds(script, tmp_path, capsys):
    for seed, accuracy in ((0, 0.5), (1, 0.7)):
        place = tmp_path / f"s-safe-scratch-{seed}" / "judged"
        place.mkdir(parents=True)
        scores = {"accuracy": accuracy, "macro_f1": 0.4, "ece": 0.1}
        (place / "metrics.json").write_text(json.dumps(scores))
    script.table(tmp_path)
    row = "| s | from scratch | safe | 2 | 0.6000 ± 0.1414 | 0.4000 ± 0.0000 |"
    assert row in capsys.readouterr().out
    assert row in (tmp_path / "table.md").read_text()
