"""Tables as people keep them: what `classify` and `train` read of them."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image
from pyarrow import parquet

from dmagnet.config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.galaxies import load_galaxies, read_positions
from dmagnet.pictures.inputs import NO_CLASS, list_items, read_picture
from dmagnet.pictures.tables.names import first, plain, positions


def only(path):
    return [(item.id, item.ra, item.dec) for item in list_items(path)]


def test_all_headers_of_the_cases_are_read(case):
    for path in sorted(case("csv_headers").iterdir()):
        identity = "Méchain 1" if path.name == "latin1.csv" else "001"
        items = list(list_items(path))
        assert (items[0].id, items[0].ra, items[0].dec) == (identity, 150.1163, 2.2058)
        assert len(items) == {"short.csv": 3, "note.csv": 2}.get(path.name, 1)
        reasons = [item.reason for item in items if item.reason]
        short = ["row 1 has 2 cells, expected 3: '002,151'"]
        assert reasons == (short if path.name == "short.csv" else [])


def test_training_tables_of_the_cases_are_read(case):
    folder = case("train_tables")
    for name in ("bom", "semicolon", "file_loc", "zeros"):
        galaxies = load_galaxies(folder / f"{name}.csv", image_size=32)
        names = ("01", "02") if name == "zeros" else ("a", "b")
        assert (galaxies.class_names, len(galaxies)) == (names, 12)
    with pytest.raises(DataError, match="row 2: expected a label, got none"):
        load_galaxies(folder / "nan.csv", image_size=32)


def test_votables_of_the_cases_are_read_by_names_of_fields(case):
    folder = case("votable_names")
    assert only(folder / "ids.vot") == only(folder / "two.vot") == [("G 7", 150.1, 2.2)]
    with pytest.raises(DataError, match="its values are in another file"):
        list_items(folder / "outside.vot")


def test_images_within_parquet_are_classified_and_trained_on(case):
    path = case("hf_parquet") / "train.parquet"
    items = list(list_items(path))
    assert [item.id for item in items] == ["0.png", "1.png"]
    assert all(read_picture(i, 64, 0.75, SourceConfig()).rgb is not None for i in items)
    galaxies = load_galaxies(path.parent, image_size=64)  # a folder of such files
    assert galaxies.class_names == ("2", "7")


def test_pieces_of_one_name_in_two_folders_keep_their_images(tmp_path):
    for part, gray in (("train", 50), ("test", 200)):
        picture = io.BytesIO()
        image = Image.new("RGB", (64, 64), (gray,) * 3)
        image.putpixel((32, 32), (0, 0, 0))  # of one color it would show nothing
        image.save(picture, "PNG")
        table = pa.table({"jpg": [picture.getvalue()] * 20, "label": ["a", "b"] * 10})
        (tmp_path / part).mkdir()
        parquet.write_table(table, tmp_path / part / "0000.parquet")
    galaxies = load_galaxies(tmp_path)
    assert sorted(galaxies.images[:, 0, 0, 0]) == [50] * 20 + [200] * 20
    assert len(set(galaxies.ids)) == 40


def test_the_folder_of_a_table_names_its_part(case, tmp_path):
    whole = (case("hf_parquet") / "train.parquet").read_bytes()
    for folder in ("train", "validation", "test"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0000.parquet").write_bytes(whole)
    galaxies = load_galaxies(tmp_path, image_size=64)
    for number, folder in enumerate(("train", "validation", "test")):
        own = [i.startswith(f"{folder}/") for i in galaxies.ids]
        assert set(galaxies.split[own]) == {number}


def test_names_of_labels_in_parquet_are_used_and_rows_without_an_image_flagged(
    tmp_path,
):
    picture = io.BytesIO()
    Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)).save(
        picture, "PNG"
    )
    features = {"label": {"names": ["disk", "ring"], "_type": "ClassLabel"}}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    cells = [picture.getvalue(), None, picture.getvalue()]
    table = pa.table({"jpg": cells, "label": [0, 1, 1]})
    path = tmp_path / "t.parquet"
    parquet.write_table(table.replace_schema_metadata(told), path, row_group_size=2)
    assert load_galaxies(path).class_names == ("disk", "ring")
    flags = [read_picture(i, 64, 0.75, SourceConfig()).item for i in list_items(path)]
    assert ["no image" in item.reason for item in flags] == [False, True, False]


def test_packed_fits_in_a_zip_is_read_as_outside(case):
    items = list_items(case("zip_packed_fits") / "p.zip")
    a, b, c = (read_picture(i, 64, 0.75, SourceConfig()).rgb for i in items)
    assert np.array_equal(a, b)
    assert np.array_equal(a, c)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("savetxt.txt", "# id ra dec\n001 1.5 2.5\n"),
        ("topcat.txt", '# id  name  ra  dec\n 001 "M 31"  1.5  2.5 \n'),
        ("vizier.tsv", "_RAJ2000\t_DEJ2000\tID\ndeg\tdeg\t\n--\t--\t-\n1.5\t2.5\t001"),
        ("mac.csv", "id,ra,dec\r001,1.5,2.5\r"),
        ("windows.csv", "id,ra,dec\r\n\r\n001,1.5,2.5\r\n\r\n"),
        ("bars.dat", "id|ra|dec\n001|1.5|2.5\n"),
        ("quoted.csv", 'name, id, ra, dec\n"a, b\n#c", "001", 1.5, 2.5\n'),
        ("twice.csv", "id,ra,ra,dec\n001,1.5,9,2.5\n"),
        ("units.csv", "id,ra,dec\n,hours,deg\n001,0.1,2.5\n"),
        ("units.txt", "id ra dec\n- [h:m:s] (deg)\n-- -- --\n001 0:06:00 2.5\n"),
        ("simbad.csv", "main_id,ra,dec\n001,1.5,2.5\n"),
    ],
)  # fmt: skip
def test_text_of_many_kinds_is_read(tmp_path, name, text):
    (tmp_path / name).write_text(text, newline="")
    assert only(tmp_path / name) == [("001", 1.5, 2.5)]
    wide = tmp_path / f"wide {name}"
    wide.write_text(text, encoding="utf-32", newline="")
    assert only(wide) == [("001", 1.5, 2.5)]
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_positions(packed)[1].tolist() == [1.5]


def test_columns_of_fits_without_a_name_and_in_later_tables_are_read(tmp_path):
    first_table = fits.BinTableHDU(Table({"x": [1]}))
    second = fits.BinTableHDU(Table({"x": [1], "ID": ["001"], "RA": [1.5], "DEC": [2]}))
    path = tmp_path / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), first_table, second]).writeto(path)
    path.write_bytes(path.read_bytes().replace(b"TTYPE1  =", b"TTYPX1  ="))
    assert only(path) == [("001", 1.5, 2.0)]


@pytest.mark.parametrize(
    ("name", "word"),
    [("a.xlsx", "save it as CSV"), ("a.jsonl", "save it as CSV"), ("a.pkl", "pickle")],
)
def test_what_is_not_read_is_refused_by_the_right_word(tmp_path, name, word):
    (tmp_path / name).write_bytes(b"x")
    for read in (list_items, load_galaxies):
        with pytest.raises(DataError, match=word):
            read(Path(tmp_path / name))


def test_cells_that_name_a_file_may_be_of_home_or_windows_but_no_address(tmp_path):
    (tmp_path / "a").mkdir()
    lines = "path\n~/x.png\na\\b.png\nhttps://example.org/c.png\n"
    (tmp_path / "t.csv").write_text(lines)
    home, windows, address = list_items(tmp_path / "t.csv")
    assert home.files == (str(Path("~/x.png").expanduser()),)
    assert windows.files == (str(tmp_path / "a" / "b.png"),)
    assert "an address is not fetched" in address.reason


def test_names_are_compared_by_their_letters():
    assert plain("RA (deg)") == plain("_ra") == "ra"
    assert first(["x", "File_Loc"], ("fileloc",)) == "File_Loc"
    assert positions(["RA_err", "s_ra", "s_dec", "ra_1", "dec_1"], {}) == (
        "s_ra", "s_dec",
    )  # fmt: skip
    ucds = {"l": "pos.eq.ra;meta.main", "b": "pos.eq.dec;meta.main"}
    assert positions(["ra", "dec", "l", "b"], ucds) == ("l", "b")


def test_lists_of_bytes_are_neither_ids_nor_paths(tmp_path):
    table = pa.table({"image": [[b"\xff\xd8", b"\xff\xd8"], [b"\xff\xd8"]]})
    parquet.write_table(table, tmp_path / "t.parquet")
    for item in list_items(tmp_path / "t.parquet"):
        assert item.flag & NO_CLASS
        assert "\\x" not in item.id + item.path
