"""What the efficiency study found: targets judged, published sizes beside counted, accuracy."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from helpers.config import make_config
from helpers.metrics.scores import Estimate, proportion
from helpers.runs.groups import Group, find_group
from study.costs.store import Store
from study.plans.costs import BACKENDS, EAGER, ONNX, Candidate, CostPlan, Target
from study.published import lookup
from study.sizes import Counted, count_sizes
from study.verdicts import INCONCLUSIVE, MET, MISSED, NOT_RUN

DATASETS = {"breastmnist": "BreastMNIST", "pneumoniamnist": "PneumoniaMNIST"}
# The one protocol of Table 3 first; where it was not run, the one that is in the README's status.
RECIPES = ("ranking", "common")

# Rows of paper B's Table 4 and Fig. 14, and the network that stands for each here.
PRINTED = (
    ("Table 4", "MedSpectralNet", "flops", "medspectralnet"),
    ("Table 4", "ConvNeXt-T", "flops", "convnext_tiny"),
    ("Table 4", "Swin-T", "flops", "swin_tiny"),
    ("section 4.7", "ResNet-50", "flops", "resnet50"),
    ("Fig. 14", "MedSpectralNet", "params", "medspectralnet"),
    ("Fig. 14", "MedMamba-T", "params", "medmamba_t"),
    ("Fig. 14", "VMamba-T", "params", "vmamba_t"),
    ("Fig. 14", "Swin-T", "params", "swin_tiny"),
    ("Fig. 14", "MobileViT", "params", "mobilevit_s"),
    ("Fig. 14", "Nest-Tiny", "params", "nest_tiny"),
)


@dataclass(frozen=True)
class TargetResult:
    """A target at one batch size."""

    target: Target
    batch_size: int
    ratio: Estimate | None  # ours, None if not measured
    verdict: str  # `MET`, `MISSED`, `INCONCLUSIVE` or `NOT_RUN`


def judge_target(ratio: Estimate | None, at_most: float) -> str:
    """Apply the rule of `params/efficiency.yaml`."""
    if ratio is None:
        return NOT_RUN
    if ratio.low is None:
        return INCONCLUSIVE
    if ratio.high <= at_most:
        return MET
    return MISSED if ratio.low > at_most else INCONCLUSIVE


def judge_targets(store: Store, plan: CostPlan) -> list[TargetResult]:
    """Judge all targets, for one image and for many at a time."""
    found = []
    for target in plan.targets:
        for place in (plan.latency, plan.throughput):
            ratio = store.ratio(target.time, target.of, **place)
            verdict = judge_target(ratio, target.at_most)
            found.append(TargetResult(target, place["batch_size"], ratio, verdict))
    return found


@dataclass(frozen=True, kw_only=True)
class Size(Counted):
    """A published size beside the counted one.

    Of "flops", which are multiply-accumulates, `up_to` counts normalisation, which the paper may or
    may not have counted.
    """

    table: str  # of paper B
    row: str  # system there
    quantity: str  # "params" or "flops"
    model: str  # network that stands for it here


def published_sizes(store: Store, plan: CostPlan) -> list[Size]:
    """Return the rows of Table 4 and Fig. 14 beside our counts."""
    found = []
    for table, row, quantity, model in PRINTED:
        count = cost_of(store, plan, model, "params" if quantity == "params" else "macs")
        up_to = None
        if count is not None and quantity == "flops":
            ours = count_sizes(model, num_classes=plan.num_classes, image_size=plan.image_size)
            up_to = count + ours.norm_macs / 1e9
        found.append(
            Size(
                table=table,
                row=row,
                quantity=quantity,
                model=model,
                published=lookup(paper="B", table=table, row=row, column=quantity),
                count=count,
                up_to=up_to,
            )
        )
    return found


def accuracy_group(
    groups: Sequence[Group],
    *,
    dataset: str,
    model: str,
    start: str,
    recipes: Sequence[str] = RECIPES,
) -> Group | None:
    """Return a network's runs by the first recipe that has any; None if none has."""
    for recipe in recipes:
        config = make_config(recipe=recipe, dataset=dataset, model=model, seed=0, pretrained=start)
        if found := find_group(groups, config):
            return found
    return None


@dataclass(frozen=True)
class Point:
    """A system in the picture of accuracy against cost."""

    title: str
    cost: float  # in the picture's unit
    accuracy: float  # 0 to 1
    low: float | None = None  # of the 95 % interval, None for a published value
    high: float | None = None
    published: bool = False  # whether both numbers are printed by a paper


COSTS = {
    "params": "parameters, M",
    "macs": "multiply-accumulates of a 224 px image, G",
    "latency": "latency of one image, ms (eager)",
    "exported": "latency of one image, ms (ONNX Runtime)",
}


