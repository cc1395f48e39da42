"""Paper A's claims on the ARCADE patches, as tables: `params/comparisons.yaml` and the run store.

`study.tables` writes them and checks that they are not stale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.metrics.seeds import aggregate_seeds
from helpers.runs.groups import Group, find_group
from study.compare import Compared, Results, compare_all, measure
from study.plans.comparisons import Plan, System
from study.published import PRINTED_EPOCHS, Published, lookup
from study.table import COMMAND, csv_text, folded, markdown_table, mean_sd, origin, page, percent
from study.tables.accuracy import range_text
from study.tables.comparisons import (
    FULL,
    OTHER_IMAGES,
    RULE,
    SHORT,
    comparison_frame,
    comparison_table,
    family_sections,
    gain_table,
    in_words,
)
from study.verdicts import NOT_RUN
from study.words import gain_sentence, interval_text, protocol_text, sentence

DYNAMICS = {
    "train_accuracy": "training accuracy, %",
    "val_accuracy": "validation accuracy, %",
    "val_auc": "validation AUC",
    "learning_rate": "learning rate",
}
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


METRICS = {
    "accuracy": "accuracy, %",
    "auc": "AUC",
    "f1": "F1",
    "sensitivity": "sensitivity, %",
    "specificity": "specificity, %",
}
IN_PERCENT = ("accuracy", "sensitivity", "specificity")
HEADINGS = {"imagenet": "Started from ImageNet weights", "none": "Trained from scratch"}
TABLE4_FAMILIES = {"imagenet": "table4", "none": "table4_scratch"}


def comparison_files(groups: Sequence[Group], plan: Plan) -> dict[str, str]:
    """Return the generated files: name -> content."""
    results = compare_all(groups, plan)
    return (
        ablation_files(results)
        | table4_files(results)
        | table1_files(results)
        | robustness_files(results)
    )


def ablation_files(results: Results) -> dict[str, str]:
    """Return the ablation's tables."""
    intro = (
        "Is each part of paper A's framework needed, and does it matter how its loss is read? The "
        f"paper has no ablation. {RULE}"
    )
    names = ("ablation", "readings")
    sections = [section for name in names for section in family_sections(results, name)]
    return {
        "cag_ablation.md": page(
            "Paper A: each part taken away", intro, results.of_families(*names), sections
        ),
        "cag_ablation.csv": csv_text(comparison_frame(results, *names)),
    }


# --- Table 4 -------------------------------------------------------------------------------------


def table4_files(results: Results) -> dict[str, str]:
    """Return Table 4 beside ours, and the printed gains beside the measured differences."""
    sections = []
    for start, heading in HEADINGS.items():
        systems = results.plan.systems[start]
        sections += [f"## {heading}", system_table(results, systems)]
        compared = results.compared[TABLE4_FAMILIES[start]]
        sections += [comparison_table(compared, FULL), in_words(compared)]
        sections += ["Printed gains beside ours:", gain_table(results, compared)]
    intro = (
        f"{OTHER_IMAGES} Values are means ± sd over seeds, with 95 % intervals for other images "
        f"and other seeds; in brackets what the paper prints. {RULE} Of a printed gain the sign is "
        "judged, with the power for its size, and never the size itself."
    )
    systems = [system for rows in results.plan.systems.values() for system in rows]
    used = results.used([system.config for system in systems])
    used += [g for g in results.of_families(*TABLE4_FAMILIES.values()) if g not in used]
    return {
        "cag_table4.md": page("Paper A, Table 4", intro, used, sections),
        "cag_table4.csv": csv_text(table4_frame(results)),
    }


def system_table(results: Results, systems: Sequence[System]) -> str:
    """Write systems with the published row beside ours."""
    head = ["system", "protocol", "seeds", "parameters, M (paper)"]
    for title in METRICS.values():
        head += [f"{title} (paper)"]
    head.insert(5, "95 %")
    head.insert(7, "95 %")
    return markdown_table(head, [_system_cells(results, system) for system in systems])


def _system_cells(results: Results, system: System) -> list[str]:
    group = find_group(results.groups, system.config)
    params = f"{group.record['model']['params'] / 1e6:.1f}" if group else ""
    cells = [
        system.title,
        protocol_text(system.config),
        f"n = {len(group.seeds)}" if group else NOT_RUN,
        _beside(params, _published(system, "params")),
    ]
    for metric in METRICS:
        ours = ""
        if group:
            in_percent = {"scale": 100, "digits": 1} if metric in IN_PERCENT else {}
            ours = mean_sd(group.values(metric), **in_percent)
        cells.append(_beside(ours, _published(system, metric)))
        if metric == "accuracy":
            cells.append(range_text(group.accuracy) if group else "")
        if metric == "auc":
            cells.append(range_text(group.auc, scale=1, digits=3) if group else "")
    return cells


def _beside(ours: str, published: Published | None) -> str:
    if published is None:
        return ours
    return f"{ours} ({published.printed})".strip()


def _published(system: System, column: str) -> Published | None:
    """Return a system's value in Table 4; what only Table 2 prints is the framework's own."""
    if system.published is None:
        return None
    if column not in ("sensitivity", "specificity"):
        return lookup(paper="A", table="Table 4", row=system.published, column=column)
    if system.config.model != "brain_inspired_resnet18":
        return None
    return lookup(paper="A", table="Table 2", row="test", column=column)


TABLE4_COLUMNS = (
    *("pretrained", "system", "protocol", "seeds", "n_seeds", "n_test_images", "params"),
    *(f"{metric}_{part}" for metric in METRICS for part in ("mean", "sd")),
    *("accuracy_low", "accuracy_high", "auc_low", "auc_high"),
    *(f"published_{name}" for name in ("params_M", *METRICS)),
)


