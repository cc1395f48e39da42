"""What the networks cost, as tables: `results/efficiency`, the runs and the published sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group
from helpers.runs.replicas import metric_of
from study.costs.findings import (
    DATASETS,
    accuracy_group,
    int8_findings,
    judge_targets,
    published_sizes,
    times_frame,
)
from study.costs.memory import FORWARD, TRAINING
from study.costs.store import Store, device_title, disturbance_text, load_stores, origin
from study.costs.timing import Times
from study.plans.costs import COMPILED, EAGER, INT8, ONNX, Candidate, CostPlan, load_plan
from study.plans.ranking import START_WORDS, STARTS
from study.table import (
    COMMAND,
    Column,
    Pages,
    Table,
    code,
    column,
    deviation,
    ends,
    estimate,
    joined,
    number,
    page,
    percent,
    text,
)
from study.tables.comparisons import POINTS
from study.tables.scores import PERCENT, count_column
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


# --- cells and columns ---------------------------------------------------------------------------


def _seconds(name: str, times: Times | None) -> dict[str, Any]:
    """Return the median of an image's seconds, with quartiles, as cells of a row."""
    if times is None:
        return {}
    low, high = times.quartiles
    return {name: times.median, f"{name}_low": low, f"{name}_high": high}


def _throughput(times: Times | None, batch_size: int) -> dict[str, Any]:
    """Return the median of the images per second, with quartiles and rounds."""
    if times is None:
        return {}
    low, high = times.quartiles
    return {
        "throughput": batch_size / times.median,
        "throughput_low": batch_size / high,
        "throughput_high": batch_size / low,
        "throughput_rounds": f"n = {times.n}",
    }


def _ratio(ratio: Estimate | None) -> dict[str, Any]:
    """Return a ratio with its interval; where there are too few rounds for one, how many."""
    few = ratio is not None and ratio.low is None
    return ends("ratio", ratio) | {"ratio_rounds": f"n = {ratio.n}" if few else None}


def _ms(title: str, name: str, **options: Any) -> Column:
    return estimate(title, name, spec=".1f", scale=1000, missing=NOT_MEASURED, **options)


def _ratio_column(title: str, *, missing: str = NOT_MEASURED) -> Column:
    return estimate(title, "ratio", "ratio_rounds", spec=".2f", missing=missing)


def _throughput_column(plan: CostPlan, *, missing: str = NOT_MEASURED) -> Column:
    title = f"images per second, {plan.throughput_batch} at a time"
    return estimate(title, "throughput", "throughput_rounds", spec=".3g", missing=missing)


_COUNTED = {"spec": ".2f", "missing": NOT_MEASURED}
_PARAMS = count_column("parameters, M", "params", **_COUNTED)
_MACS = count_column("MACs, G", "macs", scale=1e-9, **_COUNTED)


def _memory_column(title: str, name: str) -> Column:
    return column(
        title,
        f"{name}_bytes",
        write=number,
        spec=".0f",
        scale=2**-20,
        missing=NOT_MEASURED,
        reason=f"{name}_reason",
    )


def _accuracy_columns() -> Iterator[Column]:
    for dataset, title in DATASETS.items():
        for start in STARTS:
            name = f"{dataset}_{start}"
            yield column(
                f"{title}, {START_WORDS[start]}, %",
                name,
                f"{name}_sd",
                f"{name}_note",
                write=deviation,
                missing=NOT_RUN,
                **PERCENT,
            )


# --- tables --------------------------------------------------------------------------------------


def target_table(store: Store, plan: CostPlan) -> Table:
    """Return the targets with ratios and verdicts."""
    rows = [
        {
            "target": found.target.title,
            "images at a time": found.batch_size,
            "ratio at most": found.target.at_most,
            "verdict": found.verdict,
            **_ratio(found.ratio),
        }
        for found in judge_targets(store, plan)
    ]
    columns = [
        "target",
        "images at a time",
        column("ratio at most", write=number, spec="g"),
        _ratio_column("ours (95 %)"),
        "verdict",
    ]
    return Table.of(rows, columns, "Targets")


