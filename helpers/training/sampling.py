"""The order in which training images are seen in an epoch."""

import torch
from torch import Tensor

from helpers.config import SAMPLINGS


def epoch_order(sampling: str, labels: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw the images of one epoch, int64 (N,), indices on the CPU, by their labels, int64 (N,).

    "shuffle" draws each image once; "balanced" N times, each class equally likely at every draw,
    with replacement: paper A's class-imbalance-aware sampling. The generator is on the CPU.

    Raises:
        ValueError: unknown name.
    """
    match sampling:
        case "shuffle":
            return torch.randperm(len(labels), generator=generator)
        case "balanced":
            labels = labels.cpu()
            weights = 1 / torch.bincount(labels).double()
            return torch.multinomial(
                weights[labels], len(labels), replacement=True, generator=generator
            )
    raise ValueError(f"unknown sampling {sampling!r}; known: {', '.join(SAMPLINGS)}.")


def batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut an epoch's order into batches; a last image alone joins the batch before it.

    Batch norm cannot normalise one image whose map is a single place.
    """
    pieces = list(order.split(batch_size))
    if len(pieces) > 1 and len(pieces[-1]) == 1 < batch_size:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


def num_batches(images: int, batch_size: int) -> int:
    """Return how many batches `batches` makes of so many images."""
    full, rest = divmod(images, batch_size)
    return full + (rest > 1 or full == 0)
