import math

import galsim
import numpy as np
import pytest
import torch
from astropy.modeling.functional_models import Moffat2D, Sersic2D
from scipy.special import gammaincinv, k1

from dmagnet.simulator.grid import Grid, Pose
from dmagnet.simulator.profiles import (
    edge_on_disc,
    exponential,
    ferrers_bar,
    moffat,
    moffat_kernel,
    sersic,
    sersic_b,
)
from dmagnet.simulator.render import sersic_image
from dmagnet.simulator.sky import blur


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def plane(side, step):
    """Positions of a fine square grid, and the area of a cell."""
    axis = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) * step
    return axis[None, :], axis[:, None], step**2


def one_galaxy(n, r_e, axis_ratio, angle, size=256):
    zero = torch.zeros(1)
    pose = Pose(zero + 0.13, zero - 0.07, zero + angle)
    grid = Grid.of_frame(size, torch.device("cpu"))
    image = sersic_image(pose, zero + axis_ratio, zero + r_e, zero + n, grid)[0]
    return image.double().numpy(), grid


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0, 6.0])
def test_b_n_is_the_root_of_the_half_light_equation(n):
    assert sersic_b(double(n)).item() == pytest.approx(
        gammaincinv(2 * n, 0.5), abs=2e-3 if n < 0.6 else 1e-4
    )


@pytest.mark.parametrize("n", [0.7, 1.0, 4.0])
def test_sersic_has_the_shape_that_astropy_gives_it(n):
    radius = torch.linspace(0.1, 12, 50, dtype=torch.float64)
    ours = sersic(radius**2, double(2.0), double(n)).numpy()
    theirs = Sersic2D(amplitude=1, r_eff=2, n=n, ellip=0)(radius.numpy(), 0)
    at_r_e = sersic(double(4.0), double(2.0), double(n)).item()
    np.testing.assert_allclose(ours / at_r_e, theirs, rtol=3e-3)


@pytest.mark.parametrize("n", [0.7, 1.0, 4.0])
def test_sersic_is_normalized_as_galsim_normalizes_it(n):
    radius = np.linspace(0.3, 9, 40)
    theirs = galsim.Sersic(n=n, half_light_radius=1.7, flux=1)
    expected = [theirs.xValue(r, 0) for r in radius]
    ours = sersic(torch.from_numpy(radius**2), double(1.7), double(n)).numpy()
    np.testing.assert_allclose(ours, expected, rtol=2e-3)


def test_the_exponential_disc_is_galsims():
    theirs = galsim.Exponential(scale_radius=2.3, flux=1)
    ours = exponential(double(0.5, 2.0, 7.0), double(2.3))
    expected = [theirs.xValue(r, 0) for r in (0.5, 2.0, 7.0)]
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-6)


def test_the_edge_on_disc_is_within_two_per_cent_of_the_bessel_profile():
    along = torch.linspace(0.01, 8, 200, dtype=torch.float64)
    ours = edge_on_disc(along, double(0.0), double(1.0), double(0.2)).numpy()
    exact = along.numpy() * k1(along.numpy()) / (2 * math.pi * 0.2)
    np.testing.assert_allclose(ours, exact, rtol=0.02)


def test_the_edge_on_disc_falls_as_sech_squared():
    ours = edge_on_disc(double(0.0), double(0.0, 0.3, -0.9), double(2), double(0.3))
    np.testing.assert_allclose(
        (ours / ours[0]).numpy(), np.cosh([0, 1, 3]) ** -2.0, rtol=1e-9
    )


def test_the_edge_on_disc_is_finite_far_from_its_plane():
    far = edge_on_disc(torch.tensor(1.0), torch.tensor(1e5), *torch.tensor([2.0, 0.1]))
    assert far.item() == 0


@pytest.mark.parametrize(
    ("profile", "tolerance"),
    [
        (lambda x, y: edge_on_disc(x, y, double(2.0), double(0.5)), 1e-3),
        (lambda x, y: ferrers_bar(x, y, double(5.0), double(1.5), double(2.0)), 1e-3),
        (lambda x, y: ferrers_bar(x, y, double(5.0), double(1.5), double(3.0)), 1e-3),
        (lambda x, y: exponential((x**2 + y**2).sqrt(), double(2.0)), 1e-3),
        (lambda x, y: moffat(x**2 + y**2, double(2.0), double(3.5)), 1e-3),
        (lambda x, y: sersic(x**2 + y**2, double(1.5), double(1.0)), 1e-3),
    ],
    ids=["edge-on", "ellipse bar", "boxy bar", "disc", "star", "sersic"],
)
def test_a_profile_holds_a_flux_of_one(profile, tolerance):
    x, y, area = plane(1200, 0.05)
    assert (profile(x, y).sum() * area).item() == pytest.approx(1, abs=tolerance)


