"""The focal loss with label smoothing: identities, references, gradients, refusals."""

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from helpers.config import READINGS, make_config
from helpers.training.losses import balanced_alpha, focal_loss, make_loss

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(64, generator=GENERATOR)
LABELS = torch.randint(0, 2, (64,), generator=GENERATOR)
MANY = 3 * torch.randn(64, 5, generator=GENERATOR)
CLASSES = torch.randint(0, 5, (64,), generator=GENERATOR)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_gamma_zero_is_smoothed_cross_entropy(smoothing, reading):
    ours = focal_loss(MANY, CLASSES, gamma=0.0, smoothing=smoothing, reading=reading)
    reference = functional.cross_entropy(MANY, CLASSES, label_smoothing=smoothing)
    torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gamma_zero_of_one_unit_is_binary_cross_entropy(smoothing, reading):
    soft = LABELS * (1 - smoothing) + smoothing / 2  # Eq. 9
    ours = focal_loss(LOGITS, LABELS, gamma=0.0, smoothing=smoothing, reading=reading)
    reference = functional.binary_cross_entropy_with_logits(LOGITS, soft)
    torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.75])
@pytest.mark.parametrize("reading", READINGS)
def test_matches_torchvision_on_hard_labels(reading, gamma, alpha, reduction):
    ours = focal_loss(
        LOGITS, LABELS, gamma=gamma, alpha=alpha, reading=reading, reduction=reduction
    )
    reference = sigmoid_focal_loss(
        LOGITS,
        LABELS.float(),
        gamma=gamma,
        alpha=-1 if alpha is None else alpha,
        reduction=reduction,
    )
    torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_soft_pt_is_torchvision_of_the_smoothed_label(gamma, alpha, smoothing):
    labels = torch.rand(64, generator=GENERATOR)  # mixed ones, as of CutMix
    for y in (LABELS.float(), labels):
        ours = focal_loss(
            LOGITS, y, gamma=gamma, alpha=alpha, smoothing=smoothing, reading="soft_pt"
        )
        smoothed = y * (1 - smoothing) + smoothing / 2
        weight = -1 if alpha is None else alpha
        reference = sigmoid_focal_loss(LOGITS, smoothed, weight, gamma, reduction="mean")
        torch.testing.assert_close(ours, reference)


def _by_definition(reading, logits, label, *, gamma, eps, alpha=None):
    """Write a reading as the module's header does: one row of numbers of mpmath, a hard label."""
    size, top = len(logits), max(logits)
    powers = [mpmath.exp(s - top) for s in logits]
    p = [power / mpmath.fsum(powers) for power in powers]
    rest = [mpmath.fsum(p[:k] + p[k + 1 :]) for k in range(size)]  # 1 - p, exact near one
    nll = [mpmath.log1p(r / q) for q, r in zip(p, rest, strict=True)]
    eps = mpmath.mpf(eps)
    smoothed = [(k == label) * (1 - eps) + eps / size for k in range(size)]
    alpha = alpha or [1] * size
    ce = mpmath.fdot(smoothed, nll)
    weight = mpmath.fdot(smoothed, alpha)
    match reading:
        case "hard_pt":
            return alpha[label] * rest[label] ** gamma * ce
        case "soft_pt":
            return (
                weight
                * mpmath.fsum((1 - v) * q for v, q in zip(smoothed, p, strict=True)) ** gamma
                * ce
            )
        case "linear":
            terms = [a * r**gamma * n for a, r, n in zip(alpha, rest, nll, strict=True)]
            return mpmath.fdot(smoothed, terms)
        case "exp_ce":
            return weight * (-mpmath.expm1(-ce)) ** gamma * ce


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_each_reading_of_many_classes_is_its_definition(reading, gamma, eps):
    alpha = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    ours = focal_loss(
        MANY.double(),
        CLASSES,
        gamma=gamma,
        alpha=alpha,
        smoothing=eps,
        reading=reading,
        reduction="none",
    )
    options = {"gamma": gamma, "eps": eps, "alpha": alpha.tolist()}
    with mpmath.workdps(60):
        rows = zip(MANY.double().tolist(), CLASSES.tolist(), strict=True)
        expected = [
            float(_by_definition(reading, list(map(mpmath.mpf, row)), label, **options))
            for row, label in rows
        ]
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("reading", READINGS)
def test_a_hard_label_is_the_soft_label_that_is_all_one_class(reading):
    for logits, classes in ((MANY, CLASSES), (LOGITS, LABELS)):
        soft = functional.one_hot(CLASSES, 5).float() if logits is MANY else LABELS.float()
        options = {"smoothing": 0.1, "reading": reading}
        torch.testing.assert_close(
            focal_loss(logits, soft, **options), focal_loss(logits, classes, **options)
        )


