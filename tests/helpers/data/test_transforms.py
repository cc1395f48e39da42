"""Batch transforms against torchvision's operators on one image at a time."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from helpers.config import InputForm
from helpers.data import batch_operators as ops
from helpers.data import transforms
from helpers.data.transforms import (
    AUGMENTATIONS,
    MAGNITUDES,
    NORMALISE,
    Augmentation,
    preprocess,
)

BILINEAR = InterpolationMode.BILINEAR
BATCH = 4
channels = pytest.mark.parametrize("channels", [1, 3])


@pytest.fixture(autouse=True)
def one_thread_and_no_warnings():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def random_images(channels, generator, height=33, width=46):
    return torch.rand(BATCH, channels, height, width, generator=generator)


def uint8_batch(generator, *, n=8, channels=1, height=20, width=20):
    shape = (n, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def augmented(kind, images, *, seed, image_size=20, cutmix=0.0):
    """Transform a batch in which each image has a class of its own."""
    augment = Augmentation(kind, image_size=image_size, cutmix=cutmix)
    labels, own = torch.arange(len(images)), torch.Generator().manual_seed(seed)
    return augment(images, labels, num_classes=len(images), generator=own)


def each(function, images, *parameters):
    """Apply a single-image function with one row of each parameter."""
    rows = zip(images, *(p.tolist() for p in parameters), strict=True)
    return torch.stack([function(image, *row) for image, *row in rows])


def affine(images, *parameters):
    height, width = images.shape[-2:]
    return ops.warp(images, ops.affine_homography(*parameters, height=height, width=width))


def assert_close(actual, expected, atol=2e-5):
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


# Operators, one by one ------------------------------------------------------------------------


@channels
def test_affine_equals_torchvision(channels, generator):
    images = random_images(channels, generator)
    angle = torch.tensor([-20.0, 7.5, 0.0, 170.0])
    translate = torch.tensor([[0.0, 0.0], [3.25, -4.5], [-6.0, 1.0], [2.0, 2.0]])
    scale = torch.tensor([0.8, 1.0, 1.3, 1.1])
    shear = torch.tensor([[5.0, 0.0], [0.0, -8.0], [0.0, 0.0], [10.0, 4.0]])
    expected = each(
        lambda image, *row: reference.affine(image, *row, interpolation=BILINEAR),
        *(images, angle, translate, scale, shear),
    )
    assert_close(affine(images, angle, translate, scale, shear), expected)


@channels
def test_perspective_equals_torchvision(channels, generator):
    images = random_images(channels, generator)
    corners = torch.tensor([[0.0, 0.0], [45.0, 0.0], [45.0, 32.0], [0.0, 32.0]])
    start = corners.expand(BATCH, 4, 2)
    end = start + torch.empty(BATCH, 4, 2).uniform_(-5, 5, generator=generator)
    expected = each(
        lambda image, *row: reference.perspective(image, *row, interpolation=BILINEAR),
        *(images, start, end),
    )
    assert_close(ops.warp(images, ops.perspective_homography(start, end)), expected)


def test_perspective_homography_moves_the_four_points(generator):
    start = torch.tensor([[2.0, 1.0], [60.0, 5.0], [55.0, 50.0], [0.0, 63.0]]).unsqueeze(0)
    end = torch.tensor([[9.0, 4.0], [50.0, 1.0], [63.0, 60.0], [3.0, 40.0]]).unsqueeze(0)
    assert_close(moved(ops.perspective_homography(start, end), end), start.double(), atol=1e-9)


@channels
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colour_factors_equal_torchvision(name, channels, generator):
    images = random_images(channels, generator)
    factor = torch.tensor([0.0, 0.6, 1.0, 1.7])
    expected = each(getattr(reference, f"adjust_{name}"), images, factor)
    assert_close(getattr(ops, f"adjust_{name}")(images, factor), expected)


@channels
def test_hue_equals_torchvision(channels, generator):
    images = random_images(channels, generator)
    images[..., :4, :] = images[:, :1, :4]  # grey pixels: no hue
    images[:, 1:, 4:8] = images[:, -1:, 4:8]  # ties between channels
    images[:, :-1, 8:12] = images[:, :1, 8:12]
    images[..., 12:14, :] = 0
    images[..., 14:16, :] = 1
    factor = torch.tensor([-0.5, -0.04, 0.05, 0.5])
    expected = each(reference.adjust_hue, images, factor)
    assert_close(ops.adjust_hue(images, factor), expected)


@pytest.mark.parametrize("name", ["saturation", "hue"])
def test_grey_has_no_saturation_and_no_hue(name, generator):
    grey = random_images(1, generator)
    factor = torch.tensor([-0.4, -0.2, 0.3, 0.5]) + (name == "saturation")
    adjust = getattr(ops, f"adjust_{name}")
    assert adjust(grey, factor) is grey
    # The same image as three equal channels; the luma weights sum to 0.9999.
    assert_close(adjust(grey.expand(-1, 3, -1, -1), factor)[:, :1], grey, atol=2e-4)


@channels
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_blur_equals_torchvision(kernel_size, channels, generator):
    images = random_images(channels, generator)
    sigma = torch.tensor([0.1, 0.4, 1.0, 3.0])
    expected = each(
        lambda image, s: reference.gaussian_blur(image, [kernel_size] * 2, [s] * 2),
        *(images, sigma),
    )
    assert_close(ops.gaussian_blur(images, sigma, kernel_size=kernel_size), expected)


@channels
def test_erase_and_flip_equal_torchvision(channels, generator):
    images = random_images(channels, generator)
    boxes = torch.tensor([[0, 0, 5, 9], [10, 20, 0, 7], [30, 40, 3, 6], [4, 1, 20, 1]])
    expected = each(
        lambda image, box: reference.erase(image, *box, v=torch.zeros(1)), images, boxes
    )
    assert torch.equal(ops.erase_(images.clone(), boxes), expected)

    mask = torch.tensor([True, False, True, False])
    expected = each(
        lambda image, flip: reference.horizontal_flip(image) if flip else image, images, mask
    )
    assert torch.equal(ops.horizontal_flip(images, mask), expected)
    assert_close(ops.warp(images, ops.flip_homography(mask, width=46)), expected)


def test_erase_cuts_the_box_at_the_border(generator):
    images = random_images(1, generator) + 1
    erased = ops.erase_(images, torch.tensor([[-3, 40, 5, 9]] * BATCH))
    assert (erased[..., :2, 40:] == 0).all()
    assert (erased == 0).sum() == BATCH * 2 * 6


@channels
def test_identity_parameters_change_nothing(channels, generator):
    images = random_images(channels, generator)
    zero, one = torch.zeros(BATCH), torch.ones(BATCH)
    zeros = torch.zeros(BATCH, 2)
    corners = torch.tensor([[0.0, 0.0], [46.0, 0.0], [46.0, 33.0], [0.0, 33.0]])
    corners = corners.expand(BATCH, 4, 2)
    assert_close(affine(images, zero, zeros, one, zeros), images)
    assert_close(ops.warp(images, ops.perspective_homography(corners, corners)), images)
    assert_close(ops.adjust_hue(images, zero), images, atol=1e-6)
    assert torch.equal(ops.horizontal_flip(images, zero.bool()), images)
    assert torch.equal(ops.adjust_brightness(images, one), images)
    assert_close(ops.adjust_contrast(images, one), images, atol=1e-6)
    assert_close(ops.adjust_saturation(images, one), images, atol=1e-6)
    assert torch.equal(ops.gaussian_blur(images, zero, kernel_size=3), images)
    boxes = torch.zeros(BATCH, 4, dtype=torch.long)
    assert torch.equal(ops.erase_(images.clone(), boxes), images)


# CutMix ---------------------------------------------------------------------------------------


@given(
    st.integers(2, 9).flatmap(
        lambda side: st.tuples(
            st.just(side),
            st.lists(
                st.tuples(*[st.integers(-4, side + 3)] * 2, *[st.integers(0, side + 5)] * 2),
                min_size=3,
                max_size=3,
            ),
            st.permutations(range(3)),
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_cutmix_weights_equal_the_pasted_area(case):
    side, boxes, permutation = case
    # Image i is filled with i, and its class is i: both tell where a pixel came from.
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 2, side, side + 1)
    mixed, targets = ops.cutmix(
        images, torch.eye(3), torch.tensor(boxes), torch.tensor(permutation)
    )
    share = torch.stack([(mixed == k).float().mean(dim=(1, 2, 3)) for k in range(3)], dim=1)
    assert_close(targets, share, atol=1e-6)
    assert_close(targets.sum(dim=1), torch.ones(3), atol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_cutmix_happens_as_often_as_asked(probability, generator):
    images = uint8_batch(generator, n=600, height=8, width=8)
    labels = torch.arange(600)  # all classes differ, so that a mixed target shows
    augment = Augmentation("none", image_size=8, cutmix=probability)
    _, targets = augment(images, labels, num_classes=600, generator=generator)
    share = (targets.amax(dim=1) < 1).float().mean()
    # A box has a half side of sqrt(u) * 4 pixels, rounded down: one in 16 is empty.
    assert abs(share - probability * 15 / 16) < 0.05
    assert_close(targets.sum(dim=1), torch.ones(600), atol=1e-6)


def test_cutmix_boxes_are_those_of_yun_et_al(generator, monkeypatch):
    spy, size, n = Spy(), 32, 4000
    monkeypatch.setattr(transforms, "ops", spy)
    augment = Augmentation("none", image_size=size, cutmix=1.0)
    images = uint8_batch(generator, n=n, height=size, width=size)
    labels = torch.zeros(n, dtype=torch.long)
    augment(images, labels, num_classes=1, generator=generator)
    (_, _, boxes, permutation), _, _ = spy.calls["cutmix"]
    assert torch.equal(permutation.sort().values, torch.arange(n))

    first, side = boxes[:, :2], boxes[:, 2:]
    assert first.min() == 0 and (first + side).max() == size
    uncut = (first > 0).all(dim=1) & (first + side < size).all(dim=1)
    assert (side[uncut, 0] == side[uncut, 1]).all() and 0.1 < uncut.float().mean() < 0.9

    # rand_bbox of the authors' code, vectorised.
    rng = np.random.default_rng(0)
    cut = (size * np.sqrt(rng.beta(1, 1, n))).astype(int)
    middle = rng.integers(size, size=(2, n))
    ends = np.clip(middle + cut // 2, 0, size) - np.clip(middle - cut // 2, 0, size)
    assert abs(side.prod(dim=1).float().mean() - ends.prod(axis=0).mean()) < 0.02 * size**2


# Evaluation -----------------------------------------------------------------------------------


@channels
@pytest.mark.parametrize(
    ("height", "width", "image_size"), [(28, 28, 28), (28, 28, 64), (64, 64, 28), (45, 30, 37)]
)
def test_preprocess_equals_torchvision(height, width, image_size, channels, generator):
    images = uint8_batch(generator, channels=channels, height=height, width=width)
    expected = reference.to_dtype(images, torch.float32, scale=True)
    expected = reference.resize(expected, [image_size] * 2, interpolation=BILINEAR, antialias=True)
    expected = expected.expand(-1, 3, -1, -1).contiguous()
    expected = reference.normalize(expected, list(NORMALISE.mean), list(NORMALISE.std))
    actual = preprocess(images, image_size=image_size)
    assert actual.dtype == torch.float32
    assert_close(actual, expected, atol=1e-5)


@channels
@pytest.mark.parametrize("kind", ["rgb", "native"])
def test_half_normalisation_is_the_benchmarks_own(kind, channels, generator):
    """`ToTensor(), Normalize(mean=[.5], std=[.5])`, with PIL's `convert("RGB")` for "rgb"."""
    images = uint8_batch(generator, channels=channels)
    expected = reference.to_dtype(images, torch.float32, scale=True)
    if kind == "rgb":
        expected = expected.expand(-1, 3, -1, -1).contiguous()
    count = expected.shape[1]
    expected = reference.normalize(expected, [0.5] * count, [0.5] * count)
    size = images.shape[-1]
    form = InputForm("half", kind)
    assert form.in_channels(channels) == count
    assert_close(preprocess(images, image_size=size, form=form), expected, atol=1e-6)
    labels = torch.zeros(len(images), dtype=torch.long)
    for augmentation in AUGMENTATIONS:
        augment = Augmentation(augmentation, image_size=size, cutmix=0.5, form=form)
        pixels, _ = augment(images, labels, num_classes=2, generator=generator)
        assert pixels.shape == expected.shape
        assert pixels.abs().max() <= 1 + 1e-6


