"""Focal loss with label smoothing (paper A, Eq. 6-15), for two classes and for many.

The paper puts the smoothed label y' of Eq. 9 (14) into the focal loss of Eq. 7 (12) and writes
L_FL(y, y'), but p_t of Eq. 8 is defined for y = 0 and y = 1 only. With the cross-entropy
CE(y') = - sum_k y'_k log p_k there are four readings, named in `READINGS`:

- "hard_pt": (1 - p_t)^gamma CE(y'), with p_t of Eq. 8 by the hard label y. The paper's: it takes
  both labels, as L_FL(y, y') says, and "when the prediction confidence is high, (1 - p_t)^gamma
  becomes small" stays true. Lowest at p_t = 1. Mixed labels (CutMix) mix the losses of their
  classes: sum_k y_k (1 - p_k)^gamma CE(y' of class k).
- "soft_pt": torchvision's `sigmoid_focal_loss` with y' for y, (1 - p_t)^gamma CE(y') with
  p_t = sum_k y'_k p_k, which is p y' + (1 - p)(1 - y') for two classes. Mixed labels enter as y.
- "linear": Eq. 7-8 as one expression that is linear in the label, and y' put there:
  sum_k y'_k (1 - p_k)^gamma (- log p_k). Mixed labels mix the losses. The term of the wrong class
  keeps its whole weight where the answer is right, so the loss is lowest far from p_t = 1.
- "exp_ce": (1 - exp(-CE))^gamma CE of CE(y'). No image becomes easy, since CE(y') stays above the
  entropy of y'. Lowest at p = y'. Mixed labels enter as y.

All are the focal loss of Lin et al. (2017) at eps = 0 and a hard label, and smoothed cross-entropy
at gamma = 0.

Eq. 7 prints one alpha for both classes, which would only scale the loss; the text calls it "a
class-balancing factor", so alpha here weighs class 1 and 1 - alpha class 0, as in Lin et al. It
follows the label that p_t follows: y in "hard_pt", y' in the others.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from helpers.config import LOSSES, READINGS, RunConfig

Loss = Callable[[Tensor, Tensor], Tensor]
# Logits further apart than this are "far": no run that was stored with "linear" came near it.
_FAR = 64.0


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | Tensor | None = None,
    smoothing: float = 0.0,
    reading: str = "hard_pt",
    reduction: str = "mean",
) -> Tensor:
    """Focal loss of logits on smoothed labels (paper A, Eq. 7-10 and 12-15).

    Args:
        logits: float (B,) for one sigmoid unit (Eq. 4), or (B, K), K >= 2, for a softmax.
        targets: integer (B,) classes (0 or 1 for one unit); or float soft labels, (B,) within
            0 .. 1 for one unit, (B, K) with rows that sum to one for a softmax.
        gamma: focusing parameter, at least 0; 0 is cross-entropy.
        alpha: class weights: a float within (0, 1) for two classes (class 1 gets alpha, class 0
            gets 1 - alpha), or a tensor (K,) of positive weights; None: no weights.
        smoothing: eps of Eq. 9, 0 to 1; the label becomes y (1 - eps) + eps / K.
        reading: what Eq. 10 means, one of `READINGS`; see the module. Without effect where
            `smoothing` is 0 and the labels are hard.
        reduction: "mean", "sum" or "none" (one value a row).

    Returns:
        The loss, a scalar or (B,). Finite, with the right finite gradients, for any finite logits;
        a value beyond the range of the dtype saturates at its end (a "sum" may leave it).

    Raises:
        ValueError: a parameter outside its range, shapes that do not fit, or labels that are not
            those of the logits' classes.
    """
    _check_parameters(gamma, smoothing, reading, reduction)
    if logits.ndim == 1:  # softmax(0, s) = (1 - sigmoid(s), sigmoid(s))
        targets = _soft_binary(targets, logits)
        logits = torch.stack([torch.zeros_like(logits), logits], dim=1)
    else:
        targets = _soft(targets, logits)
    num_classes = logits.shape[1]
    weights = torch.ones(num_classes) if alpha is None else _class_weights(alpha, num_classes)
    losses = _row_losses(logits, targets, gamma, weights.to(logits), smoothing, reading)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    mean = losses.mean()
    # The sum of a few losses near the end of the range lies beyond it, their mean does not.
    return torch.where(mean.isfinite(), mean, (losses / len(losses)).sum())


def balanced_alpha(counts: Tensor) -> Tensor:
    """Return class weights, float32 (K,), in inverse proportion to the counts, summing to one.

    Counts are the training images a class, integer (K,). For two classes the weights are
    (1 - alpha, alpha) with alpha the share of class 0.

    Raises:
        ValueError: a class without images.
    """
    if counts.ndim != 1 or len(counts) < 2 or (counts < 1).any():
        raise ValueError(f"counts must be at least 1 for each of two or more classes, got {counts}")
    weights = 1 / counts.to(torch.float64)
    return (weights / weights.sum()).float()


def make_loss(config: RunConfig, *, counts: Tensor) -> Loss:
    """Return the loss of a run: (logits (B, K), soft targets (B, K)) -> scalar.

    `counts` are the training images a class, integer (K,), for balanced class weights.
    """
    match config.loss:
        case "cross_entropy":
            return lambda logits, targets: functional.cross_entropy(
                logits, targets, label_smoothing=config.label_smoothing
            )
        case "focal":
            alpha = balanced_alpha(counts) if config.focal_alpha == "balanced" else None
            return lambda logits, targets: focal_loss(
                logits,
                targets,
                gamma=config.focal_gamma,
                alpha=alpha,
                smoothing=config.label_smoothing,
                reading=config.focal_reading,
            )
    raise ValueError(f"unknown loss {config.loss!r}; known: {', '.join(LOSSES)}.")


# --- the four readings ---------------------------------------------------------------------------


def _row_losses(
    logits: Tensor, y: Tensor, gamma: float, alpha: Tensor, smoothing: float, reading: str
) -> Tensor:
    """Return the loss (B,) of logits (B, K) on soft labels y (B, K), with weights alpha (K,)."""
    num_classes = logits.shape[1]
    smoothed = y * (1 - smoothing) + smoothing / num_classes  # Eq. 9
    if reading == "linear":
        return _linear(logits, smoothed, gamma, alpha)
    log_p, log_rest = _LogProbabilities.apply(logits)
    nll = -log_p
    if reading == "hard_pt":  # one column a class: its p_t, its smoothed label
        ce = (1 - smoothing) * nll + (smoothing / num_classes * nll).sum(dim=1, keepdim=True)
        return (y * alpha * _Factor.apply(log_rest, gamma) * ce).sum(dim=1)
    ce = (smoothed * nll).sum(dim=1)
    if reading == "soft_pt":
        log_factor = _LogRestOfMean.apply(logits, log_p.detach(), smoothed)
    else:
        log_factor = _log_of_rest_of_ce(log_rest, nll, smoothed)
    return (smoothed * alpha).sum(dim=1) * _Factor.apply(log_factor, gamma) * ce


def _linear(logits: Tensor, smoothed: Tensor, gamma: float, alpha: Tensor) -> Tensor:
    """Return the losses of the "linear" reading.

    Stored runs were trained with the arithmetic of `plain`, and are made again bit for bit by it
    alone; its gradients are lost where logits lie far apart, so `robust` takes those rows.
    """
    far = (logits.detach().amax(dim=1) - logits.detach().amin(dim=1) > _FAR).unsqueeze(1)
    log_p = functional.log_softmax(logits.masked_fill(far, 0), dim=1)
    others = log_p.unsqueeze(1).expand(-1, logits.shape[1], -1)
    others = others.masked_fill(_diagonal(logits), -torch.inf)
    plain = -((gamma * others.logsumexp(dim=2)).exp() * log_p)
    log_p, log_rest = _LogProbabilities.apply(logits)
    robust = -(_Factor.apply(log_rest, gamma) * log_p)
    return (smoothed * (torch.where(far, robust, plain) * alpha)).sum(dim=1)


def _log_of_rest_of_ce(log_rest: Tensor, nll: Tensor, smoothed: Tensor) -> Tensor:
    """Return log(1 - exp(-CE)) (B,); CE itself rounds to zero where a hard label is met."""
    small = math.log(torch.finfo(nll.dtype).eps)  # below, -log p = 1 - p and 1 - exp(-CE) = CE
    tiny = torch.finfo(nll.dtype).tiny
    log_nll = torch.where(log_rest < small, log_rest, nll.clamp(min=tiny).log())
    log_ce = (smoothed.log() + log_nll).logsumexp(dim=1)
    ce = (smoothed * nll).sum(dim=1)
    return torch.where(log_ce < small, log_ce, (-torch.expm1(-ce)).clamp(min=tiny).log())


# --- logarithms of probabilities, right at any logit ---------------------------------------------


class _LogProbabilities(torch.autograd.Function):
    """log p_k and log(1 - p_k), both (B, K) and finite, of logits (B, K).

    Their gradients are written out: those of `log_softmax` subtract numbers of the size of the
    incoming ones, which for a focal loss grow with the logits, so that nothing is left of the rest.
    """

    @staticmethod
    def forward(ctx, logits: Tensor) -> tuple[Tensor, Tensor]:
        lowest = torch.finfo(logits.dtype).min
        log_p = functional.log_softmax(logits, dim=1).clamp(min=lowest)
        others = log_p.unsqueeze(1).masked_fill(_diagonal(logits), -torch.inf)
        log_rest = others.logsumexp(dim=2)
        # Exact where p_k rounds to one.
        log_p = torch.where(log_p > -0.5, torch.log1p(-log_rest.exp()), log_p)
        ctx.save_for_backward(log_p, log_rest)
        return log_p, log_rest

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_p: Tensor, grad_rest: Tensor) -> Tensor:
        log_p, log_rest = ctx.saved_tensors
        p, diagonal = log_p.exp(), _diagonal(log_p)
        # d log p_k / dz_j = [j = k] - p_j
        of_others = grad_p @ (~diagonal).to(grad_p)
        grad = grad_p * log_rest.exp() - p * of_others
        # d log(1 - p_k) / dz_j = p_k p_j / (1 - p_k), but -p_k for j = k
        weighed = grad_rest * p
        shares = (log_p.unsqueeze(1) - log_rest.unsqueeze(2)).masked_fill(diagonal, -torch.inf)
        return grad - weighed + (weighed.unsqueeze(2) * shares.exp()).sum(dim=1)


class _LogRestOfMean(torch.autograd.Function):
    """log(1 - sum_k y_k p_k), (B,), of logits, their log p and labels y, all (B, K)."""

    @staticmethod
    def forward(ctx, logits: Tensor, log_p: Tensor, labels: Tensor) -> Tensor:
        rest = (1 - labels).clamp(min=0)
        log_mean = (log_p + rest.log()).logsumexp(dim=1)
        ctx.save_for_backward(log_p, rest, log_mean)
        return log_mean

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        log_p, rest, log_mean = ctx.saved_tensors
        # With r = 1 - y and S = sum_i p_i r_i: d log S / dz_j = sum_i p_j p_i (r_j - r_i) / S
        difference = rest.unsqueeze(2) - rest.unsqueeze(1)
        log_pairs = log_p.unsqueeze(2) + log_p.unsqueeze(1) - log_mean[:, None, None]
        pairs = (log_pairs + difference.abs().log()).exp() * difference.sign()
        return grad.unsqueeze(1) * pairs.sum(dim=2), None, None


def _diagonal(values: Tensor) -> Tensor:
    """Return a boolean unit matrix (K, K) for values (B, K)."""
    return torch.eye(values.shape[1], dtype=torch.bool, device=values.device)


class _Factor(torch.autograd.Function):
    """(1 - p_t)^gamma of log(1 - p_t); its gradient never overflows, for inf times 0 is NaN."""

    @staticmethod
    def forward(ctx, log_rest: Tensor, gamma: float) -> Tensor:
        factor = (gamma * log_rest).exp()
        ctx.save_for_backward(factor)
        ctx.gamma = gamma
        return factor

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        limits = torch.finfo(grad.dtype)
        return (grad * factor * ctx.gamma).clamp(limits.min, limits.max), None


def _check_parameters(gamma: float, smoothing: float, reading: str, reduction: str) -> None:
    if not 0 <= gamma < float("inf"):
        raise ValueError(f"gamma must be a finite number of at least 0, got {gamma}.")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing (eps) must lie between 0 and 1, got {smoothing}.")
    if reading not in READINGS:
        raise ValueError(f"reading must be one of {', '.join(READINGS)}, got {reading!r}.")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be mean, sum or none, got {reduction!r}.")


def _class_weights(alpha: float | Tensor, num_classes: int) -> Tensor:
    if isinstance(alpha, Tensor):
        if alpha.shape != (num_classes,) or not (alpha > 0).all():
            raise ValueError(f"alpha must be {num_classes} positive weights, got {alpha}.")
        return alpha
    if num_classes != 2:
        raise ValueError(
            f"one alpha weighs two classes; for {num_classes} classes pass a tensor of "
            f"{num_classes} weights, for instance balanced_alpha(counts)."
        )
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie within (0, 1), got {alpha}; None switches it off.")
    return torch.tensor([1 - alpha, alpha])


def _soft_binary(targets: Tensor, logits: Tensor) -> Tensor:
    """Return (B, 2) soft labels of one sigmoid unit."""
    if targets.shape != logits.shape:
        raise ValueError(
            f"targets must have the logits' shape {tuple(logits.shape)}, got {tuple(targets.shape)}"
        )
    if len(wrong := targets[(targets < 0) | (targets > 1)]):
        raise ValueError(
            f"the binary loss takes labels 0 and 1 (or soft labels between), got {wrong[0].item()};"
            " for more classes give one logit a class, (B, K)."
        )
    positive = targets.to(logits)
    return torch.stack([1 - positive, positive], dim=1)


def _soft(targets: Tensor, logits: Tensor) -> Tensor:
    """Return (B, K) soft labels of a softmax."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"logits must be (B,) or (B, K) with K >= 2, got {tuple(logits.shape)}.")
    num_classes = logits.shape[1]
    if targets.is_floating_point():
        if targets.shape != logits.shape:
            raise ValueError(
                f"soft targets must have the logits' shape {tuple(logits.shape)}, got "
                f"{tuple(targets.shape)}."
            )
        if (targets < 0).any() or ((targets.sum(dim=1) - 1).abs() > 1e-4).any():
            raise ValueError("rows of soft targets must be at least 0 and sum to one.")
        return targets.to(logits)
    if targets.shape != logits.shape[:1]:
        raise ValueError(
            f"class targets must be ({len(logits)},), one a row of logits, got "
            f"{tuple(targets.shape)}."
        )
    if len(wrong := targets[(targets < 0) | (targets >= num_classes)]):
        raise ValueError(f"class {wrong[0].item()} is out of range for {num_classes} logits.")
    return functional.one_hot(targets.long(), num_classes).to(logits)
