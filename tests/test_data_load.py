import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image
from pyarrow import parquet

from dmagnet.classes import CLASS_NAMES, in_order
from dmagnet.cli import main
from dmagnet.config import FilesConfig, SourceConfig
from dmagnet.errors import DataError
from dmagnet.galaxies import load_galaxies, write_parquet
from dmagnet.pictures.inputs import list_items, read_picture

REAL = Path(__file__).parents[2] / "shared" / "data"
real = pytest.mark.skipif(
    not REAL.is_dir(), reason="real images are not beside this checkout"
)


def picture(seed, side=12):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (side, side, 3), np.uint8)


def encoded(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def write(root, paths, side=12):
    """PNG files whose pixels follow from their place in the list."""
    for seed, path in enumerate(paths):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded(picture(seed, side)))
    return root


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def in_classes(*classes, num=3):
    return [f"{name}/{i}.png" for name in classes for i in range(num)]


# folders


def test_class_folders_become_labels_in_the_order_of_their_numbers(tmp_path):
    write(tmp_path, in_classes("10_edge-on", "2_round", "0_disturbed"))
    galaxies = load_galaxies(tmp_path)
    assert galaxies.class_names == ("0_disturbed", "2_round", "10_edge-on")
    assert galaxies.ids[0] == "0_disturbed/0.png"
    for name, label in zip(galaxies.ids, galaxies.labels, strict=True):
        assert name.startswith(galaxies.class_names[label] + "/")


def test_a_pattern_of_bands_that_fits_no_file_finds_nothing(tmp_path):
    with pytest.raises(DataError, match="expected labeled galaxies, found nothing"):
        load_galaxies(tmp_path / "{g,r}.fits")


def test_columns_are_refused_where_folders_are_the_classes(tmp_path):
    write(tmp_path / "set", in_classes("a", "b"))
    with pytest.raises(DataError, match="expected a table with kind, got folders"):
        load_galaxies(tmp_path / "set", source=FilesConfig(label="kind"))


def test_names_without_a_number_come_after_those_with_one():
    assert in_order(["b", "a", "11", "2_x"]) == ("2_x", "11", "a", "b")


def test_pixels_are_those_of_the_file(tmp_path):
    paths = in_classes("a", "b")
    galaxies = load_galaxies(write(tmp_path, paths))
    for seed, path in enumerate(paths):
        row = galaxies.ids.tolist().index(path)
        assert np.array_equal(galaxies.images[row], picture(seed))


def test_class_folders_are_split_by_class_and_seed(tmp_path):
    write(tmp_path, in_classes("a", "b", num=10), side=8)
    galaxies = load_galaxies(tmp_path)
    assert galaxies.counts() == {
        "train": {"a": 8, "b": 8}, "val": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1},
    }  # fmt: skip
    assert np.array_equal(galaxies.split, load_galaxies(tmp_path).split)
    assert not np.array_equal(galaxies.split, load_galaxies(tmp_path, seed=1).split)
    assert "positions unknown for 20 of 20" in galaxies.notes[0]


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_split_folders_decide_the_split(tmp_path, val):
    paths = [f"{part}/{name}" for part in ("train", val, "test")
             for name in in_classes("a", "b", num=2)]  # fmt: skip
    galaxies = load_galaxies(write(tmp_path, paths))
    expected = {"train": 0, val: 1, "test": 2}
    for name, code in zip(galaxies.ids, galaxies.split, strict=True):
        assert code == expected[name.split("/")[0]]
    assert galaxies.notes == ()


def test_a_source_without_test_part_says_so(tmp_path):
    paths = [f"{part}/{name}" for part in ("train", "val")
             for name in in_classes("a", "b")]  # fmt: skip
    galaxies = load_galaxies(write(tmp_path, paths))
    assert galaxies.notes == ("the source has no test part",)


def test_one_class_in_two_spellings_is_doubted(tmp_path):
    paths = in_classes("Spiral", "spiral_", "round", num=4)
    notes = load_galaxies(write(tmp_path, paths)).notes
    doubt = (
        "'Spiral', 'spiral_' differ in case or signs only: taken as different classes"
    )
    assert [note for note in notes if "differ" in note] == [doubt]


