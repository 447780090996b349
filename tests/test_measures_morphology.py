import warnings
from dataclasses import fields

import h5py
import numpy as np
import pytest
import scipy.ndimage
import torch
from astropy.modeling.models import Sersic2D
from astropy.stats import sigma_clipped_stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import gammaincinv
from scipy.stats import spearmanr

from dmagnet.config import SimulateConfig
from dmagnet.errors import DataError
from dmagnet.measuring.apertures import ApertureFlag, aperture_energy, find_aperture
from dmagnet.measuring.asymmetry import box_smooth, gaussian_smooth, half_turn
from dmagnet.measuring.morphology import measure_morphology
from dmagnet.measuring.photometry import (
    Light,
    circle_overlap,
    ellipse,
    enclosed,
    gini,
    growth,
    m20,
    petrosian,
    radii_of_shares,
)
from dmagnet.measuring.segments import clipped_sky, sky_boxes
from dmagnet.simulator import simulate

INDICES = ("concentration", "asymmetry", "smoothness", "gini", "m20")
PLACE = (63.3, 64.6)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def rng(seed=0):
    return np.random.default_rng(seed)


def sersic(n, r_e, *, side=128, ellip=0.0, theta=0.0, place=PLACE, finer=9):
    """Draw a Sersic profile without sky or noise, its pixels integrated."""
    steps = (np.arange(side * finer) + 0.5) / finer - 0.5
    model = Sersic2D(
        amplitude=1,
        r_eff=r_e,
        n=n,
        x_0=place[0],
        y_0=place[1],
        ellip=ellip,
        theta=theta,
    )
    fine = model(*np.meshgrid(steps, steps))
    return torch.from_numpy(fine.reshape(side, finer, side, finer).mean(axis=(1, 3)))


def with_sky(images, sigma=0.003, level=0.1, seed=0):
    noise = rng(seed).normal(level, sigma, images.shape)
    return images + torch.from_numpy(noise)


def petrosian_of_sersic(n):
    """Solve for the Petrosian radius and concentration, in effective radii."""
    b = gammaincinv(2 * n, 0.5)

    def profile(r):
        return np.exp(-b * (r ** (1 / n) - 1))

    def light(r):
        return quad(lambda s: 2 * np.pi * s * profile(s), 0, r)[0]

    def circle_of(share):
        return brentq(lambda r: light(r) - share * total, 1e-4, 9)

    radius = brentq(lambda r: profile(r) - 0.2 * light(r) / (np.pi * r**2), 0.5, 9)
    total = light(1.5 * radius)
    return radius, 5 * np.log10(circle_of(0.8) / circle_of(0.2))


@pytest.fixture(scope="module")
def simulated():
    images, _ = simulate(SimulateConfig(num=20, image_size=80, seed=3))
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def apertures(simulated):
    return find_aperture(simulated)


# Circles, ellipses, radii


@pytest.mark.parametrize("radius", [0.3, 1.0, 4.6, 17.2, 30.0])
def test_a_circle_cuts_pixels_as_photutils_does(radius):
    photutils = pytest.importorskip("photutils.aperture")
    circle = photutils.CircularAperture((20.4, 17.9), radius)
    expected = circle.to_mask(method="exact").to_image((40, 36))
    found = circle_overlap(numbers(20.4), numbers(17.9), numbers(radius), (40, 36))
    np.testing.assert_allclose(found[0], expected, atol=1e-12)


def test_ellipses_hold_what_photutils_says_they_hold():
    photutils = pytest.importorskip("photutils.aperture")
    image = rng().uniform(0, 1, (64, 64))
    light = Light(torch.from_numpy(np.stack((image, np.ones_like(image)))[None]))
    shape = numbers(2.5), numbers(0.6)
    a, light_in, area_in = growth(light, numbers(31.2), numbers(30.7), shape)
    for i in (20, 31, 44):
        size = float(a[i])
        oval = photutils.EllipticalAperture((31.2, 30.7), size, size / 2.5, theta=0.6)
        expected = oval.do_photometry(image, method="exact")[0][0]
        np.testing.assert_allclose(light_in[0, i], expected, rtol=0.01)
        np.testing.assert_allclose(area_in[0, i], oval.area, rtol=0.01)


