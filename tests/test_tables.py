"""Tables as people keep them: what `classify` and `train` read of them."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from numpy.lib import format as npy
from PIL import Image
from pyarrow import parquet

from dmagnet.cli import main
from dmagnet.config import ColumnsConfig, FilesConfig, SourceConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.galaxies import load_galaxies, read_positions
from dmagnet.pictures.inputs import NO_CLASS, list_items, read_picture
from dmagnet.pictures.inputs.stacks import open_cell
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
    [("a.xlsx", "save it as CSV"), ("a.orc", "save it as CSV"), ("a.pkl", "pickle")],
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


# columns by name


ODD = "who,L0,B0,pic,kind\n007,10.5,2.5,a.png,disk\n008,11.5,3.5,b.png,ring\n"


def test_columns_are_called_as_a_person_says(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(ODD)
    first, _ = list_items(path, SourceConfig(ra="l0", dec="B0", path="PIC", id="who"))
    assert (first.id, first.ra, first.dec) == ("007", 10.5, 2.5)
    assert Path(first.files[0]).name == "a.png"


def test_a_name_given_for_ra_and_dec_may_be_that_of_another_frame(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("ra,dec,glon,glat\n1,2,0,90\n")
    (pole,) = list_items(path, SourceConfig(ra="glon", dec="glat"))
    assert (pole.ra, pole.dec) == pytest.approx((192.859, 27.128), abs=1e-3)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(ODD)
    for read, name in {
        lambda: list_items(path, SourceConfig(path="pix")): "path",
        lambda: load_galaxies(path, source=FilesConfig(label="pix")): "label",
        lambda: read_positions(path, ColumnsConfig(ra="pix", dec="B0")): "ra",
    }.items():
        line = (
            rf"'pix' \(--{name}\); did you mean 'pic'\? found who, L0, B0, pic, kind$"
        )
        with pytest.raises(DataError, match=line):
            read()


def test_half_a_position_is_refused():
    with pytest.raises(ConfigError, match="both --ra and --dec, or neither; got --dec"):
        SourceConfig(dec="B0")


def test_one_column_is_no_position():
    with pytest.raises(ConfigError, match="expected two columns, got B0 twice"):
        SourceConfig(ra="B0", dec="B0")


def test_a_column_named_where_there_is_no_table_is_refused(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    line = "--id: expected a table with a column who, found none; leave it out"
    with pytest.raises(ConfigError, match=line):
        list_items(tmp_path / "a.png", SourceConfig(id="who"))


@pytest.mark.parametrize(
    "verb",
    ["classify", "embed", "cutouts", "explain", "page", "train", "evaluate",
     "failures", "calibrate", "audit", "measure"],
)  # fmt: skip
def test_every_verb_that_reads_tables_takes_names_of_columns(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    shown = capsys.readouterr().out
    assert all(
        f" --{name} STR" in shown for name in ("ra", "dec", "path", "label", "id")
    )


def test_names_of_columns_reach_audit_and_training(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text(ODD.replace("11.5,3.5", "10.5,2.5"))
    words = ["--ra", "L0", "--dec", "B0", "--label", "kind"]
    assert main(["audit", str(path), *words]) == 0
    assert "contradictory           1" in capsys.readouterr().out
    pixels = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    names = FilesConfig(path="pic", label="kind", id="who", ra="L0", dec="B0")
    galaxies = load_galaxies(path, source=names)
    assert galaxies.class_names == ("disk", "ring")
    assert galaxies.ids.tolist() == ["007", "008"]
    assert galaxies.ra.tolist() == [10.5, 10.5]


def test_of_several_columns_of_images_one_is_named(tmp_path):
    encoded = []
    for gray in (50, 200):
        image = Image.new("RGB", (64, 64), (gray,) * 3)
        image.putpixel((32, 32), (0, 0, 0))
        image.save(out := io.BytesIO(), "PNG")
        encoded.append({"bytes": out.getvalue(), "path": None})
    table = pa.table({"sky": encoded[:1], "model": encoded[1:]})
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DataError, match="found sky, model; --path, --ra and"):
        list_items(tmp_path / "t.parquet")
    for name, gray in (("sky", 50), ("model", 200)):
        config = SourceConfig(path=name)
        for given in ("t.parquet", "t.parquet::0"):
            (item,) = list_items(str(tmp_path / given), config)
            rgb = read_picture(item, 64, 1.0, config).rgb
            assert rgb[0, 0, 0] == gray


# more forms


def test_a_table_of_ipac_is_read_with_units_and_holes(tmp_path):
    table = Table({"object_id": ["001", "002"], "ra": [0.5, 1], "dec": [2.0, 3.0]})
    table["ra"].unit = "rad"
    table["dec"] = MaskedColumn(table["dec"], mask=[False, True], unit="deg")
    table.write(path := tmp_path / "t.tbl", format="ascii.ipac")
    first, second = list_items(path)
    assert (first.id, first.ra, first.dec) == ("001", pytest.approx(28.6479), 2.0)
    assert second.id == "002"
    assert np.isnan(second.ra)
    (tmp_path / "u.tbl").write_text("id ra dec\n001 1.5 2.5\n")  # another's .tbl
    assert only(tmp_path / "u.tbl") == [("001", 1.5, 2.5)]


def test_a_text_in_one_line_is_no_name_of_a_file(tmp_path):
    (tmp_path / "t.tbl").write_text("|ra|dec|")
    with pytest.raises(DataError, match="expected a table with rows"):
        list_items(tmp_path / "t.tbl")


def test_lines_of_json_may_be_long_and_hold_no_images(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        json.dumps({"id": "a", "ra": 1.5, "dec": 2.5, "x": "y" * (3 << 20)})
    )
    assert only(path) == [("a", 1.5, 2.5)]
    path.write_text(json.dumps({"image": {"bytes": "abc", "path": "a.png"}}))
    (item,) = list_items(path)
    assert (item.kind, item.reason) == ("file", "row 0 has no path")


def galaxies_of(folder, names=("disk", "ring")):
    """A table as `datasets` writes it: images, labels as numbers, their names."""
    cells = []
    for number in range(8):
        rng = np.random.default_rng(number)
        picture = Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8))
        picture.save(out := io.BytesIO(), "PNG")
        cells.append({"bytes": out.getvalue(), "path": None})
    table = pa.table(
        {
            "_healpix_29": list(range(8)),
            "object_id": [f"g{number:03}" for number in range(8)],
            "image": cells,
            "label": [0, 1] * 4,
            "ra": [150.0 + number for number in range(8)],
            "dec": [2.0] * 8,
        }
    )
    features = {"label": {"names": list(names), "_type": "ClassLabel"}}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    folder.mkdir(parents=True)
    return table.replace_schema_metadata(told)


def write_arrow(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def check(path, num=8):
    """Classified and trained on, with the ids of the table."""
    items = list(list_items(path))
    assert [item.id for item in items] == [f"g{number:03}" for number in range(num)]
    assert [item.ra for item in items] == [150.0 + number for number in range(num)]
    seen = [read_picture(i, 64, 1.0, SourceConfig()).rgb for i in items]
    galaxies = load_galaxies(path, image_size=64)
    assert galaxies.class_names == ("disk", "ring")
    order = np.argsort(galaxies.ids)
    assert galaxies.ids[order].tolist() == [item.id for item in items]
    assert np.array_equal(galaxies.images[order], seen)
    return galaxies


def test_a_folder_that_datasets_saved_is_one_table(tmp_path):
    table = galaxies_of(tmp_path / "d")
    for part, rows in (("test", table.slice(6)), ("train", table.slice(0, 6))):
        write_arrow(rows, tmp_path / "d" / part / "data-00000-of-00001.arrow")
        (tmp_path / "d" / part / "state.json").write_text("{}")
        write_arrow(rows, tmp_path / "d" / part / "cache-0123.arrow")
    inside = [item.id for item in list_items(tmp_path / "d" / "train")]
    assert inside == [f"g{number:03}" for number in range(6)]
    galaxies = load_galaxies(tmp_path / "d", image_size=64)
    assert set(galaxies.ids[galaxies.split == 2]) == {"g006", "g007"}
    write_arrow(table, tmp_path / "one" / "data-00000-of-00001.arrow")
    check(tmp_path / "one")


def test_a_folder_of_parquet_and_a_file_of_feather_are_tables(tmp_path):
    from pyarrow import feather

    table = galaxies_of(tmp_path / "hub" / "data")
    for k in range(2):
        piece = tmp_path / "hub" / "data" / f"train-{k:05}-of-00002.parquet"
        parquet.write_table(table.slice(4 * k, 4), piece)
    check(tmp_path / "hub")
    feather.write_feather(table, tmp_path / "t.feather")
    check(tmp_path / "t.feather")


def test_the_rows_of_hats_keep_their_object_id_and_come_once(tmp_path):
    table = galaxies_of(tmp_path / "dataset" / "Norder=0" / "Dir=0")
    (tmp_path / "hats.properties").write_text("dataproduct_type=object\n")
    for k in range(2):
        piece = tmp_path / "dataset" / "Norder=0" / "Dir=0" / f"Npix={4 + k}.parquet"
        parquet.write_table(table.slice(4 * k, 4), piece)
    parquet.write_table(table, tmp_path / "dataset" / "data_thumbnail.parquet")
    parquet.write_metadata(table.schema, tmp_path / "dataset" / "_common_metadata")
    fits.writeto(tmp_path / "point_map.fits", np.ones((64, 64)))
    check(tmp_path)
    with pytest.raises(DataError, match=r"'name' \(--id\); found _healpix_29"):
        list_items(tmp_path, SourceConfig(id="name"))  # no row for each piece


def flux_table(cube, scale, listed):
    """A table of the Multimodal Universe: planes of flux with their bands."""
    bands = [f"DES-{name}" for name in "GRZ"]
    cells = {"band": bands, "flux": cube.tolist(), "scale": [scale] * 3}
    one = [
        dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)
    ]
    lightcurve = {"band": ["g", "r"], "flux": [1.0, 2.0]}
    image = one if listed else cells
    rows = {"object_id": ["a", "b"], "lightcurve": [lightcurve] * 2}
    return pa.table(rows | {"image": [image, None], "label": ["x", "y"]})


@pytest.mark.parametrize("listed", [True, False], ids=["planes", "lists"])
@pytest.mark.parametrize("form", ["parquet", "feather"])
def test_planes_of_flux_are_read_as_the_fits_file_of_them(
    shared, tmp_path, form, listed
):
    from pyarrow import feather

    cube, header = fits.getdata(
        shared / "fits" / "decals_dr5_grz_162_example_b.fits", header=True
    )
    write = parquet.write_table if form == "parquet" else feather.write_feather
    write(flux_table(cube, 0.262, listed), tmp_path / f"t.{form}")
    for k, name in enumerate("grz"):
        header[f"BAND{k}"] = f"DES-{name.upper()}"
    for key in [k for k in header if k in {"BANDS", "CTYPE1", "CTYPE2"}]:
        del header[key]
    header.update({"PIXSCALE": 0.262, "BUNIT": "nanomaggy"})
    fits.writeto(tmp_path / "same.fits", cube, header)
    seen, none = (
        read_picture(item, 128, 1.0, SourceConfig())
        for item in list_items(tmp_path / f"t.{form}")
    )
    (expected,) = list_items(tmp_path / "same.fits")
    picture = read_picture(expected, 128, 1.0, SourceConfig())
    assert (seen.item.id, none.item.id) == ("a", "b")
    np.testing.assert_array_equal(seen.rgb, picture.rgb)
    assert seen.item.flag == picture.item.flag
    assert none.rgb is None
    assert none.item.reason == "row 1 has no image"


def head_of(tmp_path, cell, kind=None):
    table = pa.table({"object_id": ["a"], "image": pa.array([cell], kind)})
    parquet.write_table(table, tmp_path / "t.parquet")
    return fits.getheader(open_cell(str(tmp_path / "t.parquet"), 0))


@pytest.mark.parametrize(
    ("bands", "scale", "cards"),
    [
        (["DES-G", "DES-R"], 0.2, {"MAGZERO": 22.5, "PIXSCALE": 0.2}),
        (["hsc-g", "hsc-r"], [0.168] * 2, {"MAGZERO": 27.0, "PIXSCALE": 0.168}),
        (["DES-G", "HSC-R"], [0.2, 0.1], {}),
        (["g\u2032", "r\t"], [np.nan] * 2, {"BAND0": "g", "BAND1": "r"}),
        (["f090w", "f277w"], None, {"TELESCOP": "JWST", "BAND1": "f277w"}),
        (["JWST-F115W", "JWST-F150W"], 0.0, {"TELESCOP": "JWST"}),
    ],
)
def test_the_head_of_planes_says_what_is_sure(tmp_path, bands, scale, cards):
    cell = {"band": bands, "flux": np.ones((2, 8, 8)).tolist(), "scale": scale}
    found = head_of(tmp_path, cell)
    asked = {key: found.get(key) for key in ("MAGZERO", "PIXSCALE", "TELESCOP")}
    wanted = dict.fromkeys(asked) | {k: v for k, v in cards.items() if k in asked}
    assert asked == wanted
    assert all(found[key] == value for key, value in cards.items())


def test_lists_of_one_length_are_planes_too(tmp_path):
    row = pa.list_(pa.float32(), 8)
    kind = pa.struct(
        {"band": pa.list_(pa.string(), 2), "flux": pa.list_(pa.list_(row))}
    )
    cell = {"band": ["g", "r"], "flux": np.ones((2, 8, 8)).tolist()}
    assert head_of(tmp_path, cell, kind)["NAXIS3"] == 2


def test_planes_of_other_sizes_are_a_flag(tmp_path):
    table = flux_table(np.ones((3, 8, 8)), 0.262, listed=False)
    cell = table["image"][0].as_py()
    cell["flux"][1] = [[1.0]]
    rows = pa.table({"object_id": ["a"], "image": [cell]})
    parquet.write_table(rows, tmp_path / "t.parquet")
    (item,) = list_items(tmp_path / "t.parquet")
    reason = read_picture(item, 64, 1.0, SourceConfig()).item.reason
    assert reason.startswith("expected planes of one size, each with its band")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_metadata_beside_images_give_them_labels(tmp_path, form):
    table = galaxies_of(tmp_path / "train")
    rows = []
    for number, cell in enumerate(table["image"].to_pylist()):
        (tmp_path / "train" / f"{number}.png").write_bytes(cell["bytes"])
        rows.append({"file_name": f"{number}.png", "label": "ab"[number % 2]})
    lines = {
        "csv": "file_name,label\n" + "".join(",".join(r.values()) + "\n" for r in rows),
        "jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    }
    (tmp_path / "train" / f"metadata.{form}").write_text(lines[form])
    galaxies = load_galaxies(tmp_path)
    assert galaxies.class_names == ("a", "b")
    assert galaxies.labels.tolist() == [0, 1] * 4
    assert set(galaxies.split) == {0, 1}  # its folder says train, a tenth is val


def test_what_is_wrong_with_a_table_beside_images_is_said(tmp_path):
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "metadata.csv").write_text("file,kind\n0.png,a\n")
    with pytest.raises(DataError, match=r"metadata.csv: expected columns .*label miss"):
        load_galaxies(tmp_path)


def test_arrays_of_a_npz_are_columns(tmp_path):
    table = galaxies_of(tmp_path / "x")
    opened = [Image.open(io.BytesIO(c["bytes"])) for c in table["image"].to_pylist()]
    images = np.stack([np.asarray(image) for image in opened])
    known = {name: table[name].to_numpy() for name in ("object_id", "ra", "dec")}
    known["object_id"] = known["object_id"].astype(str)
    for save in (np.savez, np.savez_compressed):
        path = tmp_path / f"{save.__name__}.npz"
        save(path, images=images, label=["disk", "ring"] * 4, version=1, **known)
        check(path)
    (item,) = list_items(f"{path}::3")
    assert read_picture(item, 64, 1.0, SourceConfig()).rgb is not None
    np.savez(tmp_path / "p.npz", images=images, label=np.array([None] * 8))
    with pytest.raises(DataError, match="numbers or text in label, got a pickle"):
        load_galaxies(tmp_path / "p.npz")


@pytest.mark.parametrize("kind", ["|u1", "|V0"])
def test_arrays_of_a_npz_that_are_shorter_than_they_say_are_refused(tmp_path, kind):
    told = {"descr": kind, "fortran_order": False, "shape": (10**6, 64, 64, 3)}
    npy.write_array_header_1_0(header := io.BytesIO(), told)
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(DataError, match=r"images.npy is shorter than its header says"):
        list_items(tmp_path / "t.npz")
