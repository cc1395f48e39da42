"""Averaged weights: the exponential moving average of a network over training steps."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class ExponentialAverage(AveragedModel):
    """torch's `AveragedModel` with an exponential average of parameters and buffers.

    The numbers are torch's to the last bit. torch looks through all modules of both networks at
    every step, which takes a light network a fortieth of the step; here it is done once. So both
    networks must keep their tensors, as they do when they train and when a state is loaded.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay
        pairs = list(zip(_tensors(self.module), _tensors(model), strict=True))
        self._floats = _columns([pair for pair in pairs if pair[0].is_floating_point()])
        self._integers = _columns([pair for pair in pairs if not pair[0].is_floating_point()])
        self._started = False

    @torch.no_grad()
    def update(self) -> None:
        """Take a step of the average: a copy at first, then decay * average + (1 - decay) * new."""
        # Asked until it is true: on a GPU each answer makes the host wait.
        self._started = self._started or bool(self.n_averaged > 0)
        if not self._started:
            for own, current in filter(all, (self._floats, self._integers)):
                torch._foreach_copy_(own, current)
        else:
            torch._foreach_lerp_(*self._floats, 1 - self.decay)
            own, current = self._integers  # counts of batches; a network may have none
            if own:
                mixed = torch._foreach_mul(own, self.decay)
                torch._foreach_add_(mixed, torch._foreach_mul(current, 1 - self.decay))
                torch._foreach_copy_(own, mixed)
        self.n_averaged += 1


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _columns(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [own for own, _ in pairs], [current for _, current in pairs]
