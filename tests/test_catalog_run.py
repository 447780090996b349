"""From inputs to a table: complete, in order, and the same however it came about."""

import csv
import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.table import QTable
from interrupts import signaled
from PIL import Image

import dmagnet
from dmagnet.calibration import Calibration, fit_space
from dmagnet.classes import CLASS_NAMES
from dmagnet.classifying import classify, open_classifier, write_catalog
from dmagnet.classifying.store import ChunkStore
from dmagnet.cli import main
from dmagnet.config import ClassifyConfig, ModelConfig, TrainConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.judging.predict import look, predict
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, load, save
from dmagnet.pictures import find_extent, resize, standardize
from dmagnet.pictures.inputs import NO_CLASS, Flag
from dmagnet.storage.disk import says_so

SMALL = ClassifyConfig(chunk_size=8, batch_size=4, threads=2)
SIDE = 64


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = ModelConfig(size="xs")
    config = TrainConfig(model=model, image_size=SIDE, field=0.75)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    return save(path, Checkpoint(DMAGNet(model), config, CLASS_NAMES))


@pytest.fixture(scope="module")
def standard(tmp_path_factory):
    """Weights that want galaxies at one size, calibrated."""
    model = ModelConfig(size="xs")
    config = TrainConfig(model=model, image_size=SIDE, field=0.75, radii=4.0)
    network = DMAGNet(model)
    torch.nn.init.normal_(network.head.bias)
    rng = np.random.default_rng(0)
    space = fit_space(rng.normal(size=(40, network.head.in_features)))
    calibration = Calibration(1.5, (0.12, 0.05), replace(space, limit=1.0), views=8)
    path = tmp_path_factory.mktemp("standard") / "weights.safetensors"
    return save(path, Checkpoint(network, config, CLASS_NAMES, calibration=calibration))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("images"), range(30))


def fill(folder, numbers):
    y, x = np.mgrid[:96, :96] - 48.0
    for i in numbers:
        glow = np.exp(-((x / (3 + i % 7)) ** 2 + (y / (9 + i % 5)) ** 2))
        rgb = (250 * glow[..., None] * [1, 0.8, 0.6]).astype(np.uint8)
        Image.fromarray(rgb).save(folder / f"{i:03d}.png")
    return folder


def names(table):
    return [Path(path).name for path in table["path"]]


def test_each_image_has_the_probabilities_that_predict_gives(weights, folder):
    table = classify([folder], weights=weights, config=SMALL)
    pixels = [np.asarray(Image.open(p)) for p in sorted(folder.iterdir())]
    checkpoint = load(weights)
    expected = predict(checkpoint.model, resize(np.stack(pixels), SIDE, 0.75))
    found = np.stack([table[f"p{k}"] for k in range(10)], axis=1)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert list(table["class_index"]) == list(expected.argmax(1))
    assert names(table) == [f"{i:03d}.png" for i in range(30)]
    assert table.meta["weights"] == checkpoint.weights_hash
    assert isinstance(table, QTable)


def test_an_embedding_is_what_the_linear_layer_sees_averaged_over_views(
    weights, folder
):
    table = classify([folder], weights=weights, config=SMALL, views=2, embeddings=True)
    pixels = [np.asarray(Image.open(p)) for p in sorted(folder.iterdir())]
    model = load(weights).model
    _, seen = look(model, resize(np.stack(pixels), SIDE, 0.75), views=2)
    np.testing.assert_allclose(table["embedding"], seen.mean(axis=0), atol=2e-6)


def test_a_network_without_lam_has_embeddings_too(folder, tmp_path):
    model = ModelConfig(size="xs", lam=False)
    config = TrainConfig(model=model, image_size=SIDE)
    checkpoint = Checkpoint(DMAGNet(model), config, CLASS_NAMES)
    weights = save(tmp_path / "w.safetensors", checkpoint)
    table = classify([folder], weights=weights, config=SMALL, embeddings=True)
    assert table["embedding"].shape == (30, 256)
    assert np.isfinite(table["embedding"]).all()


def test_a_row_without_a_class_has_no_embedding(weights, tmp_path):
    fill(tmp_path, range(2))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    table = classify([tmp_path], weights=weights, config=SMALL, embeddings=True)
    known = [bool(np.isfinite(vector).all()) for vector in table["embedding"]]
    assert dict(zip(names(table), known, strict=True)) == {
        "000.png": True,
        "001.png": True,
        "bad.png": False,
    }