# Augmentation ---------------------------------------------------------------------------------


@channels
@pytest.mark.parametrize("image_size", [20, 32])
def test_none_is_preprocess_with_one_hot_targets(image_size, channels, generator):
    images = uint8_batch(generator, channels=channels)
    labels = torch.tensor([0, 1, 2, 2, 1, 0, 0, 2])
    augment = Augmentation("none", image_size=image_size)
    result, targets = augment(images, labels, num_classes=4, generator=generator)
    assert torch.equal(result, preprocess(images, image_size=image_size))
    assert targets.dtype == torch.float32
    assert targets.tolist() == [[float(k == label) for k in range(4)] for label in labels]


def test_normal_flips_about_half_and_nothing_else(generator):
    images = uint8_batch(generator, n=400, height=6, width=6)
    labels = torch.zeros(400, dtype=torch.long)
    augment = Augmentation("normal", image_size=12)
    result, targets = augment(images, labels, num_classes=2, generator=generator)
    plain = preprocess(images, image_size=12)
    same = (result == plain).flatten(1).all(dim=1)
    mirrored = (result - plain.flip(-1)).abs().flatten(1).amax(dim=1) < 1e-6
    assert (same ^ mirrored).all()
    assert 160 < mirrored.sum() < 240
    assert targets.tolist() == [[1.0, 0.0]] * 400


