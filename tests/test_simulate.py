from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmagnet.config import SimulateConfig
from dmagnet.errors import DataError
from dmagnet.pictures import legacy_rgb
from dmagnet.simulator import draw, draw_flux, simulate, simulate_chunks, write_hdf5
from dmagnet.simulator.datasets import CHUNK
from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import PIXEL_ARCSEC, Grid, Pose
from dmagnet.simulator.population import (
    LOOSE,
    ROUND,
    TIGHT,
    bands,
    draw_discs,
    draw_edge_ons,
    draw_spheroids,
    nanomaggies,
)
from dmagnet.simulator.render import render_discs
from dmagnet.simulator.scene import as_jpeg
from dmagnet.simulator.sky import NOISE, add_noise, add_points

CPU = torch.device("cpu")
ALL = torch.arange(10)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulated") / "galaxies.h5"
    return write_hdf5(path, SimulateConfig(num=560, image_size=32), chunks="galaxy10")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def dice(num, seed=0):
    return Dice(seeded(seed), num, CPU)


def one_disc(axis_ratio):
    """A plain disc in the middle that lies along the x axis."""
    disc = draw_discs(torch.tensor([ROUND]), torch.ones(1), dice(1, seed=3))
    zero = torch.zeros(1)
    return replace(
        disc,
        pose=Pose(zero, zero, zero),
        axis_ratio=zero + axis_ratio,
        scale_length=zero + 3,
        break_radius=zero + 9,
        bulge_shift=torch.zeros(1, 2),
        lopsided=zero,
        twist=zero,
    )


def test_the_same_seed_draws_the_same_bits():
    one = draw(ALL, image_size=64, generator=seeded(3))
    two = draw(ALL, image_size=64, generator=seeded(3))
    assert torch.equal(one, two)


def test_another_seed_draws_other_galaxies():
    one = draw(ALL, image_size=64, generator=seeded(3))
    two = draw(ALL, image_size=64, generator=seeded(4))
    assert (one != two).flatten(1).any(dim=1).all()


@pytest.mark.parametrize("size", [32, 50, 100, 128, 300])
def test_any_size_can_be_drawn(size):
    images = draw(ALL[:3], image_size=size, generator=seeded())
    assert images.shape == (3, 3, size, size)
    assert images.dtype == torch.uint8


@pytest.mark.parametrize("label", range(10))
def test_a_class_alone_can_be_drawn(label):
    flux = draw_flux(torch.tensor([label]), image_size=64, generator=seeded())
    assert flux.dtype == torch.float32
    assert flux.isfinite().all()


def test_the_picture_is_the_viewers_stretch_of_the_flux_but_for_its_compression():
    flux = draw_flux(ALL, image_size=256, generator=seeded(1))
    image = draw(ALL, image_size=256, generator=seeded(1)).float()
    stretched = legacy_rgb(flux) * 255
    grey = torch.nn.functional.avg_pool2d(image.mean(1), 8)
    expected = torch.nn.functional.avg_pool2d(stretched.mean(1), 8)
    # A block of 8 x 8 px keeps its mean to half a step of the coding, which is 16 / 8.
    assert (grey - expected).mean().abs() < 0.3
    assert (grey - expected).std() < 1
    assert not torch.equal(image, stretched.round())


def test_compression_takes_the_color_of_the_noise_and_leaves_its_brightness():
    # Measured on Galaxy10's sky: 9 levels of 255 in grey, 5 in red minus blue.
    flux = draw_flux(ALL, image_size=256, generator=seeded(1))
    image = draw(ALL, image_size=256, generator=seeded(1)).float()
    stretched = legacy_rgb(flux) * 255

    def noise(planes):
        corner = planes[..., :40, :40].flatten(1)
        middle = corner.median(dim=1, keepdim=True).values
        return 1.48 * (corner - middle).abs().median(dim=1).values.median()

    before, after = (
        noise(stretched[:, 0] - stretched[:, 2]),
        noise(image[:, 0] - image[:, 2]),
    )
    assert after < 0.5 * before
    assert noise(image.mean(1)) > 0.85 * noise(stretched.mean(1))


def test_large_pixels_keep_the_color_of_each():
    stripes = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    stripes[:, 0, :, ::2], stripes[:, 2, :, 1::2] = 200, 200
    fine, coarse = (
        as_jpeg(stripes, Grid(64, pixel, CPU), dice(1)).float()
        for pixel in (PIXEL_ARCSEC, 3 * PIXEL_ARCSEC)
    )
    contrast = [(x[:, 0, :, ::2] - x[:, 0, :, 1::2]).mean() for x in (fine, coarse)]
    assert contrast[0] < 60
    assert contrast[1] > 150


