"""`dmagnet dream` and `dmagnet redream`, as a person types them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from astropy.io import fits
from dreamers import galaxy, picture, weights
from PIL import Image

from dmagnet.cli import main
from dmagnet.config import DreamConfig
from dmagnet.dreaming import resample
from dmagnet.network import load
from dmagnet.storage.disk import is_own

QUICK = ["--steps", "1", "--octaves", "1", "--device", "cpu"]


def dmagnet(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return weights(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return picture(tmp_path_factory.mktemp("images") / "galaxy.png")


@pytest.fixture(scope="module")
def dreamed(run, image, tmp_path_factory):
    """Two layers and one class of one image."""
    out = tmp_path_factory.mktemp("dreamed") / "out"
    words = ["--layers", "stem", "lam", "--classes", "merging", "--seed", 3]
    assert dmagnet("dream", image, "-o", out, "--weights", run, *words, *QUICK) == 0
    return out


def pixels(path):
    return np.asarray(Image.open(path))


def record(out, name="dream.json"):
    return json.loads((out / name).read_text())


def refused(capsys, *words):
    """The one line that a command ends with."""
    assert dmagnet(*words) == 1
    error = capsys.readouterr().err
    assert error.startswith("dmagnet: ")
    assert error.count("\n") == 1
    return error


def test_dream_writes_sheets_pictures_fits_and_a_record(dreamed):
    files = {
        path.relative_to(dreamed).as_posix()
        for path in dreamed.rglob("*.*")
        if not is_own(path.name)
    }
    names = ("stem", "lam", "class-merging")
    ends = (".png", "_detail.png", ".fits")
    assert files == {
        *("sheet.png", "sheet_details.png", "classes.png", "classes_details.png"),
        *("dream.json", "galaxy/galaxy.png"),
        *(f"galaxy/{name}{end}" for name in names for end in ends),
    }


def test_the_record_says_what_was_dreamed_and_how_it_went(dreamed, image):
    content = record(dreamed)
    assert content["status"] == "finished"
    assert content["request"]["images"][0]["path"] == str(image)
    assert len(content["request"]["weights"]["hash"]) == 64
    assert content["request"]["config"]["seed"] == 3
    for entry in content["dreams"]:
        assert entry["score"]["dream"] > entry["score"]["galaxy"]
        assert sum(entry["probabilities"]["dream"]) == pytest.approx(1, abs=1e-5)
        assert len(entry["octaves"][0]["scores"]) == 1


def test_the_same_record_dreams_the_same_again_to_the_last_byte(dreamed, tmp_path):
    assert dmagnet("dream", dreamed / "dream.json", "-o", tmp_path / "again") == 0
    for path in dreamed.rglob("*.*"):
        other = tmp_path / "again" / path.relative_to(dreamed)
        assert path.read_bytes() == other.read_bytes(), path.name


def test_another_seed_gives_other_dreams(dreamed, run, image, tmp_path):
    words = ["--layers", "lam", "--seed", 4, *QUICK]
    dmagnet("dream", image, "-o", tmp_path / "a", "--weights", run, *words)
    here, there = (folder / "galaxy/lam.png" for folder in (dreamed, tmp_path / "a"))
    assert (pixels(here) != pixels(there)).any()


def test_the_default_layers_go_from_stem_to_local_attention(run, image, tmp_path):
    dmagnet("dream", image, "-o", tmp_path / "a", "--weights", run, *QUICK)
    targets = [entry["target"] for entry in record(tmp_path / "a")["dreams"]]
    assert targets == ["stem", "stage1", "stage2", "stage3", "stage4", "lam"]


def test_several_images_of_several_sizes_and_kinds_in_one_run(run, tmp_path):
    with h5py.File(tmp_path / "many.h5", "w") as file:
        file["images"] = np.stack([galaxy(seed=i) for i in range(3)])
        file["ans"] = [0, 1, 2]
    picture(tmp_path / "oblong.jpg", height=48, width=64)
    alpha = np.dstack([galaxy(), np.full((64, 64), 128, np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    Image.fromarray(galaxy()[..., 0]).save(tmp_path / "grey.png")
    fits.writeto(tmp_path / "band.fits", galaxy()[..., 0].astype(np.float32))
    Image.fromarray(np.full((64, 64, 3), 60, np.uint8)).save(tmp_path / "flat.png")
    names = ["many.h5", "oblong.jpg", "alpha.png", "grey.png", "band.fits", "flat.png"]
    words = ["--index", 0, 2, "--layers", "stem", *QUICK, "-o", tmp_path / "out"]
    paths = [tmp_path / name for name in names]
    assert dmagnet("dream", *paths, "--weights", run, *words) == 0
    found = {entry["image"]: entry for entry in record(tmp_path / "out")["dreams"]}
    assert set(found) == {
        *("many-0", "many-2", "oblong", "alpha", "grey", "band", "flat")
    }
    assert found["oblong"]["size"] == [48, 64]
    assert pixels(tmp_path / "out/oblong/stem.png").shape == (48, 64, 3)
    np.testing.assert_array_equal(
        pixels(tmp_path / "out/many-2/galaxy.png"), galaxy(seed=2)
    )


@pytest.mark.parametrize("given", ["", "*.png"])
def test_a_folder_or_glob_is_dreamed_as_its_images(run, tmp_path, given):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("b.png", "a.png"):
        picture(folder / name)
    (folder / "notes.txt").write_text("mine")
    out, words = tmp_path / "out", ["--layers", "stem", *QUICK]
    assert dmagnet("dream", folder / given, "-o", out, "--weights", run, *words) == 0
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"a", "b"}


def test_redream_of_several_layers_writes_a_sheet_curves_and_films_of_each(
    run, image, tmp_path
):
    words = ["--layers", "stem", "lam", "--schedule", 48, 64, *QUICK, "--zoom", 1]
    out = tmp_path / "out"
    assert dmagnet("redream", image, "-o", out, "--weights", run, *words) == 0
    sheets = [
        f"{kind}_{x}.png" for x in ("stem", "lam") for kind in ("sheet", "passes")
    ]
    assert record(out, "redream.json")["sheets"] == sheets
    assert all((out / name).is_file() for name in sheets)
    assert (pixels(out / sheets[0]) != pixels(out / sheets[2])).any()
    for entry, layer in zip(
        record(out, "redream.json")["dreams"], ("stem", "lam"), strict=True
    ):
        assert entry["files"]["fits"] == f"galaxy/{layer}.fits"
        assert entry["files"]["gif_zoom"] == f"galaxy/{layer}_zoom.gif"


def test_images_of_one_name_get_folders_of_their_own(run, tmp_path):
    paths = [tmp_path / folder / "a.png" for folder in ("x", "y")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        picture(path, seed=seed)
    words = ["--weights", run, "--layers", "stem", *QUICK]
    dmagnet("dream", *paths, "-o", tmp_path / "out", *words)
    assert {"a", "a-2"} == {p.name for p in (tmp_path / "out").iterdir() if p.is_dir()}


def test_image_size_dreams_the_central_square_at_that_side(run, tmp_path):
    path = picture(tmp_path / "a.png", height=70, width=90)
    words = ["--image-size", 64, "--layers", "stem", *QUICK, "--weights", run]
    assert dmagnet("dream", path, "-o", tmp_path / "out", *words) == 0
    assert pixels(tmp_path / "out/a/stem.png").shape == (64, 64, 3)


def test_a_size_unlike_that_of_training_is_said(run, tmp_path, capsys):
    path = picture(tmp_path / "a.png", height=128, width=128)
    words = ["--layers", "stem", *QUICK, "--weights", run]
    dmagnet("dream", path, "-o", tmp_path / "out", *words)
    note = capsys.readouterr().err
    assert "dreamed at 128 px, but the network was trained at 64 px" in note


def test_classes_are_known_by_any_spelling_and_all_means_all(run, image, tmp_path):
    words = ["--weights", run, *QUICK, "--layers", "--classes"]
    some = ["spiral-arms", "0", "MERGING"]
    assert dmagnet("dream", image, "-o", tmp_path / "a", *words, *some) == 0
    assert dmagnet("dream", image, "-o", tmp_path / "b", *words, "all") == 0
    a, b = (
        [e["target_name"] for e in record(tmp_path / x)["dreams"]] for x in ("a", "b")
    )
    assert a == ["Spiral arms", "round", "Merging"]
    assert sorted(a) == sorted(b)


def test_a_guide_makes_another_dream(dreamed, run, image, tmp_path):
    guide = picture(tmp_path / "guide.png", height=80, width=60, seed=7)
    words = ["--weights", run, "--layers", "stem", *QUICK, "--seed", 3]
    out = tmp_path / "out"
    assert dmagnet("dream", image, "-o", out, "--guide", guide, *words) == 0
    guided = pixels(out / "galaxy/stem-guided.png")
    assert (guided != pixels(dreamed / "galaxy/stem.png")).any()
    assert dmagnet("dream", out / "dream.json", "-o", tmp_path / "again") == 0
    again = tmp_path / "again/galaxy/stem-guided.png"
    np.testing.assert_array_equal(pixels(again), guided)


def test_animate_writes_a_gif_and_an_mp4_of_all_steps(run, image, tmp_path):
    av = pytest.importorskip("av")
    words = ["--weights", run, "--layers", "stem", "--animate", *QUICK, "--steps", 4]
    assert dmagnet("dream", image, "-o", tmp_path / "a", *words) == 0
    with Image.open(tmp_path / "a/galaxy/stem.gif") as gif:
        assert gif.n_frames == 5  # the galaxy and four steps
        assert gif.size == (192, 192)
        assert gif.info["loop"] == 0
    with av.open(str(tmp_path / "a/galaxy/stem.mp4")) as film:
        assert film.streams.video[0].codec_context.name == "h264"
        frames = list(film.decode(video=0))
    assert len(frames) >= 5
    last = frames[-1].to_ndarray(format="rgb24")[::3, ::3].astype(float)
    dream = pixels(tmp_path / "a/galaxy/stem.png")
    assert np.abs(last - dream).mean() < 8


# re-dreaming


@pytest.fixture(scope="module")
def redreamed(run, image, tmp_path_factory):
    out = tmp_path_factory.mktemp("redreamed") / "out"
    words = ["--layers", "stage1", "--schedule", 48, 96, 64, "--zoom", 2, *QUICK]
    assert dmagnet("redream", image, "-o", out, "--weights", run, *words) == 0
    return out


def test_redream_writes_passes_curves_zoom_and_a_record(redreamed):
    files = {path.relative_to(redreamed).as_posix() for path in redreamed.rglob("*.*")}
    assert {"sheet.png", "passes.png", "redream.json"} < files
    stem = "galaxy/stage1"
    assert {f"{stem}{x}.png" for x in ("", "_detail", "_pass1", "_pass2")} < files
    assert {f"{stem}.fits", f"{stem}_zoom.gif", f"{stem}_zoom.png"} < files
    with Image.open(redreamed / f"{stem}_zoom.gif") as gif:
        assert gif.n_frames == 3
    assert pixels(redreamed / f"{stem}_pass1.png").shape == (48, 48, 3)
    assert pixels(redreamed / f"{stem}.png").shape == (64, 64, 3)


def test_redream_records_how_steps_at_random_settle(redreamed):
    passes = record(redreamed, "redream.json")["dreams"][0]["passes"]
    assert passes[0]["random_residual"] is None
    assert all(0 < one["random_residual"] < 3 for one in passes[1:])
    assert all(one["random_residual"] != one["residual"] for one in passes[1:])


def test_redream_records_each_pass(redreamed):
    (entry,) = record(redreamed, "redream.json")["dreams"]
    assert [one["side"] for one in entry["passes"]] == [48, 96, 64]
    assert entry["passes"][0]["residual"] is None
    assert all(one["residual"] > 0 for one in entry["passes"][1:])
    assert entry["passes"][-1]["score"] == pytest.approx(entry["score"]["dream"])


def test_a_redream_record_dreams_the_same_again(redreamed, tmp_path):
    words = ["redream", redreamed / "redream.json", "-o", tmp_path / "again"]
    assert dmagnet(*words) == 0
    for name in ("galaxy/stage1.png", "galaxy/stage1.fits", "sheet.png"):
        other = tmp_path / "again" / name
        assert (redreamed / name).read_bytes() == other.read_bytes()


@pytest.mark.parametrize("flag", ["--classes", "--class-name"])
def test_redream_of_a_class(run, image, tmp_path, flag):
    words = ["--weights", run, flag, "round", "--schedule", 64, *QUICK]
    assert dmagnet("redream", image, "-o", tmp_path / "a", *words) == 0
    assert (tmp_path / "a/galaxy/class-round.png").exists()
    assert not (tmp_path / "a/galaxy/lam.png").exists()


def test_a_layer_that_is_asked_for_is_dreamed_beside_a_class(run, image, tmp_path):
    words = ["--weights", run, "--classes", "round", "--layers", "lam", *QUICK]
    words += ["--schedule", 64]
    assert dmagnet("redream", image, "-o", tmp_path / "a", *words) == 0
    names = {path.name for path in (tmp_path / "a/galaxy").glob("*.png")}
    assert {"lam.png", "class-round.png"} <= names


# what cannot be


def test_an_unknown_layer_lists_the_layers(run, image, tmp_path, capsys):
    words = ["--weights", run, "-o", tmp_path / "a", "--layers", "stage9"]
    error = refused(capsys, "dream", image, *words)
    assert "no layer 'stage9'" in error
    assert "stem, stage1.block1.d1" in error
    assert not (tmp_path / "a").exists()


def test_an_unknown_class_lists_the_classes(run, image, tmp_path, capsys):
    words = ["--weights", run, "-o", tmp_path / "a", "--classes", "quasar"]
    error = refused(capsys, "dream", image, *words)
    assert "no class 'quasar'; the classes are: 0_round, 1_Spiral_arms" in error


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tiny.png", "tiny.png: expected an image of at least"),
        ("nan.fits", "all NaN"),
        ("text.png", "expected an image (JPEG, PNG, TIFF...)"),
        ("missing.png", "found nothing"),
        ("folder", "folder"),
        ("table.csv", "expected an image"),
    ],
)
def test_what_is_no_image_is_refused(run, tmp_path, capsys, name, says):
    picture(tmp_path / "tiny.png", height=3, width=3)
    fits.writeto(tmp_path / "nan.fits", np.full((3, 64, 64), np.nan))
    for text in ("text.png", "table.csv"):
        (tmp_path / text).write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    words = ["--weights", run, "-o", tmp_path / "a"]
    assert says in refused(capsys, "dream", tmp_path / name, *words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--octaves 9", "use at most octaves=1"),
        ("--image-size 4", "image_size: expected 16"),
        ("--index 0", "there is none"),
        ("--layers", "expected one or more --layers or --classes"),
    ],
)
def test_what_cannot_be_set_is_refused(run, image, tmp_path, capsys, words, says):  # noqa: PLR0917
    asked = ["dream", image, "--weights", run, "-o", tmp_path / "a", *words.split()]
    assert says in refused(capsys, *asked)


def test_a_schedule_that_does_not_end_at_the_image_is_refused(
    run, image, tmp_path, capsys
):
    words = ["--weights", run, "-o", tmp_path / "a", "--schedule", 64, 128]
    error = refused(capsys, "redream", image, *words)
    assert "galaxy.png: schedule: expected the last side to be the image's" in error


def test_without_weights_those_of_the_package_dream(image, tmp_path):
    words = ["-o", tmp_path / "a", "--layers", "stem", *QUICK, "--image-size", 96]
    assert dmagnet("dream", image, *words) == 0
    content = json.loads((tmp_path / "a/dream.json").read_text())
    assert content["request"]["weights"]["hash"] == load("s").weights_hash


def test_missing_weights_are_refused(image, tmp_path, capsys):
    out = ["-o", tmp_path / "a"]
    words = [*out, "--weights", tmp_path / "nothing"]
    assert "no such file" in refused(capsys, "dream", image, *words)


def test_no_image_is_refused(run, tmp_path, capsys):
    words = ["-o", tmp_path / "a", "--weights", run]
    assert "expected one or more images" in refused(capsys, "dream", *words)


def test_rows_of_an_h5_file_must_be_chosen_and_be_there(run, tmp_path, capsys):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.stack([galaxy()] * 2)
        file["ans"] = [0, 1]
    words = ["dream", tmp_path / "a.h5", "--weights", run, "-o", tmp_path / "a"]
    assert "holds 2 images; choose" in refused(capsys, *words)
    assert "--index from 0 to 1, got 5" in refused(capsys, *words, "--index", 5)


# records and folders


def test_a_folder_with_other_files_is_left_alone(run, image, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("precious")
    words = ["--weights", run, "-o", tmp_path]
    assert "nothing is overwritten" in refused(capsys, "dream", image, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_of_another_command_is_left_alone(dreamed, run, image, capsys):
    before = {path: path.stat().st_mtime_ns for path in dreamed.rglob("*.*")}
    words = ["--weights", run, "-o", dreamed, *QUICK, "--seed", 8]
    assert "another command" in refused(capsys, "dream", image, *words)
    assert before == {path: path.stat().st_mtime_ns for path in dreamed.rglob("*.*")}


def test_a_record_fixes_every_setting(dreamed, tmp_path, capsys):
    words = ["dream", dreamed / "dream.json", "-o", tmp_path / "a"]
    for more in (["--steps", 3], ["--layers", "stem"], ["--animate"], ["--plain"]):
        assert "fixes every setting" in refused(capsys, *words, *more)


def test_a_changed_image_or_other_weights_are_noticed(tmp_path, capsys):
    image, folder = picture(tmp_path / "a.png"), weights(tmp_path / "run")
    words = ["-o", tmp_path / "out", "--weights", folder, "--layers", "stem", *QUICK]
    assert dmagnet("dream", image, *words) == 0
    capsys.readouterr()
    again = ["dream", tmp_path / "out/dream.json", "-o", tmp_path / "again"]
    picture(image, seed=1)
    assert "it was changed since" in refused(capsys, *again)
    picture(image)
    weights(folder, seed=1)
    assert "expected the weights of hash" in refused(capsys, *again)
    right = weights(tmp_path / "moved", seed=0)
    assert dmagnet(*again, "--weights", right) == 0


@pytest.mark.parametrize("content", ["", "[]", '{"request": {}}', "\x00\xff"])
def test_a_record_that_is_none_is_refused(tmp_path, capsys, content):
    (tmp_path / "a.json").write_text(content, encoding="latin-1")
    words = ["dream", tmp_path / "a.json", "-o", tmp_path / "out"]
    assert "expected a dream.json that dmagnet wrote" in refused(capsys, *words)


# A test run in the background may have been told to ignore Ctrl-C.
LISTENING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from dmagnet.cli import main
from dmagnet.config import DreamConfig
from dmagnet.dreaming import resample
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(run, image, tmp_path):
    out = tmp_path / "out"
    words = ["dream", image, "-o", out, "--weights", run, "--device", "cpu"]
    words += ["--layers", "stem", "lam", "--octaves", "1", "--steps", "60"]
    program = [sys.executable, "-c", LISTENING, *map(str, words)]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as running:
        for _ in range(600):
            if (out / "galaxy/stem.fits").exists() and record(out)["dreams"]:
                break
            time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        error = running.stderr.read()
    assert running.returncode == 130, error
    assert "Traceback" not in error
    stopped = record(out)
    assert stopped["status"] == "stopped"
    assert [entry["target"] for entry in stopped["dreams"]] == ["stem"]
    assert (out / "sheet.png").exists()
    written = (out / "galaxy/stem.fits").stat().st_mtime_ns
    assert dmagnet(*words) == 0
    assert record(out)["status"] == "finished"
    assert (out / "galaxy/lam.fits").exists()
    assert (out / "galaxy/stem.fits").stat().st_mtime_ns == written


def flags(verb, capsys):
    with pytest.raises(SystemExit):
        dmagnet(verb, "--help")
    shown = re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)
    return {flag for flag in shown if flag != "--help" and flag[:5] != "--no-"}


def test_the_guide_names_every_flag_and_no_other(capsys):
    guide = Path(__file__).parents[1] / "docs" / "guides" / "dreaming.md"
    named = re.findall(r"^\| (`--.*?) \|", guide.read_text(), re.MULTILINE)
    there = {flag for cell in named for flag in re.findall(r"--[a-z-]+", cell)}
    assert there == flags("dream", capsys) | flags("redream", capsys)


def test_the_guide_names_the_keys_of_the_record(dreamed):
    guide = Path(__file__).parents[1] / "docs" / "guides" / "dreaming.md"
    table = guide.read_text().split("| key in `dream.json`")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(record(dreamed))


@pytest.mark.slow
def test_a_film_is_the_same_bytes_whatever_lay_in_memory(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed: dmagnet[video]")
    code = (
        "import sys; from pathlib import Path; import numpy as np;"
        "from dmagnet.dreaming.sheets import write_mp4;"
        "y, x = np.mgrid[:192, :192] / 192 - 0.5; r = x**2 + y**2;"
        "lights = [255 * np.exp(-r * k) for k in range(3, 40, 2)];"
        "frames = [np.stack([light] * 3, -1).astype(np.uint8) for light in lights];"
        "write_mp4(frames, Path(sys.argv[1]))"
    )
    films = set()
    for number in (1, 85, 170):  # what glibc lays into memory that it gives
        path = tmp_path / f"{number}.mp4"
        command = [sys.executable, "-c", code, str(path)]
        environ = os.environ | {"MALLOC_PERTURB_": str(number)}
        subprocess.run(command, check=True, env=environ)
        films.add(path.read_bytes())
    assert len(films) == 1


def test_a_redream_outside_the_networks_sides_is_said(tmp_path, capsys):
    run = weights(tmp_path / "run", radii=3.0)  # 48 to 96 px
    path = picture(tmp_path / "a.png", height=128, width=128)
    words = ["--layers", "stem", *QUICK, "--weights", run]
    dmagnet("redream", path, "-o", tmp_path / "a", *words, "--schedule", 64, 160, 64)
    assert "dreamed at 160 px, but the network was trained at 64 to 96 px" in (
        capsys.readouterr().err
    )
    dmagnet("redream", path, "-o", tmp_path / "b", *words)
    assert "but the network was trained at" not in capsys.readouterr().err
    record = json.loads((tmp_path / "b/redream.json").read_text())
    assert [one["side"] for one in record["dreams"][0]["passes"]] == [64, 64, 96, 64]


def test_a_redream_of_the_bundled_weights_stays_within_their_sides(tmp_path, capsys):
    path = picture(tmp_path / "a.png", height=128, width=128)
    words = ["--layers", "stem", "--weights", "xs", "--steps", 0]
    assert dmagnet("redream", path, "-o", tmp_path / "out", *words) == 0
    assert "but the network was trained at" not in capsys.readouterr().err
    (entry,) = record(tmp_path / "out", "redream.json")["dreams"]
    assert [one["side"] for one in entry["passes"]] == [96, 128, 192, 128]


def test_the_plain_dream_is_one_flag_away(run, tmp_path):
    path = picture(tmp_path / "a.png", height=128, width=128)
    words = ["--layers", "stem", "--weights", run, "--image-size", 64, "--steps", 1]
    dmagnet("dream", path, "-o", tmp_path / "out", "--plain", *words)
    config = json.loads((tmp_path / "out/dream.json").read_text())["request"]["config"]
    assert DreamConfig(**config) == DreamConfig.plain(steps=1)


def test_what_is_given_beside_plain_wins_at_its_usual_value_too(run, image, tmp_path):
    usual = DreamConfig(octaves=1)
    words = ["--steps", usual.steps, "--views", usual.views, "--basis", usual.basis]
    given = ["--layers", "stem", "--weights", run, "--octaves", 1, *words]
    assert dmagnet("dream", image, "-o", tmp_path / "out", "--plain", *given) == 0
    config = DreamConfig(**record(tmp_path / "out")["request"]["config"])
    wanted = {"steps": usual.steps, "views": usual.views, "basis": usual.basis}
    assert config == DreamConfig.plain(octaves=1, **wanted)


def test_help_beside_plain_shows_the_plain_defaults(capsys):
    shown = []
    for words in ([], ["--plain"]):
        with pytest.raises(SystemExit):
            dmagnet("dream", *words, "--help")
        found = re.search(r"--steps INT.*?default: (\d+)", capsys.readouterr().out)
        shown.append(int(found[1]))
    plain = DreamConfig.plain()
    assert shown == [DreamConfig().steps, plain.steps]


def test_maco_begins_with_a_drawn_round_galaxy(run, tmp_path, capsys):
    words = ["--classes", "merging", "--layers", "--weights", run, "--steps", 1]
    assert dmagnet("dream", "--basis", "maco", "-o", tmp_path / "out", *words) == 0
    record = json.loads((tmp_path / "out/dream.json").read_text())
    assert record["request"]["images"][0]["name"] == "round"
    again = dmagnet("dream", tmp_path / "out/dream.json", "-o", tmp_path / "again")
    assert again == 0
    one, two = (
        pixels(tmp_path / f"{o}/round/class-merging.png") for o in ("out", "again")
    )
    assert (one == two).all()
    capsys.readouterr()
    start = picture(tmp_path / "a.png", height=128, width=128)
    with pytest.raises(SystemExit):
        dmagnet("redream", start, "-o", tmp_path / "no", "--basis", "maco")
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "got maco, which keeps no galaxy" in told


def test_a_second_network_says_how_likely_a_dreamed_class_is(tmp_path):
    path = picture(tmp_path / "a.png", height=128, width=128)
    words = ["--classes", "barred", "--layers", "--weights", "xs", "--steps", 1]
    assert dmagnet("dream", path, "-o", tmp_path / "out", *words, "--octaves", 1) == 0
    (entry,) = json.loads((tmp_path / "out/dream.json").read_text())["dreams"]
    assert entry["judge"]["weights"] == "s"
    seen = load("s").model.eval()
    with torch.no_grad():
        image = torch.tensor(pixels(tmp_path / "out/a/class-barred-spiral.png"))
        image = resample(image.permute(2, 0, 1)[None] / 255, (128, 128))
        p = (seen(image).softmax(1) + seen(image.flip(3)).softmax(1))[0, 5] / 2
    assert entry["judge"]["dream"] == pytest.approx(float(p), abs=0.02)


def test_dreams_of_a_network_that_sees_images_as_they_are_get_no_second_opinion(
    untrained, image, tmp_path
):
    words = ["--classes", "barred", "--layers", "--weights", untrained[0], *QUICK]
    assert dmagnet("dream", image, "-o", tmp_path / "out", *words) == 0
    (entry,) = record(tmp_path / "out")["dreams"]
    assert "judge" not in entry


def test_a_record_of_an_older_dmagnet_is_refused(dreamed, tmp_path, capsys):
    old = json.loads((dreamed / "dream.json").read_text())
    del old["request"]["config"]["views"]
    path = tmp_path / "dream.json"
    path.write_text(json.dumps(old))
    line = refused(capsys, "dream", path, "-o", tmp_path / "out")
    assert "expected settings for views; an older dmagnet wrote it" in line


def test_a_dream_of_no_steps_and_several_octaves_is_written(tmp_path):
    path = picture(tmp_path / "a.png", height=128, width=128)
    words = ["--layers", "stem", "--weights", "xs", "--steps", 0]
    assert dmagnet("dream", path, "-o", tmp_path / "out", *words) == 0
    seen = [pixels(tmp_path / f"out/a/{name}.png") for name in ("galaxy", "stem")]
    assert (seen[0] == seen[1]).all()
