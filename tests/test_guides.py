"""Every block of the guides runs, in their order, on small galaxies of these names.

What they train is small: the recipes are replaced by the quick one. Blocks are left out
that need what a test has not, and each has its own tests elsewhere.
"""

import json
import re
import shlex
import shutil
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from legacy_server import LegacyServer
from PIL import Image
from test_docs import DOCS, ROOT

import dmagnet
from dmagnet.app import serving
from dmagnet.classes import CLASS_NAMES
from dmagnet.cli import main
from dmagnet.config import ModelConfig, SimulateConfig, recipes
from dmagnet.config.app_config import AppConfig
from dmagnet.pictures.inputs import cutout_files
from dmagnet.simulator import simulate, write_hdf5

ELSEWHERE = (
    *("pip install", ".ci/run", "tensorboard", "dmagnet demo", "dmagnet app"),
    *("gradio_client", "dmagnet.app", "push_to_hub", "dmagnet fetch"),  # servers
    *("--devices", "--engine ray", 'engine="ray"'),  # clusters
    *("fallback(", "judged_a"),  # arrays of one's own
)
FEWER = (
    (r"--num \d+", "--num 40"),
    (r"--epochs (\d)0", r"--epochs \1"),
    (r"dream (?!.*(?:\.json|--basis|--schedule))", "dream --octaves 1 --steps 2 "),
)
PAGES = [
    ROOT / "README.md",
    DOCS / "start.md",
    *(
        p
        for p in sorted((DOCS / "guides").glob("*.md"))
        if p.stem not in ("measuring", "browser")
    ),
]
SIDE = 128


SMALL = replace(  # a recipe that takes seconds
    recipes.smoke(), model=ModelConfig(size="xs"), epochs=1, batch_size=16
)


def planes_of(pixels, turn=0.0):
    """Three planes of a picture as HDUs, with the sky they show."""
    side, wcs = len(pixels), WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = (49.9208 + turn, -19.4111), (side / 2, side / 2)
    wcs.wcs.cdelt = (-0.262 / 3600, 0.262 / 3600)
    flux = np.moveaxis(pixels, 2, 0)[::-1].astype(np.float32) / 100
    return flux, wcs.to_header()


def write_fits(path, pixels, turn=0.0):
    flux, header = planes_of(pixels, turn)
    header["BANDS"] = "grz"
    hidden = fits.ImageHDU(np.zeros(flux.shape[1:], np.uint8), name="MASK")
    seen = fits.ImageHDU(flux, header, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), seen, hidden]).writeto(path)


def write_bands(stem, pixels, suffix=".fits", turn=0.0):
    flux, header = planes_of(pixels, turn)
    for plane, band in zip(flux, "grz", strict=True):
        header["FILTER"] = band
        fits.PrimaryHDU(plane, header).writeto(f"{stem}{band}{suffix}")


def write_folder(folder, images):
    Path(folder).mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(Path(folder, name))


