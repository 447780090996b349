"""Every verb that shows how far it is, in real terminals of all kinds."""

import re

import h5py
import numpy as np
import pytest
from PIL import Image
from terminals import Terminals, screen
from test_data_download import SHA256, Server

from dmagnet.config import SimulateConfig
from dmagnet.simulator import simulate

STOPPED = "dmagnet: stopped; the same command goes on from here"
NARROW, WIDE = 30, 200
CTRL_C = "\x03"
# For each verb: the stage to stop it at, its arguments, and what it prints last. Words
# in capitals are inputs: little to be done soon, or much to be stopped on the way.
VERBS = {
    "simulate": ("Drawing galaxies", "-o OUT.h5 --num NUM --image-size 64", "OUT.h5"),
    "prepare": ("Checking", "MANY -o OUT", "OUT"),
    "train": (
        "Training",
        "STACK -o OUT --recipe smoke --device cpu --epochs 2",
        "OUT/weights.safetensors",
    ),
    "evaluate": ("Judging", "xs STACK -o OUT --views 1", "page: OUT/report.html"),
    "failures": ("Judging", "xs STACK -o OUT --views 1", "OUT/failures.ecsv"),
    "calibrate": ("Looking", "xs STACK -o OUT.st --split all", "OUT.st"),
    "classify": ("Classifying", "IMAGES -o OUT.ecsv --weights xs", "OUT.ecsv"),
    "explain": ("evidence", "IMAGES -o OUT --weights xs", "OUT/explain.json"),
    "page": (
        "Pages",
        "IMAGES -o OUT --weights xs --no-compare --no-classical --steps 0",
        "page: OUT/one.html",
    ),
    "dream": (
        "Dreaming",
        "IMAGE -o OUT --weights xs --layers stem --steps STEPS",
        "OUT/dream.json",
    ),
    "redream": (
        "Dreaming",
        "IMAGE -o OUT --weights xs --layers stem --steps STEPS",
        "OUT/redream.json",
    ),
    "fetch": ("131.1/300.0", "-o OUT", "OUT/Galaxy10_DECals.h5"),
}
# These take long even of little: they are stopped here, and finish in other tests.
LONG = {
    "demo": ("Dreaming", "-o OUT", ""),
    "measure": ("Dreaming, trained", "xs STACK -o OUT --per-class 2 --seeds 2", ""),
}


@pytest.fixture(scope="module")
def terminals():
    with Terminals() as started:
        yield started


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What the words in capitals stand for: little, and much."""
    folder = tmp_path_factory.mktemp("inputs")
    images, labels = simulate(SimulateConfig(num=40, image_size=64))
    Image.fromarray(images[0]).save(folder / "one.png")
    (folder / "images").mkdir()
    for number in range(200):
        image = Image.fromarray(images[number % len(images)])
        image.save(folder / "images" / f"{number}.png")
    for name, times in (("little.h5", 1), ("much.h5", 10), ("many.h5", 200)):
        with h5py.File(folder / name, "w") as file:
            file["images"] = np.tile(images, (times, 1, 1, 1))
            file["ans"] = np.tile(labels, times)
    one, little, many = folder / "one.png", folder / "little.h5", folder / "many.h5"
    return (
        {"IMAGES": one, "IMAGE": one, "STACK": little, "MANY": little}
        | {"NUM": 20, "STEPS": 1},
        {"IMAGES": folder / "images", "IMAGE": one, "STACK": folder / "much.h5"}
        | {"MANY": many, "NUM": 5000, "STEPS": 2000},
    )


@pytest.fixture
def words(inputs, tmp_path):
    """Put inputs in the place of the words in capitals."""

    def fill(text, much=False):
        for word, value in (inputs[much] | {"OUT": tmp_path / "out"}).items():
            text = text.replace(word, str(value))
        return text

    return fill


@pytest.fixture(scope="module")
def server():
    """Cuts the line of who comes first, with half of the file."""
    made = Server("cut", failures=1)
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def smaller(server):
    """Other defaults: less to do, and a server on this machine."""
    here = {"url": server.url, "mirrors": [], "sha256": SHA256, "wait_s": 20}
    return {
        "dmagnet.cli.demo.demo": {"num_train": 40, "num_held_out": 10},
        "dmagnet.galaxies.download.fetch": here,
    }


@pytest.mark.parametrize("verb", [*VERBS, *LONG])
def test_ctrl_c_at_a_wide_terminal_is_one_line(verb, terminals, words, smaller, server):
    server.requests.clear()  # the next is cut again
    stage, arguments, _ = (VERBS | LONG)[verb]
    status, text = terminals(
        *(verb, *words(arguments, much=True).split()),
        columns=WIDE,
        press=(stage, CTRL_C),
        smaller=smaller,
    )
    assert status == 130, text
    lines, cursor = screen(text.replace("^C", ""), WIDE)
    assert lines[-1:] == [STOPPED]
    assert all(line.startswith("note: ") for line in lines[:-1]), lines
    assert cursor


@pytest.mark.parametrize("step", range(1, 7))
def test_ctrl_c_while_a_bar_is_being_drawn_loses_no_line(step, terminals, words):
    _, arguments, _ = VERBS["prepare"]
    status, text = terminals(
        *("prepare", *words(arguments, much=True).split()), drawing=step
    )
    assert status == 130, text
    assert screen(text)[0] == [STOPPED]
    assert screen(text)[1]


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_narrow_terminal_keeps_the_results_and_no_bar(
    verb, terminals, words, smaller, server
):
    server.failures = 0
    stage, arguments, last = VERBS[verb]
    status, text = terminals(
        *(verb, *words(arguments).split()), columns=NARROW, smaller=smaller
    )
    assert status == 0, text
    assert stage[:6] in text or verb == "fetch"
    lines, cursor = screen(text, NARROW)
    assert lines[-1] == words(last), text
    assert "━" not in "".join(lines)
    assert cursor


@pytest.mark.parametrize("verb", ["classify", "train"])
def test_no_color_means_none(verb, terminals, words):
    _, arguments, last = VERBS[verb]
    status, text = terminals(verb, *words(arguments).split(), NO_COLOR="1")
    assert status == 0, text
    assert "━" in text
    assert not re.search(r"\x1b\[[\d;]*[1-9][\d;]*m", text)
    assert screen(text)[0][-1] == words(last)


def test_a_terminal_that_draws_nothing_reads_a_line_for_each_stage(terminals, words):
    stage, arguments, last = VERBS["classify"]
    status, text = terminals("classify", *words(arguments).split(), TERM="dumb")
    assert status == 0, text
    first, *found, end = text.splitlines()
    assert (first, end) == (stage, words(last))
    assert found[0].startswith("1 of 1 classified")
    assert found[-1].startswith("next: dmagnet explain ")


def test_results_alone_go_where_stdout_goes(terminals, words, tmp_path):
    stage, arguments, last = VERBS["classify"]
    file = tmp_path / "stdout"
    status, text = terminals("classify", *words(arguments).split(), stdout=file)
    assert status == 0, text
    assert file.read_text() == words(last) + "\n"
    assert stage in text
    assert screen(text)[0][0].startswith("1 of 1 classified")
