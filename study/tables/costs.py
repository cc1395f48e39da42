"""What the networks cost, as tables: `results/efficiency`, the runs and the published sizes.

`study.tables` writes them and checks that they are not stale.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group
from study.costs.findings import (
    DATASETS,
    STARTS,
    accuracy_group,
    int8_findings,
    judge_targets,
    published_sizes,
)
from study.costs.memory import FORWARD, TRAINING
from study.costs.store import PHASES, QUIET, Store, stored_paths
from study.costs.timing import Times
from study.plans.costs import BACKENDS, COMPILED, EAGER, INT8, ONNX, Candidate, Plan, load_plan
from study.table import COMMAND, csv_text, markdown_table, mean_sd, percent
from study.verdicts import NOT_RUN

NOT_MEASURED = "not measured"
FORMS = {
    EAGER: "eager",
    COMPILED: "compiled",
    ONNX: "ONNX Runtime",
    INT8: "ONNX Runtime, int8",
}
NOTE = (
    "Times are medians over rounds in which the candidates take turns, with quartiles; a ratio is "
    "the median over the rounds of one measurement, with the 95 % interval of the sign test. "
    "Multiply-accumulates (MACs) are those of one image, by `torch.utils.flop_counter` / 2, "
    "attention and selective scan included; what papers call FLOPs by thop are MACs. Peak memory "
    "is what a process needs above what it needed before the network was built. The targets and "
    "their rule stand in `params/efficiency.yaml`, written before the first measurement."
)
COMMAND_STUDY = "python -m study costs"


# --- pieces --------------------------------------------------------------------------------------


def ms(times: Times | None) -> str:
    """Write a time of one image in milliseconds: median and quartiles."""
    if times is None:
        return NOT_MEASURED
    low, high = times.quartiles
    return f"{1000 * times.median:.1f} ({1000 * low:.1f} to {1000 * high:.1f})"


def per_second(times: Times | None, batch_size: int) -> str:
    """Write a throughput in images per second: median, quartiles and rounds."""
    if times is None:
        return NOT_MEASURED
    low, high = times.quartiles
    values = (batch_size / seconds for seconds in (times.median, high, low))
    middle, slow, fast = (f"{value:.3g}" for value in values)
    return f"{middle} ({slow} to {fast}), n = {times.n}"


def ratio_text(ratio: Estimate | None) -> str:
    """Write a ratio with its interval."""
    if ratio is None:
        return NOT_MEASURED
    if ratio.low is None:
        return f"{ratio.value:.2f} (n = {ratio.n})"
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def megabytes(store: Store, model: str, step: str) -> str:
    """Write the peak memory of a step in MiB."""
    row = store.row("memory", model=model, step=step)
    if row is None:
        return NOT_MEASURED
    return row["reason"] if row["bytes"] is None else f"{row['bytes'] / 2**20:.0f}"


def accuracy_text(group: Group | None) -> str:
    """Write the test accuracy in percent, with the seeds where they are fewer than five."""
    if group is None:
        return NOT_RUN
    text = mean_sd(group.values("accuracy"), scale=100, digits=1)
    marks = [f"n = {len(group.seeds)}"] if len(group.seeds) < 5 else []
    if group.config["recipe"] != "ranking":
        marks.append(f"recipe {group.config['recipe']}")
    return f"{text} ({', '.join(marks)})" if marks else text


def origin(store: Store) -> str:
    """Say where, with which versions and when the numbers were measured, phases alike together."""
    found: dict[str, list[str]] = {}
    for phase in reversed(PHASES):
        if about := store.about_phase(phase):
            env, sha = about["env"], (about["git"]["sha"] or "unknown")[:10]
            text = (
                f"{env['device']}, threads {env['threads']}, torch {env['torch']}, ONNX Runtime "
                f"{env['onnxruntime'] or 'none'}, {about['date']}, code {sha}"
            )
            found.setdefault(text, []).append(phase)
    return "; ".join(f"{', '.join(phases)}: {text}" for text, phases in found.items())


def disturbance_text(store: Store) -> str:
    """Say how much others disturbed the times."""
    share = store.disturbance
    if not store.rows("times"):
        return "Times are not measured yet."
    if share is None:
        return "How much other processes disturbed the times is not known on this system."
    if share <= QUIET:
        return f"Other processes took at most {share:.0%} of the machine while times were measured."
    return (
        f"**Provisional times**: other processes took up to {share:.0%} of the machine while they "
        "were measured."
    )


# --- tables --------------------------------------------------------------------------------------


def target_table(store: Store, plan: Plan) -> str:
    """Return the targets with ratios and verdicts."""
    lines = [
        [
            judged.target.title,
            str(judged.batch_size),
            f"{judged.target.at_most:g}",
            ratio_text(judged.ratio) if judged.ratio else NOT_MEASURED,
            judged.verdict,
        ]
        for judged in judge_targets(store, plan)
    ]
    head = ["target", "images at a time", "ratio at most", "ours (95 %)", "verdict"]
    return markdown_table(head, lines)


def size_table(store: Store, plan: Plan) -> str:
    """Return paper B's Table 4 and Fig. 14 beside our counts."""
    lines = []
    for size in published_sizes(store, plan):
        ours = NOT_MEASURED if size.in_unit is None else f"{size.in_unit:.2f}"
        if size.with_norms is not None:
            ours += f" ({size.with_norms:.2f})"
        share = ""
        if size.published.value and size.in_unit is not None:
            share = f"{size.in_unit / size.published.value - 1:+.0%}"
        quantity = "MACs, G" if size.quantity == "flops" else "parameters, M"
        lines.append(
            [
                *(size.table, size.row, quantity, size.published.printed, ours, share),
                f"`{size.model}`",
                size.verdict,
            ]
        )
    head = ["paper B", "system", "quantity", "published", "counted (with normalisation)"]
    return markdown_table([*head, "difference", "model", "verdict"], lines)