def write_classes(folder, images, labels, num=4):
    Path(folder).mkdir()
    for k, name in enumerate(CLASS_NAMES):
        chosen = images[labels == k][:num]
        write_folder(f"{folder}/{name}", {f"{i}.png": x for i, x in enumerate(chosen)})


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """A folder with all that the guides name."""
    folder = tmp_path_factory.mktemp("stock")
    images, labels = simulate(SimulateConfig(num=40, image_size=SIDE, seed=4))
    one, two, three = images[:3]
    with chdir(folder):
        for name in ("galaxy", "another", "new", "b", "a"):
            for suffix in ("jpg", "png"):
                Image.fromarray(one).save(f"{name}.{suffix}")
        for name in ("a", "b"):
            write_fits(f"{name}.fits", two)
        write_fits("cube.fits", one)
        write_fits("mosaic.fits", one)
        write_fits("galaxy.fits", np.kron(two, np.ones((2, 2, 1), np.uint8)))
        many = {f"NGC{1300 + k}.jpg": image for k, image in enumerate(images[:12])}
        for name in ("images", "new_images", "my_cutouts"):
            write_folder(name, many)
        write_folder("folder", dict(list(many.items())[:2]))
        write_fits("new_images/one.fits", three)
        Path("galaxies").mkdir()
        write_fits("galaxies/one.fits", one)
        for name in ("my_galaxies", "labeled"):
            write_classes(name, images, labels)
        write_hdf5(Path("galaxies.h5"), SimulateConfig(num=240, image_size=64))
        dmagnet.prepare("galaxies.h5", "galaxy10")
        for name in ("few.h5", "data/Galaxy10_DECals.h5"):
            Path(name).parent.mkdir(exist_ok=True)
            shutil.copy("galaxies.h5", name)
        places = {"ra": [49.9208], "dec": [-19.4111]}
        Table({"name": ["NGC 1300"], **places}).write("positions.csv")
        odd = {"NUMBER": [7], "ALPHA_J2000": places["ra"], "DELTA_J2000": places["dec"]}
        Table(odd).write("survey.tbl", format="ascii.ipac")
        write_bands("mosaic_", one)
        Path("bricks").mkdir()
        write_bands("bricks/0499m195-image-", one, ".fits.fz")
        for k, image in enumerate(images[:8]):  # of two classes, each elsewhere
            for place in (f"cutouts/{k % 2}", f"cubes/{k % 2}"):
                Path(place).mkdir(parents=True, exist_ok=True)
            write_bands(f"cutouts/{k % 2}/{k}_", image, turn=k)
            write_fits(f"cubes/{k % 2}/{k}.fits", image, turn=k)
        means = {name: [name.lower()] for name in CLASS_NAMES[:7]}
        means |= {name: list(CLASS_NAMES[7:]) for name in CLASS_NAMES[7:]}
        Path("meanings.json").write_text(json.dumps(means))
        paths = sorted(map(str, Path("my_galaxies").rglob("*.png")))
        kinds = [Path(path).parent.name for path in paths]
        parts = ["train", "val"] * (len(paths) // 2)
        Table({"path": paths, "label": kinds, "split": parts}).write("mine.csv")
        votes = np.random.default_rng(0).integers(1, 20, (3, len(paths)))
        names = ("smooth", "featured", "artifact")
        counted = {"path": paths, **dict(zip(names, votes, strict=True))}
        for name in ("catalogue.csv", "other.csv"):
            Table(counted).write(name)
        cells = [{"bytes": Path(path).read_bytes(), "path": path} for path in paths]
        pq.write_table(
            pa.table({"cutout": cells, "morphology": kinds}), "survey.parquet"
        )
        config = replace(SMALL, epochs=2)
        dmagnet.train("galaxies.h5", "run", config=config, device="cpu")
    return folder


@pytest.fixture(scope="module")
def service():
    server = LegacyServer()
    yield server
    server.stop()


def pieces(page):
    """The blocks of a page in their order, each as its language and its text."""
    found = re.findall(r"^```(sh|python)\n(.*?)^```", page.read_text(), re.S | re.M)
    return [(kind, re.sub(r"\\\n\s*", "", text)) for kind, text in found]


def run_shell(text):
    """Run the commands of a block in this process, as the program would."""
    for whole in text.splitlines():
        line = whole
        for large, small in FEWER:
            line = re.sub(large, small, line)
        program, *words = shlex.split(line, comments=True) or [""]
        if program.endswith("dmagnet") and not any(left in line for left in ELSEWHERE):
            assert main([each for w in words for each in unfolded(w)]) == 0, line


def unfolded(word):
    """What a shell makes of a word: a pattern of files is their names."""
    return sorted(map(str, Path().glob(word))) if word == "galaxies/*.fits" else [word]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_one_after_another(
    page, stock, service, tmp_path, monkeypatch
):
    for name in ("laptop", "gpu", "finetune"):
        monkeypatch.setitem(recipes.RECIPES, name, lambda: SMALL)
        monkeypatch.setattr(recipes, name, lambda: SMALL)
    monkeypatch.setattr(cutout_files, "LEGACY_URL", service.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "here"
    shutil.copytree(stock, folder)
    made = r"(?:dmagnet .*(?:-o|--out) |dmagnet.train\(.*, \")([\w.]+)"
    for name in re.findall(made, page.read_text()):
        if name != "data" and (folder / name).is_dir():  # the page makes it
            shutil.rmtree(folder / name)
    known = {}
    with chdir(folder):
        for kind, text in pieces(page):
            if kind == "sh":
                run_shell(text)
            elif not any(left in text for left in ELSEWHERE):
                exec(compile(text, page.name, "exec"), known)  # noqa: S102


@pytest.mark.slow
def test_the_blocks_of_the_page_in_the_browser_run(stock):
    asking, serving_it = (
        text for kind, text in pieces(DOCS / "guides/browser.md") if kind == "python"
    )
    known = {}
    with chdir(stock), serving(AppConfig(port=0), weights="xs") as page:
        exec(asking.replace("http://127.0.0.1:7860", page.url), known)  # noqa: S102
        assert known["answer"]
    exec(serving_it.replace("page.wait()", "assert page.url"))  # noqa: S102
