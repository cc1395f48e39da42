"""What enters a network, and the probabilities that come out."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from helpers.config import IMAGENET_RGB, InputForm, RunConfig
from helpers.data.splits import Split
from helpers.data.transforms import preprocess

EVALUATION_BATCH = 256


def prepare(images: Tensor, image_size: int, form: InputForm = IMAGENET_RGB) -> Tensor:
    """Turn uint8 images (N, C, H, W) into a network's input, see `preprocess`."""
    pixels = preprocess(images, image_size=image_size, form=form)
    return pixels.contiguous(memory_format=torch.channels_last)


def as_tensor(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a split's images, uint8 (N, C, H, W), and labels, int64 (N,), on the device."""
    images = torch.from_numpy(np.ascontiguousarray(split.images.transpose(0, 3, 1, 2)))
    return images.to(device), torch.from_numpy(split.labels).to(device)


def class_probabilities(
    model: Callable[[Tensor], Tensor], pixels: Tensor, *, flip_average: bool
) -> Tensor:
    """Return float32 (B, K) of pixels (B, C, S, S); see `predict`."""
    probabilities = model(pixels).float().softmax(dim=1)
    if flip_average:
        mirrored = model(pixels.flip(-1)).float().softmax(dim=1)
        probabilities = (probabilities + mirrored) / 2
    return probabilities


def predict(
    model: nn.Module,
    images: Tensor,
    *,
    image_size: int,
    flip_average: bool = False,
    form: InputForm = IMAGENET_RGB,
) -> np.ndarray:
    """Return class probabilities, float32 (N, K), of images, uint8 (N, C, H, W).

    The model, on their device, maps pixels of the form, (B, 3, S, S) by default with S the image
    size, to logits (B, K). `flip_average` takes the mean over each image and its mirror image.
    """
    was_training = model.training
    model.eval()
    batches = []
    with torch.inference_mode():
        for batch in images.split(EVALUATION_BATCH):
            pixels = prepare(batch, image_size, form)
            batches.append(class_probabilities(model, pixels, flip_average=flip_average).cpu())
    model.train(was_training)
    return torch.cat(batches).numpy()


def predict_as(config: RunConfig, model: nn.Module, images: Tensor) -> np.ndarray:
    """Return class probabilities as runs of a configuration give them, see `predict`."""
    return predict(
        model,
        images,
        image_size=config.image_size,
        flip_average=config.flip_average,
        form=config.form,
    )
