"""The Python calls, and what the folder of dreams holds to the pixel."""

import json

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.wcs import WCS
from dreamers import galaxy, picture, weights
from PIL import Image
from torch import nn

import dmagnet
from dmagnet.config import DreamConfig, RedreamConfig
from dmagnet.dreaming import (
    Channel,
    Energy,
    LogOdds,
    gather,
    make_request,
    plain_name,
    read_request,
    write_dream,
    write_dreams,
)
from dmagnet.dreaming.sheets import SheetRow, contact_sheet, enlarge, pages, tile_side
from dmagnet.errors import ConfigError, DataError
from dmagnet.figures import to_png
from dmagnet.figures.overlays import detail_picture
from dmagnet.figures.plots import redream_passes
from dmagnet.network.checkpoint import save
from dmagnet.pictures import from_array, read_image, standardize

QUICK = DreamConfig(steps=2, octaves=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return weights(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def foreign():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 5, 3)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


# dmagnet.dream


def test_a_dream_climbs_and_says_so(run):
    dream = dmagnet.dream(galaxy(), "stage1", weights=run, config=QUICK)
    assert dream.images.shape == (1, 3, 64, 64)
    assert dream.scores[1] > dream.scores[0]
    torch.testing.assert_close(dream.images, dream.start + dream.detail)


def test_the_score_in_the_trace_is_that_of_the_image_before_the_step(foreign):
    config = DreamConfig.plain(steps=3, octaves=1, jitter=0)
    dream = dmagnet.dream(galaxy(), "0", weights=foreign, config=config)
    assert [moment.step for moment in dream.trace] == [1, 2, 3]
    assert dream.trace[0].scores == pytest.approx(dream.scores[0], rel=1e-5)
    assert dream.trace[1].scores > dream.trace[0].scores


def test_probabilities_are_those_of_the_network(run):
    dream = dmagnet.dream(galaxy(), "stem", weights=run, config=QUICK)
    model = dmagnet.load(run).model
    with torch.no_grad():
        there = model(torch.cat([dream.start, dream.images])).softmax(1).numpy()
    np.testing.assert_allclose(dream.probabilities[:, 0], there, atol=1e-5)
    np.testing.assert_allclose(dream.trace[-1].probabilities[0], there[1], atol=1e-5)
    assert dream.class_names == ("0_round", "1_Spiral_arms", "Merging")


def test_the_trajectory_is_recorded_at_each_step_or_at_the_ends_of_octaves(run):
    config = DreamConfig(steps=3, octaves=1)
    for trajectory, known in (("step", 3), ("octave", 2)):
        dream = dmagnet.dream(
            galaxy(), "stem", weights=run, config=config, trajectory=trajectory
        )
        assert sum(m.probabilities is not None for m in dream.trace) == known


def test_every_form_of_an_image_gives_the_same_dream(foreign, tmp_path):
    pixels = galaxy()
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    forms = [picture(tmp_path / "a.png"), str(tmp_path / "a.png"), pixels]
    forms += [from_array(pixels), tensor, tensor[0], [pixels]]
    dreams = [dmagnet.dream(x, "0", weights=foreign, config=QUICK) for x in forms]
    for dream in dreams[1:]:
        torch.testing.assert_close(dream.images, dreams[0].images, atol=1e-6, rtol=0)


def test_every_form_of_a_network_gives_the_same_dream(run):
    checkpoint = dmagnet.load(run)
    dreams = [
        dmagnet.dream(galaxy(), "stem", weights=model, config=QUICK)
        for model in (run, str(run), checkpoint, checkpoint.model)
    ]
    for dream in dreams[1:]:
        assert torch.equal(dream.images, dreams[0].images)
    assert dreams[3].probabilities is None  # a bare network has no names of classes
    assert len({dream.provenance["weights_hash"] for dream in dreams}) == 1


def test_a_class_a_channel_and_a_layer_are_different_dreams(run):
    asked = [
        {"class_name": "Merging"},
        {"layer": Channel("stem", 1)},
        {"layer": "stem"},
    ]
    images = [
        dmagnet.dream(galaxy(), weights=run, config=QUICK, **words).images
        for words in asked
    ]
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[1], images[2])


