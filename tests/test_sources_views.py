"""Every picture as a network sees it that wants all galaxies at one size."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from dmagnet.config import SourceConfig
from dmagnet.pictures import Cutout, find_extent, read_image, standardize
from dmagnet.pictures.inputs import Flag, list_items, read_picture
from dmagnet.pictures.inputs.framing import FRAME_ARCSEC, cutout_of_one_size, framed

SIDE, RADII = 64, 3.0


def galaxy(side=256, radius=30.0, sky=12, level=150, shift=0.0):
    """A smooth oblong glow on a noisy sky, (side, side, 3) uint8."""
    rng = np.random.default_rng(int(side + radius))
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    glow = level * np.exp(-(np.hypot(x - shift, 1.6 * y) / (radius / 3)))
    noise = rng.normal(sky, 2, (side, side, 3))
    return (noise + glow[..., None] * [1, 0.8, 0.6]).clip(0, 255).astype(np.uint8)


def read(path, side=SIDE, radii=RADII, **settings):
    config = SourceConfig(**settings)
    (item,) = list_items(str(path), config)
    return read_picture(item, side, 0.5, config, radii=radii)


def write_fits(path, flux, scale):
    header = WCS(naxis=2)
    header.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    header.wcs.crval, header.wcs.crpix = [150, 2], [*np.array(flux.shape[:0:-1]) / 2]
    header.wcs.cdelt = [-scale / 3600, scale / 3600]
    cards = header.to_header()
    cards["BANDS"] = "grz"
    fits.writeto(path, flux.astype(np.float32), cards)
    return path


def fluxes(side, radius):
    """g, r, z nanomaggies of a glow, (3, side, side)."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    glow = np.exp(-np.hypot(x, 1.6 * y) / (radius / 3)) * 0.5
    return glow * np.array([0.5, 0.8, 1])[:, None, None] + rng.normal(
        0, 0.002, (3, side, side)
    )


def test_a_picture_is_standardized_from_its_own_pixels(tmp_path):
    pixels = galaxy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.rgb, standardize(pixels, SIDE, RADII))
    assert picture.item.radius_px == find_extent(pixels).radius
    assert picture.item.flag == Flag.OK


@pytest.mark.parametrize("name", ["a.npy", "b.fits", "c.zip"])
def test_every_form_gives_the_same_view(tmp_path, name):
    import zipfile

    pixels = galaxy()
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, pixels[None])
    elif name == "b.fits":
        fits.writeto(path, pixels.transpose(2, 0, 1)[:, ::-1])
    else:
        Image.fromarray(pixels).save(tmp_path / "a.png")
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "a.png", "a.png")
    np.testing.assert_array_equal(read(path).rgb, standardize(pixels, SIDE, RADII))


def test_size_sky_and_brightness_of_the_picture_drop_out(tmp_path):
    seen = []
    for i, (radius, sky, level) in enumerate([(30, 12, 150), (50, 25, 90)]):
        pixels = galaxy(radius=radius, sky=sky, level=level)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        seen.append(read(tmp_path / f"{i}.png").rgb.astype(float))
    assert abs(seen[0] - seen[1]).mean() < 8  # of 255
    raw = [galaxy(radius=30).astype(float), galaxy(radius=50, sky=25).astype(float)]
    assert abs(raw[0] - raw[1]).mean() > 12


def test_a_large_jpeg_keeps_the_pixels_that_a_small_galaxy_needs(tmp_path):
    pixels = galaxy(side=1500, radius=60)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found, expected = (read(tmp_path / f"a.{x}") for x in ("jpg", "png"))
    assert abs(found.rgb.astype(int) - expected.rgb).mean() < 3
    assert found.item.radius_px == pytest.approx(expected.item.radius_px, rel=0.05)


def test_a_radius_is_counted_in_pixels_of_the_file(tmp_path):
    small = galaxy(side=300, radius=60)
    large = np.asarray(Image.fromarray(small).resize((1200, 1200)))
    found = framed(large, SIDE, 1.0, None, radii=RADII)
    assert found.radius_px == pytest.approx(4 * find_extent(small).radius, rel=0.03)
    expected = standardize(small, SIDE, RADII).astype(int)
    assert abs(found.rgb - expected).mean() < 3


