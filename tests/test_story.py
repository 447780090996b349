"""The story a user lives: draw, train, stop, go on, judge, on the command line."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from interrupts import signaled

from dmagnet.cli import VERBS, main
from dmagnet.cli.screen import termination_as_interrupt
from dmagnet.judging import read_metrics

DMAGNET = Path(sys.executable).with_name("dmagnet")
# One batch an epoch: the story is about the files, not about the scores.
QUICK = ["--recipe", "smoke", "--epochs", "1", "--device", "cpu"]


def dmagnet(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    path = tmp_path_factory.mktemp("drawn") / "galaxies.h5"
    assert dmagnet("simulate", "--num", 100, "--image-size", 64, "-o", path) == 0
    return path


@pytest.fixture(scope="module")
def run(drawn):
    out = drawn.with_name("run")
    said = io.StringIO()
    with redirect_stderr(said):
        assert dmagnet("train", drawn, "-o", out, *QUICK) == 0
    (out / "said.txt").write_text(said.getvalue())
    return out


def test_a_training_ends_with_a_next_step_that_can_be_typed(run):
    words = (run / "said.txt").read_text().splitlines()[-1].split()
    assert words[:3] == ["next:", "dmagnet", "report"]
    assert dmagnet(*words[2:], "-o", run.with_name("report.html")) == 0


@pytest.fixture(scope="module")
def judged(drawn, run):
    """The folder of an evaluation on its own data, and what the command said."""
    out, said = drawn.with_name("judged"), io.StringIO()
    with redirect_stdout(said):
        assert dmagnet("evaluate", run, drawn, "-o", out, "--views", 8) == 0
    return out, said.getvalue()


def test_simulated_galaxies_train_and_are_judged(judged):
    out, said = judged
    assert "accuracy" in said
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"accuracy", "macro_f1", "balanced_accuracy", "top2", "n"} <= set(metrics)
    assert {"intervals", "per_class", "ece", "nll", "brier"} <= set(metrics)
    assert metrics["provenance"]["weights_hash"]
    assert (out / "report.html").stat().st_size < 10_000_000


def test_its_own_data_are_judged_on_val_only_and_others_whole(
    drawn, run, judged, tmp_path
):
    other = drawn.with_name("others.h5")
    dmagnet("simulate", "--num", 20, "--image-size", 64, "--seed", 9, "-o", other)
    dmagnet("evaluate", run, other, "-o", tmp_path / "other")
    assert read_metrics(judged[0] / "metrics.json").n == 10
    assert read_metrics(tmp_path / "other/metrics.json").n == 20


def test_a_renamed_copy_of_its_own_data_is_still_its_own(drawn, run, tmp_path):
    copy = tmp_path / "renamed.h5"
    copy.write_bytes(drawn.read_bytes())
    dmagnet("evaluate", run, copy, "-o", tmp_path / "own")
    assert read_metrics(tmp_path / "own/metrics.json").n == 10


def test_predictions_open_in_astropy_and_agree_with_the_metrics(judged):
    table = Table.read(judged[0] / "predictions.ecsv")
    metrics = read_metrics(judged[0] / "metrics.json")
    assert (table["label"] == table["class_index"]).mean() == metrics.accuracy
    shares = np.stack([table[f"p{k}"] for k in range(10)])
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-6)  # float32
    assert table["ra"].unit == "deg"


@pytest.mark.parametrize(
    "name", ["galaxy10_real60.h5", "galaxyzoo2_5class_train_val.zip"]
)
def test_real_galaxies_train_and_are_judged(shared, galaxy_zoo, tmp_path, name):
    # A check of the pipeline: these weights are thrown away.
    data, num = (shared / name, 10)
    if name == galaxy_zoo.name:
        data, entries = galaxy_zoo, zipfile.ZipFile(galaxy_zoo).namelist()
        num = sum(entry.startswith("val/") for entry in entries)
    assert dmagnet("train", data, "-o", tmp_path / "run", *QUICK) == 0
    assert dmagnet("evaluate", tmp_path / "run", data, "-o", tmp_path / "judged") == 0
    assert read_metrics(tmp_path / "judged/metrics.json").n == num


def test_numbered_class_folders_are_the_classes_they_name(shared, run, tmp_path):
    zipped = shared / "galaxy10_real60_jpeg.zip"
    assert dmagnet("evaluate", run, zipped, "-o", tmp_path / "judged") == 0
    metrics = read_metrics(tmp_path / "judged/metrics.json")
    assert metrics.n == 60
    assert metrics.class_names[3] == "In-between Round Smooth"


@pytest.mark.slow
def test_the_demo_draws_trains_judges_and_writes_its_page(tmp_path):
    from dmagnet.cli.demo import demo

    result = demo(tmp_path, num_train=130, num_held_out=20)
    page = (tmp_path / "report.html").read_text()
    assert result.metrics.n == 20
    assert "DMAGNet on simulated galaxies" in page
    assert page.count("<img") >= 10
    again = demo(tmp_path, num_train=130, num_held_out=20)
    np.testing.assert_array_equal(again.probabilities, result.probabilities)


def test_the_wrong_classes_are_refused_in_one_line(galaxy_zoo, run, tmp_path, capsys):
    assert dmagnet("evaluate", run, galaxy_zoo, "-o", tmp_path) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("dmagnet: ")
    assert "network's classes Disturbed" in error
    assert "\n" not in error


def test_ctrl_c_stops_and_the_same_command_goes_on(drawn, tmp_path, capsys):
    words = ["train", drawn, "-o", tmp_path, "--recipe", "smoke", "--epochs", 400]
    words += ["--save-every-min", 0, "--device", "cpu"]
    with signaled(signal.SIGINT, (tmp_path / "last.ckpt").exists):
        assert dmagnet(*words) == 130
    error = capsys.readouterr().err
    assert "the same command goes on" in error
    assert "Traceback" not in error
    assert (tmp_path / "last.ckpt").exists()


class Dropping:
    """Python ignores what is raised in here, as in callbacks of weak references."""

    def __del__(self):
        raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupt_that_python_drops_comes_again():
    def work():
        Dropping()
        time.sleep(5)

    listening = signaled(signal.SIGINT, lambda: False)  # also in the background
    with listening, termination_as_interrupt(), pytest.raises(KeyboardInterrupt):
        work()


def test_an_error_is_one_line_and_exits_1(tmp_path, capsys):
    assert dmagnet("train", tmp_path / "nothing.h5", "-o", tmp_path / "run") == 1
    error = capsys.readouterr().err
    assert error.startswith("dmagnet: ")
    assert error.count("\n") == 1


def test_an_unknown_recipe_lists_the_known_ones(tmp_path, capsys):
    assert dmagnet("train", "x", "-o", tmp_path, "--recipe", "feast") == 1
    assert "smoke, laptop, gpu" in capsys.readouterr().err


def test_a_setting_out_of_range_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        dmagnet("train", "x", "-o", tmp_path, "--epochs", 0)
    assert caught.value.code == 2
    assert "epochs" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("nonsense",), ("train", "--nonsense")])
def test_wrong_usage_exits_2(words):
    try:
        code = dmagnet(*words)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2


def test_the_overview_names_every_verb(capsys):
    assert dmagnet("--help") == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in VERBS)


def test_the_overview_fits_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    dmagnet("--help")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[2:-2])) <= 60
    assert all(line[2] != " " or line[:13].isspace() for line in lines[2:-3])


def test_help_says_input_and_breaks_lines_at_the_edge_only(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for verb in ("classify", "embed", "explain", "page", "cutouts", "dream", "redream"):
        with pytest.raises(SystemExit):
            dmagnet(verb, "--help")
        shown = capsys.readouterr().out
        assert re.search(
            rf"^usage: dmagnet {verb} .* (INPUT|IMAGE)\.\.\.$", shown, re.M
        )
        assert "[[STR" not in shown
        assert "{None}" not in shown
    with pytest.raises(SystemExit):
        dmagnet("classify", "--help")
    assert "tables of paths or of positions." in capsys.readouterr().out


def test_a_verb_that_is_nearly_right_is_suggested(capsys):
    assert main(["clasify", "x.jpg"]) == 2
    assert capsys.readouterr().err == (
        "dmagnet: no verb 'clasify'; did you mean classify? dmagnet --help lists them\n"
    )


def test_help_before_a_verb_is_help_after_it(capsys):
    for words in (["help", "cite"], ["cite", "--help"]):
        with pytest.raises(SystemExit):
            main(words)
    told = capsys.readouterr().out
    assert told[: len(told) // 2] == told[len(told) // 2 :]


def test_bash_completes_verbs_and_flags(capsys):
    with pytest.raises(SystemExit):
        main(["completion", "bash"])
    script = capsys.readouterr().out
    line = "source /dev/stdin; complete -p dmagnet; COMP_WORDS=(dmagnet cl); "
    line += "COMP_CWORD=1; _tyro_dmagnet; echo ${COMPREPLY[@]}"
    asked = ["bash", "-c", line]
    done = subprocess.run(
        asked, check=False, input=script, text=True, capture_output=True
    )
    assert done.stdout.split()[-1] == "classify", done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        dmagnet(verb, "--help")
    assert caught.value.code == 0
    assert f"dmagnet {verb}" in capsys.readouterr().out


def test_a_closed_pipe_is_no_error():
    reader = subprocess.run(
        f"{DMAGNET} cite | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert reader.stderr == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("cite >&-", 0, ""),
        ("cite 2>&-", 0, ""),
        ("cite 2>&1 >/dev/full", 1, "could not be printed"),
        ("nonsense 2>/dev/full", 2, ""),
        ("nonsense >&- 2>&-", 2, ""),
    ],
)
def test_a_closed_or_full_stream_is_no_traceback(words, status, told, unbuffered):
    done = subprocess.run(
        f"{DMAGNET} {words}",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    assert done.returncode == status
    assert told in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_work_is_done_and_named_though_the_terminal_cannot_write_its_name(tmp_path):
    name = "Méchain.h5"
    done = subprocess.run(
        [DMAGNET, "simulate", "--num", "10", "--image-size", "32", "-o", name],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout.decode("ascii").strip() == r"M\xe9chain.h5"
    assert [path.name for path in tmp_path.glob("*.h5")] == [name]


def test_the_module_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "dmagnet", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    asked = subprocess.run([DMAGNET, "--version"], capture_output=True, check=True)
    assert done.stdout == asked.stdout.decode()
