import contextlib
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dmagnet.errors import DataError
from dmagnet.pictures import MAX_PIXELS, crop_side, legacy_rgb, read_rgb, resize
from dmagnet.pictures.standard import scaled

REAL = Path(__file__).parents[2] / "shared" / "data"
RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (20, 30, 3), np.uint8)


def stream(image, form="PNG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    out.seek(0)
    return out


# read_rgb


def test_rgb_comes_back_pixel_for_pixel(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    image = read_rgb(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert np.array_equal(image, PIXELS)


def test_a_stream_stays_open():
    source = stream(Image.fromarray(PIXELS))
    read_rgb(source)
    assert not source.closed


def test_grey_becomes_three_equal_channels():
    image = read_rgb(stream(Image.fromarray(PIXELS[..., 0])))
    assert np.array_equal(image, np.repeat(PIXELS[..., :1], 3, axis=2))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_so_that_white_is_white(form):
    values = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    image = read_rgb(stream(Image.fromarray(values), form))
    assert image[0, :, 0].tolist() == [0, 1, 128, 255]


def test_transparent_pixels_are_sky():
    values = np.full((2, 2, 4), 200, np.uint8)
    values[0, 0, 3], values[1, 1, 3] = 0, 255
    image = read_rgb(stream(Image.fromarray(values)))
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image[1, 1].tolist() == [200, 200, 200]
    assert image[0, 1, 0] == pytest.approx(200 * 200 / 255, abs=1)


def test_a_transparent_palette_entry_is_sky():
    palette = Image.fromarray(PIXELS).quantize(8)
    index = palette.getpixel((0, 0))
    image = read_rgb(stream(palette, transparency=index))
    assert image[0, 0].tolist() == [0, 0, 0]


def test_cmyk_jpeg_keeps_its_colors():
    red = Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK")
    image = read_rgb(stream(red, "JPEG", quality=95))
    assert image[8, 8, 0] > 240
    assert image[8, 8, 1:].max() < 15


def test_the_orientation_of_the_camera_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    image = read_rgb(stream(Image.fromarray(PIXELS), exif=exif))
    assert np.array_equal(image, np.rot90(PIXELS, -1))


@pytest.mark.parametrize("content", [b"", b"this is no image" * 9])
def test_what_is_no_image_is_refused_by_name(tmp_path, content):
    path = tmp_path / "galaxy.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"galaxy\.jpg: .*empty or of no known format"):
        read_rgb(path)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "GIF", "WEBP"])
def test_a_file_cut_short_is_refused_or_read_never_a_traceback(form):
    whole = stream(Image.fromarray(PIXELS), form).getvalue()
    for length in range(1, len(whole), max(1, len(whole) // 40)):
        # some formats end in bytes that hold no pixels: then the image is whole
        with contextlib.suppress(DataError):
            assert read_rgb(io.BytesIO(whole[:length])).shape == PIXELS.shape


def test_half_a_jpeg_is_damaged():
    whole = stream(Image.fromarray(PIXELS), "JPEG").getvalue()
    with pytest.raises(DataError, match="damaged"):
        read_rgb(io.BytesIO(whole[: len(whole) // 2]))


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match="found nothing"):
        read_rgb(tmp_path / "gone.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 30_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side):
    assert side**2 > MAX_PIXELS
    small = stream(Image.fromarray(PIXELS)).getvalue()
    # a PNG that claims to be huge: sides and checksum stand in its first chunk
    claim = b"IHDR" + struct.pack(">II", side, side) + small[24:29]
    checksum = struct.pack(">I", zlib.crc32(claim))
    bomb = small[:12] + claim + checksum + small[33:]
    with pytest.raises(DataError, match="at most 89 million pixels"):
        read_rgb(io.BytesIO(bomb))


def test_floating_point_is_sent_to_fits():
    image = Image.fromarray(np.ones((4, 4), np.float32))
    with pytest.raises(DataError, match="FITS"):
        read_rgb(stream(image, "TIFF"))


def test_32_bit_integers_beyond_16_bits_are_sent_to_fits():
    image = Image.fromarray(np.full((4, 4), 70_000, np.int32))
    with pytest.raises(DataError, match="values from 70000 to 70000"):
        read_rgb(stream(image, "TIFF"))


@pytest.mark.skipif(not REAL.is_dir(), reason="no real images beside this checkout")
def test_a_real_jpeg_looks_like_the_published_pixels():
    import h5py

    with zipfile.ZipFile(REAL / "galaxy10_real60_jpeg.zip") as archive:
        name = sorted(archive.namelist())[0]
        image = read_rgb(archive.open(name)).astype(float)
    with h5py.File(REAL / "galaxy10_real60.h5") as file:
        published = file["images"][:].astype(float)
    # the JPEG of one of the sixty: closer to it than noise, far from the others
    distance = np.abs(published - image).mean((1, 2, 3))
    assert distance.min() < 4
    assert np.sort(distance)[1] > 2 * distance.min()


# resize


def test_without_crop_or_change_of_side_pixels_are_untouched():
    images = RNG.integers(0, 256, (3, 16, 16, 3), np.uint8)
    assert np.array_equal(resize(images, 16), images)


def test_a_crop_takes_equal_margins():
    images = RNG.integers(0, 256, (2, 16, 16, 3), np.uint8)
    side = crop_side(16, 0.6)
    assert side == 10
    assert np.array_equal(resize(images, side, 0.6), images[:, 3:13, 3:13])


def test_an_oblong_frame_is_cut_to_its_central_square():
    images = RNG.integers(0, 256, (1, 10, 16, 3), np.uint8)
    assert np.array_equal(resize(images, 10), images[:, :, 3:13])


def test_halving_averages_in_the_way_of_a_triangle():
    images = RNG.integers(0, 256, (1, 16, 16, 3), np.uint8)
    # An antialiased bilinear filter at a factor of 2: weights 1 3 3 1
    flat = images[0].astype(float)
    for axis in (0, 1):
        flat = np.moveaxis(flat, axis, 0)
        taps = [flat[k : k + 14 : 2][:6] for k in (1, 2, 3, 4)]
        inner = sum(w * t for w, t in zip((1, 3, 3, 1), taps, strict=True)) / 8
        flat = np.moveaxis(inner, 0, axis)
    # rows and columns are each rounded to whole numbers
    assert np.abs(resize(images, 8)[0, 1:7, 1:7] - flat).max() <= 1 + 1e-3


def test_bytes_and_floats_are_resized_alike():
    images = RNG.integers(0, 256, (1, 21, 21, 3), np.uint8)
    floats = scaled(images[0].astype(np.float32), 12)
    assert floats.dtype == np.float32
    assert np.abs(scaled(images[0], 12) - floats).max() <= 1


def test_resizing_agrees_with_torch():
    image = RNG.random((40, 40, 3), np.float32)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    theirs = F.interpolate(tensor, (17, 17), mode="bilinear", antialias=True)
    ours = scaled(image, 17)
    np.testing.assert_allclose(ours, theirs[0].permute(1, 2, 0), atol=1e-5)


def test_a_read_only_memory_map_can_be_resized(tmp_path):
    np.save(tmp_path / "a.npy", RNG.integers(0, 256, (3, 8, 8, 3), np.uint8))
    images = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert resize(images, 4).shape == (3, 4, 4, 3)


# legacy_rgb


def test_colors_are_those_of_the_survey_viewer():
    flux = np.random.default_rng(0).normal(0.1, 0.3, (3, 8, 8))
    # the viewer's own recipe, written down once more: planes b, g, r of g, r, z
    scaled = [np.maximum(0, f * s + 0.03) for f, s in zip(flux, (6, 3.4, 2.2))]  # noqa: B905
    mean = sum(scaled) / 3
    stretch = np.arcsinh(20 * mean) / np.sqrt(20)
    mean = mean + (mean == 0) * 1e-6
    planes = [
        (f * s + 0.03) * stretch / mean
        for f, s in zip(flux, (6, 3.4, 2.2), strict=True)
    ]
    expected = np.clip(np.stack(planes[::-1]), 0, 1)
    assert np.allclose(legacy_rgb(torch.from_numpy(flux)), expected, atol=1e-6)
