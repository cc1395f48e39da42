"""Paper A's Table 1 on the ARCADE patches: the course of training, and the stop at 90 %."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.comparison_tables import OTHER_IMAGES, RULE, Results, family_sections, protocol_text
from helpers.comparisons import Compared
from helpers.groups import Group
from helpers.metrics import aggregate_seeds
from helpers.published import Published, lookup
from helpers.table_text import csv_text, markdown_table, mean_sd, page, percent
from helpers.verdicts import NOT_RUN

DYNAMICS = {
    "train_accuracy": "training accuracy, %",
    "val_accuracy": "validation accuracy, %",
    "val_auc": "validation AUC",
    "learning_rate": "learning rate",
}
PRINTED_EPOCHS = 4
FAMILIES = {
    "stopping": "without the momentum cycle",
    "stopping_momentum": "with the momentum cycle",
}


def table1_files(results: Results) -> dict[str, str]:
    """Return the course of training beside Table 1, and what the stop at 90 % does."""
    target = results.compared["stopping"][0].pair.a.stop_at_accuracy
    intro = (
        f"{OTHER_IMAGES} Means ± sd over seeds. The learning rate is that at the end of an epoch. "
        f"The course is that of the runs that go on; the target is {100 * target:g} % validation "
        "accuracy. The paper names OneCycleLR and no departure from it, which implies torch's "
        f"default, the momentum cycle; the first runs had none, so both are shown. {RULE}"
    )
    sections = [text for family in FAMILIES for text in _family(results, family)]
    sections += family_sections(results, "momentum")
    used = results.of_families(*FAMILIES, "momentum")
    frames = [table1_frame(results.compared[family]) for family in FAMILIES]
    return {
        "cag_table1.md": page("Paper A, Table 1", intro, used, sections),
        "cag_table1.csv": csv_text(pd.concat(frames), float_format="%.6g"),
    }


def _family(results: Results, family: str) -> Iterator[str]:
    """Yield the course of training, when each seed reached the target, and the comparisons."""
    stopping, *others = results.compared[family]
    cycle = FAMILIES[family]
    yield f"## The first epochs, paper and ours, {cycle}"
    yield f"The runs that go on: {protocol_text(stopping.pair.b)}."
    yield _dynamics_table(stopping.b)
    yield f"## The target, by seed, {cycle}"
    yield _target_table(stopping) if stopping.a else "Not run."
    yield _epoch_seconds_text(stopping)
    for other in others:
        yield f"## A target of {100 * other.pair.a.stop_at_accuracy:g} %, by seed, {cycle}"
        yield _seed_table(other) if other.a else "Not run."
    yield from family_sections(results, family)


def _epoch_values(group: Group | None, epoch: int, name: str) -> list[float]:
    """Return a quantity of an epoch (from 1) of each seed that got that far."""
    # The paper's rates are those at the end of an epoch.
    key = "learning_rate_end" if name == "learning_rate" else name
    histories = [run.record["history"] for run in group.runs] if group else []
    return [history[epoch - 1][key] for history in histories if len(history) >= epoch]


def _printed(epoch: int, name: str) -> Published:
    return lookup(paper="A", table="Table 1", row=f"epoch {epoch}", column=name)


def _dynamics_table(group: Group | None) -> str:
    head = [
        "epoch",
        "seeds",
        *(f"{title}{s}" for title in DYNAMICS.values() for s in (", paper", "")),
    ]
    cells = []
    for epoch in range(1, PRINTED_EPOCHS + 1):
        count = len(_epoch_values(group, epoch, "val_auc"))
        line = [str(epoch), f"n = {count}" if count else NOT_RUN]
        for name in DYNAMICS:
            values = _epoch_values(group, epoch, name)
            line += [_printed(epoch, name).printed, _dynamics_text(values, name)]
        cells.append(line)
    return markdown_table(head, cells)


def _dynamics_text(values: Sequence[float], name: str) -> str:
    if not values:
        return ""
    if name == "learning_rate":
        # As the paper prints it: 5.25e-4.
        return f"{aggregate_seeds(list(values))['mean']:.2e}".replace("e-0", "e-")
    return mean_sd(values) if name == "val_auc" else mean_sd(values, scale=100, digits=1)


@dataclass(frozen=True)
class Reached:
    """When a run with the stopping rule reached its target.

    Attributes:
        epochs: epochs it took, None if the target was not reached.
        seconds: of training up to then, None likewise.
    """

    epochs: int | None
    seconds: float | None


def reached(history: Sequence[dict[str, Any]], target: float) -> Reached:
    """Find the first epoch whose validation accuracy is at least `target` (0 to 1)."""
    for i, entry in enumerate(history, start=1):
        if entry["val_accuracy"] >= target:
            return Reached(i, sum(e["seconds"] for e in history[:i]))
    return Reached(None, None)


def _by_seed(stopping: Compared) -> Iterator[tuple[int, Reached, float, float | None, str]]:
    """Yield seed, when the target was reached, test accuracy with and without the rule, device."""
    without = {}
    if stopping.b:
        without = dict(zip(stopping.b.seeds, stopping.b.values("accuracy"), strict=True))
    for run in stopping.a.runs if stopping.a else ():
        seed, record = run.config["seed"], run.record
        when = reached(record["history"], stopping.pair.a.stop_at_accuracy)
        accuracy = record["metrics"]["test"]["accuracy"]["value"]
        yield seed, when, accuracy, without.get(seed), record["env"]["device"]


def _target_table(stopping: Compared) -> str:
    paper = [
        "paper",
        lookup(paper="A", table="section 3.5", row="training", column="epochs").printed,
        "{:.0f}".format(60 * _paper_training("total_time").value),
        "Intel CPU",
        lookup(paper="A", table="Table 2", row="test", column="accuracy").printed,
        "",
    ]
    return _seed_table(stopping, first=[paper])


def _seed_table(stopping: Compared, *, first: Sequence[list[str]] = ()) -> str:
    """Write a line for each seed that stops at the target, after the given ones."""
    head = ["seed", "epochs", "seconds", "device", "test accuracy, %", "the same without the stop"]
    cells = [*first]
    for seed, when, accuracy, without, device in _by_seed(stopping):
        took = ["not reached", ""]
        if when.epochs is not None and when.seconds is not None:
            took = [str(when.epochs), f"{when.seconds:.0f}"]
        other = NOT_RUN if without is None else percent(without)
        cells.append([str(seed), *took, device, percent(accuracy), other])
    return markdown_table(head, cells)


def _paper_training(column: str) -> Published:
    return lookup(paper="A", table="section 3.5", row="training", column=column)


def _seconds(stopping: Compared) -> list[float]:
    """Return the mean seconds an epoch of each run with the stopping rule."""
    histories = [run.record["history"] for run in stopping.a.runs] if stopping.a else []
    return [sum(e["seconds"] for e in history) / len(history) for history in histories]


def _epoch_seconds_text(stopping: Compared) -> str:
    printed = f"Seconds an epoch: paper {_paper_training('seconds_per_epoch').printed} (Intel CPU)"
    seconds = _seconds(stopping)
    if not seconds:
        return f"{printed}, ours {NOT_RUN}."
    devices = sorted({run.record["env"]["device"] for run in stopping.a.runs})
    return f"{printed}, ours {mean_sd(seconds, digits=1)} ({', '.join(devices)})."


def table1_frame(stoppings: Sequence[Compared]) -> pd.DataFrame:
    """Return Table 1 as a tidy table: one quantity a line, published beside ours.

    `cycle_momentum` says whether the runs had torch's momentum cycle. Rows "epoch 1" .. "epoch 4"
    are means over the seeds, rows "seed s" single runs; of a target other than the first, its size
    is named.
    """
    stopping, rows = stoppings[0], []
    for epoch in range(1, PRINTED_EPOCHS + 1):
        for name in DYNAMICS:
            printed = _printed(epoch, name)
            value = printed.value if name == "learning_rate" else printed.fraction
            rows.append((f"epoch {epoch}", name, value, _epoch_values(stopping.b, epoch, name)))
    seconds = _paper_training("seconds_per_epoch").value
    rows.append(("training", "seconds_per_epoch", seconds, _seconds(stopping)))
    for comparison in stoppings:
        target = comparison.pair.a.stop_at_accuracy
        suffix = "" if comparison is stopping else f", target {target:g}"
        for seed, when, accuracy, without, _ in _by_seed(comparison):
            quantities = {
                "epochs_to_target": when.epochs,
                "seconds_to_target": when.seconds,
                "test_accuracy": accuracy,
                "test_accuracy_without_stop": without,
            }
            for name, value in quantities.items():
                rows.append((f"seed {seed}{suffix}", name, None, [] if value is None else [value]))
    flat, cycle = [], stopping.pair.b.cycle_momentum
    for row, name, published, values in rows:
        seeds = aggregate_seeds(values) if values else {"mean": None, "sd": None}
        flat.append((cycle, row, name, published, seeds["mean"], seeds["sd"], len(values)))
    columns = ["cycle_momentum", "row", "quantity", "published", "mean", "sd", "n_seeds"]
    return pd.DataFrame(flat, columns=columns).astype(
        {"published": float, "mean": float, "sd": float}
    )