def table4_frame(results: Results) -> pd.DataFrame:
    """Return the systems of Table 4 as a tidy table: shares from 0 to 1."""
    rows = []
    for start, systems in results.plan.systems.items():
        for system in systems:
            rows.append({"pretrained": start} | _flat_system(results, system))
    table = pd.DataFrame(rows, columns=TABLE4_COLUMNS)
    return table.astype(dict.fromkeys(["n_seeds", "n_test_images", "params"], "Int64"))


def _flat_system(results: Results, system: System) -> dict[str, Any]:
    group = find_group(results.groups, system.config)
    flat: dict[str, Any] = {
        "system": system.title,
        "protocol": protocol_text(system.config).replace("`", ""),
        "n_seeds": len(group.seeds) if group else 0,
    }
    if params := _published(system, "params"):
        flat["published_params_M"] = params.value
    for metric in METRICS:
        if published := _published(system, metric):
            flat[f"published_{metric}"] = published.fraction
    if group:
        flat |= {
            "seeds": " ".join(map(str, group.seeds)),
            "n_test_images": group.n_test,
            "params": group.record["model"]["params"],
        }
        for metric in METRICS:
            seeds = aggregate_seeds(group.values(metric))
            flat |= {f"{metric}_mean": seeds["mean"], f"{metric}_sd": seeds["sd"]}
        for metric, mean in (("accuracy", group.accuracy), ("auc", group.auc)):
            flat |= {f"{metric}_low": mean.low, f"{metric}_high": mean.high}
    return flat


# --- robustness ----------------------------------------------------------------------------------

UNDAMAGED = "undamaged"


def robustness_files(results: Results) -> dict[str, str]:
    """Return the comparisons on damaged training data, and what the damage costs each side."""
    intro = f"The training split alone is damaged; validation and test are as they were. {RULE}"
    sections = [
        *family_sections(results, "robustness"),
        "## What the damage costs",
        "AUC with the damage less AUC without it, of the same protocol (95 %, not corrected).",
        _cost_table(results.compared["robustness"]),
    ]
    used = results.of_families("robustness")
    return {
        "cag_robustness.md": page("Paper A: damaged training data", intro, used, sections),
        "cag_robustness.csv": csv_text(comparison_frame(results, "robustness")),
    }


def _cost_table(compared: Sequence[Compared]) -> str:
    (whole,) = (c for c in compared if c.pair.name == UNDAMAGED)
    cells = [
        [c.pair.name.replace("_", " "), _cost(c.a, whole.a), _cost(c.b, whole.b)]
        for c in compared
        if c is not whole
    ]
    return markdown_table(["damage", "A: focal, smoothing, balanced", "B: cross-entropy"], cells)


def _cost(damaged: Group | None, whole: Group | None) -> str:
    if not (found := measure(damaged, whole)):
        return NOT_RUN
    return f"{interval_text(found['auc'])}, n = {len(found['seeds'])}"


# --- the README ----------------------------------------------------------------------------------


def readme_block(groups: Sequence[Group], plan: Plan) -> str:
    """Return the README's summary of paper A."""
    results = compare_all(groups, plan)
    parts = [
        f"{OTHER_IMAGES} Differences are paired by seed; their 95 % intervals cover test images "
        "and seeds, and verdicts are corrected for the number of comparisons "
        "(`params/comparisons.yaml`, each written down before any of its runs was stored, but "
        "for those marked there)."
    ]
    for start, heading in HEADINGS.items():
        parts += [f"**Table 4. {heading}**", _summary(results, plan.systems[start])]
    parts.append("**Each part of the framework taken away** (ImageNet weights)")
    parts.append(comparison_table(results.compared["ablation"], SHORT))
    parts.append(folded("Every other comparison in words", _in_short(results)))
    links = {
        "Table 4": "cag_table4",
        "ablation": "cag_ablation",
        "Table 1": "cag_table1",
        "damaged training data": "cag_robustness",
    }
    listed = ", ".join(f"[{name}](results/tables/{file}.md)" for name, file in links.items())
    made = f"Made by `{COMMAND}`; {origin(results.groups)}."
    parts.append(f"In full: {listed}. {made}")
    return "\n\n".join(parts)


def _summary(results: Results, systems: Sequence[System]) -> str:
    head = ["system", "accuracy, %", "AUC", "seeds", "paper: accuracy, %", "paper: AUC"]
    cells = []
    for system in systems:
        group = find_group(results.groups, system.config)
        ours = [NOT_RUN, "", ""]
        if group:
            accuracy = mean_sd(group.values("accuracy"), scale=100, digits=1)
            ours = [accuracy, mean_sd(group.values("auc")), f"n = {len(group.seeds)}"]
        printed = [_published(system, name) for name in ("accuracy", "auc")]
        cells.append([system.title, *ours, *(p.printed if p else "" for p in printed)])
    return markdown_table(head, cells)


def _in_short(results: Results) -> str:
    """List each family but the ablation: its sentences, or that none of it was run."""
    lines = []
    for family in results.plan.families:
        compared = results.compared[family.name]
        if family.name == "ablation":
            continue
        if all(c.verdict == NOT_RUN for c in compared):
            lines.append(f"- *{family.title}*: {NOT_RUN}.")
            continue
        lines.append(f"- *{family.title}*:")
        lines += [f"  - {sentence(c)} {gain_sentence(results.gains(c))}".rstrip() for c in compared]
    return "\n".join(lines)