def test_dihedral_shows_each_of_the_eight_symmetries_as_often(generator):
    images = uint8_batch(generator, n=1, height=6, width=6).expand(800, -1, -1, -1)
    augment = Augmentation("dihedral", image_size=6)
    labels = torch.zeros(800, dtype=torch.long)
    result, _ = augment(images, labels, num_classes=2, generator=generator)
    plain = preprocess(images[:1], image_size=6)
    symmetries = [p.rot90(k, (2, 3)) for p in (plain, plain.flip(-1)) for k in range(4)]
    counts = [int((result - s).abs().flatten(1).amax(1).lt(1e-6).sum()) for s in symmetries]
    assert sum(counts) == 800 and min(counts) > 70 and max(counts) < 130


def moved(homographies, points):
    """Return the points (B, n, 2) as the homographies move them."""
    points = points.double()
    homogeneous = torch.cat([points, torch.ones_like(points[..., :1])], dim=2)
    x, y, depth = (homogeneous @ homographies.transpose(1, 2)).unbind(2)
    return torch.stack([x / depth, y / depth], dim=2)


class Spy:
    """Stands for the operators' module, notes every call and passes it on."""

    def __init__(self):
        self.calls = {}

    def __getattr__(self, name):
        def passed_on(*args, **kwargs):
            result = getattr(ops, name)(*args, **kwargs)
            self.calls[name] = (args, kwargs, result)
            return result

        return passed_on


