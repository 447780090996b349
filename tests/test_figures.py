"""Figures show the numbers they are given, and nothing of the machine's state."""

from types import SimpleNamespace

import dose_figures
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from dmagnet import figures
from dmagnet.errors import DataError
from dmagnet.figures import overlays
from dmagnet.judging import reliability, score

NAMES = ("round", "barred", "edge-on", "merging")


@pytest.fixture(scope="module")
def guesses():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(4, 0.5), size=200)
    return (probs.cumsum(axis=1) > rng.random((200, 1))).argmax(axis=1), probs


@pytest.fixture(scope="module")
def metrics(guesses):
    return score(*guesses, NAMES, num_bootstrap=50)


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 200, (3, 32, 32, 3), dtype=np.uint8)


def pixels(figure, tmp_path):
    with Image.open(figures.save(figure, tmp_path / "figure.png")) as image:
        return np.asarray(image.convert("RGB"))


def test_a_cell_of_the_matrix_has_the_count_of_label_and_guess(metrics):
    axes = figures.confusion_matrix(metrics).axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    for (row, column), count in np.ndenumerate(metrics.confusion):
        assert cells.get((column, row), "0") == str(count)


def test_shades_of_the_matrix_are_shares_of_a_row(metrics):
    shades = figures.confusion_matrix(metrics).axes[0].images[0].get_array()
    np.testing.assert_allclose(shades.sum(axis=1), 1)


def test_a_class_without_a_galaxy_can_be_drawn(tmp_path):
    probs = np.tile([0.7, 0.2, 0.1], (6, 1))
    empty = score([0, 0, 0, 1, 1, 1], probs, "abc", num_bootstrap=10)
    assert pixels(figures.confusion_matrix(empty), tmp_path).min() < 100
    assert pixels(figures.per_class_f1(empty), tmp_path).min() < 100


def test_many_classes_are_shaded_without_numbers():
    many = score(np.arange(40), np.eye(40), [f"c{k}" for k in range(40)])
    assert not figures.confusion_matrix(many).axes[0].texts


def test_the_diagram_has_a_point_per_bin(guesses):
    bins = reliability(*guesses)
    line = figures.reliability_diagram(bins).axes[0].containers[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), bins.confidence)
    np.testing.assert_allclose(line.get_ydata(), bins.accuracy)


def test_f1_and_its_interval_stand_in_the_row_of_their_class(metrics):
    axes = figures.per_class_f1(metrics).axes[0]
    np.testing.assert_allclose(
        axes.lines[0].get_xdata(), [entry.f1 for entry in metrics.per_class]
    )
    ends = [segment[:, 0] for segment in axes.collections[0].get_segments()]
    np.testing.assert_allclose(ends, [entry.f1_interval for entry in metrics.per_class])


def test_curves_join_rows_with_empty_cells_as_a_csv_file_has_them():
    history = [
        {"epoch": "0", "train_loss": "2.0", "val_acc": ""},
        {"epoch": "0", "train_loss": "", "val_acc": "0.25"},
        {"epoch": "1", "train_loss": "1.5", "val_acc": "", "lr": "0.1"},
        {"epoch": "1", "train_loss": None, "val_acc": "0.5"},
    ]
    losses, scores = figures.training_curves(history).axes
    np.testing.assert_allclose(losses.lines[0].get_xydata(), [[0, 2], [1, 1.5]])
    np.testing.assert_allclose(scores.lines[0].get_xydata(), [[0, 0.25], [1, 0.5]])
    assert len(losses.lines) == len(scores.lines) == 1


@pytest.mark.parametrize("history", [[], [{"epoch": 1, "lr": 0.1}]])
def test_a_log_without_curves_is_refused(history):
    with pytest.raises(DataError, match="expected a column with loss"):
        figures.training_curves(history)


def test_a_grid_shows_every_picture_once(images):
    figure = figures.galaxy_grid(images, ["a", "b", "c"], num_columns=2)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(shown, images)


def test_a_caption_too_few_is_refused(images):
    with pytest.raises(DataError, match="got 2 for 3"):
        figures.galaxy_grid(images, ["a", "b"])


