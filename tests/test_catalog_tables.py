"""Rows, and the tables that they become."""

import json
import warnings
from dataclasses import replace

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from astropy.io.votable.ucd import check_ucd
from astropy.table import QTable
from pyarrow import parquet

from dmagnet.calibration import Judgement
from dmagnet.classes import CLASS_NAMES, CLASSES
from dmagnet.classifying import About, to_qtable, write_table
from dmagnet.classifying.table import check_name
from dmagnet.classifying.table_columns import SUMS, columns, rows_of, schema
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.inputs import Flag, Item

TRUST = {"thresholds": [0.3, 0.1], "ood_limit": 1.0}
SETTINGS = {"views": 1, "source": {"hdu": ""}, "calibration": TRUST}
ABOUT = About(CLASS_NAMES, "0123456789abcdef" * 4, SETTINGS)
PLAIN = About(CLASS_NAMES, "")
FORMATS = ["t.ecsv", "t.csv", "t.fits", "t.vot", "t.parquet"]
VECTORS = replace(PLAIN, settings={"embedding": 3})
NASTY = 'é, "x" <&>;\\ 007\u2028'


def rows(count=7, first=0):
    rng = np.random.default_rng(first)
    p = rng.dirichlet(np.ones(10), count).astype(np.float32)
    items = [
        Item(id=f"{first + i:03d}", path=f"a/{i}.jpg", ra=10.0 / 3 + i, dec=-1e-9)
        for i in range(count)
    ]
    items[1] = Item(id=NASTY, path="b/\udcff.jpg", flag=Flag.SOME_NAN, reason="two, 2")
    items[3] = replace(items[3], radius_px=41.5)
    items[2] = Item(id="c\nd", path="c", flag=Flag.UNREADABLE, reason="cut short")
    p[2] = np.nan
    said = Judgement(p, ood=p[:, 0] * 9, disagreement=p[:, 1])
    return rows_of(items, said, ABOUT)


def batches():
    yield rows()
    yield rows(40, first=7)


def written(folder, name):
    return write_table(folder / name, batches, ABOUT)


def numbers(column):
    mask = getattr(column, "mask", False)
    values = np.asarray(getattr(column, "unmasked", column.value), float)
    single = column.info.name not in ("ra", "dec")  # text does not say
    return np.where(mask, np.nan, values.astype(np.float32 if single else float))


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy on units, CSV types
        formats = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".vot": "votable"}
        return QTable.read(path, format=formats.get(path.suffix))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reads_in_astropy_as_the_table_in_memory(tmp_path, name):
    found, expected = read(written(tmp_path, name)), to_qtable(batches(), ABOUT)
    assert found.colnames == expected.colnames
    for column in expected.colnames:
        want, got = expected[column], found[column]
        if want.dtype.kind == "U":
            got = np.ma.filled(np.ma.asarray(got).astype(str), "")
            want = want.astype(str)
            if name.endswith("fits"):
                want = [w.encode("ascii", "backslashreplace").decode() for w in want]
            if name == "t.csv" and column == "id":
                continue  # CSV does not say that 007 is a name
            assert list(got) == list(want), column
        else:
            np.testing.assert_array_equal(numbers(got), numbers(want), column)


@pytest.mark.parametrize("name", [n for n in FORMATS if n != "t.csv"])
def test_units_and_what_it_was_made_with_are_in_the_file(tmp_path, name):
    path = written(tmp_path, name)
    table = read(path)
    assert table["ra"].unit == u.deg
    assert table["dec"].unit == u.deg
    if name == "t.vot":
        params = {p.name: p.value for p in parse(path).get_first_table().params}
        assert params["weights"] == ABOUT.weights
        assert json.loads(params["class_names"]) == list(CLASS_NAMES)
        assert json.loads(params["settings"]) == ABOUT.settings
    elif name == "t.fits":
        assert table.meta["WEIGHTS"] == ABOUT.weights
        assert [table.meta[f"CLASS{i}"] for i in range(10)] == list(CLASS_NAMES)
        assert json.loads(table.meta["SETTINGS"]) == ABOUT.settings
    else:
        assert table.meta["weights"] == ABOUT.weights
        assert table.meta["class_names"] == list(CLASS_NAMES)
        assert table.meta["settings"] == ABOUT.settings


