"""Measures of maps against boxes on cases whose answer is known, and what their intervals cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from helpers.explain import boxes as localisation
from helpers.explain.boxes import (
    THRESHOLDS,
    LocalisationError,
    best_threshold,
    box_masks,
    check_maps,
    class_difference,
    difference,
    energy_inside,
    half_energy_area,
    iou,
    pointing,
    shifted_crops,
    summarise,
)
from helpers.metrics.scores import proportion

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


def test_boxes_side_by_side_share_no_pixel():
    left, right = box_masks(np.array([[0, 0, 2.5, 4], [2.5, 0, 1.5, 4]]), 4)
    np.testing.assert_array_equal(left, ~right)


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


def test_a_map_of_one_bright_pixel():
    masks = box_masks(np.array([[2, 2, 5, 4.0]] * 2), SIZE)
    maps = np.zeros(masks.shape)
    maps[0, 3, 4] = maps[1, 0, 0] = 2.0
    np.testing.assert_array_equal(pointing(maps, masks), [1, 0])
    np.testing.assert_array_equal(energy_inside(maps, masks), [1, 0])
    np.testing.assert_allclose(iou(maps, masks, threshold=0.2), [1 / 20, 0])
    np.testing.assert_allclose(half_energy_area(maps), 0.5 / SIZE**2)


def test_equal_maxima_count_in_shares():
    maps = np.array([[[3.0, 3, 1], [0, 3, 0]]])
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


def test_a_map_and_its_box_may_move_together():
    masks = box_masks(np.array([[1, 2, 4, 3.0]]), SIZE)
    maps = np.zeros(masks.shape)
    maps[0, :6, :6] = random_maps(1, 6)
    moved_masks = box_masks(np.array([[5, 7, 4, 3.0]]), SIZE)
    moved = np.roll(maps, (5, 4), axis=(1, 2))
    for measure in MEASURES.values():
        np.testing.assert_allclose(measure(moved, moved_masks), measure(maps, masks))


def test_the_best_threshold_is_best():
    maps, masks = random_maps(30), box_masks(random_boxes(30), SIZE)
    maps += 0.5 * masks
    threshold, mean = best_threshold(maps, masks)
    each = {t: iou(maps, masks, threshold=t).mean() for t in THRESHOLDS}
    assert mean == max(each.values()) == each[threshold]
    assert mean > min(each.values())
    assert best_threshold(maps, masks, grid=(0.5,)) == (0.5, each[0.5])


def test_of_equal_thresholds_the_lowest_wins():
    masks = box_masks(random_boxes(), SIZE)
    assert best_threshold(masks * 1.0, masks, grid=(0.9, 0.2, 0.4)) == (0.2, 1.0)


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
    with pytest.raises(LocalisationError, match="threshold is"):
        best_threshold(maps, maps > 0, grid=(0.5, threshold))


def test_no_threshold_to_choose_from():
    with pytest.raises(LocalisationError, match="no thresholds"):
        best_threshold(np.ones((1, 4, 4)), np.ones((1, 4, 4), dtype=bool), grid=())


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


def test_a_map_that_stays_in_the_middle_misses_what_it_hit():
    boxes = np.array([[17, 17, 6, 6.0]] * 3)
    hits = {}
    for view in shifted_crops(drawn(boxes), boxes):
        size = view.images.shape[1]
        axis = np.arange(size) - (size - 1) / 2
        maps = np.repeat(np.exp(-(axis[:, None] ** 2 + axis**2) / size)[None], 3, axis=0)
        hits[view.name] = pointing(maps, box_masks(view.boxes, size)).mean()
    assert hits.pop("whole") == 1
    assert set(hits.values()) == {0.0}


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


# --- intervals -----------------------------------------------------------------------------------


def crossed(n_seeds=5, n=60, *, seed=0, images=0.1, seeds=0.05, rest=0.1, mean=0.5):
    """Scores with an effect of each image and of each seed."""
    rng = np.random.default_rng(seed)
    return (
        mean
        + images * rng.normal(size=(1, n))
        + seeds * rng.normal(size=(n_seeds, 1))
        + rest * rng.normal(size=(n_seeds, n))
    ).clip(0, 1)


@pytest.mark.parametrize("one", [lambda s: s[:1], lambda s: s[0]], ids=["one seed", "no seeds"])
def test_without_several_seeds_it_is_students_interval_over_images(one):
    scores = crossed()
    ours = summarise(one(scores))
    student = stats.ttest_1samp(scores[0], 0.5).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((student.low, student.high))
    assert ours.value == pytest.approx(scores[0].mean())
    assert (ours.sd, ours.n_images, ours.n_groups) == (None, 60, 60)
    assert ours.n_seeds == (1 if one(scores).ndim == 2 else None)


def test_both_parts_join_in_quadrature():
    scores = crossed()
    ours = summarise(scores)
    parts = [
        stats.ttest_1samp(scores.mean(axis=axis), 0.5).confidence_interval(0.95) for axis in (0, 1)
    ]
    half_width = np.hypot(*((part.high - part.low) / 2 for part in parts))
    assert (ours.low, ours.high) == pytest.approx(
        (ours.value - half_width, ours.value + half_width)
    )
    assert ours.sd == pytest.approx(scores.mean(axis=1).std(ddof=1))
    assert (ours.n_images, ours.n_seeds) == (60, 5)


def test_more_seeds_do_not_replace_images():
    scores = crossed(1, seeds=0, rest=0)
    one, many = summarise(scores), summarise(np.repeat(scores, 50, axis=0))
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_all_hits_are_not_certainty(score):
    ours = summarise(np.full((3, 40), score))
    wilson = proportion(int(40 * score), 40)
    assert (ours.value, ours.low, ours.high) == (score, wilson.low, wilson.high)
    assert ours.high - ours.low > 0.05


def test_the_interval_stays_within_scores():
    ours = summarise(crossed(mean=0.03, images=0.01, seeds=0.1, rest=0.01))
    assert ours.low == 0 and ours.high > ours.value


def test_images_left_out_do_not_count():
    scores = crossed()
    holes = scores.copy()
    holes[:, ::3] = np.nan
    kept = np.delete(scores, np.s_[::3], axis=1)
    assert summarise(holes) == summarise(kept)
    assert difference(holes, scores[:, :] * 0.5) == difference(kept, kept * 0.5)


def test_images_of_a_group_count_once():
    scores = crossed(n=20)
    repeated = np.repeat(scores, 3, axis=1)
    groups = np.repeat([f"patient {i}" for i in range(20)], 3)
    alone, grouped = summarise(scores), summarise(repeated, groups=groups)
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    assert (grouped.n_images, grouped.n_groups) == (60, 20)
    naive = summarise(repeated)
    assert naive.high - naive.low < grouped.high - grouped.low
    shuffled = np.random.default_rng(0).permutation(60)
    again = summarise(repeated[:, shuffled], groups=groups[shuffled])
    assert (again.low, again.high) == pytest.approx((alone.low, alone.high))
    # A group of many images weighs no more than one of few.
    assert summarise(np.array([0, 0, 0, 1.0]), groups=np.array(list("aaab"))).value == 0.5


def test_a_single_image_has_no_interval():
    ours = summarise(crossed(n=1))
    assert (ours.low, ours.high, ours.n_images) == (None, None, 1)
    assert ours.sd is not None
    assert difference(crossed(n=1), np.zeros(1)).p is None


def test_with_one_seed_a_difference_is_students_paired_test():
    a, b = crossed(1), crossed(1, seed=1, mean=0.45)
    ours, student = difference(a, b), stats.ttest_rel(a[0], b[0])
    interval = student.confidence_interval(0.95)
    assert ours.p == pytest.approx(student.pvalue)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert ours.sd is None


def test_both_parts_of_a_difference_against_a_direct_computation():
    a, b = crossed(), crossed(seed=1, mean=0.4)
    ours = difference(a, b)
    by_image, by_seed = (a - b).mean(axis=0), (a - b).mean(axis=1)
    images, seeds = by_image.var(ddof=1) / 60, by_seed.var(ddof=1) / 5
    df = (images + seeds) ** 2 / (images**2 / 59 + seeds**2 / 4)
    error = np.sqrt(images + seeds)
    assert ours.value == pytest.approx((a - b).mean())
    assert ours.p == pytest.approx(2 * stats.t.sf(ours.value / error, df))
    assert ours.high - ours.value == pytest.approx(stats.t.ppf(0.975, df) * error)
    assert ours.sd == pytest.approx(by_seed.std(ddof=1))


def test_a_control_without_seeds_meets_every_seed():
    a, control = crossed(), crossed(1, seed=3)[0]
    ours = difference(a, control)
    assert ours == difference(a, np.repeat(control[None], 5, axis=0))
    back = difference(control, a)
    assert (back.value, back.low, back.high) == pytest.approx((-ours.value, -ours.high, -ours.low))
    assert (back.p, back.n_seeds) == (pytest.approx(ours.p), 5)
    assert difference(control, control * 0.9).n_seeds is None


def test_what_images_share_drops_out_of_a_paired_difference():
    a = crossed(images=0.1, rest=0.01, seeds=0.01)
    b = a - 0.05
    rng = np.random.default_rng(0)
    paired = difference(a, b + 0.01 * rng.normal(size=a.shape))
    apart = class_difference(a, b)
    assert paired.high - paired.low < 0.3 * (apart.high - apart.low)


def test_two_classes_with_one_seed_are_welchs_test():
    a, b = crossed(1, 60), crossed(1, 40, seed=1, mean=0.45, images=0.2)
    ours, welch = class_difference(a, b), stats.ttest_ind(a[0], b[0], equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert ours.p == pytest.approx(welch.pvalue)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert (ours.n_images, ours.n_seeds) == (100, 1)


def test_seeds_widen_the_difference_of_two_classes():
    a, b = crossed(5, 60, seeds=0), crossed(5, 40, seed=1, seeds=0)
    uneven = a + np.array([-0.1, -0.05, 0, 0.05, 0.1])[:, None]
    both, tilted = class_difference(a, b), class_difference(uneven, b)
    assert tilted.value == pytest.approx(both.value)
    assert tilted.high - tilted.low > 1.3 * (both.high - both.low)
    shared = np.array([-0.1, -0.05, 0, 0.05, 0.1])[:, None]
    assert class_difference(uneven, b + shared).low == pytest.approx(both.low)


@pytest.mark.parametrize("compare", [difference, class_difference])
def test_no_difference_and_one_without_variance(compare):
    same = np.full((3, 8), 0.25)
    nothing = compare(same, same)
    assert (nothing.value, nothing.low, nothing.high, nothing.p) == (0, 0, 0, 1)
    certain = compare(same + 0.5, same)
    assert (certain.value, certain.low, certain.high, certain.p) == (0.5, None, None, None)


def test_the_intervals_cover_images_and_seeds():
    """New seeds and new images each time, also where only one of the two scatters."""
    for images, seeds in ((0.1, 0.03), (0.1, 0.0), (0.02, 0.05)):
        settings_ = {"images": images, "seeds": seeds, "rest": 0.05}
        means, differences, classes, naive = [], [], [], []
        for trial in range(200):
            a = crossed(seed=trial, **settings_)
            b = crossed(seed=10_000 + trial, **settings_)
            mean = summarise(a)
            means.append(mean.low <= 0.5 <= mean.high)
            differences.append(difference(a, b).p > 0.05)
            classes.append(class_difference(a, b[:, :30]).p > 0.05)
            flat = stats.sem(a.ravel()) * 1.96
            naive.append(abs(a.mean() - 0.5) <= flat)
        for covered in (means, differences, classes):
            assert 0.9 <= np.mean(covered) <= 1
        # The same scores taken as 300 independent ones claim far too much.
        assert np.mean(naive) < 0.8


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.ones((2, 3, 4)), r"scores are \(2, 3, 4\)"),
        (np.ones((2, 0)), r"scores are \(2, 0\)"),
        (np.full((2, 3), np.nan), "no image has a score"),
        (np.array([[0.1, np.nan], [0.1, 0.2]]), "in some seeds only"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, message):
    for call in (
        summarise,
        lambda s: difference(s, s),
        lambda s: class_difference(s, s),
    ):
        with pytest.raises(LocalisationError, match=message):
            call(scores)


def test_more_scores_that_do_not_fit():
    a = crossed()
    with pytest.raises(LocalisationError, match=r"scores run from -0\.5 to 0\.5"):
        summarise(np.array([-0.5, 0.5]))
    with pytest.raises(LocalisationError, match=r"\(3,\) groups for scores of \(60,\) images"):
        summarise(a, groups=np.array(list("abc")))
    with pytest.raises(LocalisationError, match=r"\(5, 60\) and \(5, 59\)"):
        difference(a, a[:, 1:])
    with pytest.raises(LocalisationError, match="same seeds"):
        difference(a, a[:3])
    with pytest.raises(LocalisationError, match="same seeds"):
        class_difference(a, a[:3])
    first, second = np.array([0.5, np.nan]), np.array([np.nan, 0.5])
    with pytest.raises(LocalisationError, match="on both sides"):
        difference(first, second)


def test_an_error_here_is_a_value_error():
    assert issubclass(localisation.LocalisationError, ValueError)
