"""The training loop: `fit` trains and selects on validation data."""

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from helpers.config import RunConfig
from helpers.data.splits import Split
from helpers.files import advice_for
from helpers.metrics.scores import evaluate
from helpers.paths import write_atomically
from helpers.training.ema import ExponentialAverage
from helpers.training.inference import EVALUATION_BATCH, as_tensor, predict_as
from helpers.training.inputs import StageInputs, autocast
from helpers.training.losses import Loss, make_loss
from helpers.training.plasticity import ActiveStage, enter_stage, make_plan, stage_at
from helpers.training.sampling import batches, epoch_order, num_batches
from helpers.training.schedules import make_optimizer, make_schedule
from helpers.training.seeds import epoch_generator
from helpers.training.selection import reaches, select_epoch


class TrainingDiverged(RuntimeError):
    """The loss is not a finite number; the last good checkpoint is kept."""


@dataclass(frozen=True)
class FitResult:
    """What `fit` leaves behind."""

    history: list[dict[str, Any]]  # an epoch each: losses, accuracies, AUC, learning rate, seconds
    epoch: int  # the selected one, from 1; the model holds its weights
    seconds: float  # of training, epochs before an interruption included
    images_per_second: float  # training images through the loop, validation not counted
    # Predicted classes of the watched images after each epoch, int64 (epochs, N), if any.
    watched: np.ndarray | None = None