def test_a_source_without_val_part_gives_a_tenth_of_train(tmp_path):
    paths = [f"train/{name}" for name in in_classes("a", "b", num=10)]
    galaxies = load_galaxies(write(tmp_path, [*paths, *in_classes("test/a", "test/b")]))
    assert galaxies.counts()["train"] == {"a": 9, "b": 9}
    assert galaxies.counts()["val"] == {"a": 1, "b": 1}
    assert galaxies.counts()["test"] == {"a": 3, "b": 3}
    assert "a tenth of its train part became val" in galaxies.notes[0]


def test_a_folder_around_everything_is_no_class(tmp_path):
    paths = [f"mine/data/{name}" for name in in_classes("a", "b")]
    assert load_galaxies(write(tmp_path, paths)).class_names == ("a", "b")


def test_images_deeper_in_a_class_belong_to_it(tmp_path):
    write(tmp_path, ["a/x/1.png", "a/2.png", "b/y/z/3.png", "b/4.png"])
    galaxies = load_galaxies(tmp_path)
    assert galaxies.class_names == ("a", "b")
    assert galaxies.labels.tolist() == [0, 0, 1, 1]


def test_what_is_no_image_or_hidden_is_left_aside_and_counted(tmp_path):
    write(tmp_path, [*in_classes("a", "b"), "top.png", ".thumbs/x.png"])
    (tmp_path / "a" / "notes.txt").write_text("seeing was bad")
    (tmp_path / "a" / "._0.png").write_bytes(b"resource fork")
    galaxies = load_galaxies(tmp_path)
    assert len(galaxies) == 6
    assert "1 images outside class folders were left aside" in galaxies.notes
    assert "1 files that are no images were left aside" in galaxies.notes


def test_a_folder_linked_into_itself_ends(tmp_path):
    write(tmp_path, in_classes("a", "b"))
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert len(load_galaxies(tmp_path)) == 6


def test_a_linked_class_folder_is_read(tmp_path):
    write(tmp_path, ["elsewhere/1.png", "set/a/1.png"])
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere")
    assert load_galaxies(tmp_path / "set").ids.tolist() == ["a/1.png", "b/1.png"]


@pytest.mark.parametrize("where", ["b", "train/b"])
def test_a_class_without_images_is_refused_by_name(tmp_path, where):
    top = "train/" if "/" in where else ""
    write(tmp_path, [top + name for name in in_classes("a", "c")])
    (tmp_path / where).mkdir()
    with pytest.raises(DataError, match=r"found none in.* of b; add images"):
        load_galaxies(tmp_path)


def test_a_class_only_the_val_part_knows_is_refused(tmp_path):
    write(tmp_path, [*in_classes("train/a", "train/b"), "val/c/1.png"])
    with pytest.raises(DataError, match="in its train part of c"):
        load_galaxies(tmp_path)


def test_a_test_part_alone_may_lack_classes(tmp_path):
    write(tmp_path, ["test/a/1.png", "test/b/1.png"])
    (tmp_path / "test" / "c").mkdir()
    galaxies = load_galaxies(tmp_path)
    assert galaxies.class_names == ("a", "b", "c")
    assert galaxies.split.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "found 0 files and no image"),
        (["1.png", "2.png"], "2 images outside such folders"),
        (["a/1.png", "a/2.png"], "two or more class folders, found 'a'"),
    ],
)
def test_a_folder_without_labeled_images_is_refused(tmp_path, paths, message):
    with pytest.raises(DataError, match=message):
        load_galaxies(write(tmp_path, paths))


# sizes


def test_the_default_side_is_that_of_most_images(tmp_path):
    write(tmp_path, in_classes("a", "b"), side=20)
    write(tmp_path, ["b/large.png"], side=64)
    galaxies = load_galaxies(tmp_path)
    assert galaxies.images.shape == (7, 20, 20, 3)


def test_a_crop_without_a_side_keeps_the_pixels(tmp_path):
    paths = in_classes("a", "b")
    galaxies = load_galaxies(write(tmp_path, paths, side=20), field=0.5)
    assert np.array_equal(galaxies.images[0], picture(0, 20)[5:15, 5:15])


def test_oblong_images_are_cut_to_their_center(tmp_path):
    write(tmp_path, in_classes("a", "b"))
    Image.fromarray(np.hstack([picture(50), picture(51), picture(52)])).save(
        tmp_path / "a" / "wide.png"
    )
    galaxies = load_galaxies(tmp_path)
    assert np.array_equal(galaxies.images[3], picture(51))


