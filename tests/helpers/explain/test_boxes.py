"""Measures of maps against boxes on cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.explain.boxes import (
    THRESHOLDS,
    LocalisationError,
    best_threshold,
    box_masks,
    check_maps,
    energy_inside,
    half_energy_area,
    iou,
    pointing,
    shifted_crops,
)

MEASURES = {
    "pointing": pointing,
    "energy": energy_inside,
    "iou": lambda maps, masks: iou(maps, masks, threshold=0.5),
}
SIZE = 12

# Boxes whose edges miss the centres of pixels, so that also a mirrored one holds the same pixels.
edges = st.integers(-3, SIZE - 2).map(lambda k: k + 0.25)
boxes_strategy = st.tuples(edges, edges, st.integers(4, 10), st.integers(4, 10)).map(
    lambda box: np.array([box], dtype=float)
)
maps_strategy = hnp.arrays(
    np.float64, (1, SIZE, SIZE), elements=st.floats(0, 1, width=32), fill=st.just(0.0)
)


def random_maps(n=4, size=SIZE, seed=0):
    return np.random.default_rng(seed).random((n, size, size))


def random_boxes(n=4, size=SIZE, seed=1):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(0, size / 2, (n, 2)), rng.uniform(2, size, (n, 2))], axis=1)


# --- boxes ---------------------------------------------------------------------------------------


def test_a_mask_holds_the_pixels_whose_centre_is_in_the_box():
    boxes = np.concatenate([random_boxes(20), [[-3, -3, 5.5, 30]]])
    expected = np.zeros((21, 9, 12), dtype=bool)
    for i, (x, y, width, height) in enumerate(boxes):
        for row in range(9):
            for column in range(12):
                inside = x <= column + 0.5 < x + width and y <= row + 0.5 < y + height
                expected[i, row, column] = inside
    np.testing.assert_array_equal(box_masks(boxes, (9, 12)), expected)


@pytest.mark.parametrize("x", [0.0, 2.6, 3.97])
def test_a_box_thinner_than_a_pixel_has_the_pixels_around_it(x):
    (mask,) = box_masks(np.array([[x, 0, 0.02, 2]]), 4)
    rows, columns = np.nonzero(mask)
    assert rows.tolist() == [0, 1]
    assert set(columns) == {int(x)}


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([np.nan] * 4, "image 1 is no lesion box"),
        ([1, 1, 0, 3], "image 1 has no area"),
        ([1, 1, 3, -1], "image 1 has no area"),
        ([12, 1, 3, 3], "image 1 lies outside the image of 12 x 10 pixels"),
        ([1, -3, 3, 3], "image 1 lies outside"),
    ],
)
def test_a_wrong_box_is_refused_by_its_number(box, message):
    with pytest.raises(LocalisationError, match=message):
        box_masks(np.array([[0, 0, 2, 2], box], dtype=float), (10, 12))


def test_boxes_of_a_wrong_shape_are_refused():
    with pytest.raises(LocalisationError, match=r"\(3,\); expected \(N, 4\)"):
        box_masks(np.ones(3), 8)


# --- measures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-12, 7e5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_uniform_map_scores_chance(measure, value, dtype):
    masks = box_masks(random_boxes(), SIZE)
    maps = np.full(masks.shape, value, dtype=dtype)
    np.testing.assert_allclose(MEASURES[measure](maps, masks), masks.mean(axis=(1, 2)), rtol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_rounding_does_not_make_a_uniform_map_point(measure):
    masks = box_masks(random_boxes(), SIZE)
    noise = np.random.default_rng(0).uniform(-1e-7, 1e-7, masks.shape)
    ours = MEASURES[measure]((1 + noise).astype(np.float32), masks)
    np.testing.assert_allclose(ours, masks.mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_map_equal_to_the_mask_is_perfect_and_its_complement_worthless(measure):
    masks = box_masks(random_boxes(), SIZE)
    np.testing.assert_array_equal(MEASURES[measure](masks * 0.3, masks), 1)
    np.testing.assert_array_equal(MEASURES[measure](~masks * 0.3, masks), 0)


def test_equal_maxima_count_in_shares():
    maps = np.array([[[3.0, 3, 2.9], [0, 3, 0]]])
    masks = np.array([[[True, False, True], [True, True, False]]])
    assert pointing(maps, masks) == pytest.approx(2 / 3)


def test_energy_and_iou_by_hand():
    maps = np.array([[[4.0, 2, 1], [1, 0, 0]]])
    masks = np.array([[[False, True, True], [False, True, True]]])
    assert energy_inside(maps, masks) == pytest.approx(3 / 8)
    for threshold, expected in ((0.5, 1 / 5), (0.25, 2 / 6), (0.51, 0), (1.0, 0)):
        assert iou(maps, masks, threshold=threshold) == pytest.approx(expected)


def test_half_energy_area_by_hand():
    # Half of 4 is two thirds of the pixel of 3; half of 6 is a pixel of 2 and half of another.
    maps = np.array([[[3.0, 1], [0, 0]], [[2.0, 2], [2, 0]]])
    np.testing.assert_allclose(half_energy_area(maps), [2 / 3 / 4, 1.5 / 4])


@pytest.mark.parametrize("value", [0.0, 0.1, 3.0])
def test_half_of_a_uniform_map_is_half_of_the_image(value):
    np.testing.assert_allclose(half_energy_area(np.full((2, 7, 5), value)), 0.5, rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_half_energy_area_of_a_gaussian(sigma):
    """Half of a Gaussian lies within sigma * sqrt(2 ln 2)."""
    axis = (np.arange(200) + 0.5) / 200 - 0.5
    maps = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * sigma**2))[None]
    assert half_energy_area(maps)[0] == pytest.approx(2 * np.pi * np.log(2) * sigma**2, rel=0.01)


@given(maps_strategy, boxes_strategy, st.floats(1e-3, 1e3))
@settings(max_examples=60, deadline=None)
def test_measures_know_neither_scale_nor_side(maps, boxes, factor):
    masks = box_masks(boxes, SIZE)
    mirrored = boxes * [-1, 1, 1, 1] + [SIZE, 0, 0, 0] - boxes[:, 2:3] * [1, 0, 0, 0]
    np.testing.assert_array_equal(box_masks(mirrored, SIZE), masks[:, :, ::-1])
    np.testing.assert_array_equal(box_masks(boxes[:, [1, 0, 3, 2]], SIZE), masks.transpose(0, 2, 1))
    for measure in MEASURES.values():
        ours = measure(maps, masks)
        assert 0 <= ours[0] <= 1
        np.testing.assert_allclose(measure(maps[:, :, ::-1], masks[:, :, ::-1]), ours, atol=1e-9)
        np.testing.assert_allclose(measure(maps * factor, masks), ours, atol=1e-9)
    area = half_energy_area(maps)
    assert 0 < area[0] <= 0.5
    np.testing.assert_allclose(half_energy_area(maps[:, ::-1] * factor), area, atol=1e-9)


@given(maps_strategy, boxes_strategy)
@settings(max_examples=60, deadline=None)
def test_inside_and_outside_share_energy_and_maxima(maps, boxes):
    masks = box_masks(boxes, SIZE)
    for measure in (pointing, energy_inside):
        assert measure(maps, masks) + measure(maps, ~masks) == pytest.approx(1)


def test_the_best_threshold_is_best():
    maps, masks = random_maps(30), box_masks(random_boxes(30), SIZE)
    maps += 0.5 * masks
    threshold, mean = best_threshold(maps, masks)
    each = {t: iou(maps, masks, threshold=t).mean() for t in THRESHOLDS}
    assert mean == max(each.values()) == each[threshold]
    assert mean > min(each.values())
    assert best_threshold(masks * 1.0, masks) == (min(THRESHOLDS), 1.0), "the lowest of equals"


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (np.ones((3, 1, 1)), "a map of one pixel"),
        (np.ones((3, 4)), r"maps are \(3, 4\)"),
        (np.ones((0, 4, 4)), "N >= 1"),
        (np.ones((2, 0, 4)), r"maps are \(2, 0, 4\)"),
        (np.full((1, 2, 2), np.nan), "NaN or infinity"),
        (np.full((1, 2, 2), np.inf), "NaN or infinity"),
        (np.full((1, 2, 2), -0.5), "a map holds -0.5; expected values >= 0"),
    ],
)
def test_maps_that_cannot_be_measured_are_refused(maps, message):
    masks = np.ones(maps.shape, dtype=bool)
    for call in (
        check_maps,
        half_energy_area,
        *(lambda m, f=f: f(m, masks) for f in MEASURES.values()),
    ):
        with pytest.raises(LocalisationError, match=message):
            call(maps)


@pytest.mark.parametrize("measure", [*MEASURES.values(), best_threshold])
@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((2, 3, 4), dtype=bool), r"\(2, 3, 4\); expected bool \(2, 4, 4\)"),
        (np.ones((2, 4, 4)), "masks are float64"),
        (np.arange(32).reshape(2, 4, 4) < 16, "mask of image 1 is empty"),
    ],
)
def test_masks_that_do_not_fit_are_refused(measure, masks, message):
    with pytest.raises(LocalisationError, match=message):
        measure(np.ones((2, 4, 4)), masks)


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01, np.nan])
def test_a_threshold_out_of_range_is_refused(threshold):
    maps = np.ones((1, 4, 4))
    with pytest.raises(LocalisationError, match="threshold is"):
        iou(maps, maps > 0, threshold=threshold)


# --- views ---------------------------------------------------------------------------------------


def drawn(boxes, height=40, width=40, channels=1):
    """Images that are bright in their box alone."""
    images = np.zeros((len(boxes), height, width, channels), dtype=np.uint8)
    images[box_masks(boxes, (height, width))] = 255
    return images


@pytest.mark.parametrize(("height", "width", "channels"), [(40, 40, 1), (31, 50, 3), (64, 33, 1)])
def test_boxes_move_with_the_pixels(height, width, channels):
    middle = [width / 2 - 3.3, height / 2 - 4.2, 7, 8.5]  # in every crop
    boxes = np.array([[3, 4, 20, 15], middle, [-4, 20, 12, 30]], dtype=np.float32)
    images = drawn(boxes, height, width, channels)
    whole, *crops = shifted_crops(images, boxes, crop=0.7)
    np.testing.assert_array_equal(whole.images, images)
    np.testing.assert_array_equal(whole.boxes, boxes)
    assert whole.inside.all() and len(crops) == 4
    side = round(0.7 * min(height, width))
    for view in crops:
        assert view.images.shape == (3, side, side, channels)
        kept = view.inside
        assert kept[1]
        masks = box_masks(view.boxes[kept], side)
        np.testing.assert_array_equal(view.images[kept][..., 0] > 0, masks)


def test_names_say_where_a_central_lesion_lies():
    boxes = np.array([[17, 17, 6, 6.0]])
    views = {view.name: view for view in shifted_crops(drawn(boxes), boxes)}
    expected = {"whole": (0, 0)}
    for vertical, down in (("lower", 1), ("upper", -1)):
        for horizontal, right in (("right", 1), ("left", -1)):
            expected[f"lesion {vertical} {horizontal}"] = (down, right)
    assert set(views) == set(expected)
    for name, view in views.items():
        rows, columns = np.nonzero(view.images[0, ..., 0])
        off = np.array([rows.mean(), columns.mean()]) - (view.images.shape[1] - 1) / 2
        np.testing.assert_array_equal(np.sign(off), expected[name])
        # 0.5 / crop of the crop: two thirds, a sixth of the side off its middle.
        np.testing.assert_allclose(abs(off) / view.images.shape[1], 0 if name == "whole" else 1 / 6)


def test_a_lesion_must_be_half_visible():
    """Crops of 30 of 40 pixels: a box from 25 on is half inside, one from 26 on is not."""
    boxes = np.array([[25, 5, 10, 10], [26, 5, 10, 10], [32, 32, 8, 8], [25, 5, 30, 10]], float)
    views = {view.name: view.inside.tolist() for view in shifted_crops(drawn(boxes), boxes)}
    # The last one reaches over the edge: of its 15 pixels in the image, 5 are in the crop.
    assert views["lesion lower right"] == [True, False, False, False]
    assert views["lesion lower left"] == [True, True, False, True]
    assert views["lesion upper left"] == [True, True, True, True]
    assert views["whole"] == [True] * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": 0.5}, "crop is 0.5"),
        ({"crop": 1.0}, "crop is 1.0"),
        ({"crop": 96}, "crop is 96"),
        ({"images": np.zeros((2, 8, 8, 1))}, r"float64 \(2, 8, 8, 1\)"),
        ({"images": np.zeros((2, 8, 8), np.uint8)}, r"uint8 \(2, 8, 8\)"),
        ({"images": np.zeros((3, 8, 8, 1), np.uint8)}, "2 boxes for 3 images"),
        ({"images": np.zeros((2, 2, 2, 1), np.uint8), "crop": 0.9}, "too small to shift"),
        ({"boxes": np.array([[1, 1, 2, 2], [np.nan] * 4])}, "image 1 is no lesion box"),
    ],
)
def test_crops_that_cannot_be_made_are_refused(change, message):
    given = {"images": np.zeros((2, 8, 8, 1), np.uint8), "boxes": np.ones((2, 4)), "crop": 0.75}
    given |= change
    with pytest.raises(LocalisationError, match=message):
        shifted_crops(given["images"], given["boxes"], crop=given["crop"])
