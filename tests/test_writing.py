"""Every verb that writes, and what may be wrong with the place it writes to."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from dmagnet.classes import CLASS_NAMES
from dmagnet.cli import main
from dmagnet.config import ModelConfig, SimulateConfig, TrainConfig
from dmagnet.errors import DataError
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, save
from dmagnet.simulator import simulate, write_hdf5
from dmagnet.storage.disk import beside, claimed, refuse_replacing, write_whole

FILES = {
    "simulate": ("sim.h5", "--num 3 --image-size 32"),
    "audit": ("pairs.ecsv", "DATA"),
    "calibrate": ("w.safetensors", "RUN DATA --split all"),
    "classify": ("t.ecsv", "IMAGE --weights RUN"),
    "embed": ("t.ecsv", "IMAGE --weights RUN"),
    "export": ("w.onnx", "RUN"),
    "report": ("page.html", "JUDGED"),
}
FOLDERS = {
    "prepare": ("out", "DATA"),
    "train": ("out", "DATA --device cpu --size xs --image-size 64 --epochs 1"),
    "evaluate": ("out", "RUN DATA --split all"),
    "failures": ("out", "RUN DATA --split all"),
    "explain": ("out", "IMAGE --weights RUN --methods lam"),
    "page": ("out", "IMAGE --weights RUN --no-compare --steps 0"),
    "dream": ("out", "IMAGE --weights RUN --steps 0 --layers lam --device cpu"),
    "redream": ("out", "IMAGE --weights RUN --steps 0 --device cpu"),
    "measure": ("out", "RUN DATA --split all --per-class 2 --seeds 2 --steps 1"),
}
VERBS = FILES | FOLDERS
# A file that each verb would write into its folder.
WRITES = {
    "train": "weights.safetensors",
    "evaluate": "metrics.json",
    "failures": "failures.ecsv",
    "explain": "explain.json",
    "page": "galaxies.json",
    "measure": "measure.json",
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Weights that learned nothing, galaxies, an image, and a judged run."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.manual_seed(0)
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs"))
    network = DMAGNet(config.model).eval()
    save(folder / "weights.safetensors", Checkpoint(network, config, CLASS_NAMES))
    write_hdf5(folder / "data.h5", SimulateConfig(num=30, image_size=64, field=0.6))
    images, _ = simulate(SimulateConfig(num=1, image_size=64))
    Image.fromarray(images[0]).save(folder / "galaxy.png")
    words = {"RUN": folder, "DATA": folder / "data.h5", "IMAGE": folder / "galaxy.png"}
    command = ["evaluate", str(folder), str(folder / "data.h5"), "--split", "all"]
    assert main([*command, "-o", str(folder / "judged")]) == 0
    return {k: str(v) for k, v in (words | {"JUDGED": folder / "judged"}).items()}


@pytest.fixture
def run(inputs, capsys):
    """Call a verb, and return its status and what it says in the end."""

    def _run(verb, out):
        words = [inputs.get(word, word) for word in VERBS[verb][1].split()]
        status = main([verb, *words, "-o", str(out)])
        said = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()
        return status, [line for line in said if line.startswith("dmagnet: ")]

    return _run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refused(answer, *words):
    """Tell whether a verb ended with one line that says these words."""
    status, lines = answer
    assert status == 1, answer
    assert len(lines) == 1, lines
    assert all(word in lines[0] for word in words), lines
    return True


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_where_a_folder_is_needed_is_one_line(run, tmp_path, verb):
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / VERBS[verb][0]
    assert refused(run(verb, out), "could not write (Not a directory)")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_file_is_no_folder_of_results(run, tmp_path, verb):
    (tmp_path / "out").write_text("mine")
    assert refused(run(verb, tmp_path / "out"), f"{tmp_path / 'out'}: ")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("verb", FILES)
def test_a_folder_is_not_replaced_by_a_file(run, tmp_path, verb):
    out = tmp_path / FILES[verb][0]
    out.mkdir()
    assert refused(run(verb, out), f"{out}: ")
    assert out.is_dir()


@pytest.mark.parametrize("verb", VERBS)
def test_a_name_that_no_disk_takes_is_one_line(run, tmp_path, verb):
    out = tmp_path / f"{'x' * 300}{Path(VERBS[verb][0]).suffix}"
    assert refused(run(verb, out), "could not write (File name too long)")


@pytest.mark.parametrize("verb", FILES)
def test_a_file_that_dmagnet_did_not_make_stays(run, tmp_path, verb):
    out = tmp_path / FILES[verb][0]
    out.write_text("mine, and about galaxies\n")
    assert refused(run(verb, out), f"{out}: is there already")
    assert out.read_text() == "mine, and about galaxies\n"
    assert names(tmp_path) == [out.name]


@pytest.mark.parametrize("verb", ["simulate", "audit", "report"])
def test_a_full_disk_keeps_the_older_file(run, tmp_path, verb):
    out = tmp_path / FILES[verb][0]
    assert run(verb, out)[0] == 0
    before = out.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        answer = run(verb, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused(answer, "could not write (File too large); make room")
    assert out.read_bytes() == before
    assert names(tmp_path) == [out.name]


@pytest.mark.parametrize("verb", WRITES)
def test_a_folder_with_another_file_of_that_name_keeps_it(run, tmp_path, verb):
    theirs = tmp_path / WRITES[verb]
    theirs.write_text("{}\n")
    assert refused(run(verb, tmp_path), f"{theirs}")
    assert theirs.read_text() == "{}\n"


@pytest.mark.parametrize("verb", ["prepare", "dream", "redream"])
def test_a_folder_of_others_is_no_place_for_a_whole_folder(run, tmp_path, verb):
    (tmp_path / "notes.txt").write_text("mine")
    assert refused(run(verb, tmp_path), f"{tmp_path}: ")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("verb", sorted(set(FOLDERS) - {"prepare"}))
def test_a_second_process_is_told_so(run, tmp_path, verb):
    with claimed(tmp_path / "out"):
        answer = run(verb, tmp_path / "out")
    assert refused(answer, "another process is writing there")


def test_audit_does_not_replace_its_input(inputs, tmp_path, capsys):
    before = Path(inputs["DATA"]).read_bytes()
    (tmp_path / "link.h5").symlink_to(inputs["DATA"])
    for out in (inputs["DATA"], str(tmp_path / "link.h5")):
        assert main(["audit", inputs["DATA"], "-o", out]) == 1
        assert f"dmagnet: {out}: " in capsys.readouterr().err
    assert Path(inputs["DATA"]).read_bytes() == before


def test_calibrate_does_not_replace_the_galaxies(inputs, capsys):
    before = Path(inputs["DATA"]).read_bytes()
    command = ["calibrate", inputs["RUN"], inputs["DATA"], "--split", "all"]
    assert main([*command, "-o", inputs["DATA"]]) == 1
    assert f"dmagnet: {inputs['DATA']}: " in capsys.readouterr().err
    assert Path(inputs["DATA"]).read_bytes() == before


def test_the_target_of_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "far").mkdir()
    place, link = tmp_path / "far" / "t.json", tmp_path / "t.json"
    write_whole(place, b"# %ECSV 1.0\n# - {dmagnet: old}\n")
    link.symlink_to(place)
    write_whole(link, b"# %ECSV 1.0\n# - {dmagnet: new}\n")
    assert link.is_symlink()
    assert place.read_bytes() == b"# %ECSV 1.0\n# - {dmagnet: new}\n"


def test_a_file_that_only_its_owner_may_read_stays_so(tmp_path):
    write_whole(tmp_path / "t", b"# %ECSV 1.0\n# - {dmagnet: old}\n")
    (tmp_path / "t").chmod(0o600)
    write_whole(tmp_path / "t", b"new")
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600


def test_an_input_is_known_through_a_link(tmp_path):
    (tmp_path / "a").write_text("")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="give another -o"):
        refuse_replacing(tmp_path / "b", tmp_path / "a")


def test_two_writers_of_one_file_both_end_and_the_last_is_whole(tmp_path):
    place = tmp_path / "t"
    with beside(place) as first, beside(place) as second:
        first.write_bytes(b"dmagnet 1")
        second.write_bytes(b"dmagnet 2")
    assert place.read_bytes() == b"dmagnet 1"
    assert names(tmp_path) == ["t"]


def test_what_a_killed_writer_left_is_cleared_at_the_next_write(tmp_path):
    code = (
        "import os, sys, pathlib; from dmagnet.storage.disk import beside\n"
        "with beside(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "t"], check=False)
    (tmp_path / "t.part").write_text("mine")
    assert len(names(tmp_path)) == 2
    write_whole(tmp_path / "t", b"whole")
    assert names(tmp_path) == ["t", "t.part"]


@pytest.mark.slow
def test_few_of_many_kills_lose_nothing(tmp_path):
    script = Path(__file__).parents[1] / "benchmarks" / "kills.py"
    verbs = ("simulate", "audit", "prepare", "fetch")
    command = [sys.executable, script, "--kills", "10", "--verbs", *verbs]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_link_to_itself_is_one_line(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="leads to itself"):
        write_whole(tmp_path / "a", b"")


def _refused_when_gone(folder):
    with claimed(folder):
        shutil.rmtree(folder)
        raise DataError("the reason")


def test_a_refusal_is_told_also_when_its_folder_is_gone(tmp_path):
    with pytest.raises(DataError, match="the reason"):
        _refused_when_gone(tmp_path / "a")
