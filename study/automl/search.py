"""AutoML that can be installed today: FLAML, on pixels and on features of a frozen backbone.

Wang et al., "FLAML: A Fast and Lightweight AutoML Library", MLSys 2021; github.com/microsoft/FLAML,
MIT licence. Chosen over AutoGluon because it installs beside this project's torch, numpy and
scikit-learn without changing any of them (it needs LightGBM and an XGBoost below 3), and because it
takes a seed and a budget in seconds or in trials.

What it is not: a search over network architectures, as AutoKeras and Google AutoML Vision do. It
searches tree ensembles and linear models and their settings, of which auto-sklearn's search is the
nearest relative. It is never shown under the name of a system of the MedMNIST benchmark.

`params/automl.yaml` holds the protocol; `python -m study automl` runs it. Runs lie in
`results/automl`, with the run store's schema, and never among the trained networks.
"""

import argparse
import importlib.metadata
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import log_loss
from torch.nn import functional

from helpers.config import IMAGENET_RGB
from helpers.data.datasets import load_dataset
from helpers.data.splits import Split, Splits
from helpers.models.backbones import WeightsUnavailable, build_trunk, weights_name
from helpers.runs.experiment import check_data, data_record, score_record
from helpers.runs.store import Run, list_runs, load_run, lock, summary_line, write_run
from helpers.terminal import command
from helpers.training.inference import EVALUATION_BATCH, as_tensor, prepare
from helpers.training.seeds import default_device, environment, git_state
from study.plans.automl import METRIC, AutoMLConfig, AutoMLPlan, automl_root, load_plan

SELECTION_RULE = "lowest log loss on the validation split of all trials; not trained again"


class AutoMLError(ValueError):
    """A search found nothing, or may not begin."""


class Features:
    """What a system sees of each split, float32 (n, d), computed when first asked for.

    Searches with several seeds share one object, so that a backbone sees every image once.
    """

    def __init__(self, splits: Splits, config: AutoMLConfig) -> None:
        self.splits = splits
        self.seconds = 0.0  # that computing took so far
        self._backbone, self._image_size = config.system.backbone, config.image_size
        self._kept: dict[str, np.ndarray] = {}

    def of(self, name: str) -> np.ndarray:
        """Return the features of "train", "val" or "test"."""
        if name not in self._kept:
            start = time.perf_counter()
            self._kept[name] = self._compute(getattr(self.splits, name))
            self.seconds += time.perf_counter() - start
        return self._kept[name]

    def _compute(self, split: Split) -> np.ndarray:
        if self._backbone is None:
            return pixel_features(split, image_size=self._image_size)
        images, _ = as_tensor(split, default_device())
        with torch.inference_mode():
            batches = [
                self._trunk(prepare(batch, self._image_size)).mean(dim=(2, 3)).float().cpu()
                for batch in images.split(EVALUATION_BATCH)
            ]
        return torch.cat(batches).numpy()

    @cached_property
    def _trunk(self) -> torch.nn.Module:
        try:
            trunk, _ = build_trunk(
                self._backbone,
                in_channels=IMAGENET_RGB.in_channels(self.splits.in_channels),
                image_size=self._image_size,
                pretrained="imagenet",
            )
        except WeightsUnavailable as error:
            raise AutoMLError(
                f"features of a frozen {self._backbone} need its ImageNet weights (set TORCH_HOME "
                f"to a folder whose hub/checkpoints holds them; flaml_pixels needs none): {error}"
            ) from error
        return trunk.eval().to(default_device(), memory_format=torch.channels_last)


def pixel_features(split: Split, *, image_size: int) -> np.ndarray:
    """Return the pixels of a split, 0 to 1, as float32 (n, channels * image_size ** 2)."""
    images, _ = as_tensor(split, torch.device("cpu"))
    size = (image_size, image_size)
    batches = []
    for batch in images.split(EVALUATION_BATCH):
        pixels = batch.float() / 255
        if batch.shape[2:] != size:
            pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        batches.append(pixels.flatten(1).clamp(0, 1))
    return torch.cat(batches).numpy()


@dataclass(frozen=True)
class SearchResult:
    """What a search found."""

    predict: Callable[[np.ndarray], np.ndarray]  # features (n, d) to probabilities (n, K)
    estimator: str  # FLAML's name of the selected model's kind
    settings: dict[str, Any]  # its hyperparameters
    value: float  # its log loss on the validation split
    trials: dict[str, int]  # of each estimator
    history: list[dict[str, Any]]  # a row for each trial that was better than all before
    seconds: float  # of the wall clock; on a busy machine far above the next
    cpu_seconds: float  # of the processor, which the budget counts


