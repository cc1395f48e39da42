"""Paper A's claims, each with its check."""

from typing import Any

from helpers.metrics.seeds import aggregate_seeds
from study.claims import confusion
from study.claims.check import checks
from study.claims.one_cycle import chance_of_fit, find_schedules
from study.claims.paper_a import data, dynamics, results, table4, training
from study.claims.paper_a import sizes as sizes_a
from study.claims.paper_a.given import (
    BACKBONES,
    BASELINES,
    OURS,
    QUANTUM,
    RESNET18,
    RESNET34,
    at_epoch,
    backbones,
    compared,
    course,
    courses,
    damaged,
    devices,
    early_stages,
    epoch_times,
    framework,
    heads,
    loss_answers,
    matrix,
    methods,
    minority,
    one_cycle_runs,
    oscillations,
    overfitting,
    parts,
    printed,
    quantum_over_plain,
    rarest,
    runs,
    schedules,
    smoothing_answers,
    split_sizes,
    stability,
    test_images,
    values,
    warm_up_epochs,
)
from study.claims.warm_restarts import all_cycles
from study.published import PRINTED_EPOCHS, Published


class Check:  # noqa: D101
    def __init__(self, function, inputs):
        self.function, self.inputs = function, inputs


def _better(family: str, *names: str) -> Check:
    return Check(
        results.is_better,
        lambda: {
            "compared": [compared(family, name) for name in names],
            "runs": f"{family}: {', '.join(names)}",
        },
    )


def _score(name: str, *, table: str = "Table 2") -> Check:
    return Check(
        confusion.score_follows,
        lambda: {"matrix": matrix(), "name": name, "printed": printed(table, "test", name)},
    )


def _f1(row: str) -> Check:
    return Check(
        confusion.f1_possible,
        lambda: {
            "accuracy": printed("Table 4", row, "accuracy"),
            "f1": printed("Table 4", row, "f1"),
            "positive": test_images("positive"),
            "negative": test_images("negative"),
        },
    )


def _matters(*keys: tuple[str, str]) -> Check:
    return Check(
        dynamics.matters,
        lambda: {
            "compared": [compared(*key) for key in keys],
            "runs": "; ".join(f"{family}: {name}" for family, name in keys),
        },
    )


def _auc_shown(row: str) -> Check:
    return Check(
        table4.auc_shown,
        lambda: {
            "ours": printed("Table 4", OURS, "auc"),
            "theirs": printed("Table 4", row, "auc"),
            "positive": test_images("positive"),
            "negative": test_images("negative"),
        },
    )


def _gain(row: str, column: str) -> Check:
    return Check(
        table4.printed_gain,
        lambda: {
            "ours": printed("Table 4", OURS, column),
            "theirs": printed("Table 4", row, column),
            "printed": printed("section 3.4", f"gain over {row}", column),
        },
    )


def _shown(row: str) -> Check:
    return Check(
        table4.shown_by_counts,
        lambda: {
            "ours": printed("Table 4", OURS, "accuracy"),
            "theirs": printed("Table 4", row, "accuracy"),
            "n": test_images("images"),
        },
    )


def _counted(row: str, backbone: str) -> Check:
    def inputs() -> dict[str, Any]:
        counted = sizes_a.count_backbone(backbone)
        count = counted.total(counted.linear(2)) / sizes_a.MILLION
        return {"count": count, "printed": printed("Table 4", row, "params")}

    return Check(sizes_a.counted_size, inputs)


def _metrics(row: str) -> dict[str, Published]:
    return {column: printed("Table 4", row, column) for column in ("accuracy", "auc", "f1")}


