import hashlib
import json
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.table import Table

from dmagnet.classes import CLASS_NAMES
from dmagnet.errors import DataError
from dmagnet.galaxies import leak_safe_split, load_galaxies, prepare, read_prepared
from dmagnet.galaxies.galaxy10 import read_slabs, slab_rows

REAL = Path(__file__).parents[2] / "shared" / "data" / "galaxy10_real60.h5"
SIDE = 32
NUM = 70


def columns(num=NUM, side=SIDE, seed=0):
    rng = np.random.default_rng(seed)
    ra = rng.uniform(0, 2, num)
    ra[1::7] = ra[::7]  # some galaxies twice
    dec = rng.uniform(-1, 1, num)
    dec[1::7] = dec[::7]
    return {
        "images": rng.integers(0, 256, (num, side, side, 3), np.uint8),
        "ans": (np.arange(num) % 10).astype(np.uint8),
        "ra": ra,
        "dec": dec,
        "redshift": rng.uniform(0, 0.2, num),
        "pxscale": np.full(num, 0.262),
    }


def write(path, chunks=(30, 16, 16, 1), **values):
    """A file in the form of the published one, in small."""
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            if name == "images" and value.ndim == 4 and chunks:
                file.create_dataset(name, data=value, chunks=chunks, compression="gzip")
            else:
                file[name] = value
    return path


@pytest.fixture
def h5(tmp_path):
    return write(tmp_path / "galaxies.h5", **columns())


class Counting:
    """A file that counts the bytes read from it."""

    def __init__(self, file):
        self.file, self.bytes = file, 0

    def readinto(self, buffer):
        self.bytes += len(buffer)
        return self.file.readinto(buffer)

    def __getattr__(self, name):
        return getattr(self.file, name)


# what prepare makes


def test_a_prepared_folder_holds_what_the_file_holds(tmp_path, h5):
    galaxies = load_galaxies(prepare(h5, tmp_path / "out"))
    expected = columns()
    assert np.array_equal(galaxies.images, expected["images"])
    assert np.array_equal(galaxies.labels, expected["ans"])
    for name in ("ra", "dec", "redshift", "pxscale"):
        assert np.array_equal(getattr(galaxies, name), expected[name])
    assert galaxies.class_names == CLASS_NAMES
    assert galaxies.ids[-1] == f"h5:{NUM - 1}"


def test_images_of_a_prepared_folder_stay_on_disk(tmp_path, h5):
    images = load_galaxies(prepare(h5, tmp_path / "out"), image_size=SIDE).images
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable


def test_a_prepared_folder_and_its_file_load_alike(tmp_path, h5):
    out = prepare(h5, tmp_path / "out")
    for wish in ({}, {"image_size": 20}, {"image_size": 20, "field": 0.7}):
        prepared, direct = load_galaxies(out, **wish), load_galaxies(h5, **wish)
        assert np.array_equal(prepared.images, direct.images)
        assert np.array_equal(prepared.split, direct.split)
        assert prepared.data_hash == direct.data_hash


def test_the_scale_follows_crop_and_size(h5):
    assert load_galaxies(h5, image_size=16).pxscale[0] == pytest.approx(0.524)
    assert load_galaxies(h5, field=0.5).pxscale[0] == pytest.approx(0.262)
    assert load_galaxies(h5, image_size=8, field=0.5).pxscale[0] == pytest.approx(0.524)


def test_the_stored_split_keeps_the_same_sky_together(tmp_path, h5):
    galaxies = load_galaxies(prepare(h5, tmp_path / "out"))
    assert np.array_equal(galaxies.split[1::7], galaxies.split[::7])
    expected = leak_safe_split(galaxies.labels, galaxies.ra, galaxies.dec)
    assert np.array_equal(galaxies.split, expected.codes)
    manifest = json.loads((tmp_path / "out" / "prepared.json").read_text())
    assert manifest["split_hash"] == expected.hash


