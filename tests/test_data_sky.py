import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from dmagnet.errors import DataError
from dmagnet.galaxies import audit, leak_safe_split, published_split, read_positions
from dmagnet.galaxies.same_galaxy import close_pairs, sky_groups

REAL = Path(__file__).parents[2] / "shared" / "data"
POSITIONS = REAL / "galaxy10_positions_17736.csv"
real = pytest.mark.skipif(
    not POSITIONS.is_file(), reason="real positions are not beside this checkout"
)
ARCSEC = 1 / 3600


def scattered(num, seed=0):
    """Labels and positions with many close pairs and chains."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, num)
    ra = rng.uniform(0, 0.5, num)
    dec = rng.uniform(-0.25, 0.25, num)
    return labels, ra, dec


# audit


@real
def test_galaxy10_holds_59_galaxies_twice_always_with_two_labels():
    found = audit(*read_positions(POSITIONS))
    assert found.summary() == {
        "images": 17_736,
        "unknown_positions": 0,
        "close_pairs": 236,
        "duplicates": 59,
        "contradictory": 59,
    }


@real
def test_the_close_pairs_of_galaxy10_are_the_known_ones():
    table = audit(*read_positions(POSITIONS)).to_table()
    known = Table.read(REAL / "galaxy10_close_pairs.csv", format="ascii.csv")
    ours = {
        (row["index_a"], row["index_b"]): (row["label_a"], row["label_b"])
        for row in table
    }
    theirs = {
        (row["index_a"], row["index_b"]):
        (row["label_a_from_order"], row["label_b_from_order"])
        for row in known
    }  # fmt: skip
    assert ours == theirs
    assert np.allclose(
        table["separation"].to_value(u.arcsec),
        np.sort(known["sep_arcsec"]), atol=6e-4,
    )  # fmt: skip


def test_pairs_are_those_of_a_search_one_by_one():
    from astropy.coordinates import SkyCoord

    _, ra, dec = scattered(200)
    sky = SkyCoord(ra, dec, unit="deg")
    expected = {
        (a, b)
        for a in range(200)
        for b in (a + 1 + np.flatnonzero(sky[a].separation(sky[a + 1 :]).arcsec < 67))
    }
    first, second, _ = close_pairs(ra, dec)
    assert len(expected) > 20
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected


def test_right_ascension_wraps_and_shrinks_towards_the_pole():
    ra = np.array([359.999, 0.001, 10.0, 190.0])
    dec = np.array([0.0, 0.0, 89.995, 89.995])
    first, second, arcsec = close_pairs(ra, dec)
    assert list(zip(first, second, strict=True)) == [(0, 1), (2, 3)]
    assert arcsec == pytest.approx([7.2, 36.0], rel=1e-3)


def test_unknown_positions_are_counted_and_in_no_pair():
    ra = np.array([1.0, 1.0, np.nan, np.nan, 1.0])
    dec = np.array([2.0, 2.0, 2.0, np.nan, 95.0])
    found = audit(np.array([4, 4, 4, 4, 4]), ra, dec)
    assert found.summary() == {
        "images": 5,
        "unknown_positions": 3,
        "close_pairs": 1,
        "duplicates": 1,
        "contradictory": 0,
    }


def test_the_table_of_pairs_says_what_contradicts():
    ra = np.array([1.0, 1.0, 5.0])
    table = audit(np.array([4, 6, 4]), ra, ra).to_table()
    assert table.colnames == [
        "index_a", "index_b", "separation", "label_a", "label_b", "same_label",
    ]  # fmt: skip
    assert table["separation"].unit == u.arcsec
    assert tuple(table[0])[:2] == (0, 1)
    assert not table["same_label"][0]


@pytest.mark.parametrize("num", [0, 1])
def test_too_few_for_a_pair_is_no_error(num):
    assert len(audit(np.zeros(num, int), np.zeros(num), np.zeros(num)).index_a) == 0


def test_columns_of_different_length_are_refused():
    with pytest.raises(DataError, match="3 labels, 2 ra"):
        audit(np.zeros(3, int), np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits", "vot", "parquet"])
def test_positions_come_from_every_form_of_table(tmp_path, suffix):
    formats = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "vot": "votable"}
    table = Table({"RA": [1.5, 2.5], "Dec": [-3.0, 4.0], "LABEL": [7, 0]})
    path = tmp_path / f"positions.{suffix}"
    table.write(path, format=formats.get(suffix, suffix))
    labels, ra, dec = read_positions(path)
    assert labels.tolist() == [7, 0]
    assert (ra.tolist(), dec.tolist()) == ([1.5, 2.5], [-3.0, 4.0])


def test_positions_in_hours_or_radians_become_degrees(tmp_path):
    table = Table({"ra": [1.0] * u.hourangle, "dec": [0.5] * u.rad})
    table.write(tmp_path / "a.ecsv")
    labels, ra, dec = read_positions(tmp_path / "a.ecsv")
    assert ra[0] == pytest.approx(15)
    assert dec[0] == pytest.approx(np.degrees(0.5))
    assert labels.tolist() == [-1]


def test_an_empty_cell_is_an_unknown_position(tmp_path):
    (tmp_path / "a.csv").write_text("ra,dec,label\n1,2,0\n,3,1\n")
    _, ra, _ = read_positions(tmp_path / "a.csv")
    assert np.isnan(ra).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "dec missing, found a, b"),
        ("ra,dec\n", "found none"),
        ("ra,dec\nhere,there\n", "found none"),
    ],
)
def test_a_table_without_positions_is_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_positions(tmp_path / "a.csv")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "a.fits").write_bytes(b"not fits at all")
    with pytest.raises(DataError, match=r"a\.fits: expected a whole FITS file"):
        read_positions(tmp_path / "a.fits")
    (tmp_path / "a.doc").write_bytes(b"")
    with pytest.raises(DataError, match=r"got \.doc"):
        read_positions(tmp_path / "a.doc")


# split


def assert_groups_whole(groups, codes):
    for group in np.flatnonzero(np.bincount(groups) > 1):
        assert len(set(codes[groups == group])) == 1


def test_no_group_stands_on_both_sides_of_the_split_or_of_a_fold():
    labels, ra, dec = scattered(400)
    split = leak_safe_split(labels, ra, dec)
    assert (np.bincount(split.groups) > 2).any()
    assert_groups_whole(split.groups, split.codes)
    assert_groups_whole(split.groups, split.folds)


def test_a_chain_of_close_galaxies_is_one_group():
    dec = np.arange(4) * 60 * ARCSEC
    groups = sky_groups(np.zeros(4), dec)
    assert len(set(groups)) == 1
    assert len(set(sky_groups(np.zeros(4), dec, radius_arcsec=50))) == 4


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    num=st.integers(1, 60),
    classes=st.integers(1, 6),
    spread=st.sampled_from([0.01, 0.1, 1.0]),
)
def test_every_galaxy_gets_one_part_and_one_fold(seed, num, classes, spread):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, num)
    ra, dec = rng.uniform(0, spread, (2, num))
    split = leak_safe_split(labels, ra, dec, seed=seed)
    assert set(split.codes) <= {0, 1, 2}
    assert set(split.folds) <= set(range(5))
    assert_groups_whole(split.groups, split.codes)
    assert_groups_whole(split.groups, split.folds)


def test_classes_keep_their_shares_though_groups_stay_whole():
    labels, ra, dec = scattered(5000)
    ra, dec = ra * 40, dec * 40
    split = leak_safe_split(labels, ra, dec)
    for label in range(10):
        mine = split.codes[labels == label]
        shares = np.bincount(mine, minlength=3) / len(mine)
        assert np.abs(shares - (0.8, 0.1, 0.1)).max() < 0.01
        folds = np.bincount(split.folds[labels == label], minlength=5) / len(mine)
        assert np.abs(folds - 0.2).max() < 0.01


def test_a_class_of_three_or_more_has_one_galaxy_in_each_part():
    labels = np.repeat([0, 1, 2], [3, 6, 2])
    unknown = np.full(len(labels), np.nan)
    codes = leak_safe_split(labels, unknown, unknown).codes
    assert np.bincount(codes[labels == 0]).tolist() == [1, 1, 1]
    assert np.bincount(codes[labels == 1]).tolist() == [4, 1, 1]
    assert np.bincount(codes[labels == 2]).tolist() == [2]


def test_the_seed_decides_the_split():
    galaxies = scattered(300)
    first, again, other = (leak_safe_split(*galaxies, seed=seed) for seed in (1, 1, 2))
    assert first.hash == again.hash != other.hash


def test_the_order_of_the_file_does_not_decide_the_part():
    labels, unknown = np.zeros(1000, int), np.full(1000, np.nan)
    codes = leak_safe_split(labels, unknown, unknown).codes
    assert 400 < np.flatnonzero(codes == 2).mean() < 600


def test_galaxies_without_position_stand_alone_and_a_note_counts_them():
    labels, ra, dec = scattered(50)
    ra[:7] = np.nan
    split = leak_safe_split(labels, ra, dec)
    assert len(set(split.groups[:7])) == 7
    assert split.notes[0].startswith("positions unknown for 7 of 50")


# the published split


def index_file():
    from importlib import resources

    file = resources.files("dmagnet.galaxies") / "galaxy10_decals_split.csv"
    return file.read_text("utf-8")


@real
def test_the_packaged_split_can_be_made_again():
    labels, ra, dec = read_positions(POSITIONS)
    packaged, made = published_split(labels, ra, dec), leak_safe_split(labels, ra, dec)
    assert packaged.hash == made.hash
    assert f"# hash: {made.hash}" in index_file()


@real
def test_no_sky_of_galaxy10_stands_on_both_sides_of_the_packaged_split():
    labels, ra, dec = read_positions(POSITIONS)
    packaged = published_split(labels, ra, dec)
    first, second, _ = close_pairs(ra, dec, 67)
    assert len(first) == 236
    assert (packaged.codes[first] == packaged.codes[second]).all()
    assert (packaged.folds[first] == packaged.folds[second]).all()


@real
def test_every_class_of_galaxy10_keeps_its_share():
    labels, ra, dec = read_positions(POSITIONS)
    packaged = published_split(labels, ra, dec)
    for label in range(10):
        codes = packaged.codes[labels == label]
        shares = np.bincount(codes, minlength=3) / len(codes)
        assert np.abs(shares - (0.8, 0.1, 0.1)).max() < 0.005


@real
def test_positions_that_moved_by_a_hair_are_recognized_others_are_not():
    labels, ra, dec = read_positions(POSITIONS)
    assert published_split(labels, ra + 1e-12, dec) is not None
    assert published_split(labels, np.roll(ra, 1), dec) is None
    assert published_split(labels[1:], ra[1:], dec[1:]) is None


def test_the_packaged_split_lists_all_rows_in_order():
    text = index_file()
    rows = [line.split(",") for line in text.splitlines() if line[0].isdigit()]
    assert [int(row[0]) for row in rows] == list(range(17_736))
    assert {row[1] for row in rows} == {"train", "val", "test"}
    assert {row[2] for row in rows} == set("01234")
    sizes = [sum(row[1] == part for row in rows) for part in ("train", "val", "test")]
    header = "# {} train, {} val, {} test".format(*sizes)
    assert re.search(f"^{header}", text, re.MULTILINE)
