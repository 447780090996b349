"""What a run keeps, and that nothing of it is lost, doubled or mixed up."""

import contextlib
import json
import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from altered import altered

from dmagnet.calibration import Judgement
from dmagnet.classifying import About
from dmagnet.classifying.store import key_of, open_store
from dmagnet.classifying.table_columns import rows_of
from dmagnet.errors import ConfigError, DataError, DmagnetError
from dmagnet.pictures.inputs import Flag, Item

NAMES = ("Cat", "Dog")
ABOUT = About(NAMES, "f" * 64, {"views": 1, "source": {"hdu": ""}})


def items(count, first=0):
    return [
        Item(id=f"{i}", path=f"dir/{i}.jpg", files=(f"dir/{i}.jpg",), ra=i / 7)
        for i in range(first, first + count)
    ]


def rows(some):
    p = np.tile(np.float32([0.25, 0.75]), (len(some), 1))
    said = Judgement(p)
    return rows_of(some, said, ABOUT)


def fill(store, stop=10**9):
    for number in [*store.missing()][:stop]:
        store.put(number, rows(store.items(number)))


def paths(store):
    return [path for batch in store.rows() for path in batch["path"].to_pylist()]


def opened(tmp_path, listing, about=ABOUT):
    return open_store(tmp_path / "t.parts", about, listing, 4)


def test_every_input_comes_back_as_it_was_listed(tmp_path):
    odd = Item(
        id="\udcff", path="a.zip::\udcfe", kind="member", files=("a.zip", "b"),
        key="\udcfe", row=2**40, dec=-1.5, flag=Flag.DUPLICATE_ID, reason="twice",
    )  # fmt: skip
    with opened(tmp_path, [*items(6), odd]) as store:
        found = [item for number in range(2) for item in store.items(number)]
    assert repr(found) == repr([*items(6), odd])


def test_a_run_goes_on_where_it_was_stopped_and_the_order_is_the_inputs(tmp_path):
    with opened(tmp_path, items(11)) as store:
        fill(store, 1)
    with opened(tmp_path, items(11)) as store:
        assert [*store.missing()] == [1, 2]
        assert store.notes == ("going on: 1 of 3 chunks done",)
        fill(store)
    with opened(tmp_path, items(11)) as store:
        assert [*store.missing()] == []
        assert paths(store) == [f"dir/{i}.jpg" for i in range(11)]


def test_new_inputs_follow_at_the_end_and_old_ones_keep_their_place(tmp_path):
    with opened(tmp_path, items(6)) as store:
        fill(store, 1)
    changed = [*items(3, first=20), *items(4, first=2)]  # 0 and 1 are gone
    with opened(tmp_path, changed) as store:
        assert "3 new ones at the end, 2 not there any more" in store.notes[1]
        fill(store)
        assert paths(store) == [f"dir/{i}.jpg" for i in (*range(6), 20, 21, 22)]
    with opened(tmp_path, changed) as store:
        assert len(store.notes) == 1, "the change was told and taken in"
        assert store.num_items == 9


def test_an_input_that_is_listed_twice_has_two_rows_however_often_it_goes_on(tmp_path):
    twice = [*items(2), *items(2)]
    with opened(tmp_path, twice):
        pass
    with opened(tmp_path, [*twice, *items(1)]) as store:
        assert "1 new ones" in store.notes[1]
        fill(store)
        assert sorted(paths(store)) == ["dir/0.jpg"] * 3 + ["dir/1.jpg"] * 2


def test_flags_do_not_make_an_input_another_one():
    one = items(1)[0]
    assert key_of(one) == key_of(replace(one, flag=Flag.NOT_FOUND, reason="gone"))
    assert key_of(one) != key_of(replace(one, ra=1.0))


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (About(NAMES, "e" * 64, ABOUT.settings), "weights = ffff"),
        (About(("Cat", "Cow"), "f" * 64, ABOUT.settings), "class_names"),
        (replace(ABOUT, version="0.0.1"), "dmagnet = "),
        (replace(ABOUT, settings={"views": 8, "source": {"hdu": ""}}),
         r"settings\.views = 1, now it is 8"),
        (replace(ABOUT, settings={"views": 1, "source": {"hdu": "SCI"}}),
         r"settings\.source\.hdu"),
    ],
)  # fmt: skip
def test_a_run_of_other_weights_or_settings_is_refused_by_name(tmp_path, about, words):
    with opened(tmp_path, items(5)):
        pass
    with pytest.raises(ConfigError, match=words), opened(tmp_path, items(5), about):
        pass


@pytest.mark.slow
def test_two_runs_into_one_table_are_refused_also_from_another_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_catalog_store import *\n"
        "try:\n"
        "    with opened(Path(sys.argv[1]), items(5)): print('in')\n"
        "except DataError as error: print(error)"
    )
    command = [sys.executable, "-c", code, tmp_path, __file__.rpartition("/")[0]]

    def other():
        return subprocess.run(command, capture_output=True, text=True, check=True)

    with opened(tmp_path, items(5)):
        assert "another process is writing there" in other().stdout
    assert other().stdout == "in\n"


def test_a_half_written_piece_is_done_again(tmp_path):
    with opened(tmp_path, items(8)) as store:
        fill(store)
        piece = next((tmp_path / "t.parts").glob("*/001.arrow"))
        piece.write_bytes(piece.read_bytes()[:100])
        with pytest.raises(DataError, match=r"damaged.*give the same command again"):
            paths(store)
    with opened(tmp_path, items(8)) as store:
        assert [*store.missing()] == [1]
        fill(store)
        assert len(paths(store)) == 8


def test_a_disk_that_is_full_is_one_line_and_loses_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path, items(8)) as store:
        fill(store, 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.raises(DataError, match=r"could not write \(File too large\)"):
                fill(store)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [*(tmp_path / "t.parts").rglob("*.part")]
    with opened(tmp_path, items(8)) as store:
        assert [*store.missing()] == [1]
        fill(store)
        assert len(paths(store)) == 8


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path):
    (tmp_path / "t.parts").mkdir()
    (tmp_path / "t.parts" / "run.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="which dmagnet did not make"):
        opened(tmp_path, items(2)).__enter__()


def test_a_head_with_one_thing_wrong_is_read_or_is_one_line(tmp_path):
    with opened(tmp_path, items(8)) as store:
        head = store.folder / "run.json"
    values = json.loads(head.read_text())
    for place, wrong in altered(values, (None, -1, "x", [], {})):
        head.write_text(json.dumps(wrong))
        with contextlib.suppress(DmagnetError), opened(tmp_path, items(8)):
            assert place[0] != "about", place


def test_a_store_that_is_removed_leaves_nothing(tmp_path):
    with opened(tmp_path, items(8)) as store:
        fill(store)
        store.remove()
    assert [*tmp_path.iterdir()] == []


def test_nothing_to_classify_is_a_run_of_no_rows(tmp_path):
    for _ in range(2):
        with opened(tmp_path, []) as store:
            assert (store.num_items, store.num_chunks) == (0, 0)
            assert [*store.rows()] == []
