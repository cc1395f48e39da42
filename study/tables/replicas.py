"""How far runs of one seed on other processors lie apart, beside runs of other seeds."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from helpers.runs.groups import Group
from helpers.runs.replicas import METRICS, NOTE, Scatter, made_on, metric_of, pairs_of, scatter
from helpers.runs.store import Run, run_id
from study.table import Table, column, number, page
from study.tables.scores import PERCENT


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
            stored, replicas = ([metric_of(run, name) for run in side] for side in _sides(pairs))
            found = scatter(stored, replicas)
            if found.by_seeds is not None:
                rows.append({"protocol": run_id(group.runs[0]).rsplit("_s", 1)[0], "metric": name})
                rows[-1] |= vars(found)
    table = pd.DataFrame(rows, columns=["protocol", "metric", *Scatter.__dataclass_fields__])
    return pd.concat([table, _pooled(table)]) if table["protocol"].nunique() > 1 else table


def _sides(pairs: Sequence[tuple[Run, Run]]) -> tuple[list[Run], list[Run]]:
    return [stored for stored, _ in pairs], [replica for _, replica in pairs]


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name, part in table.groupby("metric", sort=False):
        weights = part["n_pairs"] - 1
        row = {"protocol": "all", "metric": name, "n_pairs": int(part["n_pairs"].sum())}
        for name in ("by_seeds", "by_processors"):
            row[name] = math.sqrt(np.average(part[name] ** 2, weights=weights))
        row["shift"] = np.average(part["shift"], weights=part["n_pairs"])
        row["largest"] = part["largest"].max()
        rows.append(row)
    return pd.DataFrame(rows, columns=table.columns)


def replica_files(groups: Iterable[Group]) -> dict[str, str]:
    """Return the generated page and its CSV: name -> content; none while there are no replicas.

    Args:
        groups: protocols of stored runs.
    """
    groups = list(groups)
    table = scatter_table(groups)
    if table.empty:
        return {}
    columns = [
        *(column("protocol"), column("metric", write=METRICS.get), column("pairs", "n_pairs")),
        *(
            column(title, name, "metric", write=_in_unit)
            for name, title in {
                "by_seeds": "sd, seeds",
                "by_processors": "sd, processors",
                "shift": "mean shift",
                "largest": "largest",
            }.items()
        ),
    ]
    shown = Table(table, columns)
    processors = sorted({made_on(r) for g in groups for pair in pairs_of(g.runs) for r in pair})
    made = f"Accuracy in points, AUC as it is. Made on {'; '.join(processors)}."
    text = page("The same seed on another processor", NOTE, made, shown)
    return {"replicas.md": text, "replicas.csv": shown.csv()}


def _in_unit(value: float, metric: str) -> str:
    return number(value, **PERCENT) if metric == "accuracy" else number(value)
