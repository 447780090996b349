"""Whatever a run folder holds comes into one page; what is damaged is named."""

import json
import shutil

import numpy as np
import pytest
from astropy.table import Table
from blobs import blobs
from html_page import Page, assert_everybody_can_read_it, assert_it_needs_nothing_else
from PIL import Image

from dmagnet.calibration import Calibration
from dmagnet.cli import main
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.errors import DataError
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.reporting import read_run, report_run
from dmagnet.reporting.assess import assess
from dmagnet.reporting.page import MAX_BYTES

TRAP = "<script>alert(1)</script>"
NAMES = ("round", TRAP, "cigar")
VERDICT = {
    "name": "one", "claim": "a claim", "prediction": f"deeper is {TRAP}",
    "expected": "rho > 0", "trained": 0.9, "p": 0.001, "p_holm": 0.004,
    "control": "random weights", "control_value": None, "difference": 0.5, "low": 0.25,
    "high": 0.75, "n": 12, "power": 0.875, "verdict": "undecided", "reason": "chance",
}  # fmt: skip


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(path)
    return path.name


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def some_dreams(galaxy="galaxy.png"):
    entries = [
        {
            "image": TRAP,
            "target": target,
            "target_name": name,
            "probabilities": {"galaxy": [0.75, 0.25], "dream": [0.125, 0.875]},
            "files": {"galaxy": galaxy, "dream": "dream.png"},
        }
        for target, name in (("lam", "local attention"), ("stage1", "stage 1"))
    ]
    request = {"layers": ["stage1", "lam"], "classes": []}
    return {"request": request, "dreams": entries, "class_names": ["round", "cigar"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder into which everything wrote."""
    out = tmp_path_factory.mktemp("runs") / "run & more"
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs", num_classes=3))
    network = Checkpoint(DMAGNet(config.model).eval(), config, NAMES)
    galaxies = blobs(30)
    calibrated = Calibration(1.0, (0.3, 0.2), None, {})
    network = Checkpoint(network.model, config, NAMES, calibration=calibrated)
    rows = [{"epoch": k, "train_loss": 2.0 - k, "val_accuracy": k} for k in (0, 1)]
    assess(network, galaxies, out, title="A run", history=rows)
    assess(network, galaxies.subset("val"), out / "val")
    write(out / "dreams" / "dream.json", some_dreams())
    picture(out / "dreams" / "galaxy.png")
    picture(out / "dreams" / "dream.png")
    write(out / "study" / "measure.json", {"form": 2, "hypotheses": [VERDICT]})
    picture(out / "study" / "depth.png")
    one = {"id": TRAP, "target": "round", "against": "cigar", "sums": {"evidence": 1}}
    picture(out / "why" / "a.png")
    one["files"] = {"all": "a.png"}
    write(out / "why" / "explain.json", {"galaxies": [one]})
    picture(out / "wrong" / "001-round-as-cigar.png")
    row = ("001-round-as-cigar.png", TRAP, "round", "cigar", 0.75, 0.125)
    names = ("sheet", "id", "label_name", "class_name", "probability",
             "probability_of_label")  # fmt: skip
    Table(rows=[row], names=names).write(out / "wrong" / "failures.ecsv")
    return out


@pytest.fixture(scope="module")
def text(run):
    return report_run(run).read_text()


def test_all_that_the_folder_holds_is_in_the_page(text):
    ids = {section["id"] for section in Page(text).all("section")}
    assert ids == {
        *("numbers", "examples", "attention", "why", "dreams", "study", "confusion"),
        *("classes", "reliability", "risk", "failures", "others", "training"),
        "provenance",
    }


def test_the_page_of_a_run_needs_nothing_else_and_is_small(run, text):
    assert_it_needs_nothing_else(text)
    assert (run / "report.html").stat().st_size < MAX_BYTES


def test_everybody_can_read_the_page_of_a_run(text):
    assert_everybody_can_read_it(text)


def test_names_out_of_records_are_shown_as_text(text):
    assert "<script" not in text
    said = Page(text).text
    assert said.count(TRAP) >= 5  # class, galaxy of a dream, prediction, map, failure


def test_the_page_that_assess_wrote_is_made_again_from_the_folder(run, tmp_path):
    alone = tmp_path / run.name
    alone.mkdir()
    for name in ("metrics.json", "report.json", "report.npz"):
        shutil.copy(run / name, alone)
    first = report_run(alone).read_text()
    again = report_run(alone, tmp_path / "again.html").read_text()
    assert first == again
    assert "A run" in first
    assert 'id="training"' in first
    assert 'id="attention"' in first


def test_dreams_stand_in_the_order_of_depth(run):
    ((_, shown),) = read_run(run).dreams
    captions = [each.caption.splitlines()[0] for each in shown]
    assert captions == ["galaxy", "stage 1", "local attention"]
    assert "cigar: 25 to 88 %" in shown[1].caption


def test_hypotheses_are_told_with_intervals_and_none_for_what_is_unknown(text):
    said = "".join(Page(text).text.split())
    assert f"deeperis{TRAP}undecided(chance)rho>00.900.004randomweights:none" in said
    assert "none+0.50(+0.25to+0.75)120.88" in said


def test_further_evaluations_of_the_run_are_listed(run):
    ((name, metrics),) = read_run(run).others
    assert (name, metrics.n) == ("val", len(blobs(30).subset("val")))


def test_a_picture_that_is_gone_is_left_out(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "dreams" / "dream.png").unlink()
    text = report_run(copy).read_text()
    assert_everybody_can_read_it(text)
    assert "stage 1" not in text


def test_a_picture_outside_of_the_folder_of_its_record_is_refused(tmp_path):
    picture(tmp_path / "secret.png")
    write(tmp_path / "run" / "dream.json", some_dreams("../secret.png"))
    with pytest.raises(DataError, match="lies outside its folder"):
        report_run(tmp_path / "run")


def test_a_study_alone_makes_a_page(tmp_path):
    write(tmp_path / "measure.json", {"form": 2, "hypotheses": [VERDICT]})
    text = report_run(tmp_path, tmp_path / "page.html").read_text()
    assert_everybody_can_read_it(text)
    assert {s["id"] for s in Page(text).all("section")} == {"study", "provenance"}


def test_a_training_log_alone_makes_a_page(tmp_path):
    log = tmp_path / "logs" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("epoch,step,train_loss\n0,1,2.5\n1,2,1.5\n")
    ids = {s["id"] for s in Page(report_run(tmp_path).read_text()).all("section")}
    assert ids == {"training", "provenance"}


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(DataError, match="found none; evaluate the weights first"):
        report_run(tmp_path)


def test_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected the folder of a run, found nothing"):
        report_run(tmp_path / "nowhere")


def test_the_verb_writes_the_page_and_says_where(tmp_path, capsys):
    write(tmp_path / "measure.json", {"form": 2, "hypotheses": [VERDICT]})
    assert main(["report", str(tmp_path)]) == 0
    assert f"page: {tmp_path / 'report.html'}" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "nowhere")]) == 1


@pytest.mark.parametrize(
    "name", ["dream.json", "measure.json", "explain.json", "metrics.json"]
)
@pytest.mark.parametrize("content", ["{", "[1]", '{"dreams": 3, "galaxies": 3}', ""])
def test_a_damaged_record_is_named_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{name}: expected") as error:
        report_run(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("notes", [{"a": 1}, 5, "abc", []])
def test_odd_notes_of_an_evaluation_are_left_out(run, tmp_path, notes):
    record = json.loads((run / "metrics.json").read_text())
    record["provenance"]["notes"] = notes
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    assert read_run(tmp_path).summary == ""


def test_damaged_galaxies_of_a_report_are_named(run, tmp_path):
    for name in ("metrics.json", "report.json"):
        shutil.copy(run / name, tmp_path)
    (tmp_path / "report.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError, match=r"report.npz: expected the galaxies"):
        report_run(tmp_path)


def test_a_damaged_table_of_failures_is_named(tmp_path):
    (tmp_path / "failures.ecsv").write_text("no table")
    with pytest.raises(DataError, match=r"failures.ecsv: expected"):
        report_run(tmp_path)