class _State:
    """Everything that changes while training, and its checkpoint."""

    def __init__(self, model: nn.Module, config: RunConfig, *, total_steps: int) -> None:
        self.model = model
        self.stop_at_accuracy = config.stop_at_accuracy
        self.average = (
            None if config.ema_decay is None else ExponentialAverage(model, decay=config.ema_decay)
        )
        self.optimizer = make_optimizer(
            config.optimizer,
            model.parameters(),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.schedule = make_schedule(
            config.schedule,
            self.optimizer,
            total_steps=total_steps,
            cycle_momentum=config.cycle_momentum,
        )
        self.history: list[dict[str, Any]] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        self.watched: list[Tensor] = []

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated, selected and tested."""
        return self.model if self.average is None else self.average.module

    def keep_best(self) -> None:
        """Remember the newest epoch's weights if it is the selected one so far."""
        if select_epoch(self.history, self.stop_at_accuracy) == len(self.history):
            self.best_epoch = len(self.history)
            weights = self.evaluated.state_dict()
            self.best_weights = {name: value.clone() for name, value in weights.items()}

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}
        return parts if self.average is None else parts | {"average": self.average}

    def save(self, path: Path, *, identity: str) -> None:
        """Write a checkpoint; the one before stays whole until this one is."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {
            "identity": identity,
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "watched": self.watched,
        }
        with write_atomically(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path, *, identity: str) -> None:
        """Continue from a checkpoint of the same configuration and seed.

        Raises:
            ValueError: it is damaged, or of another run.
        """
        device = next(self.model.parameters()).device
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            found = state["identity"]
            if found == identity:
                self._take(state)
        except Exception as error:  # of zip, pickle or content: all mean the same here
            reason = str(error)[:200] or type(error).__name__
            advice = advice_for(error, "; delete it to train this run from its beginning")
            raise ValueError(f"cannot read {path.name}: {reason}{advice}.") from error
        if found != identity:
            raise ValueError(
                f"{path.name} belongs to run {found}, not to {identity}; delete it or give this "
                "run another folder."
            )

    def _take(self, state: Mapping[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.history = state["history"]
        self.best_epoch = state["best_epoch"]
        self.best_weights = state["best_weights"]
        self.watched = [classes.cpu() for classes in state.get("watched", [])]


def training_step(
    network: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    optimizer: torch.optim.Optimizer,
    loss_function: Loss,
    precision: str,
) -> tuple[Tensor, Tensor]:
    """Change the network's weights once, by the gradient of one batch.

    Inputs are float (B, ...), images or the features of a frozen part; targets are soft labels,
    float (B, K). With the precision "bf16" the forward pass is in bfloat16.

    Returns:
        The loss, a scalar, and the logits (B, K), both from before the step.
    """
    # Before the forward pass: it reuses the memory of the last step's gradients.
    optimizer.zero_grad(set_to_none=True)
    with autocast(inputs.device, precision):
        logits = network(inputs)
    loss = loss_function(logits.float(), targets)
    loss.backward()
    optimizer.step()
    return loss.detach(), logits.detach()


def _train_epoch(
    state: _State,
    active: ActiveStage,
    inputs: StageInputs,
    labels: Tensor,
    config: RunConfig,
    *,
    num_classes: int,
    loss_function: Loss,
) -> dict[str, float]:
    """Take one pass over the training split; return its mean loss and accuracy."""
    device, epoch = labels.device, len(state.history) + 1
    active.train_mode()
    generator = epoch_generator(config.seed, epoch)
    order = epoch_order(config.sampling, labels, generator=generator).to(device)
    total_loss = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    for chosen in batches(order, config.batch_size):
        features, targets = inputs.batch(
            chosen, labels, num_classes=num_classes, generator=generator
        )
        loss, logits = training_step(
            active.plastic,
            features,
            targets,
            optimizer=state.optimizer,
            loss_function=loss_function,
            precision=config.precision,
        )
        state.schedule.step()
        if state.average is not None:
            state.average.update()
        total_loss += loss * len(chosen)
        correct += (logits.argmax(dim=1) == targets.argmax(dim=1)).sum()
    # Asked once an epoch, not at every step: on a GPU each answer makes the host wait.
    if not math.isfinite(total_loss.item()):
        raise TrainingDiverged(
            f"loss is {total_loss.item()} in epoch {epoch}; the last good checkpoint is kept. "
            f"Lower learning_rate (now {config.learning_rate}) or use precision='fp32'."
        )
    return {
        "train_loss": total_loss.item() / len(labels),
        "train_accuracy": correct.item() / len(labels),
    }


def _validate(
    network: nn.Module, inputs: Tensor, y_true: np.ndarray, config: RunConfig
) -> dict[str, Any]:
    """Return loss, accuracy and AUC on the validation split.

    Inputs are its uint8 images, or float features, for which `network` is the plastic part alone.
    """
    if inputs.is_floating_point():
        network.eval()
        with torch.inference_mode():
            batches = [network(batch).float() for batch in inputs.split(EVALUATION_BATCH)]
        probabilities = torch.cat(batches).softmax(dim=1).cpu().numpy()
    else:
        probabilities = predict_as(config, network, inputs)
    points = evaluate(y_true, probabilities, n_resamples=0)
    of_truth = probabilities[np.arange(len(y_true)), y_true]
    return {
        "val_loss": float(-np.log(np.maximum(of_truth, 1e-12)).mean()),
        "val_accuracy": points["accuracy"].value,
        "val_auc": points["auc"].value,
    }


def _digest(*splits: Split) -> str:
    """Return a digest of what a training sees: other images or labels are another training."""
    seen = hashlib.sha256()
    for split in splits:
        for array in (split.images, split.labels):
            seen.update(f"{array.shape} {array.dtype}".encode() + np.ascontiguousarray(array).data)
    return seen.hexdigest()[:10]


def fit(
    model: nn.Module,
    *,
    train: Split,
    val: Split,
    num_classes: int,
    config: RunConfig,
    device: torch.device,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 20.0,
    watch: Split | None = None,
) -> FitResult:
    """Train, select the best epoch on validation data, and leave its weights in the model.

    Interrupted at any moment and called again with the same arguments, it ends with the weights
    that it would have had without the interruption, bit for bit on one CPU and thread count.

    The model is freshly built (initial weights from the run's seed) and moved to the device. A
    checkpoint is a file to write to and continue from, with `checkpoint_seconds` at least between
    two writes; 0: one an epoch. Of the images of `watch` the predicted classes after each epoch go
    into `FitResult.watched` alone: nothing is selected, stopped or drawn by them.

    Raises:
        TrainingDiverged: the loss is NaN or infinite.
        ValueError: the checkpoint belongs to another run or other data, or was written without
            `watch`.
    """
    model.to(device, memory_format=torch.channels_last)
    images, labels = as_tensor(train, device)
    val_images, _ = as_tensor(val, device)
    steps = num_batches(len(labels), config.batch_size) * config.epochs
    state = _State(model, config, total_steps=steps)
    identity = ""
    if checkpoint is not None:  # the digest reads every pixel
        identity = f"{config.hash()}_s{config.seed} on data {_digest(train, val)}"
    if checkpoint is not None and checkpoint.exists():
        state.load(checkpoint, identity=identity)
        if watch is not None and len(state.watched) != len(state.history):
            raise ValueError(
                f"{checkpoint.name} has watched predictions of {len(state.watched)} of "
                f"{len(state.history)} epochs; delete it to train this run from its beginning."
            )
    watched_images = None if watch is None else as_tensor(watch, device)[0]
    plan = make_plan(config.plasticity, epochs=config.epochs, warmup_epochs=config.warmup_epochs)
    loss_function = make_loss(config, counts=torch.bincount(labels, minlength=num_classes))
    # Kept features serve validation too, unless it looks at other weights or at mirrored images.
    val_features = state.average is None and not config.flip_average
    active = None
    last_saved = -math.inf
    # disable=None: a bar on a terminal, silence under papermill and in log files.
    with tqdm(total=config.epochs, initial=len(state.history), unit="epoch", disable=None) as bar:
        while not _finished(state, config):
            start = time.perf_counter()
            stage = stage_at(plan, len(state.history))
            if active is None or active.stage is not stage:
                active = enter_stage(model, stage)
                inputs = StageInputs(active, images, config)
                network, val_inputs = state.evaluated, val_images
                if val_features and len(active.frozen):
                    network = active.plastic
                    val_inputs = inputs.features(val_images, precision="fp32")
            learning_rate = state.optimizer.param_groups[0]["lr"]
            record = _train_epoch(
                state,
                active,
                inputs,
                labels,
                config,
                num_classes=num_classes,
                loss_function=loss_function,
            )
            seconds = time.perf_counter() - start
            record |= _validate(network, val_inputs, val.labels, config)
            state.history.append(
                {"epoch": len(state.history) + 1, "stage": stage.name}
                | record
                | {
                    "learning_rate": learning_rate,
                    "learning_rate_end": state.optimizer.param_groups[0]["lr"],
                    "seconds": seconds,
                }
            )
            state.keep_best()
            if watched_images is not None:
                state.watched.append(_predicted(state.evaluated, watched_images, config))
            if checkpoint is not None and time.monotonic() - last_saved >= checkpoint_seconds:
                state.save(checkpoint, identity=identity)
                last_saved = time.monotonic()
            bar.update()
            bar.set_postfix(val_auc=record["val_auc"], loss=record["train_loss"])
    model.load_state_dict(state.best_weights)
    seconds = sum(record["seconds"] for record in state.history)
    return FitResult(
        history=state.history,
        epoch=state.best_epoch,
        seconds=seconds,
        images_per_second=len(labels) * len(state.history) / seconds,
        watched=None if watch is None else torch.stack(state.watched).long().numpy(),
    )


def _predicted(network: nn.Module, images: Tensor, config: RunConfig) -> Tensor:
    """Return the predicted class of each image, int16 (N,): small enough for every checkpoint."""
    classes = predict_as(config, network, images).argmax(axis=1)
    return torch.from_numpy(classes.astype(np.int16))


def _finished(state: _State, config: RunConfig) -> bool:
    """Whether all epochs are done, the target is reached, or `patience` epochs brought nothing."""
    done = len(state.history)
    if done and reaches(state.history[-1], config.stop_at_accuracy):
        return True
    waited = done - state.best_epoch
    return done >= config.epochs or (config.patience is not None and waited >= config.patience)