def test_a_class_is_dreamed_by_its_odds(run):
    named = dmagnet.dream(galaxy(), weights=run, class_name="merging", config=QUICK)
    odds = dmagnet.dream(galaxy(), LogOdds(2), weights=run, config=QUICK)
    assert torch.equal(named.images, odds.images)
    share = torch.tensor(named.probabilities[:, :, 2]).logit()
    torch.testing.assert_close(torch.tensor(odds.scores), share, rtol=0, atol=1e-4)


def test_a_network_without_class_names_says_what_to_do(foreign):
    with pytest.raises(ConfigError, match="give an objective"):
        dmagnet.dream(galaxy(), weights=foreign, class_name="Merging")


def test_only_one_of_class_guide_and_objective_can_be_asked_for(run):
    both = {"class_name": "Merging", "layer": Energy("stem")}
    with pytest.raises(ConfigError, match="expected one of"):
        dmagnet.dream(galaxy(), weights=run, **both)


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(1, 1, 64, 64),
        torch.full((1, 3, 64, 64), torch.nan),
        torch.full((1, 3, 64, 64), 2.0),
        np.full((64, 64), np.nan),
    ],
)
def test_a_tensor_that_is_no_image_is_refused(foreign, image):
    with pytest.raises(DataError, match="expected"):
        dmagnet.dream(image, "0", weights=foreign)


def test_images_of_different_sizes_are_refused_together(foreign):
    images = [galaxy(), galaxy(height=70)]
    with pytest.raises(ConfigError, match="of one size"):
        dmagnet.dream(images, "0", weights=foreign)


def test_watch_sees_every_frame_and_may_stop(foreign):
    frames = []
    dmagnet.dream(galaxy(), "0", weights=foreign, config=QUICK, watch=frames.append)
    assert [frame.step for frame in frames] == [1, 2]

    def enough(frame):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dmagnet.dream(galaxy(), "0", weights=foreign, config=QUICK, watch=enough)


def test_a_redream_has_its_passes_and_ends_at_home(foreign):
    config = RedreamConfig(schedule=(48, 96, 64), dream=QUICK)
    dream = dmagnet.redream(galaxy(), "0", weights=foreign, config=config)
    assert [one.images.shape[-1] for one in dream.passes] == [48, 96, 64]
    assert torch.equal(dream.passes[-1].images, dream.images)
    assert dream.scores[1] > dream.scores[0]
    assert dream.passes[-1].scores == pytest.approx(dream.scores[1])


def test_a_redream_of_no_steps_is_the_galaxy(foreign):
    config = RedreamConfig(dream=DreamConfig(steps=0))
    dream = dmagnet.redream(galaxy(128, 128), "0", weights=foreign, config=config)
    assert torch.equal(dream.images, dream.start)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("stem", "stem"),
        ("stage2", "stage 2"),
        ("stage2.block1.d4", "stage 2, block 1, dilation 4"),
        ("lam", "local attention"),
        ("logits", "class scores"),
        ("layer1.0.conv1", "layer1.0.conv1"),
    ],
)
def test_layers_are_named_in_plain_words(layer, words):
    assert plain_name(layer) == words


# FITS copies


@pytest.fixture(scope="module")
def sky_dream(run, tmp_path_factory):
    """A dream of an oblong FITS cut-out with one star, written."""
    folder = tmp_path_factory.mktemp("sky")
    flux = np.random.default_rng(1).normal(0, 0.02, (3, 70, 90)).astype(np.float32)
    flux[:, 60, 11] = 40.0
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.1, 2.2]
    wcs.wcs.crpix, wcs.wcs.cdelt = [45.5, 35.5], [-7e-5, 7e-5]
    fits.writeto(folder / "sky.fits", flux, wcs.to_header())
    dream = dmagnet.dream(folder / "sky.fits", "stem", weights=run, config=QUICK)
    (entry,) = write_dream(dream, folder, ["sky"])
    return folder, wcs, dream, entry