CHECKS: dict[str, Check] = {
    "A01": Check(
        data.imbalance,
        lambda: {
            "positive": test_images("positive"),
            "negative": test_images("negative"),
            "val_accuracies": course("val_accuracy"),
            "val_aucs": course("val_auc"),
        },
    ),
    "A02": Check(results.parts_matter, lambda: parts() | {"runs": "ablation"}),
    "A04": Check(
        sizes_a.warm_up,
        lambda: {"heads": heads()},
    ),
    "A05": Check(sizes_a.small_subset, lambda: {"backbones": backbones()}),
    "A06": Check(
        sizes_a.backbone_size,
        lambda: {
            "named": methods("backbone", "name").printed.lower(),
            "backbones": backbones(),
            "printed": printed("Table 4", OURS, "params"),
        },
    ),
    "A07": Check(
        sizes_a.linear_head,
        lambda: {"backbones": backbones(), "printed": printed("Table 4", OURS, "params")},
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
            "by_class": methods("focal loss", "alpha by class"),
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
            "compared": [compared("ablation", "sampling")],
            "rarest": rarest(),
            "runs": "ablation: sampling",
        },
    ),
    "A17": Check(
        training.warm_restarts,
        lambda: {
            "printed": course("learning_rate"),
            "cycles": all_cycles(most_batches=108, longest=50, epochs=PRINTED_EPOCHS),
            "most_batches": 108,
            "named": printed("section 3.4", "schedule", "name"),
        },
    ),
    "A18": Check(
        training.one_cycle,
        lambda: {
            "printed": course("learning_rate"),
            "fits": find_schedules(course("learning_rate")),
            "chance": chance_of_fit(epochs=PRINTED_EPOCHS),
        },
    ),
    "A19": Check(results.more_stable, lambda: stability() | {"runs": "ablation: plasticity"}),
    "A20": Check(dynamics.less_of, oscillations),
    "A22": Check(
        data.rising_accuracy,
        lambda: {"printed": course("train_accuracy"), "what": "training"},
    ),
    "A23": Check(
        data.rising_accuracy,
        lambda: {"printed": course("val_accuracy"), "what": "validation"},
    ),
    "A24": Check(
        data.rising_auc,
        lambda: {"printed": course("val_auc"), "accuracies": course("val_accuracy")},
    ),
    "A25": Check(
        results.target_reached,
        lambda: {
            "val": courses(one_cycle_runs(), "val_accuracy"),
            "target": printed("section 3.5", "training", "target_val_accuracy"),
            "epochs": printed("section 3.5", "training", "epochs"),
            "source": methods("data", "source"),
        },
    ),
    "A26": Check(
        data.above_training,
        lambda: {"train": course("train_accuracy"), "val": course("val_accuracy")},
    ),
    "A27": Check(
        results.no_overfitting,
        lambda: {
            "train": at_epoch(one_cycle_runs(), "train_accuracy", PRINTED_EPOCHS),
            "val": at_epoch(one_cycle_runs(), "val_accuracy", PRINTED_EPOCHS),
            "source": methods("data", "source"),
            "runs": "table1_to_the_end",
        },
    ),
    "A28": Check(
        data.balanced_test,
        lambda: {
            "total": printed("section 3.2", "test set", "images"),
            "positive": printed("section 3.2", "test set", "positive"),
            "negative": printed("section 3.2", "test set", "negative"),
            "matrix": matrix(),
        },
    ),
    "A29": Check(
        data.independence,
        lambda: {
            "source": methods("data", "source"),
            "by_patient": methods("data", "split by patient"),
            "sizes": split_sizes(),
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
            "auc": printed("Table 2", "test", "auc"),
            "positive": test_images("positive"),
            "negative": test_images("negative"),
            "sensitivity": printed("Table 2", "test", "sensitivity"),
            "specificity": printed("Table 2", "test", "specificity"),
        },
    ),
    "A37": _score("false_negative_rate", table="section 3.3"),
    "A38": Check(confusion.more_sensitive, lambda: {"matrix": matrix()}),
    "A39": Check(
        results.sensitive,
        lambda: {
            "sensitivity": values(framework(), "sensitivity"),
            "specificity": values(framework(), "specificity"),
            "printed": tuple(
                printed("Table 2", "test", name) for name in ("sensitivity", "specificity")
            ),
            "source": methods("data", "source"),
            "runs": "brain_inspired",
        },
    ),
    "A40": Check(
        results.headline,
        lambda: {
            "accuracy": framework().accuracy if framework() else None,
            "auc": framework().auc if framework() else None,
            "printed": tuple(printed("Table 2", "test", name) for name in ("accuracy", "auc")),
            "source": methods("data", "source"),
        },
    ),
    "A41": Check(
        table4.above_all,
        lambda: {"ours": _metrics(OURS), "others": {row: _metrics(row) for row in BASELINES}},
    ),
    "A42": Check(
        table4.whole_counts,
        lambda: {
            "printed": {row: printed("Table 4", row, "accuracy") for row in BASELINES},
            "n": test_images("images"),
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
            "compared": [compared("table4_scratch", "over_resnet34")],
            "start": methods(RESNET34, "pretrained"),
            "runs": "table4_scratch: over_resnet34",
        },
    ),
    "A57": _better("table4", "over_quantum"),
    "A58": Check(results.adds_to, quantum_over_plain),
    "A59": Check(
        sizes_a.same_head,
        lambda: {
            "methods": methods("head", "name"),
            "results": printed("section 3.4", "head", "name"),
            "discussion": printed("section 4", "brain-inspired mechanisms", "name"),
        },
    ),
    "A60": _better("ablation", "spiking_mlp"),
    "A61": _better("ablation", "plasticity"),
    "A62": _counted(RESNET18, "resnet18"),
    "A63": _counted(RESNET34, "resnet34"),
    "A64": Check(
        sizes_a.undescribed_head,
        lambda: {
            "printed": printed("Table 4", QUANTUM, "params"),
            "backbone": sizes_a.count_backbone("resnet18"),
            "described": methods("quantum head", "circuit"),
        },
    ),
    "A65": Check(
        training.total_time,
        lambda: {
            "total": printed("section 3.5", "training", "total_time"),
            "epochs": printed("section 3.5", "training", "epochs"),
            "seconds": printed("section 3.5", "training", "seconds_per_epoch"),
        },
    ),
    "A66": Check(results.epoch_seconds, epoch_times),
    "A67": Check(
        training.highest_rate,
        lambda: {
            "stated": printed("section 3.5", "training", "max_learning_rate"),
            "printed": course("learning_rate"),
            "fits": find_schedules(course("learning_rate")),
        },
    ),
    "A68": Check(
        results.faster,
        lambda: (
            schedules()
            | {
                "others": printed("section 3.5", "traditional schedules", "name"),
                "runs": "table1_to_the_end, brain_inspired",
            }
        ),
    ),
    "A69": Check(
        confusion.reassuring,
        lambda: {
            "npv": printed("Table 2", "test", "npv"),
            "sensitivity": printed("Table 2", "test", "sensitivity"),
            "specificity": printed("Table 2", "test", "specificity"),
            "prevalence": methods("data", "prevalence in use"),
        },
    ),
    "A70": Check(
        sizes_a.lighter_in_use,
        lambda: {
            "ours": printed("Table 4", OURS, "params"),
            "others": {row: printed("Table 4", row, "params") for row in BASELINES},
        },
    ),
    "A71": Check(
        results.trains_on_a_cpu,
        lambda: {
            "seconds": [run.record["timing"]["train_seconds"] for run in runs(framework())],
            "devices": devices(framework()),
            "runs": "brain_inspired",
        },
    ),
    "A73": _better("robustness", "undamaged"),
    "A74": Check(
        results.keeps_its_auc,
        lambda: damaged({"1 : 4": "imbalance_4", "1 : 9": "imbalance_9"}),
    ),
    "A75": Check(
        results.minority_sensitivity,
        lambda: {"pairs": minority(), "runs": "robustness: imbalance_4, imbalance_9"},
    ),
    "A76": Check(
        results.keeps_its_auc,
        lambda: damaged({"10 % flipped": "noise_10", "20 % flipped": "noise_20"}),
    ),
    "A78": Check(
        results.reliable,
        lambda: {
            "seeds": methods("training", "seeds"),
            "accuracy": framework().accuracy if framework() else None,
            "sd": aggregate_seeds(framework().values("accuracy"))["sd"] if framework() else None,
        },
    ),
    "A79": Check(
        table4.auc_counts,
        lambda: {
            "printed": {row: printed("Table 4", row, "auc") for row in (*BASELINES, OURS)},
            "positive": test_images("positive"),
            "negative": test_images("negative"),
        },
    ),
    "A80": _auc_shown(RESNET18),
    "A81": _auc_shown(RESNET34),
    "A82": _auc_shown(QUANTUM),
    "A83": Check(
        table4.same_twice,
        lambda: {
            "first": {c: printed("Table 2", "test", c) for c in ("accuracy", "auc", "f1")},
            "second": _metrics(OURS),
        },
    ),
    "A84": Check(
        data.generalises,
        lambda: {
            "val": course("val_accuracy")[-1],
            "test": printed("Table 2", "test", "accuracy"),
            "n_val": split_sizes()["val"],
            "n_test": test_images("images"),
        },
    ),
    "A85": Check(
        sizes_a.lighter_training,
        lambda: {"steps": {name: sizes_a.training_step(name) for name in BACKBONES}},
    ),
    "A86": Check(
        dynamics.steady_warm_up,
        lambda: (
            warm_up_epochs()
            | {
                "train": course("train_accuracy"),
                "val": course("val_accuracy"),
                "length": methods("warm-up", "epochs"),
                "criterion": methods("warm-up", "end"),
                "runs": "brain_inspired",
            }
        ),
    ),
    "A87": Check(
        dynamics.ahead_early,
        lambda: (
            early_stages()
            | {
                "what": "Trained in stages less all layers at once",
                "runs": "ablation: plasticity",
            }
        ),
    ),
    "A88": Check(dynamics.less_of, overfitting),
    "A89": Check(
        dynamics.answers_change,
        lambda: {
            "differences": smoothing_answers(),
            "sign": -1,
            "what": "The framework with label smoothing less without it",
            "runs": "ablation: smoothing",
        },
    ),
    "A90": Check(
        dynamics.answers_change,
        lambda: {
            "differences": loss_answers(),
            "sign": 1,
            "what": "The focal loss on smoothed labels less cross-entropy",
            "runs": "robustness: undamaged",
        },
    ),
    "A92": _matters(("ablation", "spiking_linear")),
    "A93": _matters(("readings", "hard_pt"), ("readings", "soft_pt")),
    "A94": _matters(("momentum", "cycle")),
    "A95": _matters(("stopping", "at_reachable"), ("stopping_momentum", "at_reachable")),
}

for _id, _check in CHECKS.items():
    checks(_id, measured=lambda claim, read=_check.inputs: read())(_check.function)
