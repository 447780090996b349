"""A record that was damaged or made up is one line, whatever is wrong with it."""

import dataclasses
import json
import os
import pkgutil
import struct
from dataclasses import asdict
from importlib import import_module

import numpy as np
import pytest
import torch
from altered import altered
from astropy.table import Table
from safetensors.torch import load_file

import dmagnet
from dmagnet.calibration import Calibration, Judgement, fit_space
from dmagnet.calibration.calibration import _digest
from dmagnet.config import (
    DreamConfig,
    ModelConfig,
    RedreamConfig,
    SimulateConfig,
    TrainConfig,
)
from dmagnet.dreaming.request import read_request
from dmagnet.dreaming.statistics import Statistics, galaxy_statistics
from dmagnet.errors import CheckpointError, DmagnetError
from dmagnet.exporting.onnx_header import KEY, Header, metadata_of, read_header, sealed
from dmagnet.galaxies.partial import read_meanings
from dmagnet.galaxies.repack import prepare, read_prepared
from dmagnet.judging import read_metrics
from dmagnet.judging.judged_record import MEASURES
from dmagnet.network import DMAGNet, bundled
from dmagnet.network.checkpoint import Checkpoint, load, save
from dmagnet.reporting.report_record import Report, kept
from dmagnet.reporting.run_report import dreams_of, explained_of, failures_of, study_of
from dmagnet.simulator import write_hdf5
from dmagnet.storage.records import brief
from dmagnet.training import fit
from dmagnet.training.run_folder import enter, history

FEW = (None, -1, 1e308, float("nan"), "x", [], {})


def refused(call, *given):
    """Call, and say whether it was refused; then in one line of sensible length."""
    try:
        call(*given)
    except DmagnetError as error:
        line = str(error)
        assert "\n" not in line
        assert len(line) < 1000
        return True
    return False


def numbers(names, value=0.5):
    return dict.fromkeys(names, value)