@pytest.mark.parametrize(("n", "r_e"), [(1, 10.0), (2, 10.0), (4, 12.0)])
def test_a_sersic_profile_has_its_analytic_radius_and_concentration(n, r_e):
    expected = petrosian_of_sersic(n)
    image = sersic(n, r_e, finer=15)[None]
    light = Light(torch.stack((image, torch.ones_like(image)), dim=1))
    place = [numbers(value) for value in PLACE]
    radius, _ = petrosian(light, *place)
    r20, r80 = radii_of_shares(light, *place, 1.5 * radius, (0.2, 0.8))[0]
    assert radius.item() == pytest.approx(expected[0] * r_e, rel=0.005)
    # The pixel in the middle of a steep profile is not as steep.
    assert 5 * (r80 / r20).log10().item() == pytest.approx(expected[1], abs=0.05)


def test_circles_of_light_hold_exactly_their_shares(simulated):
    images = simulated.double().mean(dim=1)
    light = Light.above(images, images.new_zeros(20), torch.ones_like(images).bool())
    place = torch.full((2, 20), 39.6).double()
    radii = radii_of_shares(light, *place, torch.full((20,), 30.0).double(), (0.2, 0.8))
    held, _ = enclosed(light, *place, torch.nn.functional.pad(radii, (0, 1), value=30))
    shares = held[:, :2] / held[:, 2:]
    torch.testing.assert_close(
        shares, shares.new_tensor([[0.2, 0.8]] * 20), atol=1e-6, rtol=0
    )


def test_sky_and_noise_leave_radius_and_concentration_in_place():
    radius, concentration = petrosian_of_sersic(1)
    found = measure_morphology(with_sky(sersic(1, 10.0))[None])
    assert found.r_petro.item() == pytest.approx(10 * radius, rel=0.01)
    assert found.concentration.item() == pytest.approx(concentration, abs=0.02)
    assert found.flag.item() == ApertureFlag.GOOD


def test_an_inclined_galaxy_has_its_axis_ratio_and_angle():
    image = sersic(0.5, 9.0, ellip=0.4, theta=0.7)
    found = ellipse(image[None], numbers(PLACE[0]), numbers(PLACE[1]))
    assert found[0].item() == pytest.approx(0.4, abs=0.005)
    assert found[1].item() == pytest.approx(0.7, abs=0.005)


# Asymmetry


def test_half_a_turn_about_a_pixel_or_its_corner_is_a_flip():
    images = torch.from_numpy(rng().uniform(size=(2, 1, 31, 40)))
    turned = half_turn(images, numbers(19.5, 19.5), numbers(15.0, 15.0))
    torch.testing.assert_close(turned, images.flip(2, 3))


def test_a_symmetric_galaxy_has_no_asymmetry_and_its_center_is_found():
    found = measure_morphology(with_sky(sersic(1, 10.0))[None])
    assert abs(found.asymmetry.item()) < 0.01
    assert found.x.item() == pytest.approx(PLACE[0], abs=0.15)
    assert found.y.item() == pytest.approx(PLACE[1], abs=0.15)


def test_a_clump_on_one_side_counts_twice_in_asymmetry():
    galaxy = sersic(1, 10.0)
    clump = sersic(0.5, 1.5, place=(PLACE[0] + 12, PLACE[1]))
    clump *= 0.1 * galaxy.sum() / clump.sum()
    base = with_sky(galaxy)[None]
    aperture = find_aperture(base)
    before = measure_morphology(base, aperture=aperture)
    after = measure_morphology(base + clump, aperture=aperture)
    # 2 f / (1 + f) for a share f of the light within the circle, here 0.1.
    gained = after.asymmetry.item() - before.asymmetry.item()
    assert gained == pytest.approx(0.2 / 1.1, rel=0.1)


