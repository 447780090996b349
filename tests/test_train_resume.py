"""A run that was killed ends as one that was not, bit for bit."""

import multiprocessing
import shutil
import signal

import pytest
from train_blobs import train

# One server imports torch once; every run is a process of its own forked from it.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["dmagnet.training", "train_blobs"])


def run(*arguments):
    process = CONTEXT.Process(target=train, args=arguments)
    process.start()
    process.join(timeout=120)
    return process.exitcode


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    assert run(out) == 0
    return out


@pytest.fixture(scope="module")
def undisturbed(finished):
    return (finished / "hash.txt").read_text()


@pytest.mark.parametrize(
    ("step", "when"),
    [(1, "before"), (2, "after"), (3, "before"), (4, "after")],
    ids=["early", "within an epoch", "between epochs", "late"],
)
def test_a_killed_run_resumes_to_the_same_weights(undisturbed, tmp_path, step, when):
    assert run(tmp_path, step, when) == -signal.SIGKILL
    assert (tmp_path / "last.ckpt").exists()
    assert not (tmp_path / "hash.txt").exists()
    assert run(tmp_path) == 0
    assert (tmp_path / "hash.txt").read_text() == undisturbed


def test_a_full_disk_keeps_the_last_checkpoint_whole(undisturbed, tmp_path):
    assert run(tmp_path, 2, "full disk") == 1
    assert not (tmp_path / "hash.txt").exists()
    assert [p.name for p in tmp_path.glob("*.ckpt*")] == ["last.ckpt"]
    assert run(tmp_path) == 0
    assert (tmp_path / "hash.txt").read_text() == undisturbed


def test_a_run_killed_before_its_first_checkpoint_starts_over(undisturbed, tmp_path):
    assert run(tmp_path, 0, "before") == -signal.SIGKILL
    assert not (tmp_path / "last.ckpt").exists()
    assert run(tmp_path) == 0
    assert (tmp_path / "hash.txt").read_text() == undisturbed


def test_a_run_killed_before_it_wrote_its_weights_ends_with_the_same(
    finished, undisturbed, tmp_path
):
    out = shutil.copytree(finished, tmp_path / "run")
    (out / "hash.txt").unlink()
    assert run(out) == 0
    assert (out / "hash.txt").read_text() == undisturbed


def test_more_epochs_after_a_finished_run_are_the_same_if_they_are_killed(
    finished, undisturbed, tmp_path
):
    whole, killed = (shutil.copytree(finished, tmp_path / k) for k in ("whole", "cut"))
    assert run(whole, -1, "", 3) == 0
    assert run(killed, 7, "after", 3) == -signal.SIGKILL
    assert run(killed, -1, "", 3) == 0
    longer = (whole / "hash.txt").read_text()
    assert longer == (killed / "hash.txt").read_text()
    assert longer != undisturbed
