"""How far runs of one seed on other processors lie apart, beside runs of other seeds."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from helpers.runs.groups import Group
from helpers.runs.replicas import METRICS, Scatter, made_on, metric_of, pairs_of, scatter
from helpers.runs.store import run_id
from study.table import Table, column, number, page
from study.tables.scores import PERCENT

NOTE = (
    "Stored runs made again on another kind of processor, with the same configuration and seed. "
    "*Seeds*: standard deviation over seeds, pooled over both processors. *Processors*: standard "
    "deviation of the paired differences over the root of two, that of a run whose seed is kept. "
    "Where a seed fixes nothing across processors the two are equal but for chance; where it fixes "
    "all the second is 0. Processors that give the same answers to the bit count once; a protocol "
    "with one seed has no row. Test split."
)


def scatter_table(groups: Iterable[Group]) -> pd.DataFrame:
    """Return the scatter of every protocol with replicas of at least two seeds, a row a metric.

    The last rows, "all", pool the protocols' variances, each weighted by its pairs less one.
    """
    rows = []
    for group in groups:
        pairs = pairs_of(group.runs)
        if len({run.path for run, _ in pairs}) < 2:
            continue
        for name in METRICS:
            stored = [metric_of(run, name) for run, _ in pairs]
            replicas = [metric_of(replica, name) for _, replica in pairs]
            found = scatter(stored, replicas)
            if found.by_seeds is not None:
                protocol = run_id(group.runs[0]).rsplit("_s", 1)[0]
                rows.append({"protocol": protocol, "metric": name} | vars(found))
    table = pd.DataFrame(rows, columns=["protocol", "metric", *Scatter.__dataclass_fields__])
    return pd.concat([table, _pooled(table)]) if table["protocol"].nunique() > 1 else table


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name, part in table.groupby("metric", sort=False):
        weights = part["n_pairs"] - 1
        rows.append(
            {
                "protocol": "all",
                "metric": name,
                "n_pairs": int(part["n_pairs"].sum()),
                "by_seeds": math.sqrt(np.average(part["by_seeds"] ** 2, weights=weights)),
                "by_processors": math.sqrt(np.average(part["by_processors"] ** 2, weights=weights)),
                "shift": np.average(part["shift"], weights=part["n_pairs"]),
                "largest": part["largest"].max(),
            }
        )
    return pd.DataFrame(rows, columns=table.columns)


def replica_files(groups: Iterable[Group]) -> dict[str, str]:
    """Return the generated page and its CSV: name -> content; none while there are no replicas."""
    groups = list(groups)
    table = scatter_table(groups)
    if table.empty:
        return {}
    columns = [
        "protocol",
        column("metric", write=METRICS.get),
        column("pairs", "n_pairs"),
        column("sd, seeds", "by_seeds", "metric", write=_in_unit),
        column("sd, processors", "by_processors", "metric", write=_in_unit),
        column("mean shift", "shift", "metric", write=_in_unit),
        column("largest", "largest", "metric", write=_in_unit),
    ]
    shown = Table(table, columns)
    processors = sorted({made_on(r) for g in groups for pair in pairs_of(g.runs) for r in pair})
    made = f"Accuracy in points, AUC as it is. Made on {'; '.join(processors)}."
    text = page("The same seed on another processor", NOTE, made, shown)
    return {"replicas.md": text, "replicas.csv": shown.csv()}


def _in_unit(value: float, metric: str) -> str:
    return number(value, **PERCENT) if metric == "accuracy" else number(value)