def test_a_galaxy_stands_in_the_middle_above_the_noise():
    flux = draw_flux(ALL.repeat(3), image_size=64, generator=seeded())
    middle = flux[:, 1, 28:36, 28:36].amax(dim=(1, 2))
    assert (middle > 10 * NOISE[1]).all()


def test_the_sky_is_as_dark_as_the_viewers():
    images = draw(ALL.repeat(3), image_size=128, generator=seeded()).float()
    sky = images.flatten(2).median(dim=2).values
    # asinh(20 x 0.03) / sqrt(20) of 255 is 32.4
    assert (sky.median(dim=0).values - 33).abs().max() < 4


def test_a_smaller_image_shows_the_same_surface_brightness():
    # The draws are the same up to the noise, which comes last.
    small = draw_flux(ALL, image_size=64, generator=seeded(5))
    large = draw_flux(ALL, image_size=128, generator=seeded(5))
    pooled = torch.nn.functional.avg_pool2d(large, 2)
    gain = (small * pooled).sum() / (pooled**2).sum()
    assert gain.item() == pytest.approx(1, abs=0.01)
    assert (small - pooled).std() < 2 * NOISE[2]


def test_a_longer_set_begins_with_the_shorter_one():
    short, _ = simulate(SimulateConfig(num=23, image_size=32, seed=7))
    long, _ = simulate(SimulateConfig(num=50, image_size=32, seed=7))
    np.testing.assert_array_equal(short, long[:23])


def test_a_set_can_begin_in_its_middle():
    whole, labels = simulate(SimulateConfig(num=60, image_size=32, seed=7))
    tail = list(
        simulate_chunks(SimulateConfig(num=25, image_size=32, seed=7), start=31)
    )
    np.testing.assert_array_equal(np.concatenate([x for x, _ in tail]), whole[31:56])
    np.testing.assert_array_equal(np.concatenate([y for _, y in tail]), labels[31:56])


def test_neighboring_seeds_share_no_galaxy():
    one, _ = simulate(SimulateConfig(num=2 * CHUNK, image_size=32, seed=0))
    two, _ = simulate(SimulateConfig(num=2 * CHUNK, image_size=32, seed=1))
    assert len(np.unique(np.concatenate((one, two)), axis=0)) == 4 * CHUNK


def test_the_classes_take_turns():
    images, labels = simulate(SimulateConfig(num=25, image_size=32))
    assert images.shape == (25, 32, 32, 3)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, np.arange(25) % 10)


def test_progress_counts_up_to_the_number_asked_for():
    seen = []
    simulate(SimulateConfig(num=45, image_size=32), progress=seen.append)
    assert seen == [20, 40, 45]


@pytest.mark.parametrize("chunks", ["image", "galaxy10"])
def test_a_file_holds_what_was_simulated(tmp_path, chunks):
    config = SimulateConfig(num=33, image_size=32, seed=2)
    path = write_hdf5(tmp_path / "set.h5", config, chunks=chunks)
    images, labels = simulate(config)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["images"], images)
        np.testing.assert_array_equal(file["ans"], labels)
        assert file.attrs["simulated"]
        assert file.attrs["seed"] == 2
        assert {len(file[key]) for key in ("ra", "dec", "redshift", "pxscale")} == {33}
        assert file["pxscale"][0] == pytest.approx(8 * PIXEL_ARCSEC)


def test_a_large_file_is_stored_in_the_published_chunks(large_file):
    with h5py.File(large_file) as file:
        assert file["images"].chunks == (555, 16, 16, 1)
        assert file["images"].compression == "gzip"
        assert file["images"][559].any()


