"""What was given, one item after another, in an order that does not change."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from PIL import Image

from dmagnet.config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures.inputs import NO_CLASS, Flag, list_items, read_picture
from dmagnet.pictures.inputs.listing import refuse_absent


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def ids(*inputs, **settings):
    return [item.id for item in list_items(inputs, SourceConfig(**settings))]


# files, folders, globs


def test_a_folder_is_listed_with_its_folders_sorted_and_named_by_place(tmp_path):
    touch(*(tmp_path / n for n in ("b/2.jpg", "b/10.PNG", "a.fits.gz", "b.tiff")))
    listing = list_items(tmp_path)
    assert [item.id for item in listing] == ["a", "b/10", "b/2", "b"]
    assert [item.id for item in listing] == [item.id for item in listing]
    assert len(listing) == 4
    assert all(Path(item.files[0]).is_absolute() for item in listing)


def test_what_is_no_image_is_passed_over_with_a_note(tmp_path):
    touch(*(tmp_path / n for n in ("a.jpg", "notes.txt", ".hidden.jpg", ".git/b.jpg")))
    listing = list_items(tmp_path)
    assert len(listing) == 1
    assert "1 files that are no images passed over" in listing.notes[0]


def test_a_folder_named_like_an_image_is_a_folder(tmp_path):
    touch(tmp_path / "x.jpg" / "a.jpg")
    assert ids(tmp_path) == ["x.jpg/a"]
    assert ids(tmp_path / "x.jpg") == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_leads_back_is_followed_once(tmp_path):
    touch(tmp_path / "a" / "1.jpg")
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    assert ids(tmp_path) == ["a/1"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_to_itself_is_a_row_with_a_flag(tmp_path):
    touch(tmp_path / "a.jpg")
    (tmp_path / "x.jpg").symlink_to(tmp_path / "x.jpg")
    _, link = list_items(tmp_path)
    picture = read_picture(link, 32, 1.0, SourceConfig())
    assert picture.item.flag == Flag.UNREADABLE


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse the name")
def test_a_name_that_no_table_could_hold_is_a_row_with_a_flag(tmp_path):
    Path(os.fsdecode(bytes(tmp_path) + b"/a\xff.jpg")).write_bytes(b"")
    (item,) = list_items(tmp_path)
    assert item.flag == Flag.UNREADABLE
    assert "rename it" in item.reason
    item.path.encode()


def test_globs_go_to_any_depth(tmp_path):
    touch(*(tmp_path / n for n in ("1.jpg", "x/2.jpg", "x/y/3.jpg", "x/4.png")))
    assert ids(tmp_path / "**" / "*.jpg") == ["1", "2", "3"]
    assert ids(tmp_path / "x" / "?.*") == ["2", "4"]


def test_inputs_keep_their_order(tmp_path):
    touch(tmp_path / "b.jpg", tmp_path / "a.jpg")
    assert ids(tmp_path / "b.jpg", tmp_path / "a.jpg") == ["b", "a"]


def test_what_overlapping_inputs_name_twice_is_listed_once_with_a_note(tmp_path):
    touch(tmp_path / "a.jpg", tmp_path / "b.jpg")
    listing = list_items([tmp_path, tmp_path / "*.jpg", tmp_path / "a.jpg"])
    assert [item.id for item in listing] == ["a", "b"]
    assert listing.notes == ("3 inputs were given twice: listed once",)
    assert all(item.flag == Flag.OK for item in listing)


def test_rows_with_the_same_id_are_both_kept_and_flagged(tmp_path):
    touch(tmp_path / "x/a.jpg", tmp_path / "y/a.jpg", tmp_path / "y/b.jpg")
    listing = list_items([tmp_path / "x", tmp_path / "y"])
    flags = [(item.id, item.flag) for item in listing]
    twice = Flag.DUPLICATE_ID
    assert flags == [("a", twice), ("a", twice), ("b", Flag.OK)]
    assert not twice & NO_CLASS
    assert "1 ids occur more than once" in listing.notes[0]


def test_a_name_that_is_not_there_is_a_row_among_others(tmp_path):
    touch(tmp_path / "a.jpg")
    gone = list(list_items([tmp_path, tmp_path / "gone.jpg"]))[1]
    assert gone.id == "gone"
    picture = read_picture(gone, 32, 1.0, SourceConfig())
    assert picture.item.flag == Flag.NOT_FOUND


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a glob of nothing"])
def test_without_any_image_there_is_one_clear_line(tmp_path, what):
    given = {"nothing": [], "an empty folder": tmp_path}
    with pytest.raises(DataError, match="expected images"):
        list_items(given.get(what, tmp_path / "*.jpg"))


@pytest.mark.slow
def test_many_files_are_listed_in_little_memory(tmp_path):
    """The peak of a process that lists 20,000 files, against one that lists 20."""
    for count in (20, 20_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            os.close(os.open(folder / f"{number:06}.jpg", os.O_CREAT))
    code = (
        "import resource, sys\n"
        "from dmagnet.pictures.inputs import list_items\n"
        "n = sum(1 for _ in list_items(sys.argv[1]))\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = {}
    for count in (20, 20_000):
        command = [sys.executable, "-c", code, str(tmp_path / str(count))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        listed, peak = map(int, done.stdout.split())
        assert listed == count
        peaks[count] = peak
    assert peaks[20_000] < 1.1 * peaks[20]


def test_reading_inputs_loads_no_torch():
    code = "import sys, dmagnet.pictures.inputs; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# zips and stacks


def test_a_zip_and_one_member_of_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("x/2.jpg", "x/1.jpg", "readme.txt"):
            archive.writestr(name, b"")
    first, second = list_items(tmp_path / "z.zip")
    assert (first.id, first.kind, first.key) == ("x/1", "member", "x/1.jpg")
    assert first.path == f"{tmp_path}/z.zip::x/1.jpg"
    (again,) = list_items(second.path)
    assert (again.files, again.key) == (second.files, second.key)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_of_one_name_in_a_zip_the_later_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a.jpg", b"")
        archive.writestr("a.jpg", b"")
    assert [item.id for item in list_items(tmp_path / "z.zip")] == ["a"]


@pytest.mark.parametrize("name", ["a.zip", "a.h5", "a.npy"])
@pytest.mark.parametrize("how", ["empty", "garbage", "missing"])
def test_a_file_of_images_that_is_damaged_is_one_row_with_a_flag(tmp_path, name, how):
    touch(tmp_path / "b.jpg")
    if how != "missing":
        (tmp_path / name).write_bytes(b"" if how == "empty" else b"garbage" * 99)
    first = next(iter(list_items([tmp_path / name, tmp_path / "b.jpg"])))
    flag = read_picture(first, 32, 1.0, SourceConfig()).item.flag
    assert flag == (Flag.NOT_FOUND if how == "missing" else Flag.UNREADABLE)


def test_the_data_set_with_images_is_found_or_named(tmp_path):
    images = np.zeros((3, 16, 16, 3), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/pictures"] = images
        file["ans"] = np.arange(3)
    assert ids(tmp_path / "a.h5") == ["a/0", "a/1", "a/2"]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["some"], file["more"], file["ans"] = images, images[:2], np.arange(3)
    with pytest.raises(DataError, match=r"expected one data set of images.*--dataset"):
        list_items(tmp_path / "b.h5")
    assert len(ids(tmp_path / "b.h5", dataset="more")) == 2
    with pytest.raises(DataError, match="expected a data set 'ans' of images"):
        list_items(tmp_path / "b.h5", SourceConfig(dataset="ans"))


def test_a_row_of_a_stack_can_be_named(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 16, 16, 3), np.uint8))
    (item,) = list_items(f"{tmp_path}/a.npy::2")
    assert (item.id, item.kind, item.row) == ("a/2", "row", 2)


# tables

TABLE = Table(
    {
        "ObjID": [5877224395, 5877255522, 5877255523],
        "RA": [150.1, 359.99, 0.5],
        "Dec": [2.2, -30.0, 89.0],
        "mag": [17.0, 18.0, 19.0],
    }
)
WRITERS = {
    "csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits", "vot": "votable",
    "parquet": None,
}  # fmt: skip


def store(table, path):
    form = path.suffix[1:]
    if form == "parquet":
        import pyarrow as pa
        from pyarrow.parquet import write_table

        columns = {n: np.ma.filled(table[n]).tolist() for n in table.colnames}
        write_table(pa.table(columns), path)
    else:
        table.write(path, format=WRITERS[form])
    return path


@pytest.mark.parametrize("form", WRITERS)
def test_a_table_of_positions_gives_one_position_a_row(tmp_path, form):
    listing = list_items(store(TABLE, tmp_path / f"t.{form}"))
    assert len(listing) == 3
    items = list(listing)
    assert {item.kind for item in items} == {"position"}
    assert [item.id for item in items] == [str(n) for n in TABLE["ObjID"]]
    assert [item.ra for item in items] == pytest.approx(list(TABLE["RA"]))
    assert [item.dec for item in items] == pytest.approx(list(TABLE["Dec"]))
    assert list(listing) == items or np.isnan(items[0].ra)


@pytest.mark.parametrize("form", WRITERS)
def test_a_table_of_paths_gives_files_relative_to_it_with_positions(tmp_path, form):
    table = Table(TABLE)
    table["path"] = ["img/1.jpg", "img/2.jpg", "stack.h5::4"]
    first, _, third = list_items(store(table, tmp_path / f"t.{form}"))
    assert first.files == (str(tmp_path / "img" / "1.jpg"),)
    assert (first.path, first.id, first.ra) == ("img/1.jpg", "5877224395", 150.1)
    assert (third.kind, third.row) == ("row", 4)


def test_a_table_may_name_one_file_a_band(tmp_path):
    columns = {f"path_{band}": [f"{band}.fits"] for band in ("g", "r", "F814W")}
    (item,) = list_items(store(Table(columns), tmp_path / "t.csv"))
    assert (item.kind, item.key) == ("bands", "g,r,F814W")
    assert item.files[2] == str(tmp_path / "F814W.fits")


def test_units_and_sexagesimal_positions_are_understood(tmp_path):
    table = Table({"RAJ2000": np.radians([150.1]), "DEJ2000": np.radians([2.2])})
    table["RAJ2000"].unit = table["DEJ2000"].unit = "rad"
    for form in ("ecsv", "fits", "vot"):
        (item,) = list_items(store(table, tmp_path / f"t.{form}"))
        assert (item.ra, item.dec) == (pytest.approx(150.1), pytest.approx(2.2))
    (tmp_path / "s.csv").write_text(
        "ra,dec\n13:29:52.7,+47:11:43\n13h29m52.7s,47d11m43s"
    )
    for item in list_items(tmp_path / "s.csv"):
        assert item.ra == pytest.approx(202.4696, abs=1e-4)
        assert item.dec == pytest.approx(47.1953, abs=1e-4)


def test_what_is_no_place_on_the_sky_is_flagged(tmp_path):
    lines = ["id,ra,dec", "a,10,95", "b,,3", "c,here,3", "d,400,0", "e,-10,5"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    *bad, good = list_items(tmp_path / "t.csv")
    assert {item.flag for item in bad} == {Flag.BAD_POSITION}
    assert "95" in bad[0].reason
    assert (good.flag, good.ra) == (Flag.OK, 350.0)


def test_a_cell_that_is_no_coordinate_is_named_and_costs_no_class(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    lines = ["id,path,ra,dec", "001,a.png,9h60,2..5", "2,a.png,,", "3,a.png,-999,-999"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    cut, empty, sentinel = (
        read_picture(item, 32, 1.0, SourceConfig())
        for item in list_items(tmp_path / "t.csv")
    )
    assert all(picture.rgb is not None for picture in (cut, empty, sentinel))
    assert cut.item.flag == sentinel.item.flag == Flag.BAD_COORDINATE
    assert cut.item.reason == "ra '9h60' is no coordinate"
    assert "ra -999, dec -999" in sentinel.item.reason
    assert empty.item.flag == Flag.OK


def test_a_comma_may_be_decimal(tmp_path):
    (tmp_path / "t.csv").write_text("id;ra;dec\n001;150,1163;2,2058\n")
    (item,) = list_items(tmp_path / "t.csv")
    assert (item.ra, item.dec, item.flag) == (150.1163, 2.2058, Flag.OK)


def test_empty_cells_and_masked_ones_are_no_values(tmp_path):
    table = Table({"id": [7, 8], "ra": [1.0, 2.0], "dec": [3.0, 4.0]})
    table["id"] = MaskedColumn(table["id"], mask=[False, True], fill_value=-99)
    for form in ("ecsv", "fits", "vot"):
        items = list(list_items(store(table, tmp_path / f"t.{form}")))
        assert [item.id for item in items] == ["7", "1"], form


def test_numbers_too_long_for_a_float_keep_their_digits(tmp_path):
    (tmp_path / "t.csv").write_text("source_id,ra,dec\n0587722984439545906,1,2\n")
    assert ids(tmp_path / "t.csv") == ["0587722984439545906"]


def test_comments_and_semicolons_of_a_csv_are_understood(tmp_path):
    (tmp_path / "t.csv").write_text("# from a survey\n# in 2025\nid;ra;dec\na;1;2\n")
    assert ids(tmp_path / "t.csv") == ["a"]


def test_the_column_of_ids_can_be_named(tmp_path):
    (tmp_path / "t.csv").write_text("id,Plate,ra,dec\n1,x,3,4\n")
    assert ids(tmp_path / "t.csv", id="plate") == ["x"]
    with pytest.raises(DataError, match=r"a column 'fiber' \(--id\); found id, Plate"):
        list_items(tmp_path / "t.csv", SourceConfig(id="fiber"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"a,b\n1,2\n", "expected a column path, or ra and dec; found a, b"),
        ("t.csv", b"ra,mag\n1,2\n", "expected a column path, or ra and dec"),
        ("t.csv", b"", "whole table"),
        ("t.csv", b"id,ra,dec\n", "expected a table with rows"),
        ("t.parquet", b"garbage" * 9, "whole table"),
        ("t.vot", b"<garbage", "whole table"),
        ("t.ecsv", b"# garbage\nra dec\n1 2\n", "whole table"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        list_items(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_fits_file_is_a_table_only_if_it_holds_no_image(tmp_path):
    rows = fits.BinTableHDU(Table({"ra": [1.0], "dec": [2.0]}))
    fits.HDUList([fits.PrimaryHDU(), rows]).writeto(tmp_path / "t.fits")
    image = fits.ImageHDU(np.eye(20))
    fits.HDUList([fits.PrimaryHDU(), rows, image]).writeto(tmp_path / "i.fits")
    kinds = [
        item.kind for item in list_items([tmp_path / "t.fits", tmp_path / "i.fits"])
    ]
    assert kinds == ["position", "file"]


def test_the_published_positions_are_listed(shared):
    listing = list_items(shared / "galaxy10_positions_17736.csv")
    assert len(listing) == 17_736
    assert next(iter(listing)).ra == pytest.approx(331.664055)


def test_a_table_without_positions_is_refused_with_its_columns(shared):
    with pytest.raises(DataError, match="found index_a, index_b"):
        list_items(shared / "galaxy10_close_pairs.csv")


def test_the_guide_lists_every_flag_with_its_value():
    guide = Path(__file__).parents[1] / "docs" / "guides" / "inputs.md"
    found = re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", guide.read_text(), re.MULTILINE)
    assert [(name, int(value)) for name, value in found] == [
        (flag.name, int(flag)) for flag in Flag
    ]


def test_a_table_or_stack_that_is_none_is_a_row_among_others_and_refused_alone(
    tmp_path,
):
    (tmp_path / "no.csv").write_text("x,y\n1,2\n")
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and no more")
    with h5py.File(tmp_path / "no.h5", "w") as file:
        file["x"] = 1
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    names = ["a.png", "no.csv", "no.h5", "no.parquet"]
    flags = [item.flag for item in list_items([tmp_path / name for name in names])]
    assert [flag & NO_CLASS for flag in flags] == [0, *3 * [Flag.UNREADABLE]]
    for name in names[1:]:
        with pytest.raises(DataError):
            list_items([tmp_path / name])


def test_a_column_without_a_name_is_no_reason_to_leave_a_fits_table(tmp_path):
    columns = [
        fits.Column(name, "D", array=[value])
        for name, value in (("ra", 150.0), ("dec", 2.0), ("junk", 1.0))
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    content = (tmp_path / "t.fits").read_bytes()
    nameless = content.replace(b"TTYPE3  = 'junk    '", b"COMMENT   no name   ")
    (tmp_path / "t.fits").write_bytes(nameless)
    (item,) = list_items([tmp_path / "t.fits"])
    assert (item.ra, item.dec) == (150.0, 2.0)


@pytest.mark.parametrize("shape", [(64, 48), (64, 48, 3), (3, 64, 64), (64, 48, 4)])
def test_one_image_alone_is_read_from_npy(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    np.save(tmp_path / "one.npy", pixels)
    (item,) = list_items([tmp_path / "one.npy"])
    picture = read_picture(item, 32, 1.0, SourceConfig())
    assert not picture.item.flag & NO_CLASS
    assert picture.rgb.shape == (32, 32, 3)


@pytest.mark.parametrize("text", ["49.92,-19.41", "49.92 -19.41", "NGC 1300", "M51"])
def test_a_position_or_a_name_in_place_of_an_image_is_told_of_tables(text):
    with pytest.raises(DataError, match="a table with columns id, ra, dec"):
        refuse_absent([text])


@pytest.mark.parametrize("text", ["NGC1300.jpg", "run1/galaxies", "m*1", "images"])
def test_a_path_that_is_not_there_is_told_of_no_tables(text):
    with pytest.raises(DataError, match="found nothing of that name") as error:
        refuse_absent([text])
    assert "columns" not in str(error.value)
