"""Corrupted images: each as said, and nothing else changed."""

import pytest
import torch

from helpers.data.corruptions import CORRUPTIONS, corrupt

IMAGES = torch.randint(0, 256, (6, 3, 28, 28), generator=torch.Generator().manual_seed(1)).byte()


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_type_stay_and_the_same_comes_twice(kind, channels):
    images = IMAGES[:, :channels]
    before = images.clone()
    changed = corrupt(images, kind)
    assert changed.shape == images.shape and changed.dtype == torch.uint8
    assert not changed.equal(images) and images.equal(before)
    assert changed.equal(corrupt(images, kind))


@pytest.mark.parametrize("kind", ["blur", "contrast", "resampling"])
def test_an_even_image_stays_as_it_is_but_for_noise(kind):
    even = torch.full((2, 1, 28, 28), 100, dtype=torch.uint8)
    assert corrupt(even, kind).equal(even)
    assert corrupt(even, "noise").float().std() == pytest.approx(25.5, rel=0.05)


def test_contrast_is_halved_about_the_mean():
    image = torch.tensor([[[[50, 150]]]], dtype=torch.uint8)
    assert corrupt(image, "contrast").tolist() == [[[[75, 125]]]]


@pytest.mark.parametrize("kind", ["blur", "resampling"])
@pytest.mark.parametrize("side", [28, 64])
def test_detail_is_lost_and_the_mean_kept(kind, side):
    fine = torch.zeros((1, 1, side, side))
    fine[..., ::2] = 200  # stripes of one pixel
    changed = corrupt(fine.byte(), kind).float()
    assert changed.std() < fine.std() / 2
    assert changed.mean().item() == pytest.approx(100, abs=3)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'fog'; known: blur, noise, contrast, resampling"):
        corrupt(IMAGES, "fog")