def with_vectors():
    """Four rows, the third without a class."""
    items = [Item(id=str(i), path=f"{i}.jpg") for i in range(4)]
    features = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
    features[2] = np.nan
    yield rows_of(items, Judgement(np.eye(10)[:4], features=features), VECTORS)


@pytest.mark.parametrize("name", [n for n in FORMATS if n != "t.csv"])
def test_embeddings_are_one_column_of_vectors(tmp_path, name):
    table = read(write_table(tmp_path / name, with_vectors, VECTORS))
    found = np.ma.filled(np.ma.asarray(table["embedding"]), np.nan)
    assert found.dtype.newbyteorder("=") == np.float32
    expected = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
    expected[2] = np.nan
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        to_qtable(with_vectors(), VECTORS)["embedding"], expected
    )


def test_in_csv_each_number_of_an_embedding_is_a_column(tmp_path):
    table = read(write_table(tmp_path / "t.csv", with_vectors, VECTORS))
    assert table.colnames[-3:] == ["e0", "e1", "e2"]
    assert list(table["e1"][:2]) == pytest.approx([1 / 7, 4 / 7])
    assert table["e1"].mask[2]


def test_the_fits_file_keeps_the_standard(tmp_path):
    path = written(tmp_path, "t.fits")
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert hdus[1].header["TUCD3"] == "pos.eq.ra;meta.main"
        assert len(hdus[1].data) == 47
    assert path.stat().st_size % 2880 == 0


def test_the_votable_has_ucds_and_a_frame(tmp_path):
    table = parse(written(tmp_path, "t.vot"), verify="exception").get_first_table()
    assert table.get_field_by_id("ra").ref == "icrs"
    for field, column in zip(table.fields, columns(PLAIN), strict=True):
        assert field.ucd == column.ucd


def test_every_ucd_is_of_the_controlled_vocabulary():
    for column in columns(VECTORS):
        assert check_ucd(
            column.ucd, check_controlled_vocabulary=True, has_colon=True
        ), column.ucd


def test_the_parquet_file_is_a_voparquet_too(tmp_path):
    path = written(tmp_path, "t.parquet")
    head = parquet.read_schema(path).metadata
    assert b"pos.eq.ra;meta.main" in head[b"IVOA.VOTable-Parquet.content"]
    assert parquet.read_table(path)["class_index"].null_count == 2
    assert parquet.read_table(path)["ood_flag"].null_count == 2


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_without_rows_still_opens(tmp_path, name):
    path = write_table(tmp_path / name, lambda: iter(()), ABOUT)
    assert read(path).colnames == schema(PLAIN).names


def test_a_row_without_a_class_says_why_and_has_no_numbers():
    row = rows().slice(2, 1).to_pylist()[0]
    assert row["class_index"] is None
    assert (row["class_name"], row["family"]) == ("", "")
    assert np.isnan([row["p0"], row["p9"], row["entropy"]]).all()
    assert (row["flag"], row["reason"]) == (int(Flag.UNREADABLE), "cut short")


def test_a_row_names_its_most_probable_class_and_family():
    for row in rows().to_pylist():
        if row["class_index"] is not None:
            p = [row[f"p{k}"] for k in range(10)]
            assert row["class_index"] == int(np.argmax(p))
            assert row["class_name"] == CLASS_NAMES[row["class_index"]]
            assert row["family"] == CLASSES[row["class_index"]].family


