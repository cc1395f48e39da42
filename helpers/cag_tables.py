"""Paper A's claims on the ARCADE patches, as tables: `params/comparisons.yaml` and the run store.

`helpers.tables` writes them and checks that they are not stale.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from helpers.cag_table1 import table1_files
from helpers.comparison_tables import (
    FULL,
    OTHER_IMAGES,
    RULE,
    SHORT,
    Results,
    compare_all,
    comparison_frame,
    comparison_table,
    family_sections,
    gain_table,
    in_words,
    interval_text,
    protocol_text,
)
from helpers.comparisons import (
    Compared,
    Plan,
    System,
    find_group,
    gain_sentence,
    paired_predictions,
    sentence,
)
from helpers.groups import Group
from helpers.metrics import aggregate_seeds
from helpers.paired import auc_difference, mean_auc
from helpers.published import Published, lookup
from helpers.table_text import (
    COMMAND,
    csv_text,
    folded,
    markdown_table,
    mean_sd,
    origin,
    page,
    percent,
)
from helpers.verdicts import NOT_RUN, SeedMean

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
        sections += ["Printed gains beside ours:", gain_table(compared)]
    intro = (
        f"{OTHER_IMAGES} Values are means ± sd over seeds, with 95 % intervals for images "
        "(accuracy Wilson, AUC DeLong) and seeds (t); in brackets what the paper prints. "
        f"{RULE} A printed gain is *reproduced* where our interval contains it and a gain is "
        "shown, *inconclusive* where it contains it and none is shown."
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
            cells.append(_range(group.accuracy, percent) if group else "")
        if metric == "auc":
            cells.append(_range(group_auc(group), "{:.3f}".format) if group else "")
    return cells


def group_auc(group: Group) -> SeedMean:
    """Return the mean test AUC of a group's seeds."""
    _, y_true, probabilities, _ = paired_predictions(group, group)
    return mean_auc(y_true, probabilities)


def _range(mean: SeedMean, write: Callable[[float], str]) -> str:
    return f"{write(mean.low)} to {write(mean.high)}"


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
        for metric, mean in (("accuracy", group.accuracy), ("auc", group_auc(group))):
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
    if damaged is None or whole is None:
        return NOT_RUN
    seeds, y_true, *sides = paired_predictions(damaged, whole)
    return (
        f"{interval_text(auc_difference(y_true, *sides))}, n = {len(seeds)}" if seeds else NOT_RUN
    )


# --- the README ----------------------------------------------------------------------------------


def readme_block(groups: Sequence[Group], plan: Plan) -> str:
    """Return the README's summary of paper A."""
    results = compare_all(groups, plan)
    parts = [
        f"{OTHER_IMAGES} Differences are paired by seed; their 95 % intervals cover test images "
        "and seeds, and verdicts are corrected for the number of comparisons "
        "(`params/comparisons.yaml`, fixed before any test split was read, but for those "
        "marked there)."
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
        lines += [f"  - {sentence(c)} {gain_sentence(c)}".rstrip() for c in compared]
    return "\n".join(lines)