def smooth_images(n, channels, size):
    """Waves so long that the interpolation of one warp and of three agree."""
    axis = torch.linspace(0, 3, size)
    shift = torch.arange(n * channels).view(n, channels, 1, 1) * 0.7
    waves = torch.sin(axis + shift) * torch.cos(0.8 * axis.view(-1, 1) - shift)
    return (127.5 + 80 * waves).round().to(torch.uint8)


@channels
def test_full_equals_torchvision_step_by_step(channels, generator, monkeypatch):
    spy, size, n = Spy(), 48, 5
    monkeypatch.setattr(transforms, "ops", spy)
    images = smooth_images(n, channels, size)
    labels = torch.zeros(n, dtype=torch.long)
    augment = Augmentation("full", image_size=size)
    result, _ = augment(images, labels, num_classes=1, generator=generator)

    (flip,), _, mirror = spy.calls["flip_homography"]
    geometry, _, affine = spy.calls["affine_homography"]
    (start, end), _, perspective = spy.calls["perspective_homography"]
    points = torch.rand(n, 9, 2, generator=generator) * size
    in_three_steps = moved(mirror, moved(affine, moved(perspective, points)))
    (_, fused), _, _ = spy.calls["warp"]
    assert_close(moved(fused, points), in_three_steps, atol=1e-9)

    def image_by_image(image, flip, geometry, points, colour, sigma, box):
        image = image.float() / 255
        image = reference.horizontal_flip(image) if flip else image
        image = reference.affine(image, *geometry, interpolation=BILINEAR)
        image = reference.perspective(image, *points, interpolation=BILINEAR)
        for name, factor in colour.items():
            image = getattr(reference, f"adjust_{name}")(image, factor)
        image = reference.gaussian_blur(image, [3, 3], [max(sigma, 1e-3)] * 2)
        image = image.expand(3, -1, -1).contiguous()
        image = reference.normalize(image, list(NORMALISE.mean), list(NORMALISE.std))
        return reference.erase(image, *box, v=torch.zeros(1))

    colour_names = ("brightness", "contrast", "saturation", "hue")
    colour = {name: spy.calls[f"adjust_{name}"][0][1] for name in colour_names}
    (_, sigma), _, _ = spy.calls["gaussian_blur"]
    (_, boxes), _, _ = spy.calls["erase_"]
    expected = torch.stack(
        [
            image_by_image(
                images[i],
                bool(flip[i]),
                [parameter[i].tolist() for parameter in geometry],
                (start[i].tolist(), end[i].tolist()),
                {name: float(factor[i]) for name, factor in colour.items()},
                float(sigma[i]),
                boxes[i].tolist(),
            )
            for i in range(n)
        ]
    )
    # The black border differs: a chain loses what leaves the image between two steps.
    inner = slice(size // 3, -(size // 3))
    assert_close(result[..., inner, inner], expected[..., inner, inner], atol=0.03)


def test_full_draws_within_the_stated_magnitudes(generator, monkeypatch):
    spy, size, n = Spy(), 16, 500
    monkeypatch.setattr(transforms, "ops", spy)
    monkeypatch.setattr(transforms, "_CACHED_VALUES", 10**9)  # one piece, so that one call has all
    augment = Augmentation("full", image_size=size, cutmix=0.5)
    labels = torch.zeros(n, dtype=torch.long)
    augment(uint8_batch(generator, n=n), labels, num_classes=1, generator=generator)
    m, half = MAGNITUDES, 0.5

    def within(values, low, high):
        """All in the range, and filling nine tenths of it."""
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
        assert values.unique().numel() > n / 3

    angle, translate, scale, shear = spy.calls["affine_homography"][0]
    within(angle, -m.rotation, m.rotation)
    within(translate[:, 0], -0.1 * size, 0.1 * size)
    within(translate[:, 1], -0.1 * size, 0.1 * size)
    within(scale, *m.scale)
    within(shear[:, 0], -m.shear, m.shear)
    assert (shear[:, 1] == 0).all()
    for name in ("brightness", "contrast", "saturation"):
        spread = getattr(m, name)
        within(spy.calls[f"adjust_{name}"][0][1], 1 - spread, 1 + spread)
    within(spy.calls["adjust_hue"][0][1], -m.hue, m.hue)
    start, end = spy.calls["perspective_homography"][0]
    inwards = (end - start) * torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    assert inwards.min() >= 0
    assert 0.095 * size < inwards.max() <= 0.1 * size
    sigma = spy.calls["gaussian_blur"][0][1]
    assert sigma[sigma > 0].min() >= 0.1 and sigma.max() <= 1.0
    boxes = spy.calls["erase_"][0][1]
    erased = boxes[:, 2] * boxes[:, 3] / size**2
    assert 0.0 < erased[erased > 0].min() < 0.06 and 0.15 < erased.max() < 0.25
    assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= size).all()
    happened = {
        "flip": spy.calls["flip_homography"][0][0],
        "perspective": (inwards > 0).any(dim=2).any(dim=1),
        "blur": sigma > 0,
        "erasing": boxes[:, 2] > 0,
    }
    for name, mask in happened.items():
        assert abs(mask.float().mean() - half) < 0.08, name