def test_the_fits_copy_keeps_the_star_at_its_place_on_the_sky(sky_dream):
    folder, wcs, _, entry = sky_dream
    with fits.open(folder / entry["files"]["fits"]) as hdus:
        cube, header = hdus[0].data, hdus[0].header
    assert cube.shape == (3, 70, 90)
    row, column = np.unravel_index(cube.sum(0).argmax(), cube.shape[1:])
    assert abs(row - 60) <= 1
    assert abs(column - 11) <= 1
    here = WCS(header, naxis=2).all_pix2world([[11, 60]], 0)
    np.testing.assert_allclose(here, wcs.all_pix2world([[11, 60]], 0), atol=1e-10)


def test_the_fits_copy_holds_dream_and_detail_bit_for_bit(sky_dream):
    folder, _, dream, entry = sky_dream
    path = folder / entry["files"]["fits"]
    back = read_image(path).rgb.transpose(2, 0, 1)
    np.testing.assert_array_equal(back, dream.images[0].numpy())
    with fits.open(path) as hdus:
        assert hdus[1].name == "DETAIL"
        detail = hdus["DETAIL"].data[:, ::-1]
        assert WCS(hdus["DETAIL"].header, naxis=2).has_celestial
    np.testing.assert_array_equal(detail, dream.detail[0].numpy())


def test_the_png_is_the_dream_to_half_a_step(sky_dream):
    folder, _, dream, entry = sky_dream
    png = np.asarray(Image.open(folder / entry["files"]["dream"])) / 255
    dreamed = dream.images[0].permute(1, 2, 0).numpy()
    assert np.abs(png - dreamed).max() <= 0.5 / 255 + 1e-6


def test_the_entry_is_plain_json_and_names_files_that_exist(sky_dream):
    folder, _, dream, entry = sky_dream
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    assert all((folder / name).is_file() for name in entry["files"].values())
    assert entry["score"]["dream"] == pytest.approx(dream.scores[1, 0], rel=1e-6)
    assert entry["notes"] == list(dream.cutouts[0].notes) != []


def test_no_half_written_files_stay(sky_dream):
    assert not list(sky_dream[0].rglob("*.part"))


# pictures


def test_a_detail_is_orange_where_brighter_blue_where_darker_black_where_equal():
    detail = np.zeros((3, 9, 9), np.float32)
    detail[:, 2, 2], detail[:, 6, 6] = 0.2, -0.2
    shown = detail_picture(detail).astype(int)
    assert shown[2, 2, 0] > shown[2, 2, 2] + 100
    assert shown[6, 6, 2] > shown[6, 6, 0] + 100
    assert shown[0, 0].max() < 30
    assert detail_picture(np.zeros((3, 4, 4), np.float32)).max() < 30


def test_small_pictures_are_enlarged_by_whole_pixels_and_large_ones_shrink():
    small = galaxy(48, 40)
    times = np.asarray(enlarge(small, 192))
    np.testing.assert_array_equal(times[::4, ::4], small)
    assert enlarge(galaxy(512, 256), 256).size == (128, 256)
    assert tile_side([SheetRow("a", [galaxy(96, 96)])]) == 192
    assert tile_side([SheetRow("a", [galaxy(256, 256)])]) == 256


def test_a_sheet_has_a_cell_for_each_picture_and_shows_what_is_missing():
    rows = [
        SheetRow("one", [galaxy(), galaxy(seed=1)]),
        SheetRow("two", [galaxy(), None]),
    ]
    sheet = np.asarray(contact_sheet(rows, ["galaxy", "stem"], "Title"))
    tile = np.asarray(enlarge(galaxy(seed=1), 192))
    places = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (1, 192))
    assert (places[:, :, 0] == tile[0, :, 0]).all(-1).any()
    assert (sheet == (30, 30, 35)).all(-1).sum() == 192 * 192


