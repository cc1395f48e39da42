"""What 05_evaluate needs: the stored run that is meant, its numbers recomputed, its tables.

Imported without torch: a stored run is read without it. What does need it is imported where used.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from helpers.config import RUN_KEYS, TRAIN_PARAMETERS, make_config, profile_of
from helpers.data.splits import DatasetUnavailable, Splits
from helpers.metrics.operating_points import OperatingPoint
from helpers.metrics.scores import Estimate, check_predictions, evaluate, per_class
from helpers.metrics.variance import aggregate_seeds
from helpers.runs.run import is_replica
from helpers.runs.store import (
    Run,
    RunError,
    find_run,
    find_runs,
    load_run,
    run_dir,
    run_id,
    whole_runs,
)
from helpers.training.selection import select_epoch

# What a notebook about one run takes from its `parameters` cell to find it.
PARAMETERS = {name: TRAIN_PARAMETERS[name] for name in RUN_KEYS} | {"run": str | None}
# Sums over images may round otherwise on another processor.
TOLERANCE = 1e-6


def open_run(parameters: Mapping[str, Any]) -> Run:
    """Return the stored run that is meant.

    It is the one named by `run`, or the one that has the other values; of several, the recipe's own
    protocol. With `REPRO_STAND_IN=phantom`, where there is neither such a run nor its data set, a
    short run on the phantom takes its place; it is trained if it is not stored.

    Args:
        parameters: recipe, dataset, model, seed, pretrained, profile, and any other value of the
            configuration; `run`, if it is there and not None, goes before all but the profile: see
            `find_run`.

    Raises:
        RunError: no such run, or several of which none has the recipe unchanged; the message lists
            the near ones.
    """
    parameters = dict(parameters)
    name = parameters.pop("run", None)
    if name is not None:
        return find_run(name, profile=parameters["profile"])
    parameters["profile"] = profile_of(parameters["dataset"], parameters["profile"])
    try:
        runs = find_runs(**parameters)
    except RunError:
        from helpers.runs.experiment import config_from_parameters, run_experiment

        config = config_from_parameters(parameters)
        if config.dataset == parameters["dataset"]:
            raise
        return run_experiment(config)
    if len(runs) > 1:
        unchanged = run_dir(make_config(**parameters))
        if unchanged in (run.path for run in runs):
            return load_run(unchanged)
        values = {key: sorted({str(run.config[key]) for run in runs}) for key in runs[0].config}
        differing = [f"{key} ({', '.join(v)})" for key, v in values.items() if len(v) > 1]
        raise RunError(
            f"{len(runs)} runs have these values; they differ in {', '.join(differing)}: name one "
            f"by `run`, for instance {run_id(runs[0])!r}."
        )
    return runs[0]


def seeds_of(run: Run) -> list[Run]:
    """Return the stored runs that differ from this one in the seed alone, itself among them.

    Of a replica, those of its stored run. One that cannot be read is left out and said on stderr.
    """
    home = run.path.parents[2 if is_replica(run) else 0]
    others = whole_runs(sorted(home.glob("*/run.json")))
    runs = [other for other in others if other.protocol == run.protocol]
    return sorted(runs, key=lambda other: other.config["seed"])


def load_images(run: Run) -> Splits | None:
    """Return the images that a run saw, or None where its data set cannot be had.

    Raises:
        RunError: the data set is not the one of the run, see `check_labels`.
    """
    from helpers.data.datasets import load_dataset

    try:
        splits = load_dataset(run.config["dataset"])
    except DatasetUnavailable:
        return None
    check_labels(run, splits)
    return splits


def check_labels(run: Run, splits: Splits) -> None:
    """Raise a `RunError` unless a run's predictions belong to the images of `splits`.

    Compares classes, number and labels of the validation and the test images, and then the MD5.
    """
    from helpers.runs.experiment import check_data

    data, expected = run.record["data"], list(splits.class_names)

    def refuse(what: str) -> NoReturn:
        raise RunError(
            f"{run_id(run)}{what}; the run saw {data['source']} with MD5 {data['md5']}, this has "
            f"MD5 {splits.md5}: restore the data, or delete the run and train again."
        )

    if data["class_names"] != expected:
        refuse(f" has the classes {data['class_names']}, {splits.name} has {expected}")
    for name in ("val", "test"):
        stored, labels = run.predictions(name)[0], getattr(splits, name).labels
        if len(stored) != len(labels):
            refuse(f" predicts {len(stored)} {name} images, {splits.name} has {len(labels)}")
        if len(differing := np.flatnonzero(stored != labels)):
            first = differing[0]
            refuse(
                f": {len(differing)} of {len(labels)} {name} labels differ from those of "
                f"{splits.name}, the first at index {first}: {stored[first]} in the run, "
                f"{labels[first]} in the data"
            )
    check_data(run, splits)


def confident_mistakes(
    y_true: np.ndarray, probabilities: np.ndarray, *, limit: int = 12
) -> np.ndarray:
    """Return the indices, int64, of images whose predicted class is wrong, the surest first.

    At most `limit` of them, equals in order of the index, by labels, integers (n,) in 0 .. K-1, and
    probabilities, (n, K), rows summing to one.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != y_true)
    return wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]