def test_erasing_boxes_always_fit():
    assert MAGNITUDES.erasing_area[1] * max(MAGNITUDES.erasing_ratio) < 1
    assert MAGNITUDES.erasing_area[1] / min(MAGNITUDES.erasing_ratio) < 1


@channels
@pytest.mark.parametrize("cutmix", [0.0, 0.5])
@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_one_seed_one_result(kind, cutmix, channels, generator):
    images = uint8_batch(generator, channels=channels)
    first, first_targets = augmented(kind, images, seed=1, image_size=24, cutmix=cutmix)
    torch.rand(3)  # the global generator plays no part
    again, again_targets = augmented(kind, images, seed=1, image_size=24, cutmix=cutmix)
    assert torch.equal(first, again) and torch.equal(first_targets, again_targets)
    assert first.shape == (8, 3, 24, 24) and first.dtype == torch.float32
    assert first.isfinite().all()
    if (kind, cutmix) != ("none", 0.0):
        other, _ = augmented(kind, images, seed=2, image_size=24, cutmix=cutmix)
        assert not torch.equal(first, other)


def test_samples_do_not_depend_on_each_other(generator):
    images = uint8_batch(generator, channels=3)
    others = images.clone()
    others[1:] = 255 - others[1:]
    copied = images[:1].expand(8, -1, -1, -1)
    full, beside_others, three, copies = (
        augmented("full", batch, seed=5)[0] for batch in (images, others, images[:3], copied)
    )
    assert_close(beside_others[0], full[0], atol=1e-6)
    assert_close(three, full[:3], atol=1e-6)
    # Eight copies of one image give eight pictures: no parameter is shared.
    copies = copies.flatten(1)
    distance = torch.cdist(copies, copies) + 10 * torch.eye(8)
    assert distance.min() > 1.0


