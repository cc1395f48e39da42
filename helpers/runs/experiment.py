"""One run from its configuration: load it if it is stored, else train, evaluate and store it."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file

from helpers.config import RunConfig, load_recipes, make_config, profile_of
from helpers.data.damage import damage_training_split, stratified_subset
from helpers.data.datasets import load_dataset, stand_in
from helpers.data.splits import Split, Splits
from helpers.metrics.scores import confusion_matrix, evaluate, per_class
from helpers.models.counting import MACS_TOOL, count_macs, count_parameters
from helpers.models.registry import build_model, resolve_weights, weights_label
from helpers.paths import write_atomically, write_text
from helpers.runs.store import (
    CHECKPOINT,
    WEIGHTS,
    Run,
    RunError,
    load_run,
    lock,
    run_dir,
    tidy,
    write_run,
)
from helpers.training.inference import as_tensor, predict_as
from helpers.training.loop import FitResult, fit
from helpers.training.plasticity import make_plan, trainable_by_stage
from helpers.training.seeds import default_device, environment, epoch_generator, git_state
from helpers.training.selection import selection_rule

# A run on the phantom where the data set cannot be had: short, and never among paper results.
STAND_IN_RUN = {"pretrained": "none", "profile": "quick", "epochs": 2}


def config_from_parameters(parameters: Mapping[str, Any]) -> RunConfig:
    """Make a configuration from the parameters of a notebook.

    "auto" becomes "imagenet" where such a run is stored or its weights can be had, else "none".
    With `REPRO_STAND_IN=phantom`, a data set that cannot be had is replaced by a short run on the
    phantom, and a printed line says so. Phantom runs of the paper profile go to the phantom's.

    Raises:
        ConfigError: a parameter is unknown, ill-typed or out of range.
        ValueError: unknown model.
    """
    values = dict(parameters)
    values["profile"] = profile_of(values["dataset"], values["profile"])
    dataset = stand_in(values["dataset"])
    if dataset != values["dataset"]:
        staged = load_recipes().get(values["recipe"], {}).get("plasticity") == "staged"
        values |= STAND_IN_RUN | {"dataset": dataset} | ({"warmup_epochs": 1} if staged else {})
    if values["pretrained"] == "auto":
        stored = make_config(**values | {"pretrained": "imagenet"})
        if (run_dir(stored) / "run.json").exists():
            return stored
        values["pretrained"] = resolve_weights(values["model"], "auto")
    return make_config(**values)


def run_experiment(config: RunConfig, *, splits: Splits | None = None) -> Run:
    """Return the run of a configuration and seed, training it only if it is not stored yet.

    Of two processes that ask for the same run at once, one trains and the other waits and loads.
    `splits` are its data, if loaded already.

    Raises:
        RunError: the stored run saw other data than `splits`, or is another than its folder says.
        TrainingDiverged: the loss became NaN or infinite.
    """
    folder = run_dir(config)
    if not (folder / "run.json").exists():
        with lock(folder):
            if not (folder / "run.json").exists():
                tidy(folder)
                return _train(config, splits or load_dataset(config.dataset))
    run = load_run(folder)
    for name, wanted in config.to_dict().items():
        if run.config[name] != wanted:
            raise RunError(
                f"the record in {run.path} is of another run: its {name} is {run.config[name]!r}, "
                f"expected {wanted!r}. Put the right one back, or delete the folder to train anew."
            )
    if splits is not None:
        check_data(run, splits)
    return run


def check_data(run: Run, splits: Splits) -> None:
    """Raise a `RunError` unless `splits` is what a stored run saw (by MD5)."""
    if run.record["data"]["md5"] != splits.md5:
        raise RunError(
            f"the stored run {run.path.name} saw {run.record['data']['source']} with MD5 "
            f"{run.record['data']['md5']}, the data now has {splits.md5}; restore the data, or "
            f"delete {run.path} to train anew."
        )


def training_split(config: RunConfig, splits: Splits) -> Split:
    """Return the training split as a run uses it: cut down, thinned, mislabelled as configured."""
    train = splits.train
    if config.n_train is not None:
        train = stratified_subset(train, num_classes=splits.num_classes, n=config.n_train)
    return damage_training_split(
        train,
        num_classes=splits.num_classes,
        imbalance=config.imbalance,
        label_noise=config.label_noise,
        seed=config.seed,
    )


def build_network(config: RunConfig, splits: Splits) -> torch.nn.Module:
    """Build a run's network as it is before the first step, its initial weights from the seed."""
    epoch_generator(config.seed, 0)
    return build_model(
        config.model,
        num_classes=splits.num_classes,
        in_channels=config.form.in_channels(splits.in_channels),
        image_size=config.image_size,
        pretrained=config.pretrained,
    )


def fit_from_config(
    config: RunConfig,
    splits: Splits,
    *,
    checkpoint: Path | None = None,
    watch: Split | None = None,
) -> tuple[torch.nn.Module, FitResult, Splits]:
    """Build and train the network of a configuration, see `fit`; the test split is not touched.

    Its `test_curve` is the caller's business, who gives the split by `watch`. Returns the network
    with the selected weights, how training went, and the splits with `training_split`.
    """
    splits = replace(splits, train=training_split(config, splits))
    model = build_network(config, splits)
    result = fit(
        model,
        train=splits.train,
        val=splits.val,
        num_classes=splits.num_classes,
        config=config,
        device=default_device(),
        checkpoint=checkpoint,
        watch=watch,
    )
    return model, result, splits