def test_many_rows_go_onto_several_pages():
    rows = [SheetRow(str(i), [galaxy()]) for i in range(25)]
    assert len(pages(rows, ["galaxy"], "Title")) == 3


def test_a_long_name_is_broken_and_makes_no_sheet_wider():
    short, long = (
        contact_sheet([SheetRow(name, [galaxy()])], ["galaxy"], "T").width
        for name in ("x" * 20, "decals_dr5_cutout_" * 12)
    )
    assert long <= short + 60


def test_the_curves_of_passes_need_a_value_for_each():
    scores, residuals = np.ones((3, 2)), np.array([[np.nan] * 2, [0.5, 0.6]])
    figure = redream_passes((64, 64), scores, residuals, ["a", "b"])
    assert to_png(figure).startswith(b"\x89PNG")
    with pytest.raises(DataError, match="expected scores"):
        redream_passes((64, 64), scores[:2], residuals, ["a", "b"])


# runs


def test_an_error_in_the_middle_keeps_what_is_done(tmp_path):
    checkpoint = dmagnet.load(weights(tmp_path / "run"))
    nn.init.zeros_(checkpoint.model.head.weight)  # no class depends on the image
    save(tmp_path / "run/weights.safetensors", checkpoint)
    request = make_request(
        [picture(tmp_path / "a.png")],
        tmp_path / "run",
        QUICK,
        layers=("stem",),
        classes=("merging",),
    )
    with pytest.raises(ConfigError, match="zero gradient"):
        write_dreams(request, tmp_path / "out")
    record = json.loads((tmp_path / "out/dream.json").read_text())
    assert record["status"] == "stopped"
    assert [entry["target"] for entry in record["dreams"]] == ["stem"]
    assert (tmp_path / "out/sheet.png").exists()


@pytest.mark.parametrize(("basis", "zoom"), [("maco", 2), ("galaxy", 0)])
def test_what_no_octave_climbs_is_refused_before_the_work(run, tmp_path, basis, zoom):
    paths, config = [picture(tmp_path / "a.png")], DreamConfig(basis=basis, steps=1)
    request = make_request(paths, run, config, layers=("stem",), zoom=zoom)
    with pytest.raises(ConfigError, match=f"expected fourier or pixel, got {basis}"):
        write_dreams(request, tmp_path / "out", announce=pytest.fail)


def test_batches_of_one_size_dream_as_each_alone(run, tmp_path):
    paths = [picture(tmp_path / f"{i}.png", seed=i) for i in range(3)]
    together = make_request(paths, run, QUICK, layers=("stem",))
    alone = make_request(paths[2:], run, QUICK, layers=("stem",))
    write_dreams(together, tmp_path / "together")
    write_dreams(alone, tmp_path / "alone")
    a, b = (read_image(tmp_path / x / "2/stem.fits").rgb for x in ("together", "alone"))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_progress_counts_every_step_of_every_image(run, tmp_path):
    paths = [picture(tmp_path / f"{i}.png", seed=i) for i in range(2)]
    request = make_request(paths, run, QUICK, layers=("stem", "stage1"))
    seen = []

    def announce(name, total):
        seen.append(total)
        return seen.append

    write_dreams(request, tmp_path / "out", announce=announce)
    assert seen[0] == 2 * 2 * 2
    assert seen[1:] == sorted(seen[1:])
    assert seen[-1] == seen[0]


def test_progress_never_falls_and_ends_whole_with_passes_and_zoom(run, tmp_path):
    sizes = {"a": 64, "b": 80}
    paths = [picture(tmp_path / f"{n}.png", height=s) for n, s in sizes.items()]
    config = RedreamConfig(dream=DreamConfig(steps=1, octaves=1))
    request = make_request(paths, run, config, layers=("stem",), zoom=2)
    seen = []

    def announce(name, total):
        seen.append(total)
        return seen.append

    write_dreams(request, tmp_path / "out", announce=announce)
    assert seen[0] == 2 * (4 + 2)
    assert seen[1:] == sorted(seen[1:])
    assert seen[-1] == seen[0]
    assert (tmp_path / "out/sheet_80px.png").exists()