def size_table(store: Store, plan: CostPlan) -> Table:
    """Return paper B's Table 4 and Fig. 14 beside our counts."""
    rows = []
    for size in published_sizes(store, plan):
        share = None
        if size.published.value and size.count is not None:
            share = size.count / size.published.value - 1
        rows.append(
            {
                "paper B": size.table,
                "system": size.row,
                "quantity": "MACs, G" if size.quantity == "flops" else "parameters, M",
                "published": size.published.printed,
                "counted": size.count,
                "with_norms": size.up_to and f"{size.up_to:.2f}",
                "difference": share,
                "model": size.model,
                "verdict": size.verdict,
            }
        )
    columns = [
        "paper B",
        "system",
        "quantity",
        "published",
        column(
            "counted (with normalisation)",
            "counted",
            "with_norms",
            write=lambda value, note: text(f"{value:.2f}", note),
            missing=NOT_MEASURED,
        ),
        column("difference", write=number, spec="+.0%"),
        column("model", write=code),
        "verdict",
    ]
    return Table.of(rows, columns, "Published sizes beside counted ones")


def _model_row(store: Store, plan: CostPlan, groups: Sequence[Group], model: str) -> dict[str, Any]:
    """Return all that is known of a network: counts, memory, times, ratios and accuracies."""
    eager, reference = Candidate(model, EAGER), Candidate(plan.reference, EAGER)
    row: dict[str, Any] = {"network": plan.titles[model], "model": model}
    row |= store.row("sizes", model=model) or {}
    for step in (FORWARD, TRAINING):
        if found := store.row("memory", model=model, step=step):
            row |= {f"{step}_bytes": found["bytes"], f"{step}_reason": found["reason"]}
    for form in FORMS:
        row |= _seconds(form, store.times(Candidate(model, form), **plan.latency))
    export = store.row("exports", model=model)
    if export is not None and export["reason"]:
        row["export_reason"] = "does not export"
    row |= _ratio(store.ratio(eager, reference, **plan.latency))
    row |= _throughput(store.times(eager, **plan.throughput), plan.throughput_batch)
    for dataset in DATASETS:
        for start in STARTS:
            group = accuracy_group(groups, dataset=dataset, model=model, start=start)
            row |= _accuracy(f"{dataset}_{start}", group)
    return row


def _accuracy(name: str, group: Group | None) -> dict[str, Any]:
    """Return the test accuracy, with the seeds where they are fewer than five."""
    if group is None:
        return {}
    marks = [f"n = {len(group.seeds)}"] if len(group.seeds) < 5 else []
    if group.config["recipe"] != "ranking":
        marks.append(f"recipe {group.config['recipe']}")
    mean, sd = group.mean_and_sd(lambda run: metric_of(run, "accuracy"))
    return {name: mean, f"{name}_sd": sd, f"{name}_note": ", ".join(marks)}


def model_table(store: Store, plan: CostPlan, groups: Sequence[Group]) -> Table:
    """Return all networks: size, memory, times, and accuracy from scratch and pretrained."""
    columns = [
        "network",
        _PARAMS,
        _MACS,
        _memory_column("memory of a forward pass, MiB", FORWARD),
        _memory_column(f"of a training step of {plan.training_batch}, MiB", TRAINING),
        _ms("latency, ms", EAGER),
        _ratio_column(f"latency / {plan.titles[plan.reference]}"),
        _ms("latency by ONNX Runtime, ms", ONNX, reason="export_reason"),
        _throughput_column(plan),
        *_accuracy_columns(),
    ]
    rows = [_model_row(store, plan, groups, model) for model in plan.models]
    return Table.of(rows, columns, "All networks")


def main_table(networks: Table, plan: CostPlan) -> Table:
    """Return the main networks of a `model_table` in short: size, latencies, accuracy."""
    latencies = (_ms(f"{title}, ms", form) for form, title in FORMS.items())
    columns = ["network", _PARAMS, _MACS, *latencies, *_accuracy_columns()]
    main = networks.keep(networks.frame["model"].isin(plan.main))
    return replace(main, columns=columns, caption="The main networks")