def test_clumps_make_a_galaxy_less_smooth():
    galaxy = sersic(1, 12.0)
    spots = np.zeros((128, 128))
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    rows, columns = 64.6 + 14 * np.sin(angle), 63.3 + 14 * np.cos(angle)
    spots[rows.round().astype(int), columns.round().astype(int)] = 1.0
    base = with_sky(galaxy, sigma=0.03)[None]
    aperture = find_aperture(base)
    before = measure_morphology(base, aperture=aperture).smoothness.item()
    after = measure_morphology(
        base + torch.from_numpy(spots), aperture=aperture
    ).smoothness.item()
    share = spots.sum() / galaxy.sum().item()
    assert abs(before) < 0.02
    assert after - before > 0.7 * share


# Gini and M20


def test_gini_is_the_mean_difference_of_all_pairs():
    image = torch.from_numpy(rng().exponential(size=(1, 9, 9)))
    chosen = torch.from_numpy(rng(1).uniform(size=(1, 9, 9)) < 0.5)
    values = image[chosen].numpy()
    pairs = np.abs(values[:, None] - values).sum()
    expected = pairs / (2 * len(values) * (len(values) - 1) * values.mean())
    assert gini(image, chosen).item() == pytest.approx(expected, rel=1e-12)


def test_gini_is_0_for_equal_pixels_and_1_for_one():
    everywhere = torch.ones(1, 5, 5, dtype=torch.bool)
    one = torch.zeros(1, 5, 5).double()
    one[0, 2, 3] = 4.0
    assert gini(torch.ones(1, 5, 5).double(), everywhere).item() == 0
    assert gini(one, everywhere).item() == 1
    assert gini(0 * one, everywhere).isnan()


def test_m20_is_the_moment_of_the_brightest_fifth():
    image = rng().exponential(size=(11, 11))
    rows, columns = np.indices(image.shape)
    y, x = (rows * image).sum() / image.sum(), (columns * image).sum() / image.sum()
    moments = image * ((rows - y) ** 2 + (columns - x) ** 2)
    order = np.argsort(image, axis=None)[::-1]
    # As statmorph and we have it, the pixel that crosses the border is in.
    last = np.searchsorted(image.ravel()[order].cumsum(), 0.2 * image.sum())
    expected = np.log10(moments.ravel()[order][: last + 1].sum() / moments.sum())
    everywhere = torch.ones(1, 11, 11, dtype=torch.bool)
    found = m20(torch.from_numpy(image)[None], everywhere)
    assert found.item() == pytest.approx(expected, abs=1e-9)


# Sky and smoothing


def test_the_sky_is_clipped_as_astropy_does():
    image = rng().normal(5, 2, (80, 70))
    image[20:30, 20:40] += 60
    keep = np.ones_like(image, bool)
    keep[:5] = False
    _, median, sigma = sigma_clipped_stats(image, mask=~keep, sigma=3, maxiters=10)
    found = clipped_sky(torch.from_numpy(image)[None], torch.from_numpy(keep)[None])
    np.testing.assert_allclose(torch.cat(found), [median, sigma], rtol=1e-9)


def test_smoothing_is_scipys_with_a_width_for_each_image():
    images = rng().uniform(size=(2, 40, 33))
    batch = torch.from_numpy(images)
    for image, sigma, width, blurred, boxed in zip(
        images, (1.3, 4.0), (3, 9),
        gaussian_smooth(batch, numbers(1.3, 4.0)), box_smooth(batch, numbers(3, 9)),
        strict=True,
    ):  # fmt: skip
        expected = scipy.ndimage.gaussian_filter(image, sigma, mode="constant")
        np.testing.assert_allclose(blurred, expected, atol=1e-12)
        expected = scipy.ndimage.uniform_filter(image, width)
        np.testing.assert_allclose(boxed, expected, atol=1e-12)


def test_a_box_of_sky_holds_no_source(simulated, apertures):
    others = ~apertures.valid
    boxes = sky_boxes(apertures.galaxy, others)
    assert boxes.flatten(1).sum(dim=1).min() >= 16 * 16
    assert not (boxes & (apertures.galaxy | others)).any()


# Whole measurements