SCORES = {
    **numbers(MEASURES),
    "n": 3,
    "intervals": numbers(MEASURES, [0.1, 0.9]),
    "per_class": [
        {"name": name, "correct": 1, "support": 1, "f1_interval": [0.1, 0.9]}
        | numbers(("precision", "recall", "f1"))
        for name in "ab"
    ],
    "confusion": [[1, 0], [1, 1]],
    "class_names": ["a", "b"],
}
DREAM = {
    "images": [{"name": "g", "path": "g.png", "index": None, "sha256": "0" * 64}],
    "weights": {"path": "none.safetensors", "hash": "0" * 64},
    "layers": ["stage1"],
    "classes": ["a"],
    "guide": None,
    "config": asdict(DreamConfig()),
    "image_size": None,
    "animate": False,
    "zoom": 0,
}
FILES = {"galaxy": "g.png", "dream": "d.png", "all": "a.png"}
DREAMT = {
    "class_names": ["a", "b"],
    "request": DREAM,
    "dreams": [
        {"image": "g", "target": "a", "target_name": "a", "files": FILES}
        | {"probabilities": {"galaxy": [0.1, 0.9], "dream": [0.9, 0.1]}}
    ],
}
TEXTS = ("claim", "prediction", "expected", "control", "verdict", "reason")
FLOATS = ("trained", "p_holm", "control_value", "difference", "low", "high", "power")
BINS = ("confidence", "accuracy", "low", "high", "count")
EXPLAINED = {"id": "g", "target": "a", "sums": {"evidence": 1.0}, "files": FILES}
RECORDS = {
    "metrics.json": (SCORES, read_metrics),
    "dream.json": (DREAMT, lambda path: list(dreams_of(path))),
    "measure.json": (
        {"form": 2, "hypotheses": [numbers(TEXTS, "x") | numbers(FLOATS) | {"n": 3}]},
        study_of,
    ),
    "explain.json": ({"galaxies": [EXPLAINED]}, explained_of),
    "report.json": (
        {"title": "t", "summary": "s", "examples_note": "", "next_commands": [["a"]]}
        | {"history": [{"epoch": 1.0}], "reliability": numbers(BINS, [0.5])},
        lambda path: kept(
            path.parent, Report(title="", summary="", history=[], provenance={})
        ),
    ),
    "meanings.json": ({"spiral": ["a", "b"], "round": "c"}, read_meanings),
    "run.json": (
        {"config": asdict(TrainConfig()), "data": "x"},
        lambda path: enter(path.parent, {"config": asdict(TrainConfig()), "data": "x"}),
    ),
    "statistics.json": (
        asdict(galaxy_statistics()) | {"profile": [[1.0, 0.5]]},
        Statistics.read,
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_with_one_thing_wrong_is_read_or_is_one_line(name, tmp_path):
    values, read = RECORDS[name]
    path, num = tmp_path / name, 0
    path.write_text(json.dumps(values))
    read(path)
    for _, wrong in altered(values, FEW):
        path.write_text(json.dumps(wrong))
        num += refused(read, path)
    assert num > 0
    whole = json.dumps(values).encode()
    for content in (b"", b"[]", b"null", b"\xff\xfe", whole[:-9], b"[" * 10**5):
        path.write_bytes(content)
        assert refused(read, path), content[:20]


@pytest.mark.parametrize("config", [DreamConfig(), RedreamConfig()])
def test_a_dream_is_asked_for_again_by_a_whole_record_only(config, tmp_path):
    path = tmp_path / "dream.json"
    for _, wrong in altered({"request": DREAM | {"config": asdict(config)}}, FEW):
        path.write_text(json.dumps(wrong))
        assert refused(read_request, path)  # there are no such weights either


def test_a_log_a_table_and_arrays_that_are_no_such_thing_are_one_line(tmp_path):
    logs = tmp_path / "logs" / "version_x"
    logs.mkdir(parents=True)
    for text in (b"epoch\nx\n", b"\xff\xfe\x00", b"epoch,a\n1,\x00\n", b"epoch\n1,2\n"):
        (logs / "metrics.csv").write_bytes(text)
        assert refused(history, tmp_path), text
    texts = {name: ["a"] for name in ("id", "label_name", "class_name", "sheet")}
    table = Table(texts | {n: [0.5] for n in ("probability", "probability_of_label")})
    path = tmp_path / "failures.ecsv"
    for name in table.colnames:
        part = table.copy()
        part.remove_column(name)
        part.write(path, format="ascii.ecsv", overwrite=True)
        assert refused(failures_of, path), name
    for content in (b"", b"x", path.read_bytes()[:100], b"\xff" * 50):
        path.write_bytes(content)
        assert refused(failures_of, path), content


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    config = SimulateConfig(num=10, image_size=32)
    return prepare(write_hdf5(folder / "g.h5", config), folder / "out")


def test_a_prepared_folder_is_read_as_it_was_made_or_not_at_all(prepared):
    manifest = prepared / "prepared.json"
    whole = manifest.read_bytes()
    for place, wrong in altered(json.loads(whole), (None, -1, "x", [])):
        manifest.write_text(json.dumps(wrong))
        if place[0] in ("layout", "image_size"):
            assert refused(read_prepared, prepared), place
        else:
            refused(read_prepared, prepared)
    manifest.write_bytes(whole)
    images = prepared / "images.npy"
    good = images.read_bytes()
    for content in (b"", good[:100], good[:-5], b"\x93NUMPY" + b"\xff" * 200, b"PK"):
        images.write_bytes(content)
        assert refused(read_prepared, prepared), content[:10]
    np.save(images, np.zeros((10, 32, 32, 3)))
    assert refused(read_prepared, prepared)
    images.write_bytes(good)
    assert len(read_prepared(prepared)) == 10


# weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A calibrated network of three classes."""
    torch.manual_seed(0)
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs", num_classes=3))
    model = DMAGNet(config.model).eval()
    points = np.random.default_rng(0).normal(size=(100, model.head.in_features))
    space = fit_space(points, rank=4).limited(points)
    calibration = Calibration(1.4, (0.3, 0.1), space, {"sets": [{"n": 7}]})
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    return save(path, Checkpoint(model, config, ("a", "b", "é"), {}, "", calibration))


def parts(path):
    """Header, what dmagnet wrote into it, and the rest."""
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:end])
    return header, json.loads(header["__metadata__"]["dmagnet"]), content[end:]


def joined(path, header, rest):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)
    return path


def resealed(values, arrays):
    """The same with a hash that fits, so that what comes after it is looked at."""
    told = values.get("calibration")
    names = ("temperature", "thresholds", "views", "provenance", "space")
    if isinstance(told, dict) and set(names) <= set(told):
        told["hash"] = _digest({name: told[name] for name in names}, arrays)
    return values


