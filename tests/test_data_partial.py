"""Labels that leave the class open, and votes: in tables, in memory, in the loss."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.table import Table
from blobs import CONFIG, blobs
from PIL import Image
from scipy import stats

from dmagnet.classes import CLASS_NAMES, CLASSES, find_class, is_galaxy10, matched
from dmagnet.cli import main
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.galaxies import coarse, joined, load_galaxies, read_meanings, write_parquet
from dmagnet.galaxies.partial import numbered_as
from dmagnet.judging.predict import predict
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, load
from dmagnet.reporting.assess import assess, galaxies_to_judge
from dmagnet.training import TrainingModule, fit, history
from dmagnet.training.module import partial_loss, votes_loss

NAMES = ("smooth", "barred", "tight", "edge-on")
MEANINGS = {
    "class 0": ["smooth"],
    "class 1": ["barred", "tight"],
    "class 2": ["edge-on"],
}


def table(folder, labels):
    for k in range(len(labels)):
        Image.fromarray(blobs(num=len(labels)).images[k]).save(folder / f"{k}.png")
    rows = Table({"path": [f"{k}.png" for k in range(len(labels))], "label": labels})
    rows.write(folder / "labels.csv")
    return folder / "labels.csv"


def test_a_bar_between_names_in_a_table_means_one_of_these(tmp_path):
    labels = ["round", "tight|barred", "barred", "barred|tight", "tight", "round"]
    found = load_galaxies(table(tmp_path, labels))
    assert found.class_names == ("barred", "round", "tight")
    assert found.label_sets == ((0, 2),)
    np.testing.assert_array_equal(found.labels, [1, 3, 0, 3, 2, 1])


@pytest.mark.parametrize("spelling", ["slug", "name"])
def test_the_ten_classes_have_galaxy10s_order_however_they_are_spelled(
    tmp_path, spelling
):
    names = [getattr(entry, spelling) for entry in CLASSES]
    found = load_galaxies(table(tmp_path, [*names[::-1], *names]))
    assert found.class_names == tuple(names)
    np.testing.assert_array_equal(found.labels, [*range(9, -1, -1), *range(10)])
    assert is_galaxy10(found.class_names)


def test_classes_are_judged_by_their_names_whatever_their_order():
    names = ("class 1", "class 3", "Class-2", "class_0")
    found = numbered_as(replace(blobs(num=12), label_sets=((0, 2),)), names)
    assert found.class_names == names
    np.testing.assert_array_equal(found.labels[:3], [3, 0, 2])
    assert found.label_sets == ((2, 3),)
    votes = np.arange(36, dtype=np.float32).reshape(12, 3)
    voted = numbered_as(replace(blobs(num=12), votes=votes), names).votes
    np.testing.assert_array_equal(voted[1], [4, 0, 5, 3])
    with pytest.raises(DataError, match="found class 0, class 1, class 2; judge it"):
        numbered_as(blobs(), names[:3])


ALIKE = (("SB", "Sb"), ("1 arm", "2 arm"), ("渦巻", "楕円"), ("-5", "5"))


@pytest.mark.parametrize("names", ALIKE)
def test_classes_that_are_spelled_nearly_alike_are_told_apart(names):
    assert matched(names, names[::-1]) == {0: 1, 1: 0}
    for k, name in enumerate(names[:1] if names[1] == "5" else names):
        assert find_class(names, name) == k


def test_a_short_name_that_may_be_two_classes_is_none_of_them():
    assert matched(["edge_on", "Merging"], CLASS_NAMES) == {1: 1}
    assert matched(["Barred Spiral", "barred_spiral"], CLASS_NAMES) == {0: 5}
    assert find_class(CLASS_NAMES, "edge-on-bulge") == 9


def test_meanings_of_labels_that_leave_the_class_open_are_refused():
    with pytest.raises(DataError, match="one coarse class for each galaxy, got labels"):
        coarse(replace(blobs(), label_sets=((0, 1),)), MEANINGS, NAMES)


def test_membership_tells_which_classes_a_label_allows():
    found = coarse(blobs(), MEANINGS, NAMES)
    np.testing.assert_array_equal(found.membership[:4], np.eye(4, dtype=bool))
    np.testing.assert_array_equal(found.membership[4], [False, True, True, False])


def test_coarse_classes_become_fine_ones_where_they_name_only_one():
    galaxies = blobs()
    found = coarse(galaxies, MEANINGS, NAMES)
    expected = np.array([0, 4, 3])[galaxies.labels]
    np.testing.assert_array_equal(found.labels, expected)


def test_a_coarse_class_without_a_meaning_is_left_out():
    found = coarse(blobs(num=60), {"class 1": ["barred", "tight"]}, NAMES)
    assert len(found) == 20
    assert set(found.labels) == {4}
    assert (
        found.notes[-1]
        == "40 galaxies without a meaning (class 0, class 2) are left out"
    )


@pytest.mark.parametrize(
    "meanings", [{}, {"class 9": ["smooth"]}, {"class 0": ["oval"]}, {"class 0": []}]
)
def test_meanings_that_name_no_class_are_refused(meanings):
    with pytest.raises(DataError, match="expected meanings of its classes"):
        coarse(blobs(), meanings, NAMES)


def test_meanings_are_spelled_as_people_spell_them():
    means = {"Class_0": ["barred"], "class 1": ["edge-on_WITH bulge"], "class 2": ["3"]}
    found = coarse(blobs(), means, CLASS_NAMES)
    np.testing.assert_array_equal(found.labels, np.array([5, 9, 3])[blobs().labels])
    with pytest.raises(DataError, match=r"got edge-on$"):
        coarse(blobs(), {"class 0": ["edge-on"]}, CLASS_NAMES)
    whole = coarse(blobs(), {"class 0": ["SPIRAL"]}, ("spiral", "spiral barred"))
    assert set(whole.labels) == {0}


@pytest.mark.parametrize("sets", [((),), ((0, 3),), ((-1, 1),)])
def test_a_label_set_that_names_no_class_is_refused(sets):
    with pytest.raises(DataError, match=r"label sets of some of the classes 0 to 2"):
        replace(blobs(), label_sets=sets)


def test_other_masks_are_other_data():
    galaxies = blobs()
    masks = np.zeros(galaxies.images.shape[:3], np.uint8)
    changed = masks.copy()
    changed[-1, 0, 0] = 1
    hashes = [
        replace(galaxies, masks=some, data_hash="").data_hash
        for some in (None, masks, changed)
    ]
    assert len(set(hashes)) == 3


def test_meanings_come_from_json_one_name_or_several(tmp_path):
    path = tmp_path / "meanings.json"
    path.write_text('{"class 0": "smooth", "class 1": ["barred", "tight"]}')
    found = coarse(blobs(), read_meanings(path), NAMES)
    assert found.label_sets == ((1, 2),)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"a": [1]}', '{"a": 3}', '{"a": []}']
)
def test_a_file_that_gives_no_meanings_is_refused(tmp_path, text):
    path = tmp_path / "meanings.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"meanings\.json: expected"):
        read_meanings(path)


def test_coarse_data_judge_a_network_by_its_summed_classes(tmp_path):
    galaxies = blobs(num=12, num_classes=2)
    for k, (image, label) in enumerate(
        zip(galaxies.images, galaxies.labels, strict=True)
    ):
        folder = tmp_path / "data" / ("round", "spiral")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{k}.png")
    meanings = tmp_path / "meanings.json"
    meanings.write_text('{"round": "smooth", "spiral": ["barred", "tight"]}')
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs", num_classes=4))
    network = Checkpoint(DMAGNet(config.model).eval(), config, NAMES)
    judged = galaxies_to_judge(network, tmp_path / "data", meanings=meanings)
    found = assess(network, judged, tmp_path / "out")
    assert found.metrics.class_names == ("smooth", "barred or tight")


def test_joining_keeps_what_every_label_means():
    first = coarse(blobs(num=6), MEANINGS, NAMES)
    second = coarse(blobs(num=6), {**MEANINGS, "class 0": ["smooth", "edge-on"]}, NAMES)
    both = joined(first, second)
    np.testing.assert_array_equal(
        both.membership[both.labels],
        np.concatenate([s.membership[s.labels] for s in (first, second)]),
    )


def test_joining_sets_of_other_classes_is_refused():
    with pytest.raises(DataError, match="same classes, one size"):
        joined(blobs(), coarse(blobs(), MEANINGS, NAMES))


def test_only_galaxies_of_one_class_count_as_fully_labeled():
    found = coarse(blobs(num=60), MEANINGS, NAMES).fully_labeled()
    assert len(found) == 40
    assert not found.label_sets


def test_a_label_set_changes_the_fingerprint_of_the_data():
    found = coarse(blobs(), MEANINGS, NAMES)
    other = replace(found, label_sets=((0, 1),), data_hash="")
    assert found.data_hash != other.data_hash


def test_the_loss_of_one_class_is_torchs_cross_entropy():
    logits, labels = torch.randn(7, 4), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    for smoothing in (0.0, 0.1):
        ours = partial_loss(logits, torch.eye(4)[labels], smoothing)
        theirs = torch.nn.functional.cross_entropy(
            logits, labels, label_smoothing=smoothing
        )
        torch.testing.assert_close(ours, theirs)


def test_the_loss_of_a_set_is_minus_the_log_of_its_probability():
    logits = torch.randn(5, 4)
    allowed = torch.tensor([0.0, 1, 1, 0]).expand(5, 4)
    expected = -logits.softmax(1)[:, 1:3].sum(1).log().mean()
    torch.testing.assert_close(partial_loss(logits, allowed), expected)


def test_mixup_of_open_labels_is_refused():
    membership = torch.from_numpy(coarse(blobs(), MEANINGS, NAMES).membership)
    with pytest.raises(ConfigError, match="mixup: expected 0"):
        TrainingModule(
            torch.nn.Identity(), TrainConfig(mixup=0.2), torch.ones(4) / 4, membership
        )


@pytest.mark.slow
def test_training_on_a_coarse_label_tells_its_classes_from_the_others(tmp_path):
    """Half of the thin blobs are known by name, the others only as not round."""
    galaxies = blobs(num=90)
    labels = galaxies.labels.copy()
    labels[::2][labels[::2] > 0] = 3
    open_labels = replace(galaxies, labels=labels, label_sets=((1, 2),), data_hash="")
    weights = fit(open_labels, CONFIG, tmp_path, accelerator="cpu", progress=False)
    val = galaxies.subset("val")
    guesses = predict(load(weights).model, val.images).argmax(1)
    assert (guesses == val.labels).mean() >= 0.85
    assert history(tmp_path)[-1]["val_accuracy"] >= 0.85


# votes


def voted(folder, num=12, **columns):
    """A table of blobs whose columns are told, repeated as often as it takes."""
    for k in range(num):
        Image.fromarray(blobs(num=num).images[k]).save(folder / f"{k}.png")
    cells = {
        name: [values[k % len(values)] for k in range(num)]
        for name, values in columns.items()
    }
    Table({"path": [f"{k}.png" for k in range(num)], **cells}).write(
        folder / "votes.csv", overwrite=True
    )
    return folder / "votes.csv"


COUNTS = {"smooth_votes": [9, 1, 4], "disk_votes": [1, 30, 4], "star_votes": [0, 0, 1]}


def test_columns_of_counts_are_votes_and_the_label_is_what_most_said(tmp_path):
    path = voted(tmp_path, total_votes=[10, 31, 9], **COUNTS)
    found = load_galaxies(path)
    assert found.class_names == ("disk", "smooth", "star")
    assert found.votes[:3].tolist() == [[1, 9, 0], [30, 1, 0], [4, 4, 1]]
    assert found.labels[:3].tolist() == [1, 0, 3]
    assert found.label_sets == ((0, 1),)
    assert "labels are counts of votes for disk, smooth, star" in found.notes
    part = found.subset("val")
    rows = [found.ids.tolist().index(name) for name in part.ids]
    assert np.array_equal(part.votes, found.votes[rows])


def test_votes_are_kept_for_the_hub(tmp_path):
    before = load_galaxies(voted(tmp_path, **COUNTS))
    out = write_parquet(before, tmp_path / "out")
    after = load_galaxies(out, votes=before.class_names)
    order = [before.ids.tolist().index(name) for name in after.ids]
    assert np.array_equal(after.votes, before.votes[order])


def test_fractions_are_votes_and_what_rounding_lost_is_made_up_for(tmp_path):
    path = voted(tmp_path, a_fraction=[0.33, 0.5], b_fraction=[0.66, 0.5])
    found = load_galaxies(path)
    assert found.class_names == ("a", "b")
    assert "labels are fractions of votes for a, b" in found.notes
    np.testing.assert_allclose(found.votes[:2], [[1 / 3, 2 / 3], [0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("given", ["Smooth,disk", ("disk_votes", "smooth_votes")])
def test_named_columns_are_votes_also_beside_labels(tmp_path, given):
    path = voted(tmp_path, label=["x", "y"], **COUNTS)
    found = load_galaxies(path, votes=given)
    assert found.class_names == ("disk", "smooth")
    assert found.votes[1].tolist() == [30, 1]
    classes = load_galaxies(path)
    assert classes.votes is None
    assert "--votes smooth,disk,star learns from votes" in classes.notes[0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a_votes": [3, -1], "b_votes": [1, 2]}, "row 1: expected votes of 0 or more"),
        ({"a_votes": [3, 1e39], "b_votes": [1, 2]}, "row 1: expected at most 16,777"),
        ({"a_votes": [3, 0], "b_votes": [1, 0]}, "row 1: expected votes for some cl"),
        ({"a_votes": [3, 4], "b_votes": ["1", ""]}, "row 1: expected a number of vo"),
        ({"a_votes": ["3", "n"], "b_votes": [1, 1]}, "row 1: .*, got a n, b 1"),
        ({"a_fraction": [0.5, 1.5], "b_fraction": [0.5, 0]}, "row 1: expected fract"),
        ({"a_fraction": [0.5, 0.9], "b_fraction": [0.5, 0.9]}, "row 1: .*add up to 1"),
        (
            {"a_votes": [0.5, 4], "b_votes": [0.5, 9]},
            "row 1: .*or whole numbers in all",
        ),
        ({"label": ["a", "0.7", "b"]}, "row 1: expected a class as label, got 0.7"),
        ({"label": ["0.2", "0.7", "1"]}, "row 0: expected a class as label, got 0.2"),
        ({"a_votes": [1, 0], "b_votes": [0, 0], "c_votes": [2, 2]}, "no .* of b"),
    ],
)
def test_votes_that_are_none_are_refused_by_their_row(tmp_path, columns, message):
    with pytest.raises(DataError, match=message):
        load_galaxies(voted(tmp_path, **columns))


def test_numbers_beyond_0_to_1_are_classes(tmp_path):
    found = load_galaxies(voted(tmp_path, label=["-0.5", "0.5", "3"]))
    assert found.class_names == ("0.5", "3", "-0.5")


def test_votes_of_no_column_of_no_table_and_of_other_classes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"label missing, .* --votes NAMES which"):
        load_galaxies(voted(tmp_path, smooth=[1, 2]))
    path = voted(tmp_path, **COUNTS)
    with pytest.raises(DataError, match="columns of votes smooth, ring, found path"):
        load_galaxies(path, votes="smooth,ring")
    (tmp_path / "set").mkdir()
    for name in "01":
        (tmp_path / "set" / name).mkdir()
        shutil.copy(tmp_path / f"{name}.png", tmp_path / "set" / name)
    with pytest.raises(DataError, match="expected a table with columns of votes"):
        load_galaxies(tmp_path / "set", votes="a,b")
    with pytest.raises(DataError, match="expected coarse classes, got votes"):
        coarse(load_galaxies(path), MEANINGS, NAMES)
    with pytest.raises(DataError, match="expected votes of 0 or more"):
        replace(blobs(), votes=-np.ones((60, 3), np.float32))


def test_other_votes_are_other_data(tmp_path):
    first = load_galaxies(voted(tmp_path, **COUNTS))
    other = load_galaxies(voted(tmp_path, **COUNTS | {"smooth_votes": [8, 1, 4]}))
    assert np.array_equal(first.labels, other.labels)
    assert first.data_hash != other.data_hash


def test_joined_sets_keep_their_votes_and_refuse_sets_without(tmp_path):
    found = load_galaxies(voted(tmp_path, **COUNTS))
    both = joined(found, found.subset("val"))
    assert np.array_equal(both.votes, [*found.votes, *found.subset("val").votes])
    with pytest.raises(DataError, match="votes in all or in none"):
        joined(found, replace(found, votes=None))


def test_the_loss_of_counts_is_that_of_the_dirichlet_multinomial():
    logits = torch.tensor([[0.3, -1.2, 2.0], [1.0, 0.0, 4.0]])
    votes = torch.tensor([[3.0, 1.0, 20.0], [0.0, 2.0, 0.0]])
    alpha, num = logits.exp().numpy(), votes.sum(1).int().tolist()
    expected = [
        -stats.dirichlet_multinomial.logpmf(votes[k].int().numpy(), alpha[k], num[k])
        for k in range(2)
    ]
    assert votes_loss(logits, votes).item() == pytest.approx(np.mean(expected))


def test_one_vote_and_fractions_are_cross_entropy():
    logits = torch.randn(4, 3)
    one = torch.eye(3)[[0, 2, 1, 1]]
    expected = torch.nn.functional.cross_entropy(logits, one)
    torch.testing.assert_close(votes_loss(logits, one), expected)
    soft = torch.tensor([[0.2, 0.3, 0.5]]).expand(4, 3)
    expected = torch.nn.functional.cross_entropy(logits, soft)
    torch.testing.assert_close(votes_loss(logits, soft), expected)
    alpha = logits.exp()  # of a single vote the other form says the same
    direct = (alpha.sum(1).log() - (alpha * one).sum(1).log()).mean()
    torch.testing.assert_close(votes_loss(logits, one), direct)


def test_a_network_learns_fractions_from_counts_and_is_judged_without_ties(tmp_path):
    galaxies = blobs(num=96, num_classes=2)
    shares = np.array([[0.7, 0.3], [0.2, 0.8]])
    rng = np.random.default_rng(0)
    votes = [rng.multinomial(30, shares[label]) for label in galaxies.labels]
    voting = replace(galaxies, votes=np.array(votes, np.float32), data_hash="")
    with pytest.raises(ConfigError, match="mixup: expected 0 where labels are votes"):
        fit(voting, replace(CONFIG, mixup=0.2), tmp_path / "no", progress=False)
    weights = fit(voting, CONFIG, tmp_path / "run", accelerator="cpu", progress=False)
    val = voting.subset("val")
    answers = predict(load(weights).model, val.images)
    assert np.abs(answers - shares[val.labels]).mean() < 0.15  # of classes: 0.23
    assert history(tmp_path / "run")[-1]["val_accuracy"] > 0.9
    del (columns := dict(COUNTS))["star_votes"]
    path = voted(tmp_path, **columns)
    network = replace(load(weights), class_names=("disk", "smooth"))
    chosen = galaxies_to_judge(network, path, split="all")
    assert len(chosen) == 8
    assert "4 galaxies whose votes tie are left out" in chosen.notes
    assert assess(network, chosen, tmp_path / "judged").metrics.n == 8


@pytest.mark.parametrize("words", [["train"], ["evaluate", "xs"], ["calibrate", "xs"]])
def test_verbs_pass_on_which_columns_are_votes(tmp_path, capsys, words):
    path, out = voted(tmp_path, **COUNTS), tmp_path / "out"
    told = [*words, str(path), "-o", str(out), "--votes", "smooth,ring"]
    assert main(told) == 1
    assert "expected columns of votes smooth, ring" in capsys.readouterr().err
    path = path.with_name("0.h5")
    path.write_bytes(b"")
    assert main([*words, str(path), "-o", str(out), "--bands", "grz"]) == 1
    assert "got a stack of pictures" in capsys.readouterr().err