class MadeRun(NamedTuple):
    """A run before it is stored."""

    model: torch.nn.Module  # the network with the selected weights
    record: dict[str, Any]  # for `helpers.runs.store.write_run`; so are the next two
    predictions: dict[str, np.ndarray]  # labels and probabilities of validation and test split
    test_curve: np.ndarray | None  # test accuracy after each epoch, None where it was not asked for


def make_run(config: RunConfig, splits: Splits, *, checkpoint: Path) -> MadeRun:
    """Train, select and predict; nothing is stored but the checkpoint, which the caller removes."""
    device = default_device()
    env = environment(device)  # first: it refuses settings that are not in force
    watch = splits.test if config.test_curve else None
    model, result, splits = fit_from_config(config, splits, checkpoint=checkpoint, watch=watch)
    start = time.perf_counter()
    predictions = {}
    for name in ("val", "test"):  # nothing was chosen by the test split, nor is from here on
        split = getattr(splits, name)
        images, _ = as_tensor(split, device)
        predictions[f"{name}_y_true"] = split.labels
        predictions[f"{name}_probabilities"] = predict_as(config, model, images)
    seconds = time.perf_counter() - start
    record = {
        "config": config.to_dict(),
        "data": data_record(splits),
        "model": _model_record(config, splits, model),
        "selection": {
            "rule": selection_rule(config),
            "metric": "val_auc",
            "epoch": result.epoch,
            "value": result.history[result.epoch - 1]["val_auc"],
        },
        **score_record(splits, predictions),
        "history": result.history,
        "timing": {
            "train_seconds": result.seconds,
            "images_per_second": result.images_per_second,
            "eval_seconds": seconds,
        },
        "env": env,
        "git": git_state(),
    }
    curve = None if watch is None else (result.watched == watch.labels).mean(axis=1)
    return MadeRun(model, record, predictions, curve)


def save_weights(model: torch.nn.Module, folder: Path) -> None:
    """Write a network's weights to `model.safetensors` in a run's folder."""
    save_tensors({k: v.contiguous() for k, v in model.state_dict().items()}, folder / WEIGHTS)


def save_tensors(tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Write contiguous tensors to a `*.safetensors` file, whole or not at all.

    Their SHA-256 goes to `*.sha256` beside it, as `sha256sum --check` takes it.
    """
    beside = file.with_suffix(".sha256")
    beside.unlink(missing_ok=True)  # that of earlier weights would accuse these
    with write_atomically(file) as temporary:
        save_file(tensors, temporary)
        digest = digest_of(temporary)
    write_text(beside, f"{digest}  {file.name}\n")


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal digits."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _train(config: RunConfig, splits: Splits) -> Run:
    folder = run_dir(config)
    made = make_run(config, splits, checkpoint=folder / CHECKPOINT)
    save_weights(made.model, folder)
    run = write_run(folder, made.record, made.predictions, made.test_curve)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return run


def data_record(splits: Splits) -> dict[str, Any]:
    """Return what a record says of its data; `reading` of image folders alone."""
    return {
        "name": splits.name,
        "source": splits.source,
        "md5": splits.md5,
        "licence": splits.licence,
        "phantom": splits.is_phantom,
        "image_size": splits.image_size,
        "in_channels": splits.in_channels,
        "num_classes": splits.num_classes,
        "class_names": list(splits.class_names),
        "n": {name: len(split) for name, split in splits.items()},
        "notes": list(splits.notes),
    } | ({} if splits.reading is None else {"reading": dict(splits.reading)})


def score_record(splits: Splits, predictions: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says of its predictions: `metrics`, `per_class`, `confusion_matrix`."""
    val = (predictions["val_y_true"], predictions["val_probabilities"])
    test = (predictions["test_y_true"], predictions["test_probabilities"])
    return {
        "metrics": {
            name: {key: estimate.to_dict() for key, estimate in evaluate(*arrays).items()}
            for name, arrays in (("val", val), ("test", test))
        },
        "per_class": per_class(*test, class_names=splits.class_names),
        "confusion_matrix": confusion_matrix(
            test[0], test[1].argmax(axis=1), num_classes=splits.num_classes
        ).tolist(),
    }


def _model_record(config: RunConfig, splits: Splits, model: torch.nn.Module) -> dict[str, Any]:
    in_channels = config.form.in_channels(splits.in_channels)
    plan = make_plan(config.plasticity, epochs=config.epochs, warmup_epochs=config.warmup_epochs)
    return {
        "name": config.model,
        "params": count_parameters(model),
        "macs": count_macs(model, image_size=config.image_size, in_channels=in_channels),
        "macs_tool": MACS_TOOL,
        "weights": weights_label(config.model, config.pretrained),
        "trainable": trainable_by_stage(model, plan),
    }