def test_weights_with_one_thing_wrong_in_the_header_are_read_or_are_one_line(
    weights, tmp_path
):
    header, told, rest = parts(weights)
    arrays = {n: v.numpy() for n, v in load_file(weights).items() if "calib" in n}
    path, num = tmp_path / "x.safetensors", 0
    # Every thirteenth: what is read after all takes the time of a network.
    for _, wrong in list(altered(told, FEW))[::13]:
        header["__metadata__"]["dmagnet"] = json.dumps(resealed(wrong, arrays))
        joined(path, header, rest)
        num += refused(load, path)
    assert num > 20


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("image_size",), -1),
        (("image_size",), 10**9),
        (("model", "num_classes"), 10**9),
        (("model", "dilations"), []),
        (("model", "dilations"), [10**9]),
        (("model", "size"), "zz"),
        (("lr",), float("nan")),
    ],
)
def test_an_absurd_setting_is_named_and_takes_no_memory(
    place, value, weights, tmp_path
):
    header, told, rest = parts(weights)
    inner = told["config"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    header["__metadata__"]["dmagnet"] = json.dumps(told)
    path = joined(tmp_path / "x.safetensors", header, rest)
    with pytest.raises(CheckpointError, match=place[-1]):
        load(path)


def test_weights_of_other_kinds_and_shapes_are_one_line(weights, tmp_path):
    header, _, rest = parts(weights)
    path = tmp_path / "x.safetensors"
    for kind in ("F16", "BF16", "F64", "I8", "BOOL", "F8_E4M3", "C64", "U64", "F4"):
        other = json.loads(json.dumps(header))
        other["head.bias"]["dtype"] = kind
        assert refused(load, joined(path, other, rest)), kind
    for name in ("head.bias", "calibration.mean"):
        other = {key: value for key, value in header.items() if key != name}
        assert refused(load, joined(path, other, rest)), name


def test_bytes_that_are_no_weights_are_one_line(weights, tmp_path):
    path, whole = tmp_path / "x.safetensors", weights.read_bytes()
    said = struct.pack("<Q", 2)
    for content in (b"", whole[:7], whole[:8], whole[:999], b"\xff" * 99, said + b"[]"):
        path.write_bytes(content)
        assert refused(load, path), content[:10]
    rng = np.random.default_rng(0)
    for _ in range(20):
        damaged = bytearray(whole)
        damaged[int(rng.integers(0, 6000))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        refused(load, path)


@pytest.mark.parametrize("suffix", ["safetensors", "onnx"])
def test_what_is_no_file_is_said_of_weights(suffix, tmp_path, capfd):
    from dmagnet.cli import main

    folder, pipe = tmp_path / f"folder.{suffix}", tmp_path / f"pipe.{suffix}"
    folder.mkdir()
    os.mkfifo(pipe)
    picture = tmp_path / "g.png"
    for path in (folder, pipe, tmp_path / f"none.{suffix}", f"nul\x00.{suffix}"):
        given = ["classify", str(picture), "-o", str(tmp_path / "o.csv")]
        assert main([*given, "--weights", str(path)]) != 0
        assert capfd.readouterr().err.count("\n") == 1


def test_a_damaged_header_of_an_exported_network_is_one_line():
    header = Header(
        class_names=("a", "b"), image_size=64, field=0.75, weights_hash="0" * 64
    )
    values = json.loads(header.to_json())
    num = 0
    for _, wrong in altered(values):
        text = json.dumps(wrong)
        content = sealed(text.encode())
        num += refused(read_header, content.decode(), content, "x.onnx")
    assert num > 100


def opened(content):
    return read_header(metadata_of(content, "x").get(KEY), content, "x")


def test_bytes_that_are_no_onnx_are_one_line(untrained):
    whole = untrained[1].read_bytes()
    opened(whole)
    rng = np.random.default_rng(0)
    for _ in range(30):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
        content = bytes(damaged[: int(rng.integers(len(whole)))])
        assert refused(opened, content)


def test_a_list_of_weights_with_one_thing_wrong_is_one_line(tmp_path):
    index = json.loads((bundled.package() / bundled.INDEX).read_text())
    for _, wrong in altered(index, FEW):
        (tmp_path / bundled.INDEX).write_text(json.dumps(wrong))
        refused(bundled.entry_of, tmp_path, "s")


def test_a_damaged_state_of_a_stopped_training_is_one_line(galaxies, tmp_path):
    config = TrainConfig(
        image_size=64, epochs=1, model=ModelConfig(size="xs", num_classes=3)
    )
    path = tmp_path / "last.ckpt"
    torch.save({"loops": {}, "optimizer_states": [], "state_dict": {}}, path)
    whole = path.read_bytes()
    torch.save({"x": 1}, path)
    for content in (b"", b"x", b"\x80\x02x", whole[:-30], path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"last\.ckpt: expected the state"):
            fit(galaxies, config, tmp_path)


def test_arrays_of_a_record_are_shown_by_their_shapes():
    judgement = Judgement(np.zeros((500, 10), np.float32), disagreement=np.zeros(500))
    assert repr(judgement) == (
        "Judgement(probabilities=<float32 (500, 10)>, ood=None, "
        "disagreement=<float64 (500,)>, features=None)"
    )


def test_every_exported_record_of_arrays_is_shown_in_one_line():
    found = set()
    rooms = [room.name for room in pkgutil.iter_modules(dmagnet.__path__) if room.ispkg]
    for name in (*rooms, "pictures.inputs"):
        room = import_module(f"dmagnet.{name}")
        for one in (getattr(room, n) for n in dir(room) if n.isidentifier()):
            if isinstance(one, type) and dataclasses.is_dataclass(one):
                kinds = [str(f.type) for f in dataclasses.fields(one) if f.repr]
                arrays = any("numpy.ndarray" in k or "torch.Tensor" in k for k in kinds)
                calls = any("Callable" in k for k in kinds)
                if arrays and not calls:
                    found.add(one)
    told = {one.__name__ for one in found if one.__repr__ is not brief}
    assert found
    assert not told - {"Direction", "Guide"}  # objectives, whose repr is their settings