@pytest.mark.parametrize("reading", READINGS)
def test_two_logits_are_one_unit_of_their_difference(reading):
    two = torch.randn(64, 2, generator=GENERATOR)
    for alpha in (None, 0.3):
        options = {"alpha": alpha, "smoothing": 0.1, "reading": reading}
        ours = focal_loss(two, LABELS, **options)
        one = focal_loss(two[:, 1] - two[:, 0], LABELS, **options)
        torch.testing.assert_close(ours, one)


@pytest.mark.parametrize("reading", ["hard_pt", "linear"])
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1), gamma=st.floats(0, 5), smoothing=st.floats(0, 1))
def test_a_mixed_label_gives_the_mixed_loss(reading, share, gamma, smoothing):
    def loss(targets):
        return focal_loss(
            MANY, targets, gamma=gamma, smoothing=smoothing, reading=reading, reduction="none"
        )

    first = functional.one_hot(CLASSES, 5).float()
    second = first.roll(1, dims=1)
    mixed = loss(share * first + (1 - share) * second)
    torch.testing.assert_close(mixed, share * loss(first) + (1 - share) * loss(second))


def test_smoothing_is_the_mix_of_the_label_and_the_uniform_one_where_it_is_linear():
    options = {"reading": "linear", "reduction": "none"}
    ours = focal_loss(MANY, CLASSES, smoothing=0.2, **options)
    hard = focal_loss(MANY, CLASSES, **options)
    uniform = focal_loss(MANY, torch.full((64, 5), 0.2), **options)
    torch.testing.assert_close(ours, 0.8 * hard + 0.2 * uniform)


def test_focusing_takes_weight_from_easy_samples_only():
    easy, hard = torch.tensor([4.0]), torch.tensor([-4.0])
    one = torch.ones(1)
    ratio = [focal_loss(x, one, gamma=2.0) / focal_loss(x, one, gamma=0.0) for x in (easy, hard)]
    assert ratio[0] < 1e-3 < 0.9 < ratio[1] < 1


def test_where_each_reading_is_lowest_and_whether_a_sure_right_answer_costs_less_than_a_guess():
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    logits = torch.logit(p)
    lowest, sure_of_guess = {}, {}
    for reading in READINGS:
        losses = focal_loss(
            logits, torch.ones_like(p), smoothing=0.1, reading=reading, reduction="none"
        )
        lowest[reading] = round(float(p[losses.argmin()]), 3)
        sure_of_guess[reading] = float(losses[989] / losses[499])  # p = .99 and .5
    assert lowest == {"hard_pt": 0.999, "soft_pt": 0.995, "linear": 0.75, "exp_ce": 0.95}
    assert sure_of_guess["linear"] > 1
    assert max(v for k, v in sure_of_guess.items() if k != "linear") < 0.1


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(6,), (6, 2), (6, 4)])
@pytest.mark.parametrize(
    "spread", [1, 100]
)  # "linear" has a second path where logits lie far apart
def test_gradcheck(reading, gamma, smoothing, shape, spread):
    generator = torch.Generator().manual_seed(1)
    logits = spread * torch.randn(shape, dtype=torch.float64, generator=generator)
    classes = 2 if len(shape) == 1 else shape[1]
    targets = torch.arange(6) % classes
    soft = torch.rand(shape, dtype=torch.float64, generator=generator)
    soft = soft / soft.sum(dim=1, keepdim=True) if len(shape) > 1 else soft
    alpha = torch.linspace(0.2, 0.8, classes, dtype=torch.float64)
    options = {"gamma": gamma, "alpha": alpha, "smoothing": smoothing, "reading": reading}
    for labels in (targets, soft):
        assert torch.autograd.gradcheck(
            lambda x, labels=labels: focal_loss(x, labels, **options), logits.requires_grad_()
        )


EXTREMES = [0.0, 1.0, 30.0, 63.0, 65.0, 1e4, 1e8, 1e30, 1e38, 3.4e38]


def check_by_definition(logits, label, *, reading, gamma, eps, slope_tolerance):
    """Hold losses and gradients against the definition; one unit with logit s is a row (0, s)."""
    logits = torch.tensor(logits, requires_grad=True)
    options = {"gamma": gamma, "smoothing": eps, "reading": reading, "reduction": "none"}
    losses = focal_loss(logits, torch.full((len(logits),), label), **options)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    rows = logits.tolist() if logits.ndim == 2 else [[0.0, s] for s in logits.tolist()]
    found = [_reference(reading, row, label, gamma=gamma, eps=eps) for row in rows]
    expected, slopes = (torch.tensor(values) for values in zip(*found, strict=True))
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)
    slopes = slopes if logits.ndim == 2 else slopes[:, 1]
    torch.testing.assert_close(gradient, slopes, **slope_tolerance)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("label", [0, 1])