def test_pieces_give_the_same_result(generator, monkeypatch):
    images, results = uint8_batch(generator, channels=3), []
    for values in (1, 3600, 10**9):  # one sample at a time, three, all
        monkeypatch.setattr(transforms, "_CACHED_VALUES", values)
        results.append(augmented("full", images, seed=5, cutmix=0.5))
    for result, targets in results[1:]:
        assert_close(result, results[0][0], atol=1e-6)
        assert torch.equal(targets, results[0][1])


def test_arms_of_an_ablation_share_their_draws(generator):
    images, labels = uint8_batch(generator), torch.arange(8)

    def run(kind, cutmix):
        own = torch.Generator().manual_seed(7)
        augment = Augmentation(kind, image_size=20, cutmix=cutmix)
        result = augment(images, labels, num_classes=8, generator=own)
        return *result, own.get_state()

    plain, _, state = run("normal", 0.0)
    mixed, targets, state_mixed = run("normal", 0.5)
    whole = targets.amax(dim=1) == 1
    assert 0 < whole.sum() < 8
    assert torch.equal(mixed[whole], plain[whole])
    assert torch.equal(run("full", 0.5)[1], targets)
    assert torch.equal(state, state_mixed)


def test_outside_is_black_and_erased_is_zero():
    white = torch.full((60, 1, 24, 24), 255, dtype=torch.uint8)
    result, _ = augmented("full", white, seed=0, image_size=24)
    black = -torch.tensor(NORMALISE.mean) / torch.tensor(NORMALISE.std)
    seen = result.permute(0, 2, 3, 1).reshape(-1, 3)
    assert ((seen - black).abs().amax(dim=1) < 1e-5).any()
    assert (seen == 0).all(dim=1).any()