def search(
    config: AutoMLConfig,
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    *,
    num_classes: int,
) -> SearchResult:
    """Search on training data for what does best on validation data.

    Both are features, float32 (n, d), and labels, int64 (n,); every class has a training image.

    Raises:
        AutoMLError: FLAML is not installed, the validation split has one class only, or no trial
            ended within the budget.
    """
    if len(np.unique(val[1])) < 2:
        raise AutoMLError(
            "the validation split has images of one class only, so it cannot select; move some of "
            "another class into it."
        )
    automl = _flaml()
    start, cpu_start = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, _processor_clock():
        log = Path(folder) / "trials.log"
        automl.fit(
            *train,
            X_val=val[0],
            y_val=val[1],
            task="classification",
            eval_method="holdout",
            metric=_validation_loss(num_classes),
            estimator_list=config.estimators.split(","),
            seed=config.seed,
            n_jobs=1,
            **_budget(config),
            # Every trial sees each training image once, and the selected model stays as it is.
            sample=False,
            auto_augment=False,
            retrain_full=False,
            log_file_name=str(log),
            log_type="all",
            mlflow_logging=False,
            verbose=0,
        )
        lines = log.read_text().splitlines() if log.exists() else []
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    records = [record for record in map(json.loads, lines) if "record_id" in record]
    if automl.best_estimator is None or not math.isfinite(automl.best_loss):
        raise AutoMLError(
            f"no trial of {config.model} on {config.dataset} ended with a usable model within "
            f"{config.budget}; give it more."
        )
    return SearchResult(
        predict=automl.predict_proba,
        estimator=automl.best_estimator,
        settings={
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in automl.best_config.items()
        },
        value=float(automl.best_loss),
        trials=dict(sorted(Counter(record["learner"] for record in records).items())),
        history=_improvements(records),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
    )


def _flaml() -> Any:
    try:
        from flaml.automl.automl import AutoML
    except ImportError as error:
        raise AutoMLError(
            f"AutoML runs need the packages flaml, lightgbm and xgboost (below 3): {error}. "
            "Install what requirements.txt lists."
        ) from error
    return AutoML()


@contextmanager
def _processor_clock() -> Iterator[None]:
    """Let FLAML, which reads `time.time` alone, count processor time instead of the wall clock's.

    So a budget in seconds means the same search on a busy machine, which only takes longer. (A
    single fit of scikit-learn longer than what is left is still ended by the wall clock.)
    """
    wall = time.time
    time.time = time.process_time
    try:
        yield
    finally:
        time.time = wall


def _budget(config: AutoMLConfig) -> dict[str, Any]:
    if config.max_trials is None:
        return {"time_budget": config.time_budget_seconds}
    # FLAML's own choice of the next estimator looks at the clock.
    return {"time_budget": -1, "max_iter": config.max_trials, "learner_selector": "roundrobin"}


def _validation_loss(num_classes: int) -> Callable[..., tuple[float, dict]]:
    """Return FLAML's log loss, which also bears a class without a validation image."""
    classes = list(range(num_classes))

    def loss(x_val, y_val, estimator, *_: Any) -> tuple[float, dict]:
        probabilities = estimator.predict_proba(x_val)
        if not np.isfinite(probabilities).all():
            return math.inf, {}
        return float(log_loss(y_val, probabilities, labels=classes)), {}

    return loss