def test_the_hash_of_a_source_is_that_of_its_file(tmp_path):
    import hashlib

    path = picture(tmp_path / "a.b.png")
    (source,) = gather([path])
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source.name == "a"


# real galaxies


def test_a_real_cut_out_is_dreamed_and_stays_where_it_is(shared, run, tmp_path):
    path = shared / "fits" / "decals_dr5_grz_162_example_b.fits"
    request = make_request([path], run, QUICK, layers=("stage2",))
    write_dreams(request, tmp_path / "out")
    written = tmp_path / "out/decals_dr5_grz_162_example_b/stage2.fits"
    before, after = read_image(path), read_image(written)
    assert after.rgb.shape == before.rgb.shape == (162, 162, 3)
    assert after.pixel_scale == pytest.approx(before.pixel_scale, rel=1e-9)
    for x, y in ((0, 0), (80, 20)):
        here, there = (c.wcs.all_pix2world([[x, y]], 0) for c in (before, after))
        np.testing.assert_allclose(here, there, atol=1e-10)


def test_real_galaxies_of_an_h5_file_are_dreamed(shared, run, tmp_path):
    path = shared / "galaxy10_real60.h5"
    config = DreamConfig(steps=1, octaves=2)
    request = make_request([path], run, config, layers=("stage1",), index=(0, 35))
    folder = write_dreams(request, tmp_path / "out")
    assert [entry["image"] for entry in folder.entries] == [
        "galaxy10_real60-0",
        "galaxy10_real60-35",
    ]


# networks that see all galaxies at one size


def test_a_network_of_one_size_is_shown_its_view_and_the_wcs_follows(tmp_path):
    run = weights(tmp_path / "run", radii=3.0)
    file = tmp_path / "a.fits"
    sky = WCS(naxis=2)
    sky.wcs.ctype, sky.wcs.crval = ["RA---TAN", "DEC--TAN"], [150, 2]
    sky.wcs.crpix, sky.wcs.cdelt = [60.5, 60.5], [-1e-4, 1e-4]
    pixels = galaxy(120, 120).transpose(2, 0, 1)[:, ::-1]
    fits.writeto(file, pixels, sky.to_header())
    request = make_request([file], run, QUICK, layers=("stem",), guide=file)
    expected = standardize(galaxy(120, 120), 96, 3.0)  # 1.5 times the network's 64
    for source in (*request.sources, request.guide):
        np.testing.assert_allclose(source.cutout.rgb * 255, expected, atol=1e-3)
    folder = write_dreams(request, tmp_path / "out")
    dreamed = read_image(folder.path / "a/stem-guided.fits")
    assert dreamed.rgb.shape == (96, 96, 3)
    middle = dreamed.wcs.pixel_to_world(47.5, 47.5)
    assert middle.separation(sky.pixel_to_world(59.5, 59.5)).arcsec < 0.01
    again = read_request(folder.path / "dream.json")
    assert again.to_dict() == request.to_dict()
    np.testing.assert_array_equal(
        again.sources[0].cutout.rgb, request.sources[0].cutout.rgb
    )


def test_paths_and_arrays_are_dreamed_as_a_network_of_one_size_sees_them(tmp_path):
    run = weights(tmp_path / "run", radii=3.0)
    path, pixels = picture(tmp_path / "a.png", height=120, width=120), galaxy(120, 120)
    expected = standardize(pixels, 96, 3.0).transpose(2, 0, 1) / np.float32(255)
    for image in (path, pixels):
        dream = dmagnet.dream(image, "stem", weights=run, config=QUICK)
        np.testing.assert_allclose(dream.start[0], expected, atol=1e-6)
    config = RedreamConfig(schedule=(64, 96), dream=QUICK)
    redream = dmagnet.redream(path, "stem", weights=run, config=config)
    assert redream.start.shape == (1, 3, 96, 96)
    dream = dmagnet.dream(redream.start, "stem", weights=run, config=QUICK)
    torch.testing.assert_close(dream.start, redream.start)  # tensors are as they are