def cost_of(store: Store, plan: CostPlan, model: str, cost: str) -> float | None:
    """Return a network's cost in the unit of `COSTS`, None if it was not measured."""
    if cost in ("params", "macs"):
        row = store.row("sizes", model=model)
        return None if row is None else row[cost] / {"params": 1e6, "macs": 1e9}[cost]
    form = EAGER if cost == "latency" else ONNX
    times = store.times(Candidate(model, form), **plan.latency)
    return None if times is None else 1000 * times.median


def points(
    store: Store, plan: CostPlan, groups: Sequence[Group], *, dataset: str, start: str, cost: str
) -> list[Point]:
    """Return our networks that have a cost and, in the one protocol of Table 3, an accuracy."""
    found = []
    for model in plan.models:
        group = accuracy_group(
            groups, dataset=dataset, model=model, start=start, recipes=RECIPES[:1]
        )
        value = cost_of(store, plan, model, cost)
        if group is not None and value is not None:
            mean = group.accuracy
            found.append(Point(plan.titles[model], value, mean.value, mean.low, mean.high))
    return found


def published_points(dataset: str, cost: str) -> list[Point]:
    """Return what the papers print of both accuracy and cost; none of it is a latency."""
    if cost not in ("params", "macs"):
        return []
    own = ("Fig. 14", "params") if cost == "params" else ("Table 4", "flops")
    sources = [("B", "Table 3", "MedSpectralNet", *own)]
    sources += [("medmamba", "results", f"MedMamba-{v}", "sizes", cost) for v in "TSB"]
    sources += [("medvit", "results", f"MedViT-{v}", "sizes", cost) for v in "TSL"]
    found = []
    for paper, table, row, where, column in sources:
        accuracy = lookup(paper=paper, table=table, row=row, column=f"{dataset}/accuracy")
        size = lookup(paper=paper, table=where, row=row, column=column)
        # What is quoted from memory is no point in a picture.
        if accuracy.may_carry_verdict and size.may_carry_verdict:
            found.append(Point(f"{row} (paper)", size.value, accuracy.fraction, published=True))
    return found


def pareto_front(systems: Sequence[Point]) -> list[Point]:
    """Return the systems that no other one beats, cheapest first.

    A system stays if every other one that costs no more is less accurate; of equal ones all stay.
    """

    def beaten(a: Point) -> bool:
        return any(
            b.cost <= a.cost
            and b.accuracy >= a.accuracy
            and (b.cost < a.cost or b.accuracy > a.accuracy)
            for b in systems
        )

    return sorted((s for s in systems if not beaten(s)), key=lambda s: (s.cost, s.title))


@dataclass(frozen=True)
class Int8:
    """8-bit integers against float32 on the test images of one protocol; shares over all seeds."""

    dataset: str
    model: str
    image_size: int
    n: int  # test images
    seeds: int
    eager: float  # share of right decisions
    int8: float
    changed: Estimate  # share of decisions right in one form alone

    @property
    def drop(self) -> float:
        """Accuracy lost, in shares."""
        return self.eager - self.int8


def int8_findings(store: Store) -> list[Int8]:
    """Return what integers cost, a line a protocol, seeds together."""
    protocols: dict[str, list[dict]] = {}
    for row in store.rows("accuracy"):
        # A run's name is the hash of its protocol and its seed.
        protocols.setdefault(row["run"].rsplit("_s", 1)[0], []).append(row)
    found = []
    for rows in protocols.values():
        shared = {name: rows[0][name] for name in ("dataset", "model", "image_size", "n")}
        total, eager, int8, lost, gained = (
            sum(row[name] for row in rows) for name in ("n", "eager", "int8", "lost", "gained")
        )
        found.append(
            Int8(
                **shared,
                seeds=len(rows),
                eager=eager / total,
                int8=int8 / total,
                changed=proportion(lost + gained, total),
            )
        )
    return found


def times_frame(stores: Sequence[Store], plan: CostPlan) -> pd.DataFrame:
    """Return all times as a flat table: one line a device, size, batch, network and form."""
    reference = Candidate(plan.reference, EAGER)
    candidates = [Candidate(model, form) for model in plan.models for form in BACKENDS]
    places = (plan.latency, plan.throughput, plan.small_latency)
    rows = []
    for store, candidate, place in itertools.product(stores, candidates, places):
        if (times := store.times(candidate, **place)) is None:
            continue
        counts = store.row("sizes", model=candidate.model) or {}
        ratio = store.ratio(candidate, reference, **place)
        low, high = times.quartiles
        rows.append(
            {
                "device": store.path.stem,
                "model": candidate.model,
                "form": candidate.backend,
                **place,
                "params": counts.get("params"),
                "macs_224": counts.get("macs"),
                "rounds": times.n,
                "median_ms": 1000 * times.median,
                "q1_ms": 1000 * low,
                "q3_ms": 1000 * high,
                "images_per_second": place["batch_size"] / times.median,
                "ratio_to_reference": ratio and ratio.value,
                "ratio_low": ratio and ratio.low,
                "ratio_high": ratio and ratio.high,
            }
        )
    return pd.DataFrame(rows)