def test_value_and_gradient_at_any_logit(reading, gamma, eps, label):
    logits = [sign * s for s in EXTREMES for sign in (1, -1)]
    # The plain arithmetic of "linear" subtracts numbers of the logits' size, up to 64.
    tolerance = {"rtol": 1e-5, "atol": 2e-5 if reading == "linear" else 1e-6}
    options = {"reading": reading, "gamma": gamma, "eps": eps}
    check_by_definition(logits, label, **options, slope_tolerance=tolerance)


FAR = [
    [[0.3, -0.2, -1e38], [1e4, 3.0, -2.0], [1e30, 1e30, 0.0], [0.0, -1e8, -1e8], [9.0, -50, -80]],
    [[0.3, -0.2, 1.0, -1e38], [1e38, 0.0, 1e30, -1e38]],
]


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("rows", FAR)
def test_gradient_of_many_classes_far_apart(reading, gamma, eps, rows):
    options = {"reading": reading, "gamma": gamma, "eps": eps}
    for label in range(len(rows[0])):
        tolerance = {"rtol": 1e-4, "atol": 2e-5}
        check_by_definition(rows, label, **options, slope_tolerance=tolerance)


def _reference(reading, row, label, *, gamma, eps):
    """Return the loss of a row and its slopes, by central differences with many digits."""

    def loss(logits):
        return _by_definition(reading, logits, label, gamma=gamma, eps=eps)

    with mpmath.workdps(200):
        row, step = [mpmath.mpf(value) for value in row], mpmath.mpf(10) ** -40
        slopes = []
        for k in range(len(row)):
            up, down = ([v + d * (i == k) for i, v in enumerate(row)] for d in (step, -step))
            slopes.append(float((loss(up) - loss(down)) / (2 * step)))
        return float(loss(row)), slopes


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_range_saturate_and_nothing_is_nan(reading, dtype):
    top = torch.finfo(dtype).max
    for width in (2, 5):
        ends = torch.tensor([top, -top, 0.0, 1.0, -top][:width], dtype=dtype)
        logits = torch.stack([ends.roll(k) for k in range(width)]).requires_grad_()
        for label in range(width):
            for gamma, eps in ((0.0, 0.0), (0.5, 0.1), (5.0, 0.1), (5.0, 0.0)):
                options = {"gamma": gamma, "smoothing": eps, "reading": reading}
                loss = focal_loss(logits, torch.full((width,), label), **options)
                (gradient,) = torch.autograd.grad(loss, logits)
                assert loss.isfinite() and gradient.isfinite().all()


def test_linear_is_the_arithmetic_of_the_stored_runs_bit_for_bit():
    logits = torch.cat([MANY, MANY / 3]).requires_grad_()
    soft = torch.rand(128, 5, generator=GENERATOR)
    soft = soft / soft.sum(dim=1, keepdim=True)
    # As it stood when they were trained.
    log_p = functional.log_softmax(logits, dim=1)
    others = log_p.unsqueeze(1).expand(-1, 5, -1).masked_fill(torch.eye(5).bool(), -torch.inf)
    losses = -((2.0 * others.logsumexp(dim=2)).exp() * log_p)
    older = ((soft * (1 - 0.1) + 0.1 / 5) * losses).sum(dim=1).mean()
    ours = focal_loss(logits, soft, gamma=2.0, smoothing=0.1, reading="linear")
    assert torch.equal(ours, older)
    assert torch.equal(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, older)))


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
        ({"reading": "soft"}, "hard_pt, soft_pt, linear, exp_ce"),
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
        framework(two, targets),
        focal_loss(two, targets, gamma=2.0, smoothing=0.1, reading="linear"),
    )
    for reading in READINGS:
        read = make_config(recipe="brain_inspired", focal_reading=reading, **common)
        torch.testing.assert_close(
            make_loss(read, counts=counts)(two, targets),
            focal_loss(two, targets, gamma=2.0, smoothing=0.1, reading=reading),
        )
    weighted = make_config(recipe="brain_inspired", focal_alpha="balanced", **common)
    torch.testing.assert_close(
        make_loss(weighted, counts=counts)(two, targets),
        focal_loss(two, targets, gamma=2.0, smoothing=0.1, alpha=0.75, reading="linear"),
    )
    plain = make_loss(make_config(recipe="cross_entropy", **common), counts=counts)
    torch.testing.assert_close(plain(two, targets), functional.cross_entropy(two, targets))
