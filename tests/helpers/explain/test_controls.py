"""Maps that know no network: each shows what its name says, at any size and resolution."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from helpers.explain.boxes import (
    LocalisationError,
    box_masks,
    energy_inside,
    half_energy_area,
    pointing,
    shifted_crops,
)
from helpers.explain.controls import (
    at_resolution,
    brightness,
    centred_gaussian,
    darkness,
    vesselness,
)

OF_IMAGES = [brightness, darkness, vesselness]


def random_images(n=3, height=20, width=20, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def tube(size=64, *, dark=True, half_width=3, column=40):
    """One vessel from top to bottom on a grey background with a ramp."""
    row = np.tile(np.linspace(120, 180, size), (size, 1))
    distance = abs(np.arange(size) - column)
    row -= (1 if dark else -1) * 60 * (distance <= half_width)
    return row.round().astype(np.uint8)[None, :, :, None]


@pytest.mark.parametrize("size", [8, 9, (7, 12)])
def test_the_gaussian_is_in_the_middle(size):
    maps = centred_gaussian(2, size)
    height, width = (size, size) if isinstance(size, int) else size
    assert maps.shape == (2, height, width) and maps.dtype == np.float32
    assert maps.max() == 1 and maps.min() > 0
    np.testing.assert_allclose(maps, maps[:, ::-1, ::-1], rtol=1e-6)
    row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
    assert abs(row - (height - 1) / 2) <= 0.5 and abs(column - (width - 1) / 2) <= 0.5


def test_the_gaussian_has_the_width_it_is_given():
    maps = centred_gaussian(1, 200, sigma=0.1)
    axis = (np.arange(200) + 0.5) / 200 - 0.5
    profile = maps[0].sum(axis=0)
    assert np.sqrt((profile * axis**2).sum() / profile.sum()) == pytest.approx(0.1, rel=1e-3)
    assert half_energy_area(maps) < half_energy_area(centred_gaussian(1, 200))


def test_crops_take_the_gaussians_advantage():
    """Central boxes: it always hits in whole images, never in crops that shift them."""
    boxes = np.tile([26.0, 26, 12, 12], (4, 1))
    whole, *crops = shifted_crops(random_images(4, 64, 64), boxes, crop=0.7)
    for view in (whole, *crops):
        size = view.images.shape[1]
        masks = box_masks(view.boxes, size)
        hits = pointing(centred_gaussian(4, size), masks).mean()
        assert hits == (1 if view is whole else 0)
    assert energy_inside(centred_gaussian(4, 64), box_masks(boxes, 64)).mean() > 0.06


def test_brightness_and_darkness_are_the_grey_value():
    images = random_images()
    assert brightness(images).dtype == np.float32
    np.testing.assert_allclose(brightness(images), images[..., 0] / 255, rtol=1e-6)
    np.testing.assert_allclose(brightness(images) + darkness(images), 1)
    ends = np.array([0, 255], dtype=np.uint8).reshape(1, 1, 2, 1)
    np.testing.assert_array_equal(darkness(np.repeat(ends, 3, axis=3)), [[[1, 0]]])


def test_colours_count_by_their_luminance():
    primaries = 255 * np.eye(3, dtype=np.uint8).reshape(1, 1, 3, 3)
    np.testing.assert_allclose(brightness(primaries), [[[0.299, 0.587, 0.114]]], rtol=1e-6)


@pytest.mark.parametrize("control", OF_IMAGES)
def test_grey_in_three_channels_is_grey(control):
    grey = random_images()
    colour = np.repeat(grey, 3, axis=3)
    np.testing.assert_allclose(control(colour), control(grey), atol=1e-5)


@pytest.mark.parametrize("control", OF_IMAGES)
@pytest.mark.parametrize(("height", "width"), [(5, 5), (28, 28), (33, 20), (128, 128)])
def test_any_size_and_mirrored(control, height, width):
    images = random_images(2, height, width)
    maps = control(images)
    assert maps.shape == (2, height, width) and maps.dtype == np.float32
    assert np.isfinite(maps).all() and maps.min() >= 0
    np.testing.assert_allclose(control(images[:, :, ::-1]), maps[:, :, ::-1], atol=1e-5)
    np.testing.assert_allclose(control(images[1:]), maps[1:])


@pytest.mark.parametrize("half_width", [1, 2, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_vesselness_lies_on_a_dark_tube(half_width, turned):
    image, column = tube(half_width=half_width), 40
    maps = vesselness(image.transpose(0, 2, 1, 3) if turned else image)
    maps = maps.transpose(0, 2, 1) if turned else maps
    np.testing.assert_array_equal(maps[0, 5:-5].argmax(axis=1), column)
    on_it = np.zeros(maps.shape, dtype=bool)
    on_it[:, :, column - half_width - 1 : column + half_width + 2] = True
    assert energy_inside(maps, on_it)[0] > 0.8 > 4 * on_it.mean()


def test_a_bright_tube_is_no_vessel():
    dark, bright = vesselness(tube()), vesselness(tube(dark=False))
    assert bright[0, 32, 40] == 0 < dark[0, 32, 40]


@pytest.mark.parametrize("value", [0, 100, 255])
def test_an_even_image_has_no_vessel(value):
    assert not vesselness(np.full((1, 30, 30, 1), value, dtype=np.uint8)).any()


def test_the_scales_grow_with_the_image():
    """Four times the size and the width: the same vessel, as sharp."""
    small = tube(64, half_width=2)
    large = small.repeat(4, 1).repeat(4, 2)
    assert vesselness(large).max() == pytest.approx(vesselness(small).max(), rel=0.1)


@pytest.mark.parametrize("control", OF_IMAGES)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 1)), r"float64 \(2, 8, 8, 1\); expected uint8"),
        (np.zeros((8, 8, 1), np.uint8), r"uint8 \(8, 8, 1\)"),
        (np.zeros((0, 8, 8, 1), np.uint8), "N >= 1"),
        (np.zeros((1, 8, 8, 2), np.uint8), "2 channels; expected 1 or 3"),
    ],
)
def test_images_that_are_none_are_refused(control, images, message):
    with pytest.raises(LocalisationError, match=message):
        control(images)


@pytest.mark.parametrize(
    ("n", "size", "sigma"), [(0, 8, 0.2), (1, 1, 0.2), (1, 8, 0.0), (1, 8, np.nan)]
)
def test_a_gaussian_that_is_none_is_refused(n, size, sigma):
    with pytest.raises(LocalisationError, match=f"n is {n}, size {size} x {size}, sigma {sigma}"):
        centred_gaussian(n, size, sigma=sigma)


# --- the grid of a network -----------------------------------------------------------------------


@pytest.mark.parametrize("grid", [(4, 4), (2, 8), (1, 2), (16, 16)])
def test_where_cells_hold_whole_pixels_it_is_torchs_pooling(grid):
    maps = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    pooled = functional.adaptive_avg_pool2d(torch.from_numpy(maps), grid).numpy()
    np.testing.assert_allclose(at_resolution(maps, grid), pooled, rtol=1e-5)


@pytest.mark.parametrize("grid", [(7, 7), (3, 5), (19, 1)])
def test_cut_pixels_count_in_proportion(grid):
    """The cells tile the image, so every pixel counts once and the mean stays."""
    maps = np.random.default_rng(0).random((3, 20, 31))
    coarse = at_resolution(maps, grid)
    assert coarse.shape == (3, *grid) and coarse.dtype == np.float32
    np.testing.assert_allclose(coarse.mean(axis=(1, 2)), maps.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(at_resolution(np.full((1, 20, 31), 0.3), grid), 0.3, rtol=1e-6)
    row = np.array([[[3.0, 0, 0]]])
    np.testing.assert_allclose(at_resolution(row, (1, 2)), [[[2, 0]]])


@pytest.mark.parametrize(
    ("maps", "grid", "message"),
    [
        (np.ones((1, 8, 8)), (9, 8), "a grid of 9 x 8 from maps of 8 x 8"),
        (np.ones((1, 8, 8)), (1, 1), "more than one cell"),
        (np.ones((1, 8, 8)), (0, 4), "a grid of 0 x 4"),
        (np.ones((1, 1, 1)), (1, 1), "a map of one pixel"),
        (-np.ones((1, 8, 8)), (4, 4), "expected values >= 0"),
    ],
)
def test_grids_that_cannot_be_are_refused(maps, grid, message):
    with pytest.raises(LocalisationError, match=message):
        at_resolution(maps, grid)
