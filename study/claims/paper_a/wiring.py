"""Paper A's claims, each with its check: what the check is given is read here, and only here."""

from functools import cache
from pathlib import Path
from typing import Any

from helpers.metrics.seeds import aggregate_seeds
from helpers.paths import results_root
from helpers.runs.groups import Group, common_seeds, group_runs, is_real
from helpers.runs.store import Run, list_runs
from study.claims import confusion
from study.claims.check import Check
from study.claims.confusion import Confusion
from study.claims.one_cycle import chance_of_fit, find_schedules
from study.claims.paper_a import data, results, table4, training
from study.claims.paper_a import sizes as sizes_a
from study.claims.split_sizes import search_sizes
from study.compare import Compared, Results, compare_all, measure
from study.plans.comparisons import load_plan
from study.published import PRINTED_EPOCHS, Published, lookup, rounding

OURS = "Brain-Inspired Hybrid (Ours)"
RESNET18, RESNET34 = "ResNet18 (baseline)", "ResNet34"
QUANTUM = "Quantum-Enhanced ResNet18"
BASELINES = (RESNET18, RESNET34, QUANTUM)
BACKBONES = ("resnet18", "resnet50")


# --- what is published ---------------------------------------------------------------------------


def _printed(table: str, row: str, column: str) -> Published:
    return lookup(paper="A", table=table, row=row, column=column)


def _course(column: str) -> list[Published]:
    """Return a column of Table 1."""
    return [_printed("Table 1", f"epoch {e}", column) for e in range(1, PRINTED_EPOCHS + 1)]


def _matrix() -> Confusion:
    cells = [
        round(_printed("Table 3", f"actual {actual}", f"predicted {predicted}").value)
        for actual in ("negative", "positive")
        for predicted in ("negative", "positive")
    ]
    return Confusion(*cells)


def _test_images(column: str) -> int:
    return round(_printed("section 3.2", "test set", column).value)


def _methods(row: str, column: str) -> Published:
    return _printed("methods", row, column)


def _backbones() -> dict[str, sizes_a.Backbone]:
    return {name: sizes_a.count_backbone(name) for name in BACKBONES}


def _heads() -> dict[str, tuple[float, sizes_a.Backbone]]:
    """Return the heads that the paper allows: Eq. 4 on both backbones, and what 11.4 M leave."""
    backbones = _backbones()
    heads = {f"Eq. 4 on {name}": (float(b.linear(1)), b) for name, b in backbones.items()}
    _, most = rounding(_printed("Table 4", OURS, "params"))
    small = backbones["resnet18"]
    heads["the most within 11.4 M"] = (most * sizes_a.MILLION - small.trunk, small)
    return heads


def _split_sizes() -> dict[str, int | None]:
    found = {name: search_sizes(_course(f"{name}_accuracy")).sizes for name in ("train", "val")}
    sizes = {name: fitting[0] if fitting else None for name, fitting in found.items()}
    return sizes | {"test": _test_images("images")}


# --- what is stored ------------------------------------------------------------------------------


def _results() -> Results:
    return _results_of(results_root())


@cache
def _results_of(root: Path) -> Results:
    return compare_all(group_runs(filter(is_real, list_runs(root))), load_plan())


def _compared(family: str, name: str) -> Compared:
    return next(c for c in _results().compared[family] if c.pair.name == name)


def _values(group: Group | None, metric: str) -> list[float]:
    return [] if group is None else group.values(metric)


def _runs(group: Group | None) -> tuple[Run, ...]:
    return () if group is None else group.runs


def _at_epoch(group: Group | None, name: str, epoch: int) -> list[float]:
    return [run.record["history"][epoch - 1][name] for run in _runs(group)]


def _courses(group: Group | None, name: str) -> list[list[float]]:
    return [[entry[name] for entry in run.record["history"]] for run in _runs(group)]


def _devices(group: Group | None) -> list[str]:
    return [run.record["env"]["device"] for run in _runs(group)]


def _framework() -> Group | None:
    return _compared("table4", "over_resnet18").a