def test_a_bar_ends_sharply():
    bar = ferrers_bar(double(4.99, 5.01), double(0.0), *double(5.0, 1.0, 2.5))
    assert bar[0] > 0
    assert bar[1] == 0


def test_the_moffat_function_is_astropys():
    beta, fwhm = 3.1, 4.4
    gamma = fwhm / 2 / math.sqrt(2 ** (1 / beta) - 1)
    radius = np.linspace(0, 12, 30)
    theirs = Moffat2D(amplitude=1, gamma=gamma, alpha=beta)(radius, 0)
    ours = moffat(torch.from_numpy(radius**2), double(fwhm), double(beta)).numpy()
    np.testing.assert_allclose(ours / ours[0], theirs, rtol=1e-9)


def test_a_kernel_sums_to_one_and_peaks_in_the_corner():
    kernel = moffat_kernel(double(3.0, 5.0), double(3.0, 2.6), 64)
    assert kernel.shape == (2, 64, 64)
    np.testing.assert_allclose(kernel.sum(dim=(1, 2)).numpy(), 1, rtol=1e-12)
    assert (kernel.flatten(1).argmax(dim=1) == 0).all()


def test_a_kernel_is_galsims_moffat():
    size = 96
    kernel = moffat_kernel(double(4.5), double(3.3), size)[0]
    psf = galsim.Moffat(beta=3.3, fwhm=4.5)
    image = psf.drawImage(nx=size + 1, ny=size + 1, scale=1, method="no_pixel").array
    ours = torch.fft.fftshift(kernel).numpy()[32:64, 32:64]
    theirs = image[32:64, 32:64]
    np.testing.assert_allclose(ours, theirs, rtol=5e-3)


def test_blurring_keeps_the_flux_and_the_place_of_a_star():
    images = torch.zeros(2, 3, 65, 65)
    images[:, :, 30, 20] = 7.0
    out = blur(images, torch.full((2, 3), 4.0), torch.full((2, 3), 3.0))
    np.testing.assert_allclose(out.sum(dim=(2, 3)).numpy(), 7.0, rtol=0.01)
    assert (out.flatten(2).argmax(dim=2) == 30 * 65 + 20).all()


def test_blurring_widens_a_star_to_the_seeing():
    images = torch.zeros(1, 1, 65, 65)
    images[..., 32, 32] = 1.0
    out = blur(images, torch.full((1, 1), 6.0), torch.full((1, 1), 3.0))[0, 0]
    assert (out[32, 35] / out[32, 32]).item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("n", [1.0, 2.5, 4.0])
def test_a_drawn_sersic_galaxy_is_galsims(n):
    ours, grid = one_galaxy(n, r_e=3.0, axis_ratio=0.6, angle=0.5, size=255)
    # GalSim's half-light radius is the circularized one.
    theirs = galsim.Sersic(n=n, half_light_radius=3.0 * 0.6**0.5, flux=1)
    theirs = theirs.shear(q=0.6, beta=0.5 * galsim.radians).shift(0.13, -0.07)
    side, fine = 41, 15
    stamp = theirs.drawImage(
        nx=side * fine,
        ny=side * fine,
        scale=grid.scale / fine,
        method="no_pixel",
        dtype=float,
    ).array
    stamp = stamp.reshape(side, fine, side, fine).sum(axis=(1, 3))
    ours = ours[107:148, 107:148] * grid.scale**2
    np.testing.assert_allclose(ours, stamp, rtol=0.02)
    np.testing.assert_allclose(ours.sum(), stamp.sum(), rtol=2e-3)


@pytest.mark.parametrize(("n", "low"), [(1.0, 0.99), (4.0, 0.9)])
def test_a_drawn_sersic_galaxy_holds_its_flux(n, low):
    image, grid = one_galaxy(n, r_e=2.0, axis_ratio=0.7, angle=1.0)
    assert low < image.sum() * grid.scale**2 < 1.005


@pytest.mark.parametrize("n", [1.0, 4.0])
def test_half_of_the_light_lies_within_the_effective_radius(n):
    image, grid = one_galaxy(n, r_e=3.0, axis_ratio=1.0, angle=0.0)
    axis = grid.axis().double().numpy()
    radius = np.hypot(axis[None, :] - 0.13, axis[:, None] + 0.07)
    inside = image[radius < 3.0].sum() * grid.scale**2
    assert inside == pytest.approx(0.5, abs=0.01)


def test_a_steep_core_is_as_bright_at_any_pixel_size():
    sums = []
    for size in (128, 256, 512):
        image, grid = one_galaxy(4.0, r_e=2.0, axis_ratio=0.8, angle=0.3, size=size)
        sums.append(image.sum() * grid.scale**2)
    np.testing.assert_allclose(sums, sums[-1], rtol=0.02)