def test_a_neutral_map_leaves_the_galaxy_gray(images):
    gray = np.asarray(Image.fromarray(images[0]).convert("RGB").convert("L"))
    overlay = overlays.lam_overlay(images[0], np.ones((4, 4)))
    np.testing.assert_array_equal(overlay, np.repeat(gray[..., None], 3, axis=2))


def test_up_is_orange_and_down_is_blue_where_the_mask_says_so():
    sky = np.full((32, 32, 3), 20, np.uint8)
    mask = np.ones((4, 4))
    mask[0, 0], mask[3, 3] = 8, 1 / 8
    overlay = overlays.lam_overlay(sky, mask).astype(int)
    red, _, blue = overlay[0, 0]
    assert red > blue + 100
    red, _, blue = overlay[-1, -1]
    assert blue > red + 100
    assert np.ptp(overlay[16, 16]) <= 2


def test_color_grows_by_the_same_with_every_doubling():
    sky = np.full((8, 8, 3), 20, np.uint8)
    reds = [
        overlays.lam_overlay(sky, np.full((2, 2), factor))[4, 4, 0]
        for factor in (1.0, 2.0, 4.0, 8.0, 16.0)
    ]
    np.testing.assert_allclose(np.diff(np.array(reds, float)), [59, 59, 59, 0], atol=2)


def test_no_attention_at_all_is_as_blue_as_an_eighth():
    sky = np.full((8, 8, 3), 20, np.uint8)
    none, eighth = (overlays.lam_overlay(sky, np.full((2, 2), f)) for f in (0, 1 / 8))
    np.testing.assert_array_equal(none, eighth)


def test_maps_stand_beside_their_galaxies(images):
    masks = np.random.default_rng(2).uniform(0.2, 3, (3, 4, 4))
    figure = figures.lam_maps(images, masks, ["a", "b", "c"])
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    for index in range(3):
        np.testing.assert_array_equal(shown[2 * index], images[index])
        np.testing.assert_array_equal(
            shown[2 * index + 1],
            overlays.lam_overlay(images[index], masks[index]),
        )


def test_a_figure_is_written_the_same_twice_and_leaves_no_part(
    metrics, guesses, images, tmp_path
):
    masks = np.full((3, 4, 4), 1.2)
    makers = [
        lambda: figures.confusion_matrix(metrics),
        lambda: figures.reliability_diagram(reliability(*guesses)),
        lambda: figures.lam_maps(images, masks, "abc"),
        overlays.lam_scale,
    ]
    for make in makers:
        path = figures.save(make(), tmp_path / "one.png")
        assert path.read_bytes() == figures.to_png(make())
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.png"]


def test_lines_differ_in_dash_and_not_only_in_color():
    history = [{"epoch": k, "a_loss": k, "b_loss": k} for k in range(3)]
    one, two = figures.training_curves(history).axes[0].lines
    assert one.get_linestyle() != two.get_linestyle()
    assert to_rgb(one.get_color()) != to_rgb(two.get_color())


def test_doses_are_drawn_class_by_class_and_network_by_network():
    doses = (0.0, 0.5, 1.0)
    rise = SimpleNamespace(mean=[0.1, 0.4, 0.9], low=[0, 0.3, 0.8], high=[0.2, 0.5, 1])
    curves = {"trained": {"barred": rise}, "shuffled": {"barred": rise}}
    figure = dose_figures.dose_responses({"bar share": (doses, curves)})
    lines = figure.axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [rise.mean] * 2
    assert lines[0].get_linestyle() != lines[1].get_linestyle()
    assert lines[0].get_color() == lines[1].get_color()


def test_depth_is_drawn_layer_by_layer_and_cosines_with_their_signs():
    rows = np.array([[0.1, 0.0, 0.2], [0.7, 0.6, 0.8]])
    figure = dose_figures.depth_curves(("stem", "lam"), {"bar": {"s": rows}}, "cosine")
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx(rows[:, 0])
    table = dose_figures.cosine_table(("a", "b"), np.array([[1, -0.5], [-0.5, 1]]))
    assert [text.get_text() for text in table.axes[0].texts][1] == "-.50"