def test_works_with_deterministic_algorithms(generator):
    torch.use_deterministic_algorithms(True)
    try:
        augmented("full", uint8_batch(generator, channels=3), seed=0, cutmix=0.5)
    finally:
        torch.use_deterministic_algorithms(False)


def test_autocast_does_not_move_pixels(generator):
    images = uint8_batch(generator, channels=3)
    plain, _ = augmented("full", images, seed=1, cutmix=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast, _ = augmented("full", images, seed=1, cutmix=0.5)
    assert torch.equal(cast, plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@channels
def test_cuda_equals_cpu(channels, generator):
    images, labels = uint8_batch(generator, channels=channels), torch.arange(8)
    augment = Augmentation("full", image_size=24, cutmix=0.5)
    on_cpu = augmented("full", images, seed=3, image_size=24, cutmix=0.5)
    for device in ("cpu", "cuda"):
        own = torch.Generator(device).manual_seed(3)
        result, targets = augment(images.cuda(), labels.cuda(), num_classes=8, generator=own)
        assert result.is_cuda and targets.is_cuda and result.isfinite().all()
        if device == "cpu":  # the same draws
            assert_close(result.cpu(), on_cpu[0], atol=1e-3)
            assert_close(targets.cpu(), on_cpu[1], atol=1e-6)


# Errors ---------------------------------------------------------------------------------------


def test_unknown_kind_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown augmentation 'strong'.*none, normal, full"):
        Augmentation("strong", image_size=28)


@pytest.mark.parametrize("cutmix", [-0.1, 1.5, float("nan")])
def test_cutmix_outside_0_1_is_refused(cutmix):
    with pytest.raises(ValueError, match=r"cutmix is a probability in \[0, 1\]"):
        Augmentation("normal", image_size=28, cutmix=cutmix)


@pytest.mark.parametrize("image_size", [0, 28.0, "28"])
def test_impossible_image_size_is_refused(image_size):
    with pytest.raises(ValueError, match="image_size must be a whole number"):
        Augmentation("normal", image_size=image_size)
    with pytest.raises(ValueError, match="image_size must be a whole number"):
        preprocess(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), image_size=image_size)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 4, 4), "uint8 tensor.*got torch.float32"),
        ([[0]], "uint8 tensor.*got list"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), r"\(B, C, H, W\).*got \(2, 4, 4\)"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), r"C 1 or 3.*permute"),
        (torch.zeros(0, 1, 4, 4, dtype=torch.uint8), "no empty side"),
    ],
)
def test_wrong_images_are_refused(images, message, generator):
    with pytest.raises(ValueError, match=message):
        preprocess(images, image_size=8)
    with pytest.raises(ValueError, match=message):
        augment = Augmentation("full", image_size=8)
        augment(images, torch.zeros(2, dtype=torch.long), num_classes=2, generator=generator)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2), r"int64 \(2,\).*got torch.float32"),
        (torch.zeros(2, 1, dtype=torch.long), r"got torch.int64 \(2, 1\)"),
        (torch.zeros(3, dtype=torch.long), r"got torch.int64 \(3,\)"),
        (torch.tensor([0, 2]), r"labels must lie in \[0, 2\), got 0 to 2"),
        (torch.tensor([-1, 1]), r"got -1 to 1"),
        (torch.zeros(2, dtype=torch.long, device="meta"), "labels are on meta but images are on"),
    ],
)
def test_wrong_labels_are_refused(labels, message, generator):
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        Augmentation("none", image_size=8)(images, labels, num_classes=2, generator=generator)