def _one_cycle_runs() -> Group | None:
    """Return the runs under the recovered schedule that go on to its end."""
    return _compared("stopping", "at_target").b


def _parts() -> dict[str, Any]:
    *parts, whole = _results().compared["ablation"]
    # The quantum head is no part of the framework.
    return {"parts": [c for c in parts if c.pair.name != "quantum_mlp"], "whole": whole}


def _stability() -> dict[str, Any]:
    compared = _compared("ablation", "plasticity")
    return {
        "values": {
            title: (_values(compared.a, metric), _values(compared.b, metric))
            for title, metric in (("AUC", "auc"), ("accuracy", "accuracy"))
        }
    }


def _rarest() -> float | None:
    """Return the share of the rarer class among our test images; all splits are stratified."""
    framework = _framework()
    if framework is None:
        return None
    labels, _ = framework.runs[0].predictions("test")
    return float(min(labels.mean(), 1 - labels.mean()))


def _quantum_over_plain() -> dict[str, Any]:
    quantum = _compared("table4", "over_quantum").b
    plain = _compared("table4", "over_resnet18").b
    added = None
    if quantum and plain:
        added = measure(quantum, plain).get("auc")
    return {
        "added": added,
        "matched": [_compared("ablation", "quantum_mlp")],
        "what": "The quantum head, staged, less plain ResNet18 with cross-entropy",
        "runs": "table4: over_quantum, over_resnet18; ablation: quantum_mlp",
    }


def _damaged(names: dict[str, str]) -> dict[str, Any]:
    """Return a damage's runs: title -> its comparison in the family "robustness"."""
    before = _compared("robustness", "undamaged")
    compared = {title: _compared("robustness", name) for title, name in names.items()}
    return {
        "compared": list(compared.values()),
        "damaged": {
            title: results.Damaged(
                *(_values(group, "auc") for group in (c.a, c.b, before.a, before.b))
            )
            for title, c in compared.items()
        },
        "runs": f"robustness: {', '.join(names.values())}",
    }


def _schedules() -> dict[str, Any]:
    a, b = _one_cycle_runs(), _framework()
    if a is None or b is None:
        return {"early_a": [], "early_b": [], "final": None}
    seeds = common_seeds(a, b)
    early = [
        [
            v
            for s, v in zip(g.seeds, _at_epoch(g, "val_auc", PRINTED_EPOCHS), strict=True)
            if s in seeds
        ]
        for g in (a, b)
    ]
    final = measure(a, b).get("auc")
    return {"early_a": early[0], "early_b": early[1], "final": final}


def _minority() -> dict[str, tuple[list[float], list[float]]]:
    pairs = {"1 : 4": "imbalance_4", "1 : 9": "imbalance_9"}
    found = {name: _compared("robustness", key) for name, key in pairs.items()}
    return {
        name: (_values(c.a, "sensitivity"), _values(c.b, "sensitivity"))
        for name, c in found.items()
    }


def _epoch_times() -> dict[str, Any]:
    group = _compared("stopping", "at_target").a
    courses = _courses(group, "seconds")
    return {
        "seconds": [sum(course) / len(course) for course in courses],
        "devices": _devices(group),
        "printed": _printed("section 3.5", "training", "seconds_per_epoch"),
        "image_size": _methods("training", "image_size"),
    }


# --- checks --------------------------------------------------------------------------------------


def _better(family: str, *names: str) -> Check:
    return Check(
        results.is_better,
        lambda: {
            "compared": [_compared(family, name) for name in names],
            "runs": f"{family}: {', '.join(names)}",
        },
    )


def _score(name: str, *, table: str = "Table 2") -> Check:
    return Check(
        confusion.score_follows,
        lambda: {"matrix": _matrix(), "name": name, "printed": _printed(table, "test", name)},
    )


def _f1(row: str) -> Check:
    return Check(
        confusion.f1_possible,
        lambda: {
            "accuracy": _printed("Table 4", row, "accuracy"),
            "f1": _printed("Table 4", row, "f1"),
            "positive": _test_images("positive"),
            "negative": _test_images("negative"),
        },
    )


