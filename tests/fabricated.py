"""Made-up runs for tests: written to the store that a test points `REPRO_RESULTS` to."""

from dataclasses import replace

import numpy as np

from helpers.config import RunConfig, make_config
from helpers.metrics.scores import confusion_matrix, evaluate, per_class
from helpers.runs.store import Run, run_dir, write_run

SIZES = {
    "breastmnist": 156,
    "pneumoniamnist": 624,
    "phantom": 40,
    "cag:patches": 120,
    "cag:arcade_patches/subset800": 120,
}


def phantom_config(**changes) -> RunConfig:
    """Return the configuration of a run that is trained in a moment, on synthetic images."""
    return make_config(
        **{"recipe": "common", "dataset": "phantom", "model": "mobilenet_v2", "seed": 0}
        | {"pretrained": "none", "image_size": 28}
        | changes
    )


def fabricate_run(
    dataset="breastmnist",
    model="medspectralnet",
    *,
    seed=0,
    pretrained="imagenet",
    recipe="common",
    wrong=20,
    md5="0" * 32,
    source_size=28,
    epochs=3,
    classes=("malignant", "normal or benign"),
    **overrides,
) -> Run:
    """Store a run whose accuracy on its test split is exactly 1 - wrong / n."""
    config = make_config(
        recipe=recipe,
        dataset=dataset,
        model=model,
        seed=seed,
        pretrained=pretrained,
        epochs=epochs,
        **overrides,
    )
    return fabricate_from(config, wrong=wrong, md5=md5, source_size=source_size, classes=classes)


def fabricate_from(
    config: RunConfig,
    *,
    wrong=20,
    md5="0" * 32,
    source_size=128,
    classes=("negative", "positive"),
    history=None,
    constant=False,
) -> Run:
    """Store a run of a configuration; `history` stands for the course of training.

    One that is `constant` answers the first class for every image.
    """
    dataset, model, seed = config.dataset, config.model, config.seed
    n = SIZES.get(dataset.removesuffix("_64"), 100)
    predictions = {}
    for split, size in (("val", 50), ("test", n)):
        rng = np.random.default_rng([seed, size])
        y_true = np.arange(size) % len(classes)
        top = y_true.copy()
        mistaken = rng.choice(size, min(wrong, size), replace=False)
        top[mistaken] = (top[mistaken] + 1) % len(classes)
        if constant:
            top[:] = 0
        scores = rng.uniform(0.05, 0.4, (size, len(classes)))
        scores[np.arange(size), top] = rng.uniform(0.6, 1, size)
        predictions[f"{split}_y_true"] = y_true
        predictions[f"{split}_probabilities"] = scores / scores.sum(axis=1, keepdims=True)
    val = (predictions["val_y_true"], predictions["val_probabilities"])
    test = (predictions["test_y_true"], predictions["test_probabilities"])
    history = history or [
        {
            "epoch": e,
            "stage": "all",
            "train_loss": 1 / e,
            "train_accuracy": 1 - 0.5 / e,
            "val_loss": 1.1 / e,
            "val_accuracy": 1 - 0.6 / e,
            "val_auc": 1 - 0.4 / e,
            "learning_rate": 1e-3,
            "learning_rate_end": 2e-3,
            "seconds": 1.0,
        }
        for e in range(1, config.epochs + 1)
    ]
    record = {
        "config": config.to_dict(),
        "data": {
            "name": dataset,
            "source": f"{dataset}.npz",
            "md5": md5,
            "licence": "CC BY 4.0",
            "phantom": dataset == "phantom",
            "image_size": source_size,
            "in_channels": 1,
            "num_classes": len(classes),
            "class_names": list(classes),
            "n": {"train": 546, "val": 50, "test": n},
        },
        "model": {
            "name": model,
            "params": 12_345_678,
            "macs": 1_860_000_000,
            "macs_tool": "torch.utils.flop_counter / 2",
            "weights": None,
            "trainable": {"all": 12_345_678},
        },
        "selection": {
            "rule": "highest",
            "metric": "val_auc",
            "epoch": min(2, len(history)),
            "value": 0.8,
        },
        "metrics": {
            split: {k: v.to_dict() for k, v in evaluate(*arrays, n_resamples=20).items()}
            for split, arrays in (("val", val), ("test", test))
        },
        "per_class": per_class(*test, class_names=classes, n_resamples=20),
        "confusion_matrix": confusion_matrix(
            test[0], test[1].argmax(axis=1), num_classes=len(classes)
        ).tolist(),
        "history": history,
        "timing": {"train_seconds": 3.0, "images_per_second": 200.0, "eval_seconds": 0.5},
        "env": {
            "python": "3.11.0",
            "torch": "2.15.0",
            "torchvision": "0.29.2",
            "numpy": "2.4.6",
            "platform": "Linux",
            "device": "CPU x86_64 (AVX2)",
            "threads": 2,
        },
        "git": {"sha": "0123456789abcdef", "dirty": False},
    }
    (run_dir(config) / "run.json").unlink(missing_ok=True)  # a test may make one up anew
    return write_run(run_dir(config), record, predictions)


def fabricate_seeds(config: RunConfig, *, seeds=range(5), wrong=20, **options) -> None:
    """Store runs of a protocol, with one mistake more for each seed."""
    for i, seed in enumerate(seeds):
        fabricate_from(replace(config, seed=seed), wrong=wrong + i, **options)