def test_probabilities_have_six_decimals_and_still_add_up():
    table = to_qtable(batches(), ABOUT)
    p = np.stack([table[f"p{k}"] for k in range(10)]).astype(float)
    np.testing.assert_allclose(p * 1e6, np.round(p * 1e6), atol=0.1)
    np.testing.assert_allclose(p[:, np.isfinite(p[0])].sum(0), 1, atol=1e-5)


def test_entropy_is_zero_when_sure_and_ln_k_when_not():
    items = [Item(id="a", path="a"), Item(id="b", path="b")]
    p = np.stack([np.eye(10)[3], np.full(10, 0.1)]).astype(np.float32)
    found = rows_of(items, Judgement(p), PLAIN)["entropy"]
    np.testing.assert_allclose(found.to_numpy(), [0, np.log(10)], atol=1e-6)


def test_classes_of_another_kind_have_no_family():
    items = [Item(id="a", path="a")]
    sure = Judgement(np.eye(2)[:1])
    one = rows_of(items, sure, About(("Cat", "Dog"), ""))
    assert one.to_pylist()[0]["family"] == ""
    assert np.isnan([one[name][0].as_py() for name in SUMS]).all()


def test_the_family_is_found_by_any_spelling_of_a_class():
    items = [Item(id="a", path="a")]
    ours = tuple(f"{name} Galaxies" for name in CLASS_NAMES)
    sure = Judgement(np.eye(10)[4:5])
    row = rows_of(items, sure, About(ours, "")).to_pylist()[0]
    assert row["family"] == "smooth"


def test_the_families_add_up_their_classes():
    for row in rows().to_pylist():
        for name, family in SUMS.items():
            members = [f"p{c.index}" for c in CLASSES if c.family == family]
            if row["class_index"] is not None:
                total = sum(row[member] for member in members)
                assert row[name] == pytest.approx(total, abs=1e-6)


def test_a_set_holds_the_classes_above_its_threshold_most_probable_first():
    for row in rows(200).to_pylist():
        p = np.array([row[f"p{k}"] for k in range(10)])
        for name, threshold in zip(
            ("set90", "set95"), TRUST["thresholds"], strict=True
        ):
            if row["class_index"] is None:
                assert row[name] == ""
                continue
            found = [int(k) for k in row[name].split("|")]
            assert found[0] == row["class_index"]
            assert set(found) == {*np.flatnonzero(p >= threshold), found[0]}
            assert list(p[found]) == sorted(p[found], reverse=True)


def test_what_lies_beyond_the_limit_is_flagged():
    for row in rows(200).to_pylist():
        if row["class_index"] is None:
            assert row["ood_flag"] is None
            assert np.isnan(row["ood"])
        else:
            assert row["ood_flag"] == (row["ood"] > TRUST["ood_limit"])


def test_weights_without_a_calibration_leave_their_columns_unknown():
    items = [Item(id="a", path="a")]
    said = Judgement(np.eye(10)[:1])
    (row,) = rows_of(items, said, PLAIN).to_pylist()
    assert (row["set90"], row["set95"], row["ood_flag"]) == ("", "", None)
    assert np.isnan([row["ood"], row["disagreement"], row["radius_px"]]).all()
    assert row["irregular"] == 1


def test_an_ending_that_is_no_format_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.ecsv, \.csv.*got '\.txt'"):
        check_name(tmp_path / "t.txt")


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_leaves_the_older_table_and_no_half_one(tmp_path, name):
    path = write_table(tmp_path / name, batches, ABOUT)
    older = path.read_bytes()

    def refuse():
        yield rows()
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"could not write \(No space left"):
        write_table(path, refuse, ABOUT)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == older


def test_the_same_rows_in_other_batches_make_the_same_text(tmp_path):
    whole = pa.Table.from_batches(list(batches())).combine_chunks().to_batches()
    for name in ("a.ecsv", "a.csv", "a.fits", "a.vot", "a.parquet"):
        one = write_table(tmp_path / name, lambda: iter(whole), ABOUT).read_bytes()
        two = write_table(tmp_path / name, batches, ABOUT).read_bytes()
        assert one == two, name
