"""The scripts that dream for the documentation."""

import dream_judged
import numpy as np
import pytest
from dream_pictures import publish
from PIL import Image

from dmagnet.config import DreamConfig, SimulateConfig
from dmagnet.dreaming.targets import as_batch, open_network
from dmagnet.galaxies import load_galaxies
from dmagnet.simulator import write_hdf5

ONCE = {"steps": 1, "octaves": 1}


def test_dreams_of_all_ways_are_judged_at_the_size_of_the_first(tmp_path, monkeypatch):
    ways = {"plain (2015)": DreamConfig.plain(**ONCE), "default": DreamConfig(**ONCE)}
    monkeypatch.setattr(dream_judged, "WAYS", ways)
    data, out, images = (tmp_path / name for name in ("held_out.h5", "out", "images"))
    write_hdf5(data, SimulateConfig(num=2, image_size=256, seed=4242))
    words = [data, "-o", out, "--images", images, "--dreamers", "xs", "--num", 1]
    monkeypatch.setattr("sys.argv", ["dream_judged.py", *map(str, words)])
    dream_judged.main()
    galaxy = load_galaxies(data).images[np.random.default_rng(0).permutation(2)[0]]
    start = as_batch([galaxy], network=open_network("xs"))[1].numpy()
    one, two = (
        np.load(out / f"xs-1/{way}-5.npz")["images"] / 255 - start
        for way in ("plain_(2015)", "default")
    )
    assert np.abs(one - two).max() > 2 / 255
    assert two.std() == pytest.approx(one.std(), rel=0.05)
    with Image.open(images / "dream_ways.jpg") as picture:
        assert max(picture.size) <= 1500


@pytest.mark.parametrize(("suffix", "mode"), [(".jpg", "RGB"), (".png", "P")])
def test_a_published_picture_is_small(tmp_path, suffix, mode):
    noise = np.random.default_rng(0).integers(0, 255, (800, 2000, 3), np.uint8)
    publish(Image.fromarray(noise), tmp_path / f"images/noise{suffix}")
    with Image.open(tmp_path / f"images/noise{suffix}") as picture:
        assert (picture.size, picture.mode) == ((1500, 600), mode)