def test_an_interrupted_file_leaves_nothing_behind(tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    config = SimulateConfig(num=30, image_size=32)
    with pytest.raises(KeyboardInterrupt):
        write_hdf5(tmp_path / "set.h5", config, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_keeps_the_file_that_was_there(tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    path = tmp_path / "set.h5"
    write_hdf5(path, SimulateConfig(num=1, image_size=32))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_hdf5(path, SimulateConfig(num=30, image_size=32), progress=stop)
    assert path.read_bytes() == before


def test_a_file_of_others_is_not_replaced(tmp_path):
    path = tmp_path / "set.h5"
    path.write_text("mine")
    with pytest.raises(DataError, match="not made by dmagnet"):
        write_hdf5(path, SimulateConfig(num=1, image_size=32))
    assert path.read_text() == "mine"


def test_a_folder_that_cannot_be_is_an_error_of_the_user(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="give another -o"):
        write_hdf5(tmp_path / "file" / "set.h5", SimulateConfig(num=1, image_size=32))


def test_a_new_folder_is_made(tmp_path):
    path = tmp_path / "new" / "set.h5"
    assert write_hdf5(path, SimulateConfig(num=1, image_size=32)).is_file()


def test_simulated_positions_are_even_over_the_sphere(large_file):
    with h5py.File(large_file) as file:
        ra, dec = file["ra"][:], file["dec"][:]
    assert ((ra >= 0) & (ra < 360) & (np.abs(dec) <= 90)).all()
    # Half of a sphere lies within 30 degrees of its equator.
    assert np.mean(np.abs(dec) < 30) == pytest.approx(0.5, abs=0.08)


def test_a_point_source_keeps_its_flux_and_its_centroid():
    grid = Grid.of_frame(32, CPU)
    images = torch.zeros(2, 3, 32, 32)
    flux = torch.tensor([[1.0, 2.0, 3.0]])
    x, y = torch.tensor([2.7]), torch.tensor([-5.1])
    add_points(images, torch.tensor([1]), x, y, flux, grid=grid)
    total = images[1].sum(dim=(1, 2)) * grid.scale**2
    np.testing.assert_allclose(total.numpy(), flux[0].numpy(), rtol=1e-5)
    axis = grid.axis()
    mean_x = (images[1, 0].sum(dim=0) * axis).sum() / images[1, 0].sum()
    mean_y = (images[1, 0].sum(dim=1) * axis).sum() / images[1, 0].sum()
    assert mean_x.item() == pytest.approx(2.7, abs=1e-4)
    assert mean_y.item() == pytest.approx(-5.1, abs=1e-4)
    assert not images[0].any()


def test_a_point_source_outside_of_the_frame_is_left_out():
    images = torch.zeros(1, 3, 32, 32)
    x, y = torch.tensor([40.0]), torch.tensor([0.0])
    owner = torch.tensor([0])
    add_points(images, owner, x, y, torch.ones(1, 3), grid=Grid.of_frame(32, CPU))
    assert not images.any()


def test_the_noise_is_the_surveys_at_its_pixel():
    noise = add_noise(torch.zeros(40, 3, 256, 256), Grid.of_frame(256, CPU), dice(40))
    sigma = noise.std(dim=(2, 3)).median(dim=0).values
    np.testing.assert_allclose(sigma.numpy(), NOISE, rtol=0.12)


def test_the_noise_is_correlated_like_a_resampled_coadd():
    noise = add_noise(torch.zeros(4, 3, 256, 256), Grid.of_frame(256, CPU), dice(4))
    power = (noise**2).mean()
    near = (noise[..., 1:] * noise[..., :-1]).mean() / power
    far = (noise[..., 2:] * noise[..., :-2]).mean() / power
    # Galaxy10's sky has 0.39 and -0.05 after its compression.
    assert near.item() == pytest.approx(0.37, abs=0.02)
    assert far.item() == pytest.approx(-0.08, abs=0.02)


def test_large_pixels_average_the_noise_of_small_ones():
    fine = add_noise(torch.zeros(60, 3, 256, 256), Grid.of_frame(256, CPU), dice(60))
    pooled = torch.nn.functional.avg_pool2d(fine, 4).std(dim=(2, 3)).median(dim=0)
    coarse = add_noise(torch.zeros(60, 3, 64, 64), Grid.of_frame(64, CPU), dice(60))
    coarse_sigma = coarse.std(dim=(2, 3)).median(dim=0)
    np.testing.assert_allclose(
        coarse_sigma.values.numpy(), pooled.values.numpy(), rtol=0.1
    )


def test_nanomaggies_are_those_of_the_survey():
    assert nanomaggies(torch.tensor(22.5)).item() == pytest.approx(1)
    assert nanomaggies(torch.tensor(20.0)).item() == pytest.approx(10)


def test_a_redder_color_has_less_g_and_more_z():
    g, r, z = bands(torch.tensor(0.75), torch.tensor(0.5))
    assert (g.item(), r.item(), z.item()) == pytest.approx((0.5012, 1.0, 1.5849), 1e-3)


def test_tight_arms_are_wound_tighter_than_loose_ones():
    labels = torch.tensor([TIGHT] * 300 + [LOOSE] * 300)
    arms = draw_discs(labels, torch.ones(600), dice(600)).arms
    pitch = torch.rad2deg(torch.atan(1 / arms.winding.abs()))
    assert pitch[:300].max() < pitch[300:].min()
    assert pitch[:300].mean().item() == pytest.approx(14, abs=1)


def test_only_barred_spirals_must_have_a_bar():
    labels = torch.arange(5, 8).repeat_interleave(100)
    share = draw_discs(labels, torch.ones(300), dice(300)).bars.share
    assert (share[:100] > 0.05).all()
    assert not share[100:].any()


def test_round_galaxies_are_rounder_than_ovals_and_those_than_cigars():
    labels = torch.arange(2, 5).repeat_interleave(100)
    ratio = draw_spheroids(labels, torch.ones(300), dice(300)).axis_ratio
    groups = ratio.reshape(3, 100)
    assert groups[0].min() > groups[1].max()
    assert groups[1].min() > groups[2].max()


def test_only_one_of_the_edge_on_classes_has_a_bulge():
    labels = torch.tensor([8, 9]).repeat_interleave(100)
    share = draw_edge_ons(labels, torch.ones(200), dice(200)).bulge_share
    assert share[:100].max() < 0.05
    assert share[100:].min() > 0.1


def test_smooth_discs_have_neither_arms_nor_bars_nor_tails():
    labels = torch.arange(2, 5).repeat_interleave(100)
    discs = draw_discs(labels, torch.ones(300), dice(300))
    assert not discs.arms.strength.any()
    assert not discs.bars.share.any()
    assert not discs.tides.share.any()


def test_arms_go_from_weak_ones_to_grand_designs():
    labels = torch.full((400,), TIGHT)
    strength = draw_discs(labels, torch.ones(400), dice(400)).arms.strength
    assert strength.quantile(0.05) < 0.6
    assert strength.quantile(0.95) > 1.05


def test_older_discs_are_redder():
    labels = torch.full((200,), LOOSE)
    age = torch.linspace(-2, 2, 200)
    color = draw_discs(labels, torch.ones(200), dice(200), age).colors[:, 0, 1]
    assert torch.corrcoef(torch.stack((age, color)))[0, 1] < -0.3


def test_a_bow_bends_the_ends_of_a_disc_to_one_side():
    straight = one_disc(axis_ratio=0.3)
    bent = replace(straight, bow=torch.tensor([0.08]))
    grid = Grid.of_frame(128, CPU)
    rows = grid.axis()[:, None]
    ends = grid.axis().abs() > 2 * straight.scale_length
    light = [render_discs(disc, grid)[0, 1][:, ends] for disc in (straight, bent)]
    before, after = ((rows * part).sum() / part.sum() for part in light)
    assert before.abs() < 0.1
    # bow x^2 / h at x = 2 h and beyond
    assert after > 4 * 0.08 * straight.scale_length.item()


def test_patches_keep_the_light_and_take_the_symmetry():
    even = one_disc(axis_ratio=0.9)
    patchy = replace(even, patchy=torch.tensor([0.8]))
    grid = Grid.of_frame(128, CPU)
    light = [render_discs(disc, grid)[0, 1] for disc in (even, patchy)]
    assert (light[1].sum() / light[0].sum()).item() == pytest.approx(1, abs=0.25)
    uneven = [(x - x.flip(0, 1)).abs().sum() / x.sum() for x in light]
    assert uneven[1] > uneven[0] + 0.1


def test_galaxies_have_no_preferred_direction():
    labels = torch.full((400,), 8)
    angle = draw_edge_ons(labels, torch.ones(400), dice(400)).pose.angle
    mean = torch.stack(((2 * angle).cos().mean(), (2 * angle).sin().mean()))
    assert mean.norm() < 0.1


def test_a_linear_look_at_the_pixels_does_not_tell_the_classes(large_file):
    with h5py.File(large_file) as file:
        pixels, labels = file["images"][:].reshape(560, -1) / 255, file["ans"][:]
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1e4))
    model.fit(pixels[:400], labels[:400])
    assert model.score(pixels[400:], labels[400:]) < 0.5