@pytest.mark.parametrize("wish", [{"field": 0}, {"field": 1.1}, {"image_size": 0}])
def test_an_impossible_crop_or_side_is_refused(tmp_path, wish):
    with pytest.raises(DataError, match=next(iter(wish))):
        load_galaxies(tmp_path, **wish)


# damage


def test_unreadable_images_are_left_out_and_named(tmp_path):
    write(tmp_path, in_classes("a", "b"))
    (tmp_path / "a" / "1.png").write_bytes(b"")
    (tmp_path / "b" / "2.png").write_bytes(encoded(picture(0))[:60])
    galaxies = load_galaxies(tmp_path)
    assert galaxies.ids.tolist() == ["a/0.png", "a/2.png", "b/0.png", "b/1.png"]
    assert galaxies.labels.tolist() == [0, 0, 1, 1]
    assert np.array_equal(galaxies.images[1], picture(2))
    first, second = galaxies.skipped
    assert "1.png" in first
    assert "2.png" in second


def test_an_image_of_one_color_is_left_out_and_named(tmp_path):
    write(tmp_path, in_classes("a", "b"))
    black, in_b = np.zeros((8, 8, 3), np.uint8), ["b/0.png", "b/1.png", "b/2.png"]
    (tmp_path / "a" / "1.png").write_bytes(encoded(black))
    galaxies = load_galaxies(tmp_path)
    assert galaxies.ids.tolist() == ["a/0.png", "a/2.png", *in_b]
    assert "one color" in galaxies.skipped[0]
    assert "1.png" in galaxies.skipped[0]