def model_table(store: Store, plan: Plan, groups: Sequence[Group]) -> str:
    """Return all networks: size, memory, times, and accuracy from scratch and pretrained."""
    lines = []
    for model in plan.models:
        counts = store.row("sizes", model=model)
        sizes = (
            [NOT_MEASURED] * 2
            if counts is None
            else [f"{counts['params'] / 1e6:.2f}", f"{counts['macs'] / 1e9:.2f}"]
        )
        one = {"image_size": plan.image_size, "batch_size": plan.latency_batch}
        many = {"image_size": plan.image_size, "batch_size": plan.throughput_batch}
        eager, graph = Candidate(model, EAGER), Candidate(model, ONNX)
        reference = Candidate(plan.reference, EAGER)
        lines.append(
            [
                plan.titles[model],
                *sizes,
                *(megabytes(store, model, step) for step in (FORWARD, TRAINING)),
                ms(store.times(eager, **one)),
                ratio_text(store.ratio(eager, reference, **one)),
                _ms_or_reason(store, graph, one),
                per_second(store.times(eager, **many), plan.throughput_batch),
                *_accuracies(groups, model),
            ]
        )
    head = [
        "network",
        "parameters, M",
        "MACs, G",
        "memory of a forward pass, MiB",
        f"of a training step of {plan.training_batch}, MiB",
        "latency, ms",
        f"latency / {plan.titles[plan.reference]}",
        "latency by ONNX Runtime, ms",
        f"images per second, {plan.throughput_batch} at a time",
        *(f"{title}, {words}, %" for title in DATASETS.values() for words in STARTS.values()),
    ]
    return markdown_table(head, lines)


def _ms_or_reason(store: Store, candidate: Candidate, where: dict[str, int]) -> str:
    times = store.times(candidate, **where)
    export = store.row("exports", model=candidate.model)
    if times is None and export is not None and export["reason"]:
        return "does not export"
    return ms(times)


def _accuracies(groups: Sequence[Group], model: str) -> list[str]:
    return [
        accuracy_text(accuracy_group(groups, dataset=dataset, model=model, start=start))
        for dataset in DATASETS
        for start in STARTS
    ]