def _improvements(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    best, rows = math.inf, []
    for number, record in enumerate(records, start=1):
        if record["validation_loss"] < best:
            best = record["validation_loss"]
            row = {"trial": number, "estimator": record["learner"], f"val_{METRIC}": best}
            rows.append(row | {"cpu_seconds": record["wall_clock_time"]})
    return rows


def run_automl(config: AutoMLConfig, *, features: Features | None = None) -> Run:
    """Return the run of a configuration and seed, searching only if it is not stored yet.

    Of two processes that ask for the same run at once, one searches and the other waits and loads.
    A search that fails writes nothing. `features` are its data, if they are loaded already.

    Raises:
        AutoMLError: see `search`; or synthetic images in the tree of real results; or the system
            needs ImageNet weights that cannot be had.
        DataError: the data set cannot be had.
        RunError: the stored run saw other data than `features`.
    """
    if not (config.folder / "run.json").exists():
        features = features or Features(load_dataset(config.dataset), config)
        if features.splits.is_phantom and config.profile == "paper":
            raise AutoMLError(
                "the phantom's images are synthetic and never enter the paper profile; "
                "use profile 'phantom' or 'quick'."
            )
        with lock(config.folder):
            if not (config.folder / "run.json").exists():
                return _search_and_store(config, features)
    run = load_run(config.folder)
    if features is not None:
        check_data(run, features.splits)
    return run


def _search_and_store(config: AutoMLConfig, features: Features) -> Run:
    splits = features.splits
    train, val = ((features.of(k), getattr(splits, k).labels) for k in ("train", "val"))
    found = search(config, train, val, num_classes=splits.num_classes)
    # The only time that the test split is looked at.
    seen = {name: features.of(name) for name in ("val", "test")}
    predictions, start = {}, time.perf_counter()
    for name, values in seen.items():
        predictions[f"{name}_y_true"] = getattr(splits, name).labels
        predictions[f"{name}_probabilities"] = np.asarray(found.predict(values), dtype=np.float32)
    seconds = time.perf_counter() - start
    record = _record(config, features, found, predictions, eval_seconds=seconds)
    return write_run(config.folder, record, predictions)


def _record(
    config: AutoMLConfig,
    features: Features,
    found: SearchResult,
    predictions: dict[str, np.ndarray],
    *,
    eval_seconds: float,
) -> dict[str, Any]:
    splits, backbone = features.splits, config.system.backbone
    return {
        "config": config.to_dict(),
        "data": data_record(splits),
        "model": {
            "name": config.model,
            # Neither is defined for a tree ensemble as it is for a network.
            "params": None,
            "macs": None,
            "macs_tool": None,
            "weights": backbone and weights_name(backbone),
            "features": features.of("train").shape[1],
            "estimator": found.estimator,
            "estimator_settings": found.settings,
        },
        "selection": {
            "rule": SELECTION_RULE,
            "metric": f"val_{METRIC}",
            "epoch": None,
            "value": found.value,
            "trials": sum(found.trials.values()),
            "trials_by_estimator": found.trials,
        },
        **score_record(splits, predictions),
        "history": found.history,
        "timing": {
            "train_seconds": found.seconds,
            "cpu_seconds": found.cpu_seconds,
            "feature_seconds": features.seconds,
            "images_per_second": None,
            "eval_seconds": eval_seconds,
        },
        "env": environment(default_device()) | _versions(),
        "git": git_state(),
    }


def _versions() -> dict[str, str | None]:
    """Return the versions of what searched; XGBoost has a processor-only package, too."""
    found = importlib.metadata.packages_distributions()
    names = {name: found.get(name, [name])[0] for name in ("flaml", "lightgbm", "xgboost")}
    names["sklearn"] = "scikit-learn"
    return {name: importlib.metadata.version(package) for name, package in names.items()}


def list_automl_runs(plan: AutoMLPlan) -> list[Run]:
    """Return the stored runs on real images that follow the plan's protocol, by path.

    Data sets and seeds beside the planned ones are included; another budget, other estimators or
    another image size are another protocol.
    """
    runs = []
    for run in list_runs(automl_root()):
        config = run.config
        if config["model"] not in plan.systems or run.record["data"]["phantom"]:
            continue
        planned = plan.config(config["dataset"], config["model"], config["seed"])
        if planned.to_dict() == run.record["config"]:
            runs.append(run)
    return runs


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m study automl",
        description="Run the AutoML plan of params/automl.yaml, or a part of it; stored runs stay.",
    )
    parser.add_argument("--dataset", nargs="+", help="data sets instead of the planned ones")
    parser.add_argument("--system", nargs="+", help="systems instead of the planned ones")
    parser.add_argument("--seed", nargs="+", type=int, help="seeds instead of the planned ones")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, help="another budget, processor seconds a run")
    budget.add_argument("--trials", type=int, help="another budget, trials a run")
    parser.add_argument("--profile", default="paper", help="paper (default), quick or phantom")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    # All are made before the first one runs, so that a wrong one costs no time.
    asked = {"datasets": options.dataset, "systems": options.system, "seeds": options.seed}
    limits = {"time_budget_seconds": options.seconds, "max_trials": options.trials}
    configs = load_plan().configs(**asked, profile=options.profile, **limits)
    seen: dict[tuple[str, str], Features] = {}
    for config in configs:
        cell = (config.dataset, config.model)
        if cell not in seen:
            seen[cell] = Features(load_dataset(config.dataset), config)
        print(summary_line(run_automl(config, features=seen[cell])), flush=True)