def test_strict_refuses_the_first_unreadable_image(tmp_path):
    write(tmp_path, in_classes("a", "b"))
    (tmp_path / "a" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1\.png"):
        load_galaxies(tmp_path, strict=True)


def test_a_folder_of_only_broken_images_is_refused(tmp_path):
    for path in in_classes("a", "b"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    with pytest.raises(DataError, match="could read none"):
        load_galaxies(tmp_path)
    with pytest.raises(DataError, match="none of 6 images could be read"):
        load_galaxies(tmp_path, image_size=8)


def test_a_class_that_loses_all_its_images_is_refused(tmp_path):
    write(tmp_path, in_classes("a", "b"))
    for path in (tmp_path / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no readable image of b"):
        load_galaxies(tmp_path)


def test_a_missing_path_and_a_strange_suffix_are_refused(tmp_path):
    with pytest.raises(DataError, match="found nothing"):
        load_galaxies(tmp_path / "gone")
    (tmp_path / "a.docx").write_bytes(b"")
    with pytest.raises(DataError, match=r"got \.docx"):
        load_galaxies(tmp_path / "a.docx")


# zip


def test_a_zip_gives_what_its_folder_gives(tmp_path):
    paths = [f"{part}/{name}" for part in ("train", "val")
             for name in in_classes("a", "b")]  # fmt: skip
    write(tmp_path / "set", paths)
    files = {path: (tmp_path / "set" / path).read_bytes() for path in paths}
    folder = load_galaxies(tmp_path / "set")
    packed = load_galaxies(zipped(tmp_path / "set.zip", files))
    assert packed.data_hash == folder.data_hash
    assert packed.ids.tolist() == folder.ids.tolist()


def test_a_zip_from_a_mac_is_read(tmp_path):
    files = {f"set/{name}": encoded(picture(0)) for name in in_classes("a", "b")}
    files["__MACOSX/set/a/._0.png"] = b"resource fork"
    files["set/.DS_Store"] = b"finder"
    galaxies = load_galaxies(zipped(tmp_path / "set.zip", files))
    assert len(galaxies) == 6
    assert galaxies.class_names == ("a", "b")


PACKED = {"tar": "", "tar.gz": "gz", "tgz": "gz", "tar.bz2": "bz2", "tar.xz": "xz"}


@pytest.mark.parametrize("form", PACKED)
def test_a_tar_gives_what_its_folder_gives_in_the_order_of_the_tar(tmp_path, form):
    paths = [f"{part}/{name}" for part in ("train", "val")
             for name in in_classes("a", "b")]  # fmt: skip
    write(tmp_path / "set", paths)
    folder = load_galaxies(tmp_path / "set")
    path = tmp_path / f"set.{form}"
    with tarfile.open(path, f"w:{PACKED[form]}") as tar:
        tar.add(tmp_path / "set", ".")
    packed = load_galaxies(path)
    with tarfile.open(path) as tar:
        inside = [m.name.removeprefix("./") for m in tar if m.isfile()]
    assert packed.ids.tolist() == inside
    order = [inside.index(name) for name in folder.ids]
    assert np.array_equal(packed.images[order], folder.images)
    assert packed.labels[order].tolist() == folder.labels.tolist()
    assert packed.split[order].tolist() == folder.split.tolist()


def test_a_tar_that_was_cut_short_is_refused(tmp_path):
    files = {name: encoded(picture(0)) for name in in_classes("a", "b")}
    write(tmp_path / "set", list(files))
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(tmp_path / "set", ".")
    whole = (tmp_path / "set.tar").read_bytes()
    (tmp_path / "set.tar").write_bytes(whole[: whole.rindex(b"IEND")])
    with pytest.raises(DataError, match="expected a whole zip or tar"):
        load_galaxies(tmp_path / "set.tar")


def test_an_empty_folder_in_a_zip_is_a_class_without_images(tmp_path):
    files = {name: encoded(picture(0)) for name in in_classes("a", "b")}
    files["c/"] = b""
    with pytest.raises(DataError, match="of c; add images"):
        load_galaxies(zipped(tmp_path / "set.zip", files))


def test_a_damaged_member_of_a_zip_is_left_out(tmp_path):
    files = {name: encoded(picture(0)) for name in in_classes("a", "b")}
    path = zipped(tmp_path / "set.zip", files)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("a/1.png").header_offset + 100
    content[at : at + 40] = bytes(40)
    path.write_bytes(content)
    galaxies = load_galaxies(path)
    assert len(galaxies) == 5
    assert "a/1.png" in galaxies.skipped[0]


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut"])
def test_a_zip_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(DataError, match="expected a whole zip"):
        load_galaxies(tmp_path / "set.zip")


def test_nothing_of_a_zip_is_written_anywhere(tmp_path):
    files = {name: encoded(picture(0)) for name in in_classes("a", "b")}
    files["../../a/outside.png"] = encoded(picture(1))
    (tmp_path / "in").mkdir()
    assert len(load_galaxies(zipped(tmp_path / "in" / "set.zip", files))) == 6
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "set.zip"]


# for the hub


def test_what_is_written_for_the_hub_is_read_with_parts_names_and_places(tmp_path):
    table_of(
        tmp_path, ra=np.arange(12.0), dec=np.zeros(12), id=[f"g{k}" for k in range(12)]
    )
    out = tmp_path / "out"
    assert (
        main(["prepare", str(tmp_path / "table.csv"), "-o", str(out), "--parquet"]) == 0
    )
    before, after = load_galaxies(tmp_path / "table.csv"), load_galaxies(out)
    assert sorted(p.name.split("-")[0] for p in out.rglob("*.*")) == [
        "test",
        "train",
        "validation",
    ]
    order = [before.ids.tolist().index(name) for name in after.ids]
    assert after.class_names == before.class_names
    for name in ("images", "labels", "split", "ra", "dec"):
        assert np.array_equal(getattr(before, name)[order], getattr(after, name))
    schema = parquet.read_schema(out / "data" / "train-00000-of-00001.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"] == ["smooth", "spiral"]


def test_labels_that_leave_the_class_open_stay_so_for_the_hub(tmp_path):
    paths = in_classes("img", num=12)
    write(tmp_path, paths)
    labels = ["a", "b", "a|b"] * 4
    Table({"path": paths, "label": labels}).write(tmp_path / "t.csv")
    before = load_galaxies(tmp_path / "t.csv")
    after = load_galaxies(write_parquet(before, tmp_path / "out"))
    assert (after.class_names, after.label_sets) == (("a", "b"), ((0, 1),))
    assert sorted(after.labels) == [0] * 4 + [1] * 4 + [2] * 4


def test_files_of_others_are_not_replaced_by_those_for_the_hub(tmp_path):
    write(tmp_path / "set", in_classes("a", "b"))
    theirs = tmp_path / "out" / "data" / "train-00000-of-00001.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"PAR1 of others")
    galaxies = load_galaxies(tmp_path / "set")
    with pytest.raises(DataError, match="was not made by dmagnet"):
        write_parquet(galaxies, tmp_path / "out")
    assert theirs.read_bytes() == b"PAR1 of others"
    theirs.unlink()
    write_parquet(galaxies, tmp_path / "out")
    write_parquet(galaxies, tmp_path / "out")  # but ours are


def test_files_for_the_hub_do_not_join_those_of_other_galaxies(tmp_path):
    out = tmp_path / "out"
    write_parquet(load_galaxies(write(tmp_path / "one", in_classes("a", "b"))), out)
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    paths = [f"train/{name}" for name in in_classes("a", "b", num=9)]
    galaxies = load_galaxies(write(tmp_path / "two", paths))  # they have no test part
    with pytest.raises(DataError, match=r"test-0.*: expected a folder of no other"):
        write_parquet(galaxies, out)
    assert before == {path: path.read_bytes() for path in out.rglob("*.parquet")}


def test_repacking_what_is_no_stack_names_the_flag_that_does(tmp_path, capsys):
    table_of(tmp_path)
    out = str(tmp_path / "out")
    assert main(["prepare", str(tmp_path / "table.csv"), "-o", out]) == 1
    assert "--parquet takes all that" in capsys.readouterr().err


# tables


def table_of(folder, suffix="csv", **columns):
    paths = in_classes("img", num=12)
    write(folder, paths, side=8)
    table = Table({"path": paths, "label": ["spiral", "smooth"] * 6, **columns})
    formats = {"csv": "ascii.csv", "vot": "votable"}
    path = folder / f"table.{suffix}"
    if suffix == "parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        import pyarrow as pa

        pq.write_table(pa.table({n: table[n].tolist() for n in table.colnames}), path)
    else:
        table.write(path, format=formats.get(suffix))
    return path


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits", "vot", "parquet"])
def test_a_table_of_paths_and_labels_is_read(tmp_path, suffix):
    galaxies = load_galaxies(
        table_of(tmp_path, suffix, RA=np.arange(12.0), DEdeg=np.ones(12))
    )
    assert galaxies.class_names == ("smooth", "spiral")
    assert galaxies.labels.tolist() == [1, 0] * 6
    assert galaxies.ids[3] == "img/3.png"
    assert np.array_equal(galaxies.images[3], picture(3, 8))
    assert galaxies.ra.tolist() == list(range(12))
    assert galaxies.dec.tolist() == [1] * 12


def test_positions_of_a_table_keep_the_same_sky_together(tmp_path):
    position = np.repeat([10.0, 20, 30], 4)
    galaxies = load_galaxies(table_of(tmp_path, ra=position, dec=position))
    for sky in (10, 20, 30):
        assert len(set(galaxies.split[galaxies.ra == sky])) == 1
    assert galaxies.notes == ()


def test_the_split_of_a_table_is_kept(tmp_path):
    parts = ["train", "Train", "VAL", "valid", "test", "test"] * 2
    galaxies = load_galaxies(table_of(tmp_path, split=parts))
    assert galaxies.split.tolist() == [0, 0, 1, 1, 2, 2] * 2


def test_numbers_as_labels_are_ordered_as_numbers(tmp_path):
    write(tmp_path, in_classes("img", num=3))
    (tmp_path / "t.csv").write_text(
        "Path,LABEL\nimg/0.png,10\nimg/1.png,2\nimg/2.png,0\n"
    )
    galaxies = load_galaxies(tmp_path / "t.csv")
    assert galaxies.class_names == ("0", "2", "10")
    assert galaxies.labels.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photo,label\nimg/0.png,a\n", "path missing, found photo, label"),
        ("path,label,split\nimg/0.png,a,dev\n", "split: expected train, val, test"),
        ("path,label\nimg/0.png,a\nimg/1.png,\n", "row 1: expected a label"),
        ("path,label\n", "found none"),
        ("path,label\nimg/0.png,a\nimg/1.png,a\n", "two or more classes, found 'a'"),
        ("path,label\ngone/0.png,a\ngone/1.png,b\n", "could read none"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, text, message):
    write(tmp_path, in_classes("img"))
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load_galaxies(tmp_path / "t.csv")


def test_missing_files_of_a_table_are_left_out_or_refused(tmp_path):
    path = table_of(tmp_path)
    (tmp_path / "img" / "5.png").unlink()
    galaxies = load_galaxies(path)
    assert len(galaxies) == 11
    assert galaxies.skipped == ("img/5.png: expected an image, found nothing",)
    with pytest.raises(DataError, match=r"img/5\.png"):
        load_galaxies(path, strict=True)


# FITS: the reader is that of classify

CUBES = ("decals_dr5_grz_162_example_b.fits", "decals_dr5_grz_509_example_a.fits")
VIEWS = [(64, 0.75, None), (96, 1.0, 3.0)]  # side, field, radii


def cubes(shared, folder):
    """Two cubes of three bands with WCS and a JPEG, in folders of two classes."""
    for name, cube in zip("ab", CUBES, strict=True):
        (folder / name).mkdir(parents=True)
        shutil.copy(shared / "fits" / cube, folder / name)
    with zipfile.ZipFile(shared / "galaxy10_real60_jpeg.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        (folder / "b" / "c.jpg").write_bytes(archive.read(names[0]))
    return folder


def in_bands(shared, folder, wanted="grz"):
    """The same cubes with a file for each band, and their table."""
    rows = {"label": [], **{f"path_{band}": [] for band in wanted}}
    for name, cube in zip("ab", CUBES, strict=True):
        (folder / name).mkdir(parents=True)
        values, header = fits.getdata(shared / "fits" / cube, header=True)
        for key in [k for k in header if k.startswith(("NAXIS", "BAND"))]:
            header.remove(key)
        for band, plane in zip("grz", values, strict=True):
            header["FILTER"] = band
            path = f"{name}/x_{band}.fits"
            fits.writeto(folder / path, plane, header)
            if band in wanted:
                rows[f"path_{band}"].append(path)
        rows["label"].append(name)
    Table(rows).write(folder / "bands.csv")
    return folder


def as_classified(path, side, field, radii, config=SourceConfig()):  # noqa: B008
    items = list(list_items(path, config))
    return [read_picture(i, side, field, config, radii=radii).rgb for i in items]


@pytest.mark.parametrize(("side", "field", "radii"), VIEWS)
def test_fits_and_jpeg_in_class_folders_are_the_pixels_that_classify_sees(
    shared, tmp_path, side, field, radii
):
    folder = cubes(shared, tmp_path / "set")
    galaxies = load_galaxies(folder, image_size=side, field=field, radii=radii)
    assert galaxies.ids.tolist() == [f"a/{CUBES[0]}", "b/c.jpg", f"b/{CUBES[1]}"]
    assert np.array_equal(galaxies.images, as_classified(folder, side, field, radii))
    assert np.isfinite(galaxies.ra).tolist() == [True, False, True]
    files = {f"set/{name}": (folder / name).read_bytes() for name in galaxies.ids}
    packed = load_galaxies(
        zipped(tmp_path / "set.zip", files), image_size=side, field=field, radii=radii
    )
    assert np.array_equal(packed.images, galaxies.images)


def test_files_of_one_band_each_are_read_by_columns_and_by_a_pattern(shared, tmp_path):
    folder, (side, field, radii) = in_bands(shared, tmp_path), VIEWS[0]
    view = {"image_size": side, "field": field, "radii": radii}
    table = load_galaxies(folder / "bands.csv", **view)
    assert table.class_names == ("a", "b")
    seen = as_classified(folder / "bands.csv", side, field, radii)
    assert np.array_equal(table.images, seen)
    for pattern in ("*/*_{g,r,z}.fits", "*/x_{band}.fits"):
        galaxies = load_galaxies(folder / pattern, **view)
        assert galaxies.labels.tolist() == [0, 1]
        assert galaxies.ids[0] == "a/x_{g,r,z}.fits"
        assert np.array_equal(galaxies.images, table.images)
    with pytest.raises(DataError, match="expected labeled galaxies, found nothing"):
        load_galaxies(folder / "*/*_{u,v}.fits")


def test_a_pattern_that_lacks_a_band_leaves_the_galaxy_out_by_name(shared, tmp_path):
    folder = in_bands(shared, tmp_path)
    shutil.copytree(folder / "a", folder / "b", dirs_exist_ok=True)
    shutil.copy(folder / "a" / "x_g.fits", folder / "a" / "y_g.fits")
    galaxies = load_galaxies(folder / "*" / "*_{g,r,z}.fits", image_size=64)
    assert len(galaxies) == 2
    assert galaxies.skipped[0].startswith("a/y_{g,r,z}.fits: band r: expected a whole")


def test_bands_hdu_mask_and_scale_are_those_of_classify(shared, tmp_path):
    folder = cubes(shared, tmp_path / "set")
    for path in folder.rglob("*.fits"):
        values, header = fits.getdata(path, header=True)
        mask = np.zeros(values.shape[1:], np.int16)
        mask[: len(mask) // 2] = 1
        for key in ("CTYPE", "CRVAL", "CD1_", "CD2_", "CDELT", "BAND"):
            for name in [name for name in header if name.startswith(key)]:
                header.remove(name)
        image = fits.ImageHDU(values, header, name="SCI")
        hdus = [fits.PrimaryHDU(), image, fits.ImageHDU(mask, name="MASK")]
        fits.HDUList(hdus).writeto(path, overwrite=True)
    told = {"bands": "rgz", "hdu": "SCI", "mask": "MASK", "pixel_scale": 0.4}
    galaxies = load_galaxies(folder, image_size=64, source=FilesConfig(**told))
    seen = as_classified(folder, 64, 1.0, None, SourceConfig(**told))
    assert np.array_equal(galaxies.images, seen)
    for name in told:
        less = FilesConfig(**{k: v for k, v in told.items() if k != name})
        other = load_galaxies(folder, image_size=64, source=less)
        assert (other.data_hash == galaxies.data_hash) == (name == "hdu")


def test_without_a_side_fits_keep_the_pixels_of_a_frame(shared, tmp_path):
    folder = cubes(shared, tmp_path / "set")
    assert load_galaxies(folder).images.shape == (3, 256, 256, 3)  # 67" at 0.262"


def test_names_that_occur_as_jpeg_and_as_fits_are_told(shared, tmp_path):
    folder = cubes(shared, tmp_path / "set")
    jpeg = (folder / "a" / CUBES[0]).with_suffix(".jpg")
    shutil.copy(folder / "b" / "c.jpg", jpeg)
    notes = load_galaxies(folder, image_size=64).notes
    assert any(n.startswith("1 names occur with several suffixes") for n in notes)


def test_doubts_about_images_are_told_once_for_each_flag(shared, tmp_path):
    folder = cubes(shared, tmp_path / "set")
    for path in (shared / "fits").glob("sdss_g_*.fits"):
        shutil.copy(path, folder / "a")
    notes = load_galaxies(folder, image_size=64).notes
    (note,) = (note for note in notes if "ONE_BAND" in note)
    assert note.startswith("2 of 5 images have the flag ONE_BAND, as a/sdss_g_167")
    assert "grey" in note


def test_positions_on_one_mosaic_are_different_galaxies(shared, tmp_path):
    shutil.copy(shared / "fits" / CUBES[1], tmp_path)
    wide = fits.getheader(tmp_path / CUBES[1])
    ra, dec = wide["CRVAL1"], wide["CRVAL2"]
    rows = {"path": [CUBES[1]] * 2, "label": ["a", "b"], "ra": [ra, ra - 0.006]}
    Table({**rows, "dec": [dec, dec]}).write(tmp_path / "t.csv")
    galaxies = load_galaxies(tmp_path / "t.csv", image_size=64, field=0.5)
    seen = as_classified(tmp_path / "t.csv", 64, 0.5, None)
    assert np.array_equal(galaxies.images, seen)
    assert not np.array_equal(*galaxies.images)


def test_a_stack_of_pictures_has_no_use_for_bands_or_votes(shared):
    path = shared / "galaxy10_real60.h5"
    for given in ({"source": FilesConfig(bands="grz")}, {"votes": "a,b"}):
        with pytest.raises(DataError, match="got a stack of pictures"):
            load_galaxies(path, image_size=64, **given)


# Galaxies


def test_subsets_part_the_whole_and_keep_its_hash(tmp_path):
    galaxies = load_galaxies(write(tmp_path, in_classes("a", "b", num=10), side=8))
    parts = [galaxies.subset(part) for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [16, 2, 2]
    together = np.concatenate([part.ids for part in parts])
    assert sorted(together) == sorted(galaxies.ids)
    assert {part.data_hash for part in parts} == {galaxies.data_hash}
    assert galaxies.subset("all") is galaxies
    row = galaxies.ids.tolist().index(parts[1].ids[0])
    assert np.array_equal(parts[1].images[0], galaxies.images[row])


def test_an_unknown_part_is_refused(tmp_path):
    galaxies = load_galaxies(write(tmp_path, in_classes("a", "b"), side=8))
    with pytest.raises(DataError, match="got 'dev'"):
        galaxies.subset("dev")


def test_the_hash_follows_pixels_labels_and_split(tmp_path):
    write(tmp_path, in_classes("a", "b", num=10), side=8)
    before = load_galaxies(tmp_path).data_hash
    assert load_galaxies(tmp_path).data_hash == before
    assert load_galaxies(tmp_path, seed=3).data_hash != before
    (tmp_path / "a" / "7.png").write_bytes(encoded(picture(99, 8)))
    assert load_galaxies(tmp_path).data_hash != before


def test_a_large_stack_is_hashed_by_a_sample(tmp_path, monkeypatch):
    galaxies = load_galaxies(write(tmp_path, in_classes("a", "b"), side=8))
    monkeypatch.setattr("dmagnet.galaxies.galaxies.HASH_WHOLE_BYTES", 10)
    from dmagnet.galaxies.galaxies import content_hash

    before = content_hash(galaxies)
    galaxies.images[-1] += 1
    assert content_hash(galaxies) != before


# real images


@real
def test_real_galaxies_are_read_with_their_labels_and_a_warning_about_positions():
    galaxies = load_galaxies(REAL / "galaxy10_real60.h5")
    with h5py.File(REAL / "galaxy10_real60.h5") as file:
        assert np.array_equal(galaxies.images, file["images"][:])
        assert np.array_equal(galaxies.labels, file["ans"][:])
    assert galaxies.class_names == CLASS_NAMES
    assert galaxies.ids[59] == "h5:59"
    assert np.isnan(galaxies.ra).all()
    assert "positions unknown for 60 of 60" in galaxies.notes[0]


@real
def test_a_zip_of_real_jpegs_has_six_of_each_class():
    galaxies = load_galaxies(REAL / "galaxy10_real60_jpeg.zip", image_size=64)
    assert galaxies.images.shape == (60, 64, 64, 3)
    assert [name[0] for name in galaxies.class_names] == list("0123456789")
    assert np.bincount(galaxies.labels).tolist() == [6] * 10
    assert galaxies.skipped == ()


@real
def test_a_part_of_galaxy_zoo_keeps_its_own_split(tmp_path):
    with zipfile.ZipFile(REAL / "galaxyzoo2_5class_train_val.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name[-1] != "/"]
        files = {name: archive.read(name) for name in names[::60]}
    galaxies = load_galaxies(zipped(tmp_path / "gz2.zip", files))
    assert galaxies.images.shape[1:] == (256, 256, 3)
    assert len(galaxies.class_names) == 5
    expected = [0 if name.startswith("train/") else 1 for name in galaxies.ids]
    assert galaxies.split.tolist() == expected
    assert galaxies.images.mean((1, 2, 3)).min() > 1


def test_a_manifest_of_something_else_is_refused(tmp_path):
    (tmp_path / "prepared.json").write_text(json.dumps({"hello": 1}))
    with pytest.raises(DataError, match="prepare it again"):
        load_galaxies(tmp_path)


@real
def test_votes_of_real_volunteers_are_labels(tmp_path):
    with zipfile.ZipFile(REAL / "gz_decals_real.zip") as archive:
        images = {n: n for n in archive.namelist() if n.endswith(".jpg")}
        rows = Table.read(REAL / "gzdecals_answers_12665.csv")
        rows["file"] = [f"{name}.jpg" for name in rows["iauname"]]
        rows = rows[[name in images for name in rows["file"]]]
        archive.extractall(tmp_path, rows["file"].tolist())
    rows.write(tmp_path / "answers.csv")
    galaxies = load_galaxies(
        tmp_path / "answers.csv",
        image_size=64,
        votes="Smooth,Featured or Disk,Artifact",
        source=FilesConfig(path="file", id="iauname"),
    )
    assert len(galaxies) == len(rows) == 46
    assert galaxies.class_names == ("Artifact", "Featured or Disk", "Smooth")
    answers = [[row[name] for name in galaxies.class_names] for row in rows]
    assert galaxies.votes.tolist() == answers