def test_an_exported_graph_has_no_embeddings_and_one_line_says_so(untrained, folder):
    with pytest.raises(ConfigError, match="expected weights of torch for embeddings"):
        classify([folder], weights=untrained[1], config=SMALL, embeddings=True)


def test_a_run_without_embeddings_does_not_go_on_with_them(weights, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    fill(images, range(12))
    out = tmp_path / "t.fits"

    def stop(name, total):
        return lambda done: 1 / 0 if done else None

    with pytest.raises(ZeroDivisionError):
        write_catalog([images], out, weights=weights, config=SMALL, announce=stop)
    with pytest.raises(ConfigError, match="embedding = None, now it is 256"):
        write_catalog([images], out, weights=weights, config=SMALL, embeddings=True)


def test_the_shell_writes_the_table_that_python_returns(
    weights, folder, tmp_path, capsys
):
    out = tmp_path / "t.ecsv"
    command = ["classify", str(folder), "-o", str(out), "--weights", str(weights)]
    flags = ["--chunk-size", "8", "--batch-size", "4", "--threads", "2"]
    assert main([*command, *flags]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    found, expected = QTable.read(out), classify(folder, weights=weights, config=SMALL)
    for column in ("id", "path", "class_index", "p0", "entropy", "weights"):
        assert list(found[column]) == list(expected[column]), column
    assert [*tmp_path.iterdir()] == [out]


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def test_without_a_file_the_answers_are_shown(weights, folder, capsys):
    words = ["classify", str(folder), "--weights", str(weights)]
    assert main(words) == 0
    shown, told = capsys.readouterr()
    first, *rows, last = shown.splitlines()
    assert first.split()[:3] == ["id", "class", "p"]
    assert [row.split()[0] for row in rows] == [f"{i:03d}" for i in range(20)]
    assert last == "... and 10 more: -o TABLE keeps all, -o - prints them"
    table = classify([folder], weights=weights)
    assert table["class_name"][3] in rows[3]
    assert "30 of 30 classified" in told
    assert f"next: dmagnet explain {folder} -o FOLDER --weights {weights}\n" in told


def test_a_dash_prints_the_csv_and_json_the_rows(weights, folder, tmp_path, capsys):
    words = ["classify", str(folder), "--weights", str(weights), "--quiet"]
    assert main([*words, "-o", str(tmp_path / "t.csv")]) == 0
    capsys.readouterr()
    assert main([*words, "-o", "-"]) == 0
    assert capsys.readouterr().out == (tmp_path / "t.csv").read_text()
    assert main([*words, "--json"]) == 0
    shown, told = capsys.readouterr()
    rows = rows_of((tmp_path / "t.csv").read_text())
    for line, row in zip(shown.splitlines(), rows, strict=True):
        answer = json.loads(line)
        assert answer["class_name"] == row["class_name"]
        assert answer["ra"] is None
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert told == ""
    assert main([*words, "--json", "-o", str(tmp_path / "u.csv")]) == 1
    assert "--json prints the rows: leave out -o" in capsys.readouterr().err


def test_quiet_runs_say_nothing_but_errors(weights, folder, tmp_path, capsys):
    out = str(tmp_path / "t.csv")
    words = ["classify", str(folder), "-o", out, "--weights", str(weights), "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr() == (f"{out}\n", "")
    assert main(words) == 1
    assert "is there already" in capsys.readouterr().err


def test_how_many_threads_work_does_not_change_a_byte(weights, folder, tmp_path):
    for i, threads in enumerate((1, 2, 5)):
        config = replace(SMALL, threads=threads)
        write_catalog([folder], tmp_path / f"{i}.csv", weights=weights, config=config)
    first, *others = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert all(other == first for other in others)


def test_bad_inputs_keep_their_rows_and_the_run_goes_on(weights, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    fill(images, range(6))
    (images / "002.png").write_bytes(b"")
    whole = (images / "004.png").read_bytes()
    (images / "004.png").write_bytes(whole[: len(whole) // 2])
    inputs = [images, tmp_path / "nowhere.jpg"]
    outcome = write_catalog(inputs, tmp_path / "t.fits", weights=weights, config=SMALL)
    assert (outcome.rows, outcome.without_class) == (7, 3)
    assert sum(outcome.classes.values()) == 4
    assert sum(outcome.reasons.values()) == 3
    table = QTable.read(outcome.path)
    assert [n for n, f in zip(names(table), table["flag"], strict=True) if f] == [
        "002.png", "004.png", "nowhere.jpg",
    ]  # fmt: skip
    assert table["flag"][-1] == Flag.NOT_FOUND
    assert table["class_index"].mask.tolist() == [bool(f) for f in table["flag"]]
    assert all(table["reason"][table["flag"] > 0])


def test_strict_stops_at_the_first_bad_input_and_names_it(weights, tmp_path):
    fill(tmp_path, range(3))
    (tmp_path / "001.png").write_bytes(b"")
    config = replace(SMALL, strict=True)
    with pytest.raises(DataError, match=r"001\.png: .*empty"):
        classify(tmp_path, weights=weights, config=config)


def test_an_image_that_vanishes_during_the_run_says_so(weights, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    fill(images, range(80))

    def announce(name, total):
        assert (name, total) == ("Classifying", 80)
        return lambda _: (images / "079.png").unlink(missing_ok=True)

    table = classify(images, weights=weights, config=SMALL, announce=announce)
    assert len(table) == 80
    assert table["flag"][79] == Flag.NOT_FOUND


def test_a_folder_that_changed_between_two_starts_is_told_and_taken_in(
    weights, tmp_path
):
    images, out = tmp_path / "images", tmp_path / "t.ecsv"
    images.mkdir()
    fill(images, range(20))

    def stop(name, total):
        def count(done):
            if done:
                raise KeyboardInterrupt

        return count

    with pytest.raises(KeyboardInterrupt):
        write_catalog(images, out, weights=weights, config=SMALL, announce=stop)
    (images / "019.png").unlink()
    (images / "000.png").unlink()
    fill(images, [99])
    outcome = write_catalog(images, out, weights=weights, config=SMALL)
    assert any("1 new ones at the end, 2 not there" in n for n in outcome.notes)
    table = QTable.read(out)
    assert names(table) == [*(f"{i:03d}.png" for i in range(20)), "099.png"]
    assert table["flag"][19] == Flag.NOT_FOUND, "not read before it went"
    assert table["flag"][0] == 0, "read before it went"


def test_a_run_of_one_chunk_leaves_no_folder_on_its_way(weights, folder, tmp_path):
    out, seen = tmp_path / "t.ecsv", []

    def announce(name, total):
        return lambda done: seen.append((done, [*tmp_path.iterdir()]))

    write_catalog(folder, out, weights=weights, announce=announce, threads=1)
    assert seen == [(0, []), (30, [])]
    assert len(QTable.read(out)) == 30


def test_a_run_killed_while_it_is_cleared_away_ends_well(
    weights, folder, tmp_path, monkeypatch
):
    out = tmp_path / "t.ecsv"

    def killed(store):
        for path in store.folder.rglob("*.arrow"):
            path.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ChunkStore, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            write_catalog(folder, out, weights=weights, config=SMALL)
    before = out.read_bytes()
    write_catalog(folder, out, weights=weights, config=SMALL, overwrite=True)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.ecsv"]


def test_a_table_that_is_there_is_not_replaced_unasked(weights, folder, tmp_path):
    out = tmp_path / "t.csv"
    write_catalog(folder, out, weights=weights, config=SMALL)
    first = out.read_bytes()
    with pytest.raises(ConfigError, match=r"is there already.*--overwrite"):
        write_catalog(folder, out, weights=weights)
    write_catalog(folder, out, weights=weights, config=SMALL, overwrite=True)
    assert out.read_bytes() == first


def test_a_file_that_others_made_is_not_replaced_even_when_asked(
    weights, folder, tmp_path
):
    out = tmp_path / "t.csv"
    out.write_text("mine")
    with pytest.raises(DataError, match=r"not made by dmagnet"):
        write_catalog(folder, out, weights=weights, config=SMALL, overwrite=True)
    assert out.read_text() == "mine"


def test_a_table_that_is_read_is_not_written_over(weights, folder, tmp_path):
    out, link = tmp_path / "t.csv", tmp_path / "link.csv"
    write_catalog(folder, out, weights=weights, config=SMALL)
    link.symlink_to(out)
    first = out.read_bytes()
    with pytest.raises(DataError, match=r"would be written over"):
        write_catalog(out, link, weights=weights, config=SMALL, overwrite=True)
    assert out.read_bytes() == first


def test_a_link_stays_and_its_table_is_replaced(weights, folder, tmp_path):
    out, link = tmp_path / "t.csv", tmp_path / "link.csv"
    write_catalog(folder, out, weights=weights, config=SMALL)
    link.symlink_to(out)
    first = out.read_bytes()
    write_catalog(folder / "000.png", link, weights=weights, overwrite=True)
    assert link.is_symlink()
    assert out.read_bytes() != first


def test_a_run_that_died_between_its_table_and_its_end_ends_the_same(
    weights, folder, tmp_path, monkeypatch
):
    out = tmp_path / "t.ecsv"

    def die(_store):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ChunkStore, "remove", die)
        with pytest.raises(KeyboardInterrupt):
            write_catalog(folder, out, weights=weights, config=SMALL)
    first = out.read_bytes()
    write_catalog(folder, out, weights=weights, config=SMALL)
    assert out.read_bytes() == first
    assert [*tmp_path.iterdir()] == [out]


def test_folders_of_others_with_names_like_ours_stay(weights, folder, tmp_path):
    out, rest = tmp_path / "t.ecsv", tmp_path / "t.ecsv.parts.gone"
    rest.mkdir()
    (rest / "notes.txt").write_text("mine")
    write_catalog(folder, out, weights=weights, config=SMALL)
    assert {*tmp_path.iterdir()} == {out, rest}
    assert (rest / "notes.txt").read_text() == "mine"


def test_a_folder_of_others_is_no_room_for_an_unfinished_run(weights, folder, tmp_path):
    rest = tmp_path / "t.ecsv.parts"
    rest.mkdir()
    (rest / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"notes.txt, which dmagnet did not make"):
        write_catalog(folder, tmp_path / "t.ecsv", weights=weights, config=SMALL)
    assert (rest / "notes.txt").read_text() == "mine"


def test_nothing_classified_is_an_error_and_blocks_no_later_try(
    weights, folder, tmp_path
):
    out, bad = tmp_path / "t.ecsv", tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none of 1 inputs could be classified"):
        write_catalog(bad, out, weights=weights)
    assert {*tmp_path.iterdir()} == {bad}
    write_catalog(folder / "000.png", out, weights=weights)
    assert len(QTable.read(out)) == 1


@pytest.mark.parametrize("name", ["nowhere", "nowhere/", "no*.jpg", "no_{g,r,z}.fits"])
def test_what_is_not_there_is_refused_before_anything_is_begun(weights, tmp_path, name):
    with pytest.raises(DataError, match=r"nothing was begun"):
        write_catalog(tmp_path / name, tmp_path / "t.ecsv", weights=weights)
    assert [*tmp_path.iterdir()] == []


def test_eight_views_do_not_depend_on_how_the_image_is_turned(weights, tmp_path):
    fill(tmp_path, [3])
    turned = Image.open(tmp_path / "003.png").transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "004.png")
    table = classify(tmp_path, weights=weights, config=replace(SMALL, views=8))
    a, b = (np.array([row[f"p{k}"] for k in range(10)]) for row in table)
    np.testing.assert_allclose(a, b, atol=2e-6)


def test_a_side_of_ones_own_is_what_the_network_sees(weights, folder):
    table = classify([folder], weights=weights, config=replace(SMALL, image_size=96))
    checkpoint = load(weights)
    pixels = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
    seen = resize(np.stack(pixels), 96, checkpoint.config.field)
    found = np.stack([table[f"p{k}"] for k in range(10)], axis=1)
    np.testing.assert_allclose(found, predict(checkpoint.model, seen), atol=2e-6)
    assert table.meta["settings"]["image"]["image_size"] == 96


@pytest.mark.parametrize(("side", "told"), [(64, 0), (96, 0), (112, 1)])
def test_a_side_that_training_did_not_show_is_noted_in_the_head(
    weights, folder, tmp_path, side, told
):
    out = tmp_path / "t.ecsv"
    outcome = write_catalog(
        [folder], out, weights=weights, config=replace(SMALL, image_size=side)
    )
    note = QTable.read(out).meta["settings"]["image"].get("note", "")
    assert bool(told) == ("trained on 64 to 96 px" in note)
    assert [line for line in outcome.notes if "trained on" in line] == [note] * told


def test_weights_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        open_classifier(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match=r"\.safetensors or \.onnx"):
        open_classifier(tmp_path / "none.pt")


def test_without_weights_those_of_the_package_classify(folder, tmp_path):
    out = tmp_path / "t.ecsv"
    assert main(["classify", str(folder), "-o", str(out), "--batch-size", "8"]) == 0
    table, bundled = QTable.read(out), dmagnet.load("s")
    assert table.meta["weights"] == bundled.weights_hash
    assert not any(table["flag"] & int(NO_CLASS))
    assert open_classifier("xs").weights_hash == dmagnet.load("xs").weights_hash


def test_the_network_sees_galaxies_at_one_size_if_it_was_trained_so(standard, folder):
    table = classify([folder], weights=standard, config=SMALL)
    checkpoint = load(standard)
    pixels = [np.asarray(Image.open(p)) for p in sorted(folder.iterdir())]
    seen = np.stack([standardize(each, SIDE, 4.0) for each in pixels])
    plain = predict(checkpoint.model, seen, views=8)
    expected = checkpoint.calibration.probabilities(plain)
    found = np.stack([table[f"p{k}"] for k in range(10)], axis=1)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    radii = [find_extent(each).radius for each in pixels]
    np.testing.assert_allclose(table["radius_px"], radii, rtol=1e-6)
    low, high = checkpoint.calibration.sets(expected)
    for column, sets in (("set90", low), ("set95", high)):
        for text, inside in zip(table[column], sets, strict=True):
            assert {*text.split("|")} == {str(k) for k in np.flatnonzero(inside)}
    assert table["disagreement"].max() > 0  # of a network that hardly tells galaxies
    assert [*table["ood_flag"]] == [*(table["ood"] > 1.0)]
    assert table.meta["settings"]["views"] == 8  # as it was calibrated
    said = table.meta["settings"]["calibration"]
    assert said == {"temperature": 1.5, "thresholds": [0.12, 0.05], "ood_limit": 1.0}


def test_a_run_does_not_go_on_with_another_calibration(standard, folder, tmp_path):
    def stop(name, total):
        raise KeyboardInterrupt

    out, other = tmp_path / "t.csv", tmp_path / "other.safetensors"
    with pytest.raises(KeyboardInterrupt):
        write_catalog(folder, out, weights=standard, config=SMALL, announce=stop)
    checkpoint = load(standard)
    save(other, replace(checkpoint, calibration=Calibration(1.6, (0.12, 0.05))))
    with pytest.raises(ConfigError, match=r"calibration\.temperature = 1\.5, now"):
        write_catalog(folder, out, weights=other, config=SMALL)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(weights, tmp_path):
    with pytest.raises(ConfigError, match=r"found none; use --device cpu"):
        open_classifier(weights, device="gpu")
    with pytest.raises(ConfigError, match="ONNX weights run on the CPU"):
        open_classifier(tmp_path / "w.onnx", device="gpu")


WITHOUT_TORCH = """
import contextlib, io, json, sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("no torch in this process", name="torch")


sys.meta_path.insert(0, Refuse())
import dmagnet, dmagnet.classifying.table, dmagnet.classifying
dmagnet.classify
print("imported")
from dmagnet.cli import main

for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        code = main(command)
    print(json.dumps([code, errors.getvalue()]))
"""


@pytest.fixture(scope="module")
def without_torch(folder, untrained, tmp_path_factory):
    """A process without torch: what it says of each command, and a table."""
    where = tmp_path_factory.mktemp("without")
    classify_there = ["classify", str(folder), "-o"]
    commands = [
        [*classify_there, str(where / "t.csv"), "--weights", str(untrained[0])],
        [*classify_there, str(where / "t.ecsv"), "--weights", str(untrained[1])],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, json.dumps(commands)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done, where / "t.ecsv"


def answers(without_torch):
    """Exit codes and errors of the commands, in their order."""
    lines = without_torch[0].stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("[")]


def test_nothing_of_the_run_needs_torch_before_weights_of_torch_are_opened(
    without_torch,
):
    done, _ = without_torch
    assert done.stdout.startswith("imported\n"), done.stderr


def test_weights_that_need_torch_say_so_where_there_is_none(without_torch):
    code, errors = answers(without_torch)[0]
    assert code == 1
    (line,) = errors.splitlines()
    assert re.search(r"need torch.*\.onnx file that 'dmagnet export' wrote", line)


def test_exported_weights_classify_where_there_is_no_torch(
    without_torch, untrained, folder
):
    code, errors = answers(without_torch)[1]
    assert code == 0, errors
    found = QTable.read(without_torch[1])
    expected = classify(folder, weights=untrained[0])
    for k in range(10):
        np.testing.assert_allclose(found[f"p{k}"], expected[f"p{k}"], atol=1e-5)
    assert list(found["weights"]) == list(expected["weights"])


def test_sigterm_stops_with_130_and_the_same_command_goes_on(weights, tmp_path, capsys):
    images, out = tmp_path / "images", tmp_path / "t.csv"
    images.mkdir()
    fill(images, range(160))
    flags = ["--chunk-size", "8", "--batch-size", "4", "--threads", "2"]
    words = ["classify", images, "-o", out, "--weights", weights, *flags]
    parts = tmp_path / "t.csv.parts"
    with signaled(signal.SIGTERM, lambda: [*parts.glob("*/*.arrow")]):
        assert main([str(word) for word in words]) == 130
    errors = capsys.readouterr().err
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
    kept = len([*parts.glob("*/*.arrow")])
    assert 0 < kept < 20
    outcome = write_catalog(images, out, weights=weights, config=SMALL)
    assert f"going on: {kept} of 20 chunks done" in outcome.notes
    assert sorted(names(QTable.read(out))) == sorted(
        path.name for path in images.iterdir()
    )


RUN_AND_KILL = """
import os, random, signal, sys, time
from pathlib import Path
from dmagnet.config import ClassifyConfig
from dmagnet.classifying import write_catalog
import dmagnet.judging.predict

images, out, weights = map(Path, sys.argv[1:])
dice, pieces = random.Random(1), lambda: len([*out.parent.glob("*.parts/*/*.arrow")])
for kill in range(4):
    child = os.fork()
    if not child:
        config = ClassifyConfig(chunk_size=8, batch_size=4, threads=2)
        write_catalog(images, out, weights=weights, config=config)
        os._exit(0)
    if kill < 3:
        before = pieces()
        while pieces() < before + 2:
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), pieces())
"""


@pytest.mark.slow
def test_killed_three_times_the_table_is_that_of_an_undisturbed_run(weights, tmp_path):
    images, out = tmp_path / "images", tmp_path / "a" / "t.ecsv"
    images.mkdir()
    fill(images, range(160))
    process = subprocess.run(
        [sys.executable, "-c", RUN_AND_KILL, images, out, weights],
        capture_output=True,
        text=True,
        check=True,
    )
    codes = [int(line.split()[0]) for line in process.stdout.splitlines()]
    assert codes == [-9, -9, -9, 0], process.stdout
    whole = write_catalog(images, tmp_path / "t.ecsv", weights=weights, config=SMALL)
    assert out.read_bytes() == whole.path.read_bytes()
    assert names(QTable.read(out)) == [f"{i:03d}.png" for i in range(160)]


@pytest.mark.parametrize("how", ["glob", "cell"])
def test_an_output_among_what_is_listed_is_not_written_over(weights, tmp_path, how):
    fill(tmp_path, [0])
    out = tmp_path / "t.csv"
    write_catalog(tmp_path / "000.png", out, weights=weights)
    first = out.read_bytes()
    given = tmp_path / "*.csv"
    if how == "cell":
        given = tmp_path / "list.csv"
        given.write_text("path\n000.png\nt.csv\n")
    with pytest.raises(DataError, match="would be written over"):
        write_catalog(given, out, weights=weights, overwrite=True)
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    "content",
    ["id,note\n1,made with dmagnet\n", "# dmagnet\nid\n1\n", "dmagnet: 1\n"],
)
def test_the_word_alone_does_not_make_a_file_ours(tmp_path, content):
    path = tmp_path / "notes.csv"
    path.write_text(content)
    assert not says_so(path)