def test_the_manifest_says_what_the_folder_was_made_from(tmp_path, h5):
    manifest = json.loads((prepare(h5, tmp_path / "out") / "prepared.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(h5.read_bytes()).hexdigest()
    assert manifest["source"] == "galaxies.h5"
    assert (manifest["num"], manifest["image_size"]) == (NUM, SIDE)
    assert manifest["published_file"] is False


def test_progress_ends_at_the_number_of_images(tmp_path, h5, monkeypatch):
    monkeypatch.setattr("dmagnet.galaxies.galaxy10.SLAB_BYTES", 1)
    calls = []
    prepare(
        h5,
        tmp_path / "out",
        progress=lambda *stage: calls.append(stage) or calls.append,
    )
    assert calls[-4:] == [("Repacking", NUM), 30, 60, NUM]


@pytest.mark.parametrize("chunks", [(30, 16, 16, 1), (7, 20, 9, 2), None])
def test_images_read_in_several_slabs_are_all_in_place(tmp_path, chunks, monkeypatch):
    monkeypatch.setattr("dmagnet.galaxies.galaxy10.SLAB_BYTES", 1)
    h5 = write(tmp_path / "a.h5", chunks, **columns())
    assert np.array_equal(load_galaxies(h5).images, columns()["images"])


@pytest.mark.parametrize("chunks", [(30, 16, 16, 1), (1, SIDE, SIDE, 3), None])
def test_every_byte_of_the_file_is_read_about_once(tmp_path, chunks, monkeypatch):
    monkeypatch.setattr("dmagnet.galaxies.galaxy10.SLAB_BYTES", 10 * SIDE * SIDE * 3)
    h5 = write(tmp_path / "a.h5", chunks, images=columns()["images"])
    with h5.open("rb") as raw:
        counter = Counting(raw)
        # without h5py's own cache, which would hide a second reading
        with h5py.File(counter, "r", rdcc_nbytes=0) as file:
            total = sum(len(slab) for _, slab in read_slabs(file["images"]))
    assert total == NUM
    assert counter.bytes < 1.2 * h5.stat().st_size


def test_the_published_chunks_are_read_in_whole_rows(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        images = file.create_dataset(
            "images", (17_736, 256, 256, 3), np.uint8,
            chunks=(555, 16, 16, 1), compression="gzip",
        )  # fmt: skip
        assert slab_rows(images) == 555


def test_the_same_file_is_not_prepared_twice(tmp_path, h5):
    out = prepare(h5, tmp_path / "out")
    before = (out / "images.npy").stat().st_mtime_ns
    prepare(h5, out)
    assert (out / "images.npy").stat().st_mtime_ns == before


def test_another_file_replaces_the_folder(tmp_path, h5):
    out = prepare(h5, tmp_path / "out")
    other = write(tmp_path / "other.h5", **columns(num=40, seed=1))
    prepare(other, out)
    assert len(load_galaxies(out)) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "galaxies.h5", "other.h5", "out",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["images.npy", "galaxies.ecsv"])
def test_a_damaged_folder_is_refused_and_prepared_again(tmp_path, h5, name):
    out = prepare(h5, tmp_path / "out")
    whole = (out / name).read_bytes()
    (out / name).write_bytes(whole[: len(whole) // 2])
    if name == "galaxies.ecsv":
        (out / name).unlink()
    with pytest.raises(DataError, match=name):
        load_galaxies(out)
    prepare(h5, out)
    assert (out / name).read_bytes() == whole


def test_a_folder_of_something_else_is_never_touched(tmp_path, h5):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(DataError, match="stays untouched"):
        prepare(h5, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"


# interruptions


def test_an_interrupted_run_leaves_no_folder_and_the_next_one_succeeds(tmp_path, h5):
    def interrupt(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(h5, tmp_path / "out", progress=lambda *_: interrupt)
    assert not (tmp_path / "out").exists()
    assert len(load_galaxies(prepare(h5, tmp_path / "out"))) == NUM
    assert not (tmp_path / "out.part").exists()


def test_a_full_disk_is_one_line_and_the_old_folder_stays_whole(tmp_path, h5):
    out = prepare(h5, tmp_path / "out")
    other = write(tmp_path / "other.h5", **columns(seed=1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (NUM * SIDE * SIDE * 3 // 2, hard))
    try:
        with pytest.raises(DataError, match="make room"):
            prepare(other, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert np.array_equal(load_galaxies(out).images, columns()["images"])
    assert {one.name for one in tmp_path.iterdir()} == {"out", h5.name, "other.h5"}


# files that are refused


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match="dmagnet fetch"):
        prepare(tmp_path / "gone.h5", tmp_path / "out")


def test_galaxy10_sdss_is_refused_by_name(tmp_path):
    h5 = write(tmp_path / "a.h5", **columns(num=3, side=69), chunks=None)
    with pytest.raises(DataError, match=r"Galaxy10 SDSS .*get the DECaLS file"):
        prepare(h5, tmp_path / "out")


def bad(**changes):
    values = {**columns(num=20), **changes}
    return {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (bad(images=None), "expected datasets 'images' and 'ans', found ans, dec"),
        (bad(ans=None), "found dec, images"),
        (bad(images=np.zeros((20, 8, 8), np.uint8)), r"\(N, S, S, 3\)"),
        (bad(images=np.zeros((20, 8, 9, 3), np.uint8)), r"\(N, S, S, 3\)"),
        (bad(images=np.zeros((20, 8, 8, 3), np.float32)), "uint8, got float32"),
        (bad(ans=np.zeros(20)), "integers, got float64"),
        (bad(ans=np.zeros(19, int)), "expected 20 values in 'ans'"),
        (bad(ra=np.zeros(3)), "expected 20 values in 'ra'"),
        (bad(ans=np.full(20, 10)), r"0 to 9 in 'ans', got 10 in row 0 \(20 rows"),
        (bad(ans=np.full(20, -1)), "got -1 in row 0"),
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_refused(tmp_path, values, message):
    h5 = write(tmp_path / "a.h5", chunks=None, **values)
    with pytest.raises(DataError, match=message):
        prepare(h5, tmp_path / "out")
    with pytest.raises(DataError, match=message):
        load_galaxies(h5)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(tmp_path, h5, share):
    whole = h5.read_bytes()
    h5.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match="damaged"):
        prepare(h5, tmp_path / "out")


def test_a_damaged_chunk_is_refused_and_leaves_nothing(tmp_path, h5):
    with h5py.File(h5) as file:
        chunk = file["images"].id.get_chunk_info(5)
    content = bytearray(h5.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    h5.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        prepare(h5, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["galaxies.h5"]


def test_an_altered_file_is_found_by_its_hash(tmp_path, h5):
    expected = hashlib.sha256(h5.read_bytes()).hexdigest()
    prepare(h5, tmp_path / "out", sha256=expected.upper())
    with h5py.File(h5, "a") as file:
        file["ans"][0] = 9
    with pytest.raises(DataError, match="expected sha256"):
        prepare(h5, tmp_path / "other", sha256=expected)


# positions


def test_unknown_positions_are_kept_as_such_and_noted(tmp_path):
    values = columns(num=40)
    values["ra"][:5] = np.nan
    galaxies = load_galaxies(
        prepare(write(tmp_path / "a.h5", **values), tmp_path / "out")
    )
    assert np.isnan(galaxies.ra).sum() == 5
    assert "positions unknown for 5 of 40" in galaxies.notes[0]


def test_a_redshift_that_repeats_the_declination_is_unknown(tmp_path):
    values = columns(num=20)
    values["redshift"] = values["dec"]
    galaxies = load_galaxies(write(tmp_path / "a.h5", None, **values))
    assert np.isnan(galaxies.redshift).all()
    assert "redshift repeats dec" in galaxies.notes[0]


@pytest.mark.skipif(not REAL.is_file(), reason="no real images beside this checkout")
def test_real_galaxies_are_prepared_without_loss(tmp_path):
    galaxies = read_prepared(prepare(REAL, tmp_path / "out"))
    with h5py.File(REAL) as file:
        assert np.array_equal(galaxies.images, file["images"][:])
    assert np.isnan(galaxies.pxscale).all()


def with_blank_rows(tmp_path, rows=(3, 41)):
    values = columns()
    values["images"][list(rows)] = 0
    values["images"][rows[-1]] = (7, 8, 9)  # of one color, not black
    return write(tmp_path / "blank.h5", **values), values["images"]


def test_images_of_one_color_are_left_out_and_the_others_keep_their_rows(tmp_path):
    path, images = with_blank_rows(tmp_path)
    rows = np.delete(np.arange(NUM), (3, 41))
    prepared = read_prepared(prepare(path, tmp_path / "prepared"))
    for galaxies in (prepared, load_galaxies(path)):
        assert list(galaxies.ids) == [f"h5:{row}" for row in rows]
        np.testing.assert_array_equal(galaxies.images, images[rows])
        np.testing.assert_array_equal(galaxies.labels, rows % 10)
        assert any("rows 3, 41" in note for note in galaxies.notes)


def test_the_number_of_images_may_lose_a_digit(tmp_path):
    values = columns(num=12)
    values["images"][[0, 5, 11]] = 0
    path = write(tmp_path / "twelve.h5", chunks=None, **values)
    prepared = read_prepared(prepare(path, tmp_path / "prepared"))
    np.testing.assert_array_equal(
        prepared.images, np.delete(values["images"], [0, 5, 11], axis=0)
    )


def test_a_file_of_black_images_only_is_refused_in_one_line(tmp_path):
    values = columns()
    values["images"][:] = 0
    path = write(tmp_path / "black.h5", **values)
    for read in (load_galaxies, lambda h5: prepare(h5, tmp_path / "prepared")):
        with pytest.raises(DataError, match="each is of one color everywhere") as error:
            read(path)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "prepared").exists()


def test_a_single_bright_pixel_is_an_image(tmp_path):
    values = columns()
    values["images"][5] = 0
    values["images"][5, 17, 9, 2] = 1
    path = write(tmp_path / "one.h5", **values)
    assert len(load_galaxies(path)) == NUM


def test_a_folder_of_the_first_layout_is_read_and_made_anew(h5, tmp_path):
    folder = prepare(h5, tmp_path / "prepared")
    about = json.loads((folder / "prepared.json").read_text())
    (folder / "prepared.json").write_text(json.dumps(about | {"layout": 1}))
    table = Table.read(folder / "galaxies.ecsv")
    table.remove_column("id")
    table.write(folder / "galaxies.ecsv", format="ascii.ecsv", overwrite=True)
    assert list(read_prepared(folder).ids) == [f"h5:{row}" for row in range(NUM)]
    prepare(h5, folder)
    assert json.loads((folder / "prepared.json").read_text()) == about
    assert "id" in Table.read(folder / "galaxies.ecsv").colnames
