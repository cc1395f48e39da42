"""The training loop that most scripts have, which `benchmarks.training` times beside ours."""

import time
from functools import partial

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms import v2

from benchmarks.augmentation import torchvision_chain
from benchmarks.common import synchronise
from helpers.config import RunConfig
from helpers.data.splits import Split
from helpers.training.schedules import make_optimizer, make_schedule
from helpers.training.seeds import default_device

NUM_CLASSES = 2
WORKERS = 2
MIX = v2.CutMix(num_classes=NUM_CLASSES)


def optimizer_of(model: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    """Build the optimizer of a recipe."""
    return make_optimizer(
        config.optimizer,
        model.parameters(),
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
    )


class PilImages(Dataset):
    """Images as the data set's own package gives them: one PIL image, its transforms, its label."""

    def __init__(self, split: Split, config: RunConfig) -> None:
        self.images, self.labels = split.images[..., 0], split.labels
        self.transform = torchvision_chain(config.augmentation, config.image_size)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index]).convert("RGB")  # medmnist: as_rgb=True
        return self.transform(image), int(self.labels[index])


def collate(batch: list[tuple[Tensor, int]], *, cutmix: float) -> tuple[Tensor, Tensor]:
    """Stack a batch and mix it with a probability, in the worker.

    Returns:
        Images (B, 3, S, S) and soft targets (B, K).
    """
    images, labels = default_collate(batch)
    if torch.rand(()) < cutmix:
        return MIX(images, labels)
    return images, functional.one_hot(labels, NUM_CLASSES).float()


def usual_loader(split: Split, config: RunConfig) -> DataLoader:
    """Return shuffled batches from `WORKERS` workers that stay alive between epochs."""
    return DataLoader(
        PilImages(split, config),
        batch_size=config.batch_size,
        shuffle=True,
        num_workers=WORKERS,
        collate_fn=partial(collate, cutmix=config.cutmix),
        persistent_workers=WORKERS > 0,
    )


def usual_loop(model: nn.Module, loader: DataLoader, config: RunConfig) -> float:
    """Train an epoch as most scripts do; return the time, without that of the workers' start."""
    device = default_device()
    model.train().to(device, memory_format=torch.channels_last)
    optimizer = optimizer_of(model, config)
    schedule = make_schedule(config.schedule, optimizer, total_steps=len(loader))
    average = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
    )
    for _ in loader:  # an epoch without training: the workers start and warm up
        pass
    synchronise(device)
    start = time.perf_counter()
    total = 0.0
    for pixels, targets in loader:
        pixels = pixels.to(device, memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(
            model(pixels), targets.to(device), label_smoothing=config.label_smoothing
        )
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        total += loss.item() * len(pixels)
    synchronise(device)
    return time.perf_counter() - start