@pytest.mark.slow
def test_it_agrees_with_statmorph_on_simulated_galaxies():
    statmorph = pytest.importorskip("statmorph")
    images, _ = simulate(SimulateConfig(num=20, image_size=96, seed=5))
    simulated = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    aperture = find_aperture(simulated, noise="box")
    found = measure_morphology(simulated, aperture=aperture)
    rows = []
    for i, image in enumerate(simulated.double().mean(dim=1)):
        sources = np.where(aperture.valid[i], aperture.galaxy[i].int(), 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = statmorph.SourceMorphology(
                (image - aperture.sky[i]).numpy(),
                sources,
                1,
                gain=1.0,
                sersic_maxiter=1,
            )
        rows.append([getattr(expected, name) for name in (*INDICES, "flag")])
    rows = np.array(rows)
    good = rows[:, -1] == 0
    assert good.sum() >= 18
    for k, name in enumerate(INDICES):
        a, b = getattr(found, name).numpy(), rows[:, k]
        known = good & np.isfinite(a)
        if name == "smoothness":  # its even boxes lie half a pixel off; ours never do
            known &= (0.25 * aperture.r_petro).floor().numpy() % 2 == 1
        assert known.sum() >= 6
        assert spearmanr(a[known], b[known]).statistic > 0.95, name


def test_a_galaxy_measures_the_same_however_its_picture_lies(simulated):
    expected = measure_morphology(simulated[:12])
    for turned in (simulated[:12].flip(2), simulated[:12].mT):
        found = measure_morphology(turned)
        for name in INDICES:
            a, b = getattr(found, name), getattr(expected, name)
            # Walks over noise may take another way; at most one in twelve does.
            assert ((a - b).abs() > 1e-6).sum() <= 1, name


def test_a_batch_measures_as_its_galaxies_do_alone(simulated):
    batch = measure_morphology(simulated[:9])
    for i in range(9):
        alone = measure_morphology(simulated[i : i + 1])
        for field in fields(batch):
            torch.testing.assert_close(
                getattr(batch, field.name)[i : i + 1], getattr(alone, field.name),
                rtol=1e-5, atol=1e-5, equal_nan=True,
            )  # fmt: skip


def test_brightness_and_sky_level_do_not_change_the_shape(simulated):
    expected = measure_morphology(simulated[:8])
    found = measure_morphology(simulated[:8].double() * 40 - 3)
    for name in INDICES:
        torch.testing.assert_close(
            getattr(found, name), getattr(expected, name),
            rtol=1e-4, atol=1e-4, equal_nan=True,
        )  # fmt: skip


def test_bytes_measure_as_their_fractions(simulated):
    image = (simulated[:2] * 255).round().to(torch.uint8)
    a, b = measure_morphology(image), measure_morphology(image.double() / 255)
    torch.testing.assert_close(a.gini, b.gini)
    torch.testing.assert_close(a.flux, 255 * b.flux)


def test_a_neighbor_is_not_measured():
    base = with_sky(sersic(1, 8.0), sigma=0.02)
    star = 3 * sersic(0.5, 1.0, place=(63.0, 31.0))  # within two Petrosian radii
    found = measure_morphology(torch.stack((base, base + star)))
    for name in ("concentration", "gini", "r_petro", "flux"):
        a, b = getattr(found, name).tolist()
        assert b == pytest.approx(a, rel=0.01), name
    assert star.sum() > 0.02 * found.flux[0]


def test_one_galaxy_that_fills_the_frame_is_called_cut_off():
    found = measure_morphology(with_sky(sersic(1, 9.0, place=(14.0, 60.0)))[None])
    assert found.flag.item() & ApertureFlag.CUT_OFF


def test_a_small_galaxy_has_no_smoothness():
    found = measure_morphology(with_sky(sersic(0.5, 2.0))[None])
    assert found.flag.item() == ApertureFlag.SMALL
    assert found.smoothness.isnan()
    assert found.concentration.isfinite()


def test_an_empty_sky_measures_nan_and_leaves_its_neighbors_alone(simulated):
    flat = torch.full_like(simulated[:1], 0.2)
    found = measure_morphology(torch.cat((simulated[:2], flat)))
    alone = measure_morphology(simulated[:2])
    assert found.flag[2].item() == ApertureFlag.NO_SOURCE
    for name in (*INDICES, "r_petro", "x", "flux", "r20", "theta"):
        assert getattr(found, name)[2].isnan(), name
        torch.testing.assert_close(getattr(found, name)[:2], getattr(alone, name))


def test_pure_noise_does_not_stop_a_batch():
    noise = torch.from_numpy(rng(2).normal(0.1, 0.02, (4, 64, 64)))
    found = measure_morphology(noise)
    assert found.flag.shape == (4,)


def test_real_galaxies_are_found_and_measured(shared):
    with h5py.File(shared / "galaxy10_real60.h5") as file:
        images = torch.from_numpy(file["images"][::10]).permute(0, 3, 1, 2)
    found = measure_morphology(images)
    assert (found.flag == ApertureFlag.GOOD).double().mean() >= 0.8
    assert found.concentration.isfinite().all()
    assert (found.r20 < found.r50).all()
    assert (found.r50 < found.r80).all()


# Dreams


def test_a_galaxy_in_its_own_aperture_measures_the_same(simulated, apertures):
    expected = measure_morphology(simulated)
    found = measure_morphology(simulated, aperture=apertures)
    for field in fields(found):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        torch.testing.assert_close(a, b, equal_nan=True)


def test_a_dream_is_measured_in_the_aperture_of_its_galaxy(simulated, apertures):
    generator = torch.Generator().manual_seed(0)
    texture = torch.rand(simulated.shape, generator=generator)
    found = measure_morphology(texture, aperture=apertures)
    for name in ("x", "y", "r_petro", "sky"):
        torch.testing.assert_close(
            getattr(found, name), getattr(apertures, name), equal_nan=True
        )
    known = apertures.x.isfinite()
    assert (found.asymmetry > 0.2)[known].all()
    assert found.gini[known].isfinite().all()


def test_paint_outside_of_the_segmentation_changes_neither_gini_nor_m20(
    simulated, apertures
):
    paint = 0.3 * ~apertures.segmentation[:, None]
    before = measure_morphology(simulated, aperture=apertures)
    after = measure_morphology(simulated + paint, aperture=apertures)
    torch.testing.assert_close(after.gini, before.gini, equal_nan=True)
    torch.testing.assert_close(after.m20, before.m20, equal_nan=True)


def test_many_dreams_of_one_galaxy_share_its_aperture(simulated, apertures):
    chosen = torch.tensor([4, 4, 7])
    found = measure_morphology(simulated[chosen], aperture=apertures.pick(chosen))
    assert found.gini[0] == found.gini[1] != found.gini[2]


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.zeros(64, 64), "images\\[None\\]"),
        (torch.zeros(1, 4, 64, 64), "\\(1, 4, 64, 64\\)"),
        (torch.zeros(0, 64, 64), "\\(0, 64, 64\\)"),
        (torch.full((1, 64, 64), torch.nan), "fill them first"),
    ],
)
def test_what_is_no_image_is_refused(images, says):
    with pytest.raises(DataError, match=says):
        measure_morphology(images)


