"""What 05_evaluate needs: the stored run that is meant, its numbers recomputed, its tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from helpers.config import make_config
from helpers.metrics import Estimate, aggregate_seeds, evaluate, per_class
from helpers.results import Run, RunError, find_runs, load_run, run_dir

# What 05_evaluate takes from its `parameters` cell.
PARAMETERS = {
    "recipe": str,
    "dataset": str,
    "model": str,
    "seed": int,
    "pretrained": str,
    "profile": str,
}
# Sums over images may round otherwise on another processor.
TOLERANCE = 1e-6


def open_run(parameters: Mapping[str, Any]) -> Run:
    """Return the one stored run that has these values; of several, the recipe's own protocol.

    With `REPRO_STAND_IN=phantom`, where there is neither such a run nor its data set, a short run
    on the phantom takes its place; it is trained if it is not stored.

    Args:
        parameters: recipe, dataset, model, seed, pretrained, profile, and any other value of the
            configuration.

    Raises:
        RunError: no such run, or several of which none has the recipe unchanged.
    """
    try:
        runs = find_runs(**parameters)
    except RunError:
        # Imported here since a stored run is read without torch.
        from helpers.experiment import config_from_parameters, run_experiment

        config = config_from_parameters(parameters)
        if config.dataset == parameters["dataset"]:
            raise
        return run_experiment(config)
    if len(runs) > 1:
        unchanged = run_dir(make_config(**parameters))
        if unchanged in (run.path for run in runs):
            return load_run(unchanged)
        differing = [
            f"{key} ({', '.join(sorted({str(run.config[key]) for run in runs}))})"
            for key in runs[0].config
            if len({str(run.config[key]) for run in runs}) > 1
        ]
        raise RunError(
            f"{len(runs)} runs have these values; they differ in {', '.join(differing)}: ask for "
            "one of them too."
        )
    return runs[0]


def check_record(run: Run) -> int:
    """Recompute a run's metrics from its predictions and compare them with `run.json`.

    Returns:
        How many numbers were compared.

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


def seed_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Summarise the test metrics of runs that differ in the seed alone.

    Returns:
        One row a metric: mean, sd (ddof = 1) and the 95 % t interval of the mean over seeds;
        missing where undefined, with one seed for instance.
    """
    metrics = [run.record["metrics"]["test"] for run in runs]
    rows = {name: aggregate_seeds([m[name]["value"] for m in metrics]) for name in metrics[0]}
    return pd.DataFrame.from_dict(rows, orient="index").astype(float).astype({"n": int})