def form_table(store: Store, plan: CostPlan) -> Table:
    """Return the main networks in all forms: latency at both sizes, throughput."""
    rows = []
    for model in plan.main:
        for form, title in FORMS.items():
            candidate, eager = Candidate(model, form), Candidate(model, EAGER)
            row = {"network": plan.titles[model], "form": title}
            if reason := store.failure(candidate):
                rows.append(row | {"reason": reason})
                continue
            many = store.times(candidate, **plan.throughput)
            row |= _seconds("latency", store.times(candidate, **plan.latency))
            row |= _ratio(store.ratio(candidate, eager, **plan.latency))
            row |= _seconds("small", store.times(candidate, **plan.small_latency))
            rows.append(row | _throughput(many, plan.throughput_batch))
    columns = [
        "network",
        "form",
        _ms(f"latency at {plan.image_size} px, ms", "latency", reason="reason"),
        _ratio_column("latency / own eager", missing=""),
        estimate(f"latency at {plan.small_size} px, ms", "small", spec=".1f", scale=1000),
        _throughput_column(plan, missing=""),
    ]
    return Table.of(rows, columns, "Forms")


def export_table(store: Store, plan: CostPlan) -> Table:
    """Return which networks export to ONNX, how exactly, and why the others do not."""
    rows = []
    for model in plan.models:
        found = store.row("exports", model=model) or {}
        exports = "no" if found.get("reason") else f"yes, opset {found['opset']}" if found else None
        rows.append({"network": plan.titles[model], "exports": exports} | found)
    columns = [
        "network",
        column("exports", missing=NOT_MEASURED),
        column(
            "largest difference of a logit, of the largest logit",
            "difference",
            "scale",
            write=lambda difference, scale: f"{difference:.0e} of {scale:.1g}",
        ),
        column("why not", "reason"),
    ]
    return Table.of(rows, columns, "Export to ONNX")


def int8_table(store: Store, plan: CostPlan) -> Table:
    """Return the accuracy of the exported networks with 8-bit integers."""
    rows = [
        {
            "network": plan.titles[found.model],
            "data set": found.dataset,
            "size": found.image_size,
            "seeds x test images": f"{found.seeds} x {found.n}",
            "float32, %": found.eager,
            "int8, %": found.int8,
            "change, points": -found.drop,
            **ends("changed", found.changed),
        }
        for found in int8_findings(store)
    ]
    columns = [
        "network",
        "data set",
        column("size", write="{} px".format),
        "seeds x test images",
        column("float32, %", write=percent),
        column("int8, %", write=percent),
        column("change, points", write=number, **POINTS),
        estimate("decisions changed, %", "changed", **PERCENT),
    ]
    return Table.of(rows, columns, "Accuracy with 8-bit integers", "Not measured.")


# --- files ---------------------------------------------------------------------------------------


def _sections(
    stores: Sequence[Store], plan: CostPlan, groups: Sequence[Group]
) -> Iterator[str | Table]:
    """Yield a part for each device."""
    for store in stores:
        yield from (f"## {device_title(store)}", f"{origin(store)}. {disturbance_text(store)}")
        yield from ("### Targets", target_table(store, plan))
        yield from ("### Paper B's Table 4 and Fig. 14", size_table(store, plan))
        yield from (f"### All networks, {plan.image_size} px", model_table(store, plan, groups))
        yield from ("### Forms", form_table(store, plan))
        yield from ("### Export to ONNX", export_table(store, plan))
        yield "### Accuracy with 8-bit integers"
        yield (
            "Static quantisation by ONNX Runtime (QDQ), calibrated on up to "
            f"{plan.calibration_images} validation images, judged on the test images."
        )
        yield int8_table(store, plan)


def cost_pages(groups: Sequence[Group]) -> Pages:
    """Return all measured costs; the block has targets, printed sizes, the main networks.

    The accuracies are those of the groups, real runs.
    """
    plan, stores = load_plan(), load_stores()
    if not stores:
        return Pages({}, f"Not measured yet: `{COMMAND_STUDY}`.")
    intro = (
        f"{NOTE} Accuracy is that of the stored runs in the protocol of Table 3 (recipe `ranking`) "
        "on 28 px files, mean ± sd over seeds."
    )
    sections = _sections(stores, plan, groups)
    files = {
        "efficiency.md": page("What the networks cost", intro, *sections),
        "efficiency.csv": Table(times_frame(stores, plan), []).csv(),
    }
    store = stores[0]
    block = joined(
        NOTE,
        f"**{device_title(store)}.** {disturbance_text(store)}",
        target_table(store, plan),
        size_table(store, plan),
        main_table(model_table(store, plan, groups), plan),
        "All networks, memory, throughput, exports, every device: "
        f"[efficiency](results/tables/efficiency.md). Made by `{COMMAND}` from what "
        f"`{COMMAND_STUDY}` measured ({origin(store)}).",
    )
    return Pages(files, block)
