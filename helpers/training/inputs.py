"""What enters the trained part of a network: images, or the features of what is frozen."""

import torch
from torch import Tensor
from torch.nn import functional

from helpers.config import RunConfig
from helpers.data.transforms import Augmentation
from helpers.training.inference import EVALUATION_BATCH, prepare
from helpers.training.plasticity import ActiveStage

# Frozen features are kept up to this size; above it they are computed anew for each batch.
LARGEST_KEPT_BYTES = 2 * 2**30


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context that computes in bfloat16 where precision is "bf16", else as written."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


class StageInputs:
    """What enters the plastic part of a network in one stage of training.

    The frozen part never sees a gradient. Where no augmentation changes the images between epochs,
    its features are computed once and kept.
    """

    def __init__(self, active: ActiveStage, images: Tensor, config: RunConfig) -> None:
        self._active, self._images, self._config = active, images, config
        self._augment = Augmentation(
            config.augmentation,
            image_size=config.image_size,
            cutmix=config.cutmix,
            form=config.form,
        )
        self._kept = None
        if config.augmentation == "none" and config.cutmix == 0 and len(active.frozen):
            one = self.features(images[:1], precision=config.precision)
            if one.nbytes * len(images) <= LARGEST_KEPT_BYTES:
                self._kept = self.features(images, precision=config.precision)

    def features(self, images: Tensor, *, precision: str) -> Tensor:
        """Return the frozen part's features of uint8 images (N, C, H, W), in evaluation mode."""
        self._active.frozen.eval()
        with torch.no_grad(), autocast(images.device, precision):
            batches = [
                self._active.frozen(prepare(batch, self._config.image_size, self._config.form))
                for batch in images.split(EVALUATION_BATCH)
            ]
        return torch.cat(batches)

    def batch(
        self, chosen: Tensor, labels: Tensor, *, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return inputs of the plastic part and soft targets (B, K) of the chosen images."""
        labels = labels[chosen]
        # On a CPU index_select takes a tenth of the time of images[chosen].
        if self._kept is not None:
            targets = functional.one_hot(labels, num_classes).float()
            return self._kept.index_select(0, chosen), targets
        images = self._images.index_select(0, chosen)
        pixels, targets = self._augment(
            images, labels, num_classes=num_classes, generator=generator
        )
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), autocast(pixels.device, self._config.precision):
            return self._active.frozen(pixels), targets
