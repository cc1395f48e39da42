"""The focal loss with label smoothing: identities, references, gradients, refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from helpers.config import make_config
from helpers.losses import balanced_alpha, focal_loss, make_loss

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(64, generator=GENERATOR)
LABELS = torch.randint(0, 2, (64,), generator=GENERATOR)
MANY = 3 * torch.randn(64, 5, generator=GENERATOR)
CLASSES = torch.randint(0, 5, (64,), generator=GENERATOR)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_gamma_zero_is_smoothed_cross_entropy(smoothing):
    ours = focal_loss(MANY, CLASSES, gamma=0.0, smoothing=smoothing)
    reference = functional.cross_entropy(MANY, CLASSES, label_smoothing=smoothing)
    torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gamma_zero_of_one_unit_is_binary_cross_entropy(smoothing):
    soft = LABELS * (1 - smoothing) + smoothing / 2  # Eq. 9
    ours = focal_loss(LOGITS, LABELS, gamma=0.0, smoothing=smoothing)
    reference = functional.binary_cross_entropy_with_logits(LOGITS, soft)
    torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.75])
def test_matches_torchvision_on_hard_labels(gamma, alpha, reduction):
    ours = focal_loss(LOGITS, LABELS, gamma=gamma, alpha=alpha, reduction=reduction)
    reference = sigmoid_focal_loss(
        LOGITS,
        LABELS.float(),
        gamma=gamma,
        alpha=-1 if alpha is None else alpha,
        reduction=reduction,
    )
    torch.testing.assert_close(ours, reference)


def test_two_logits_are_one_unit_of_their_difference():
    two = torch.randn(64, 2, generator=GENERATOR)
    for alpha in (None, 0.3):
        ours = focal_loss(two, LABELS, alpha=alpha, smoothing=0.1)
        one = focal_loss(two[:, 1] - two[:, 0], LABELS, alpha=alpha, smoothing=0.1)
        torch.testing.assert_close(ours, one)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1), gamma=st.floats(0, 5), smoothing=st.floats(0, 1))
def test_a_mixed_label_gives_the_mixed_loss(share, gamma, smoothing):
    def loss(targets):
        return focal_loss(MANY, targets, gamma=gamma, smoothing=smoothing, reduction="none")

    first = functional.one_hot(CLASSES, 5).float()
    second = first.roll(1, dims=1)
    mixed = loss(share * first + (1 - share) * second)
    torch.testing.assert_close(mixed, share * loss(first) + (1 - share) * loss(second))


def test_smoothing_is_the_mix_of_the_label_and_the_uniform_one():
    ours = focal_loss(MANY, CLASSES, smoothing=0.2, reduction="none")
    hard = focal_loss(MANY, CLASSES, reduction="none")
    uniform = focal_loss(MANY, torch.full((64, 5), 0.2), reduction="none")
    torch.testing.assert_close(ours, 0.8 * hard + 0.2 * uniform)


def test_focusing_takes_weight_from_easy_samples_only():
    easy, hard = torch.tensor([4.0]), torch.tensor([-4.0])
    one = torch.ones(1)
    ratio = [focal_loss(x, one, gamma=2.0) / focal_loss(x, one, gamma=0.0) for x in (easy, hard)]
    assert ratio[0] < 1e-3 < 0.9 < ratio[1] < 1


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(6,), (6, 2), (6, 4)])
def test_gradcheck(gamma, shape):
    logits = torch.randn(shape, dtype=torch.float64, generator=GENERATOR, requires_grad=True)
    classes = 2 if len(shape) == 1 else shape[1]
    targets = torch.arange(6) % classes
    alpha = torch.linspace(0.2, 0.8, classes, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: focal_loss(x, targets, gamma=gamma, alpha=alpha, smoothing=0.1), logits
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_extreme_logits_stay_finite(gamma, smoothing, width):
    logits = torch.tensor([100.0, -100.0, 100.0, -100.0])
    if width > 1:
        logits = torch.stack([logits, -logits, *[torch.zeros(4)] * (width - 2)], dim=1)
    logits.requires_grad_()
    loss = focal_loss(logits, torch.tensor([1, 1, 0, 0]), gamma=gamma, smoothing=smoothing)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_balanced_alpha_is_the_share_of_the_other_class():
    torch.testing.assert_close(balanced_alpha(torch.tensor([90, 10])), torch.tensor([0.1, 0.9]))
    weights = balanced_alpha(torch.tensor([10, 20, 40]))
    torch.testing.assert_close(weights * torch.tensor([10, 20, 40]), torch.full((3,), 40 / 7))


def test_balanced_alpha_gives_every_class_the_same_total_weight():
    labels = torch.tensor([0] * 8 + [1] * 2)
    logits = torch.zeros(10)
    alpha = balanced_alpha(torch.bincount(labels))
    losses = focal_loss(logits, labels, gamma=0.0, alpha=alpha, reduction="none")
    torch.testing.assert_close(losses[labels == 0].sum(), losses[labels == 1].sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -0.1}, "gamma"),
        ({"gamma": float("nan")}, "gamma"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1.0}, "alpha"),
        ({"alpha": torch.ones(3)}, "2 positive weights"),
        ({"smoothing": 1.1}, "smoothing"),
        ({"smoothing": -0.1}, "smoothing"),
        ({"reduction": "max"}, "reduction"),
    ],
)
def test_parameters_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        focal_loss(LOGITS, LABELS, **options)


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (LOGITS, LABELS + 1, "labels 0 and 1"),
        (LOGITS, LABELS - 1, "labels 0 and 1"),
        (LOGITS, LABELS[:3], "shape"),
        (MANY, CLASSES + 1, "class 5 is out of range"),
        (MANY, CLASSES[:3], "one a row"),
        (MANY, torch.ones(64, 5), "sum to one"),
        (MANY, torch.ones(64, 4), "shape"),
        (MANY[:, :1], CLASSES, "K >= 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(logits, targets, message):
    with pytest.raises(ValueError, match=message):
        focal_loss(logits, targets)


def test_one_alpha_for_many_classes_is_refused():
    with pytest.raises(ValueError, match="balanced_alpha"):
        focal_loss(MANY, CLASSES, alpha=0.3)


def test_a_class_without_images_has_no_weight():
    with pytest.raises(ValueError, match="at least 1"):
        balanced_alpha(torch.tensor([3, 0]))


def test_the_loss_of_a_run_is_what_its_configuration_says():
    common = {"dataset": "phantom", "model": "resnet18", "seed": 0, "pretrained": "none"}
    counts = torch.tensor([30, 10])
    two = torch.randn(8, 2, generator=GENERATOR)
    targets = functional.one_hot(torch.arange(8) % 2, 2).float()
    framework = make_loss(make_config(recipe="brain_inspired", **common), counts=counts)
    torch.testing.assert_close(
        framework(two, targets), focal_loss(two, targets, gamma=2.0, smoothing=0.1)
    )
    weighted = make_config(recipe="brain_inspired", focal_alpha="balanced", **common)
    torch.testing.assert_close(
        make_loss(weighted, counts=counts)(two, targets),
        focal_loss(two, targets, gamma=2.0, smoothing=0.1, alpha=0.75),
    )
    plain = make_loss(make_config(recipe="cross_entropy", **common), counts=counts)
    torch.testing.assert_close(plain(two, targets), functional.cross_entropy(two, targets))