@pytest.mark.parametrize("scale", [0.262, 0.131, 0.4])
def test_of_an_image_with_a_scale_a_frame_of_67_arcsec_is_measured(tmp_path, scale):
    flux = fluxes(900, 8 / scale)
    rng = np.random.default_rng(2)
    flux[:, :120] += rng.random((3, 120, 900)) * 3  # bright things far away
    picture = read(write_fits(tmp_path / "a.fits", flux, scale))
    assert picture.item.flag == Flag.OK
    part = read_image(tmp_path / "a.fits")
    num = round(FRAME_ARCSEC / scale)
    num += num % 2  # the same margin on both sides
    cut = slice((900 - num) // 2, (900 + num) // 2)
    pixels = np.round(part.rgb[cut, cut] * 255).astype(np.uint8)
    radius = find_extent(pixels).radius
    assert picture.item.radius_px == pytest.approx(radius, rel=0.03)
    expected = standardize(pixels, SIDE, RADII).astype(int)
    assert abs(picture.rgb - expected).mean() < 2


def test_a_galaxy_larger_than_the_frame_is_measured_in_a_larger_one(tmp_path):
    flux = fluxes(1200, 200)
    picture = read(write_fits(tmp_path / "a.fits", flux, 0.262))
    assert picture.item.radius_px * 0.262 > FRAME_ARCSEC / 2
    assert not picture.item.flag & Flag.SMALL_FIELD


def test_a_picture_that_shows_less_sky_than_the_view_needs_is_flagged(tmp_path):
    whole = galaxy(radius=60)
    Image.fromarray(whole).save(tmp_path / "whole.png")
    Image.fromarray(whole[80:176, 80:176]).save(tmp_path / "part.png")
    assert read(tmp_path / "whole.png").item.flag == Flag.OK
    part = read(tmp_path / "part.png")
    assert part.item.flag == Flag.SMALL_FIELD
    assert "of the expected side, the rest is sky" in part.item.reason


def test_a_picture_of_sky_alone_is_doubted(tmp_path):
    noise = np.random.default_rng(0).normal(20, 2, (128, 128, 3))
    Image.fromarray(noise.astype(np.uint8)).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").item.flag & Flag.NEGATIVE_FLUX


@pytest.mark.parametrize("scale", [1e-4, 0.262, 40.0, 3600.0])
def test_no_pixel_scale_is_too_fine_or_too_coarse(tmp_path, scale):
    Image.fromarray(galaxy(side=96)).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png", pixel_scale=scale)
    assert picture.rgb is not None, picture.item.reason


@pytest.mark.parametrize("shape", [(96, 256), (257, 96), (8, 8), (9, 700)])
def test_oblong_and_tiny_pictures_have_a_view(tmp_path, shape):
    rows, columns = ((700 - n) // 2 for n in shape)
    whole = galaxy(side=700, radius=30)
    part = whole[rows : rows + shape[0], columns : columns + shape[1]]
    frame = framed(part, SIDE, 1.0, None, radii=RADII)
    assert frame.rgb.shape == (SIDE, SIDE, 3)


def test_the_wcs_follows_the_view(tmp_path):
    path = write_fits(tmp_path / "a.fits", fluxes(300, 40), 0.262)
    whole = read_image(path)
    view = cutout_of_one_size(whole, SIDE, RADII)
    assert view.rgb.shape == (SIDE, SIDE, 3)
    radius = read(path).item.radius_px
    assert view.pixel_scale == pytest.approx(0.262 * RADII * radius / SIDE, rel=1e-3)
    middle = view.wcs.pixel_to_world((SIDE - 1) / 2, (SIDE - 1) / 2)
    expected = whole.wcs.pixel_to_world(149.5, 149.5)
    assert middle.separation(expected).arcsec < 0.02
    np.testing.assert_array_equal(np.round(view.rgb * 255), read(path).rgb)


def test_a_star_off_the_center_is_where_the_wcs_says(tmp_path):
    pixels = galaxy(side=200, radius=30, shift=0.0)
    pixels[98:101, 128:131] = 255  # to the right
    header = WCS(naxis=2)
    header.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    header.wcs.crval, header.wcs.crpix = [150, 2], [100.5, 100.5]
    header.wcs.cdelt = [-1e-4, 1e-4]
    whole = Cutout(pixels.astype(np.float32) / 255, header)
    view = cutout_of_one_size(whole, 200, RADII)
    star = whole.wcs.pixel_to_world(129, 100)
    x, y = view.wcs.world_to_pixel(star)
    bright = np.argwhere(view.rgb.min(axis=2) > 0.98).mean(axis=0)
    assert bright[1] == pytest.approx(float(x), abs=0.6)
    assert bright[0] == pytest.approx(199 - float(y), abs=0.6)


def test_real_galaxies_are_seen_as_in_training(shared):
    config = SourceConfig()
    archive = list(list_items([str(shared / "galaxy10_real60_jpeg.zip")], config))
    stack = list(list_items([str(shared / "galaxy10_real60.h5")], config))
    few = slice(0, 60, 12)
    rows = [read_picture(i, 96, 1.0, config, radii=RADII) for i in stack[few]]
    assert all(row.rgb is not None and row.item.radius_px > 5 for row in rows)
    assert read_picture(archive[0], 96, 1.0, config, radii=RADII).rgb is not None