def check_selection(run: Run) -> int:
    """Apply the run's selection rule to its history; return the epoch, which is the one kept.

    Raises:
        RunError: the rule gives another epoch.
    """
    epoch = select_epoch(run.record["history"], run.config["stop_at_accuracy"])
    if epoch != run.record["selection"]["epoch"]:
        raise RunError(
            f"{run_id(run)}: the rule ({run.record['selection']['rule']}) gives epoch {epoch}, the "
            f"record has {run.record['selection']['epoch']}; delete the run and train again."
        )
    return epoch


def check_record(run: Run) -> int:
    """Compare a run's metrics in `run.json` with those of its predictions; return how many.

    Raises:
        RunError: a number differs; the message names it and both values.
    """
    recomputed = {
        split: {name: e.to_dict() for name, e in evaluate(*run.predictions(split)).items()}
        for split in ("val", "test")
    }
    rows = per_class(*run.predictions("test"), class_names=run.record["data"]["class_names"])
    compared = _compare(run.record["metrics"], recomputed, at="metrics")
    return compared + _compare(run.record["per_class"], rows, at="per_class")


def _compare(stored: Any, recomputed: Any, *, at: str) -> int:
    """Compare two JSON trees, numbers within `TOLERANCE`; return how many numbers there were."""
    if isinstance(stored, dict) and isinstance(recomputed, dict) and set(stored) == set(recomputed):
        return sum(_compare(stored[k], recomputed[k], at=f"{at}.{k}") for k in stored)
    if isinstance(stored, list) and isinstance(recomputed, list) and len(stored) == len(recomputed):
        pairs = zip(stored, recomputed, strict=True)
        return sum(_compare(a, b, at=f"{at}[{i}]") for i, (a, b) in enumerate(pairs))
    number = isinstance(stored, int | float) and isinstance(recomputed, int | float)
    if abs(stored - recomputed) > TOLERANCE if number else stored != recomputed:
        both = [sorted(x) if isinstance(x, dict) else x for x in (stored, recomputed)]
        raise RunError(
            f"run.json and the predictions disagree at {at}: stored {both[0]!r}, recomputed "
            f"{both[1]!r}; delete the run and train again."
        )
    return int(number)


def metric_table(metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Lay out the metrics of one split: value, interval, n, how the interval was made."""
    rows = {
        name: {
            "value (95 % interval)": str(Estimate(**estimate)),
            "n": estimate["n"],
            "interval by": estimate["method"],
        }
        for name, estimate in metrics.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def class_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Lay out the rows of `per_class`: each metric with its interval."""
    metrics = [name for name, value in rows[0].items() if isinstance(value, Mapping)]
    table = [
        {"class": row["class"], "n": row["n"], "predicted": row["predicted"]}
        | {name: str(Estimate(**row[name])) for name in metrics}
        for row in rows
    ]
    return pd.DataFrame(table).set_index("class")


def operating_table(points: Sequence[OperatingPoint], class_names: Sequence[str]) -> pd.DataFrame:
    """Lay out operating points: what the test ROC promises, what the chosen threshold gives.

    With two class names that of the positive class is left out.
    """
    rows = [
        ({} if len(class_names) == 2 else {"class": class_names[point.label]})
        | {
            "target": f"{point.held} {point.target:.0%}",
            "on the test ROC": f"{point.read} {point.on_curve}",
            "threshold from validation": (
                "none" if point.threshold is None else f"{point.threshold:.3f}"
            ),
            "sensitivity there": str(point.sensitivity),
            "specificity there": str(point.specificity),
        }
        for point in points
    ]
    keys = ["target"] if len(class_names) == 2 else ["class", "target"]
    return pd.DataFrame(rows).set_index(keys)


def seed_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Summarise the test metrics of runs that differ in the seed alone.

    Returns:
        One row a metric: mean, sd (ddof = 1) and the 95 % t interval of the mean over seeds;
        missing where undefined, with one seed for instance.
    """
    metrics = [run.record["metrics"]["test"] for run in runs]
    rows = {name: aggregate_seeds([m[name]["value"] for m in metrics]) for name in metrics[0]}
    return pd.DataFrame.from_dict(rows, orient="index").astype(float).astype({"n": int})