def test_an_aperture_of_other_images_is_refused(simulated, apertures):
    with pytest.raises(DataError, match="find their aperture anew"):
        measure_morphology(simulated[:5], aperture=apertures)


# Where things are


def test_what_is_the_same_everywhere_prefers_no_place(apertures):
    found = aperture_energy(torch.ones(20, 3, 80, 80), apertures)
    for name, share in found.items():
        known = share[share.isfinite()]
        torch.testing.assert_close(known, torch.ones_like(known), msg=name)


def test_what_lies_within_the_galaxy_is_preferred_by_its_area(apertures):
    inside = apertures.segmentation.float()
    found = aperture_energy(-inside, apertures)["inside_segment"]
    expected = 1 / inside.double().mean(dim=(1, 2))
    torch.testing.assert_close(
        found[expected.isfinite()], expected[expected.isfinite()]
    )


def test_a_coarse_map_is_laid_over_the_frame(apertures):
    maps = torch.zeros(20, 10, 10)
    maps[:, 4:6, 4:6] = 1.0
    found = aperture_energy(maps, apertures)
    known = (apertures.x - 39.5).hypot(apertures.y - 39.5) < 4
    assert known.sum() > 10
    assert (found["inside1"][known] > 1.5).all()
    assert (found["inside1"] >= found["inside2"])[known].all()