def form_table(store: Store, plan: Plan) -> str:
    """Return the main networks in all forms: latency at both sizes, throughput."""
    lines = []
    for model in plan.main:
        for form, title in FORMS.items():
            candidate = Candidate(model, form)
            if reason := store.failure(candidate):
                lines.append([plan.titles[model], title, reason, "", "", ""])
                continue
            one = {"image_size": plan.image_size, "batch_size": plan.latency_batch}
            many = {"image_size": plan.image_size, "batch_size": plan.throughput_batch}
            small = {"image_size": plan.small_size, "batch_size": plan.latency_batch}
            eager = Candidate(model, EAGER)
            lines.append(
                [
                    plan.titles[model],
                    title,
                    ms(store.times(candidate, **one)),
                    ratio_text(store.ratio(candidate, eager, **one)),
                    ms(store.times(candidate, **small)),
                    per_second(store.times(candidate, **many), plan.throughput_batch),
                ]
            )
    head = [
        "network",
        "form",
        f"latency at {plan.image_size} px, ms",
        "latency / own eager",
        f"latency at {plan.small_size} px, ms",
        f"images per second, {plan.throughput_batch} at a time",
    ]
    return markdown_table(head, lines)


def export_table(store: Store, plan: Plan) -> str:
    """Return which networks export to ONNX, how exactly, and why the others do not."""
    lines = []
    for model in plan.models:
        row = store.row("exports", model=model)
        if row is None:
            lines.append([plan.titles[model], NOT_MEASURED, "", ""])
        elif row["reason"]:
            lines.append([plan.titles[model], "no", "", row["reason"]])
        else:
            difference = f"{row['difference']:.0e} of {row['scale']:.1g}"
            lines.append([plan.titles[model], f"yes, opset {row['opset']}", difference, ""])
    head = ["network", "exports", "largest difference of a logit, of the largest logit", "why not"]
    return markdown_table(head, lines)


def int8_table(store: Store, plan: Plan) -> str:
    """Return the accuracy of the exported networks with 8-bit integers."""
    lines = [
        [
            plan.titles[found.model],
            found.dataset,
            f"{found.image_size} px",
            f"{found.seeds} x {found.n}",
            percent(found.eager),
            percent(found.int8),
            f"{-100 * found.drop:+.1f}",
            f"{100 * found.changed.value:.1f} ({percent(found.changed.low)} to "
            f"{percent(found.changed.high)})",
        ]
        for found in int8_findings(store)
    ]
    if not lines:
        return "Not measured."
    head = ["network", "data set", "size", "seeds x test images", "float32, %", "int8, %"]
    return markdown_table([*head, "change, points", "decisions changed, %"], lines)


# --- files ---------------------------------------------------------------------------------------


def efficiency_page(stores: Sequence[Store], plan: Plan, groups: Sequence[Group]) -> str:
    """Return the page: a part for each device."""
    parts = [
        f"<!-- Generated by `{COMMAND}`; do not edit. -->",
        "# What the networks cost",
        f"{NOTE} Accuracy is that of the stored runs in the protocol of Table 3 (recipe `ranking`) "
        "on 28 px files, mean ± sd over seeds.",
    ]
    for store in stores:
        parts += [
            f"## {device_title(store)}",
            f"{origin(store)}. {disturbance_text(store)}",
            "### Targets",
            target_table(store, plan),
            "### Paper B's Table 4 and Fig. 14",
            size_table(store, plan),
            f"### All networks, {plan.image_size} px",
            model_table(store, plan, groups),
            "### Forms",
            form_table(store, plan),
            "### Export to ONNX",
            export_table(store, plan),
            "### Accuracy with 8-bit integers",
            f"Static quantisation by ONNX Runtime (QDQ), calibrated on up to "
            f"{plan.calibration_images} validation images, judged on the test images.",
            int8_table(store, plan),
        ]
    return "\n\n".join(parts) + "\n"


def device_title(store: Store) -> str:
    """Return the device and the number of threads as a heading."""
    env = next(iter(store.content["phases"].values()))["about"]["env"]
    return f"{env['device']}, {env['threads']} thread{'s' if env['threads'] > 1 else ''}"


def efficiency_frame(stores: Sequence[Store], plan: Plan) -> pd.DataFrame:
    """Return all times as a flat table: one line a device, size, batch, network and form."""
    lines: list[dict[str, Any]] = []
    reference = Candidate(plan.reference, EAGER)
    where = [
        (plan.image_size, plan.latency_batch),
        (plan.image_size, plan.throughput_batch),
        (plan.small_size, plan.latency_batch),
    ]
    for store in stores:
        for model in plan.models:
            counts = store.row("sizes", model=model) or {}
            for form in BACKENDS:
                for image_size, batch_size in where:
                    place = {"image_size": image_size, "batch_size": batch_size}
                    candidate = Candidate(model, form)
                    times = store.times(candidate, **place)
                    if times is None:
                        continue
                    ratio = store.ratio(candidate, reference, **place)
                    lines.append(
                        {
                            "device": store.path.stem,
                            "model": model,
                            "form": form,
                            **place,
                            "params": counts.get("params"),
                            "macs_224": counts.get("macs"),
                            "rounds": times.n,
                            "median_ms": 1000 * times.median,
                            "q1_ms": 1000 * times.quartiles[0],
                            "q3_ms": 1000 * times.quartiles[1],
                            "images_per_second": batch_size / times.median,
                            "ratio_to_reference": None if ratio is None else ratio.value,
                            "ratio_low": None if ratio is None else ratio.low,
                            "ratio_high": None if ratio is None else ratio.high,
                        }
                    )
    return pd.DataFrame(lines)