def _gain(row: str, column: str) -> Check:
    return Check(
        table4.printed_gain,
        lambda: {
            "ours": _printed("Table 4", OURS, column),
            "theirs": _printed("Table 4", row, column),
            "printed": _printed("section 3.4", f"gain over {row}", column),
        },
    )


def _shown(row: str) -> Check:
    return Check(
        table4.shown_by_counts,
        lambda: {
            "ours": _printed("Table 4", OURS, "accuracy"),
            "theirs": _printed("Table 4", row, "accuracy"),
            "n": _test_images("images"),
        },
    )


def _counted(row: str, backbone: str) -> Check:
    def inputs() -> dict[str, Any]:
        counted = sizes_a.count_backbone(backbone)
        count = counted.total(counted.linear(2)) / sizes_a.MILLION
        return {"count": count, "printed": _printed("Table 4", row, "params")}

    return Check(sizes_a.counted_size, inputs)


def _metrics(row: str) -> dict[str, Published]:
    return {column: _printed("Table 4", row, column) for column in ("accuracy", "auc", "f1")}


CHECKS: dict[str, Check] = {
    "A01": Check(
        data.imbalance,
        lambda: {
            "positive": _test_images("positive"),
            "negative": _test_images("negative"),
            "val_accuracies": _course("val_accuracy"),
            "val_aucs": _course("val_auc"),
        },
    ),
    "A02": Check(results.parts_matter, lambda: _parts() | {"runs": "ablation"}),
    "A04": Check(
        sizes_a.warm_up,
        lambda: {"heads": _heads()},
    ),
    "A05": Check(sizes_a.small_subset, lambda: {"backbones": _backbones()}),
    "A06": Check(
        sizes_a.backbone_size,
        lambda: {
            "named": _methods("backbone", "name").printed.lower(),
            "backbones": _backbones(),
            "printed": _printed("Table 4", OURS, "params"),
        },
    ),
    "A07": Check(
        sizes_a.linear_head,
        lambda: {"backbones": _backbones(), "printed": _printed("Table 4", OURS, "params")},
    ),
    "A08": Check(
        training.equal_weights,
        lambda: {"easy": training.CONFIDENT, "hard": training.HARD},
    ),
    "A09": Check(
        training.easy_suppressed,
        lambda: {"gammas": training.GAMMAS, "p_t": training.CONFIDENT},
    ),
    "A10": Check(
        training.uncertain_favoured,
        lambda: {
            "gammas": training.GAMMAS,
            "uncertain": training.UNCERTAIN,
            "confident": training.CONFIDENT,
        },
    ),
    "A11": Check(
        training.alpha_balances,
        lambda: {
            "by_class": _methods("focal loss", "alpha by class"),
            "alphas": (0.1, 0.25, 0.5, 0.75, 0.9),
        },
    ),
    "A12": Check(training.smoothed_labels, lambda: {"eps": tuple(k / 100 for k in range(101))}),
    "A13": Check(
        training.joint_loss,
        lambda: {
            "probability": training.CONFIDENT,
            "gamma": 2.0,
            "eps": 0.1,
            "sure": training.SURE,
            "guess": training.UNCERTAIN,
        },
    ),
    "A14": _better("ablation", "focal"),
    "A15": _better("ablation", "smoothing"),
    "A16": Check(
        results.needs_imbalance,
        lambda: {
            "compared": [_compared("ablation", "sampling")],
            "rarest": _rarest(),
            "runs": "ablation: sampling",
        },
    ),
    "A17": Check(
        training.warm_restarts,
        lambda: {"printed": _course("learning_rate"), "cycles": tuple(range(1, 51))},
    ),
    "A18": Check(
        training.one_cycle,
        lambda: {
            "printed": _course("learning_rate"),
            "fits": find_schedules(_course("learning_rate")),
            "chance": chance_of_fit(epochs=PRINTED_EPOCHS),
        },
    ),
    "A19": Check(results.more_stable, lambda: _stability() | {"runs": "ablation: plasticity"}),
    "A22": Check(
        data.rising_accuracy,
        lambda: {"printed": _course("train_accuracy"), "what": "training"},
    ),
    "A23": Check(
        data.rising_accuracy,
        lambda: {"printed": _course("val_accuracy"), "what": "validation"},
    ),
    "A24": Check(
        data.rising_auc,
        lambda: {"printed": _course("val_auc"), "accuracies": _course("val_accuracy")},
    ),
    "A25": Check(
        results.target_reached,
        lambda: {
            "val": _courses(_one_cycle_runs(), "val_accuracy"),
            "target": _printed("section 3.5", "training", "target_val_accuracy"),
            "epochs": _printed("section 3.5", "training", "epochs"),
            "source": _methods("data", "source"),
        },
    ),
    "A26": Check(
        data.above_training,
        lambda: {"train": _course("train_accuracy"), "val": _course("val_accuracy")},
    ),
    "A27": Check(
        results.no_overfitting,
        lambda: {
            "train": _at_epoch(_one_cycle_runs(), "train_accuracy", PRINTED_EPOCHS),
            "val": _at_epoch(_one_cycle_runs(), "val_accuracy", PRINTED_EPOCHS),
            "source": _methods("data", "source"),
            "runs": "table1_to_the_end",
        },
    ),
    "A28": Check(
        data.balanced_test,
        lambda: {
            "total": _printed("section 3.2", "test set", "images"),
            "positive": _printed("section 3.2", "test set", "positive"),
            "negative": _printed("section 3.2", "test set", "negative"),
            "matrix": _matrix(),
        },
    ),
    "A29": Check(
        data.independence,
        lambda: {
            "source": _methods("data", "source"),
            "by_patient": _methods("data", "split by patient"),
            "sizes": _split_sizes(),
        },
    ),
    "A30": _score("accuracy"),
    "A31": _score("sensitivity"),
    "A32": _score("specificity"),
    "A33": _score("ppv"),
    "A34": _score("npv"),
    "A35": _score("f1"),
    "A36": Check(
        data.auc_possible,
        lambda: {
            "auc": _printed("Table 2", "test", "auc"),
            "positive": _test_images("positive"),
            "negative": _test_images("negative"),
            "sensitivity": _printed("Table 2", "test", "sensitivity"),
            "specificity": _printed("Table 2", "test", "specificity"),
        },
    ),
    "A37": _score("false_negative_rate", table="section 3.3"),
    "A38": Check(confusion.more_sensitive, lambda: {"matrix": _matrix()}),
    "A39": Check(
        results.sensitive,
        lambda: {
            "sensitivity": _values(_framework(), "sensitivity"),
            "specificity": _values(_framework(), "specificity"),
            "printed": tuple(
                _printed("Table 2", "test", name) for name in ("sensitivity", "specificity")
            ),
            "source": _methods("data", "source"),
            "runs": "brain_inspired",
        },
    ),
    "A40": Check(
        results.headline,
        lambda: {
            "accuracy": _framework().accuracy if _framework() else None,
            "auc": _framework().auc if _framework() else None,
            "printed": tuple(_printed("Table 2", "test", name) for name in ("accuracy", "auc")),
            "source": _methods("data", "source"),
        },
    ),
    "A41": Check(
        table4.above_all,
        lambda: {"ours": _metrics(OURS), "others": {row: _metrics(row) for row in BASELINES}},
    ),
    "A42": Check(
        table4.whole_counts,
        lambda: {
            "printed": {row: _printed("Table 4", row, "accuracy") for row in BASELINES},
            "n": _test_images("images"),
        },
    ),
    "A43": _f1(RESNET18),
    "A44": _f1(RESNET34),
    "A45": _f1(QUANTUM),
    "A46": _f1(OURS),
    "A47": _gain(RESNET18, "accuracy"),
    "A48": _gain(RESNET18, "auc"),
    "A49": _gain(RESNET18, "f1"),
    "A50": _gain(QUANTUM, "accuracy"),
    "A51": _gain(QUANTUM, "auc"),
    "A52": _shown(RESNET18),
    "A53": _shown(RESNET34),
    "A54": _shown(QUANTUM),
    "A55": _better("table4", "over_resnet18"),
    "A56": Check(
        results.only_from_scratch,
        lambda: {
            "compared": [_compared("table4_scratch", "over_resnet34")],
            "start": _methods(RESNET34, "pretrained"),
            "runs": "table4_scratch: over_resnet34",
        },
    ),
    "A57": _better("table4", "over_quantum"),
    "A58": Check(results.adds_to, _quantum_over_plain),
    "A59": Check(
        sizes_a.same_head,
        lambda: {
            "methods": _methods("head", "name"),
            "results": _printed("section 3.4", "head", "name"),
            "discussion": _printed("section 4", "brain-inspired mechanisms", "name"),
        },
    ),
    "A60": _better("ablation", "spiking_mlp"),
    "A61": _better("ablation", "plasticity"),
    "A62": _counted(RESNET18, "resnet18"),
    "A63": _counted(RESNET34, "resnet34"),
    "A64": Check(
        sizes_a.undescribed_head,
        lambda: {
            "printed": _printed("Table 4", QUANTUM, "params"),
            "backbone": sizes_a.count_backbone("resnet18"),
            "described": _methods("quantum head", "circuit"),
        },
    ),
    "A65": Check(
        training.total_time,
        lambda: {
            "total": _printed("section 3.5", "training", "total_time"),
            "epochs": _printed("section 3.5", "training", "epochs"),
            "seconds": _printed("section 3.5", "training", "seconds_per_epoch"),
        },
    ),
    "A66": Check(results.epoch_seconds, _epoch_times),
    "A67": Check(
        training.highest_rate,
        lambda: {
            "stated": _printed("section 3.5", "training", "max_learning_rate"),
            "printed": _course("learning_rate"),
            "fits": find_schedules(_course("learning_rate")),
        },
    ),
    "A68": Check(
        results.faster,
        lambda: (
            _schedules()
            | {
                "others": _printed("section 3.5", "traditional schedules", "name"),
                "runs": "table1_to_the_end, brain_inspired",
            }
        ),
    ),
    "A69": Check(
        confusion.reassuring,
        lambda: {
            "npv": _printed("Table 2", "test", "npv"),
            "sensitivity": _printed("Table 2", "test", "sensitivity"),
            "specificity": _printed("Table 2", "test", "specificity"),
            "prevalence": _methods("data", "prevalence in use"),
        },
    ),
    "A70": Check(
        sizes_a.lighter_in_use,
        lambda: {
            "ours": _printed("Table 4", OURS, "params"),
            "others": {row: _printed("Table 4", row, "params") for row in BASELINES},
        },
    ),
    "A71": Check(
        results.trains_on_a_cpu,
        lambda: {
            "seconds": [run.record["timing"]["train_seconds"] for run in _runs(_framework())],
            "devices": _devices(_framework()),
            "runs": "brain_inspired",
        },
    ),
    "A73": _better("robustness", "undamaged"),
    "A74": Check(
        results.keeps_its_auc,
        lambda: _damaged({"1 : 4": "imbalance_4", "1 : 9": "imbalance_9"}),
    ),
    "A75": Check(
        results.minority_sensitivity,
        lambda: {"pairs": _minority(), "runs": "robustness: imbalance_4, imbalance_9"},
    ),
    "A76": Check(
        results.keeps_its_auc,
        lambda: _damaged({"10 % flipped": "noise_10", "20 % flipped": "noise_20"}),
    ),
    "A78": Check(
        results.reliable,
        lambda: {
            "seeds": _methods("training", "seeds"),
            "accuracy": _framework().accuracy if _framework() else None,
            "sd": aggregate_seeds(_framework().values("accuracy"))["sd"] if _framework() else None,
        },
    ),
}
