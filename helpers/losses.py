"""Focal loss with label smoothing (paper A, Eq. 6-15), for two classes and for many.

The paper puts the smoothed label y' of Eq. 9 (14) into the focal loss of Eq. 7 (12) and writes
L_FL(y, y'), but p_t of Eq. 8 is defined for y = 0 and y = 1 only. We read Eq. 7-8 as one expression
that is linear in the label, L(y) = y L(1) + (1 - y) L(0), and put y' there:

    L = - sum_k  y'_k  alpha_k  (1 - p_k)^gamma  log p_k

so p_t is the probability of the class that the term belongs to, and a soft label gives the mean
loss over its classes. It is the reading under which gamma = 0 gives smoothed cross-entropy, eps = 0
gives the focal loss of Lin et al. (2017), and mixed labels (CutMix) mix the losses. The other
reading, (1 - exp(-CE))^gamma CE of the whole soft label, never lets an example become easy, because
a smoothed cross-entropy stays above zero.

Eq. 7 prints one alpha for both classes, which would only scale the loss; the text calls it "a
class-balancing factor", so alpha here weighs class 1 and 1 - alpha class 0, as in Lin et al.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from helpers.config import LOSSES, RunConfig

Loss = Callable[[Tensor, Tensor], Tensor]


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | Tensor | None = None,
    smoothing: float = 0.0,
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
        reduction: "mean", "sum" or "none" (one value a row).

    Returns:
        The loss, a scalar or (B,). Finite, with finite gradients, for any finite logits.

    Raises:
        ValueError: a parameter outside its range, shapes that do not fit, or labels that are not
            those of the logits' classes.
    """
    _check_parameters(gamma, smoothing, reduction)
    if logits.ndim == 1:  # softmax(0, s) = (1 - sigmoid(s), sigmoid(s))
        targets = _soft_binary(targets, logits)
        logits = torch.stack([torch.zeros_like(logits), logits], dim=1)
    else:
        targets = _soft(targets, logits)
    num_classes = logits.shape[1]
    targets = targets * (1 - smoothing) + smoothing / num_classes  # Eq. 9
    log_p = functional.log_softmax(logits, dim=1)
    losses = -((gamma * _log_of_rest(log_p)).exp() * log_p)  # Eq. 7, one column a class
    if alpha is not None:
        losses = losses * _class_weights(alpha, num_classes).to(losses)
    losses = (targets * losses).sum(dim=1)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def balanced_alpha(counts: Tensor) -> Tensor:
    """Return class weights in inverse proportion to the class counts, summing to one.

    Args:
        counts: integer (K,), training images a class, all at least 1.

    Returns:
        float32 (K,); for two classes (1 - alpha, alpha) with alpha the share of class 0.

    Raises:
        ValueError: a class without images.
    """
    if counts.ndim != 1 or len(counts) < 2 or (counts < 1).any():
        raise ValueError(f"counts must be at least 1 for each of two or more classes, got {counts}")
    weights = 1 / counts.to(torch.float64)
    return (weights / weights.sum()).float()


def make_loss(config: RunConfig, *, counts: Tensor) -> Loss:
    """Return the loss of a run: (logits (B, K), soft targets (B, K)) -> scalar.

    Args:
        config: `loss`, `label_smoothing`, `focal_gamma` and `focal_alpha` are read.
        counts: integer (K,), training images a class, for balanced class weights.
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
            )
    raise ValueError(f"unknown loss {config.loss!r}; known: {', '.join(LOSSES)}.")


def _log_of_rest(log_p: Tensor) -> Tensor:
    """Return log(1 - p_k) as the log of the other classes' sum: exact where p_k rounds to one."""
    num_classes = log_p.shape[1]
    itself = torch.eye(num_classes, dtype=torch.bool, device=log_p.device)
    others = log_p.unsqueeze(1).expand(-1, num_classes, -1).masked_fill(itself, -torch.inf)
    return others.logsumexp(dim=2)


def _check_parameters(gamma: float, smoothing: float, reduction: str) -> None:
    if not 0 <= gamma < float("inf"):
        raise ValueError(f"gamma must be a finite number of at least 0, got {gamma}.")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing (eps) must lie between 0 and 1, got {smoothing}.")
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
    if ((targets < 0) | (targets > 1)).any():
        wrong = targets[(targets < 0) | (targets > 1)][0].item()
        raise ValueError(
            f"the binary loss takes labels 0 and 1 (or soft labels between), got {wrong}; for more "
            "classes give one logit a class, (B, K)."
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
    if ((targets < 0) | (targets >= num_classes)).any():
        wrong = targets[(targets < 0) | (targets >= num_classes)][0].item()
        raise ValueError(f"class {wrong} is out of range for {num_classes} logits.")
    return functional.one_hot(targets.long(), num_classes).to(logits)