def load_stores() -> list[Store]:
    """Return the measurements of all devices, CPU first."""
    return [Store.read(path) for path in stored_paths()]


def efficiency_files(groups: Sequence[Group]) -> dict[str, str]:
    """Return the generated files: name -> content; none while nothing is measured.

    Args:
        groups: real runs, for the accuracies.
    """
    stores, plan = load_stores(), load_plan()
    if not stores:
        return {}
    return {
        "efficiency.md": efficiency_page(stores, plan, groups),
        "efficiency.csv": csv_text(efficiency_frame(stores, plan)),
    }


def readme_efficiency(groups: Sequence[Group]) -> str:
    """Return the README's block: targets, the main networks, and what was found in words."""
    stores, plan = load_stores(), load_plan()
    if not stores:
        return f"Not measured yet: `{COMMAND_STUDY}`."
    store = stores[0]
    return "\n\n".join(
        [
            NOTE,
            f"**{device_title(store)}.** {disturbance_text(store)}",
            target_table(store, plan),
            main_table(store, plan, groups),
            "\n".join(f"- {line}" for line in in_words(store, plan)),
            "All networks, memory, throughput, exports, every device: "
            f"[efficiency](results/tables/efficiency.md). Made by `{COMMAND}` from what "
            f"`{COMMAND_STUDY}` measured ({origin(store)}).",
        ]
    )


def main_table(store: Store, plan: Plan, groups: Sequence[Group]) -> str:
    """Return the main networks in short: size, latency in all forms, accuracy."""
    one = {"image_size": plan.image_size, "batch_size": plan.latency_batch}
    lines = []
    for model in plan.main:
        counts = store.row("sizes", model=model)
        lines.append(
            [
                plan.titles[model],
                NOT_MEASURED if counts is None else f"{counts['params'] / 1e6:.2f}",
                NOT_MEASURED if counts is None else f"{counts['macs'] / 1e9:.2f}",
                *(ms(store.times(Candidate(model, form), **one)) for form in FORMS),
                *_accuracies(groups, model),
            ]
        )
    head = ["network", "parameters, M", "MACs, G", *(f"{title}, ms" for title in FORMS.values())]
    titles = (f"{title}, {words}, %" for title in DATASETS.values() for words in STARTS.values())
    return markdown_table([*head, *titles], lines)


def in_words(store: Store, plan: Plan) -> Iterable[str]:
    """Say the findings in sentences."""
    for size in published_sizes(store, plan):
        if size.row == "MedSpectralNet" and size.in_unit is not None:
            unit = "G multiply-accumulates" if size.quantity == "flops" else "M parameters"
            yield (
                f"MedSpectralNet, {size.table}: printed {size.published.printed} {unit}, counted "
                f"{size.in_unit:.2f} with {plan.num_classes} classes: {size.verdict}."
            )
    rows = store.rows("exports")
    if rows:
        failed = [plan.titles[row["model"]] for row in rows if row["reason"]]
        worst = max((r["difference"] for r in rows if r["reason"] is None), default=None)
        text = f"{len(rows) - len(failed)} of {len(rows)} networks export to ONNX"
        if worst is not None:
            text += f"; the largest difference of a logit is {worst:.0e}"
        yield f"{text}." + (f" Not: {', '.join(failed)}." if failed else "")
    found = int8_findings(store)
    if found:
        worst = max(found, key=lambda f: f.drop)
        yield (
            f"With 8-bit integers accuracy changes by {-100 * worst.drop:+.1f} points at worst "
            f"({plan.titles[worst.model]}, {worst.dataset}, {worst.seeds} x {worst.n} test images)."
        )
