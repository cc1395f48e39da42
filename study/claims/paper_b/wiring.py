"""The checks of paper B's claims (ids as in `results/published/claims.csv`)."""

from helpers.data.transforms import NORMALISE
from study.claims import real_time
from study.claims.check import Check
from study.claims.measured import one_image
from study.claims.paper_b import (
    against,
    confusion,
    course,
    data,
    efficiency,
    gains,
    interpretation,
    results,
    scale,
    sizes,
    stored,
)
from study.claims.paper_b.stored import accuracy, b
from study.published import Published, lookup
from study.sizes import IMAGE_SIZE

_RESNETS = ("ResNet-18 (28)", "ResNet-18 (224)", "ResNet-50 (28)", "ResNet-50 (224)")
_AUTOML = ("AutoKeras", "Google AutoML Vision")
_GATE_PATH, _LAST = "contextgate.depthwise", "spectralflow2"
# Most that an exported network may differ, as a share of the scale of its logits.
_EXPORT_SHARE = 1e-3
_SIZES = (28, 64, 128, 224)  # of the released files
_WITHIN = 1.0  # points that "around" may be off


def _table3(dataset: str) -> Check:
    return Check(
        results.table3,
        lambda: {
            "level": stored.network_level(dataset),
            "epochs": b("methods", "training", "epochs"),
        },
    )


def _gain(dataset: str, row: str, theirs) -> Check:
    return Check(
        gains.printed_gain,
        lambda: {
            "ours": accuracy(dataset),
            "theirs": theirs(dataset),
            "gain": b("claims", f"gain over {row}", f"{dataset}/accuracy"),
        },
    )


def _resnet_gain(row: str) -> Check:
    return _gain("pneumoniamnist", row, lambda dataset: stored.benchmark(row, dataset))


def _sklearn_gain(dataset: str) -> Check:
    return _gain(dataset, "auto-sklearn", lambda d: stored.benchmark("auto-sklearn", d))


def _size(table: str, row: str, column: str, *, model: str, open_choice: bool = False) -> Check:
    def numbers() -> dict:
        if column == "params":
            counted, up_to = stored.millions(model), None
        else:
            counted, up_to = stored.both_gmacs(model)
        printed = b(table, row, column)
        return {"printed": printed, "counted": counted, "up_to": up_to, "open_choice": open_choice}

    return Check(sizes.stated_size, numbers)


def _saving(row: str, ours: tuple, theirs: tuple) -> Check:
    return Check(
        sizes.saving,
        lambda: {"printed": b("claims", row, "claimed"), "ours": b(*ours), "theirs": b(*theirs)},
    )


def _same_number(key: tuple, released) -> Check:
    return Check(data.same_number, lambda: {"printed": b(*key), "released": released()})


def _printed_sizes() -> dict[str, Published]:
    names = ("MedMamba-T", "VMamba-T", "Swin-T")
    return {name: b("Fig. 14", name, "params") for name in names}


def _medvit(dataset: str) -> list[Published]:
    if dataset == "pneumoniamnist":
        rows = ("MedViT-S, as quoted", "MedViT-T, as quoted")
        return [b("section 4.6", row, f"{dataset}/accuracy") for row in rows]
    return stored.ends(b("section 4.6", "MedViT variants, as quoted", f"{dataset}/accuracy"))


def _quoted(*datasets: str) -> dict:
    return {
        f"{dataset} {value.printed}": (accuracy(dataset), value)
        for dataset in datasets
        for value in _medvit(dataset)
    }


def _yardstick() -> Published:
    return b("claims", "gain over MedMamba-T", "organcmnist/accuracy")


def _comparable(dataset: str) -> Check:
    return Check(
        gains.comparable,
        lambda: {
            "ours": accuracy(dataset),
            "theirs": _medvit(dataset),
            "yardstick": _yardstick(),
            "n": stored.n_test(dataset),
        },
    )


def _settings(*names: str) -> Check:
    return Check(
        data.settings_given,
        lambda: {"settings": {name: b("methods", "training", name) for name in names}},
    )


def _cells(figure: str, cells: tuple[tuple[int, int], ...]) -> dict[str, Published]:
    return {f"class {t} as {p}": b(figure, f"class {t}", f"predicted class {p}") for t, p in cells}


_WRONG_C = ((4, 10), (4, 5), (4, 9), (5, 4), (5, 0), (0, 9))
_WRONG_S = ((4, 10), (4, 5), (4, 9), (10, 4))
_RIGHT_C = (0, 1, 2, 3, 6, 7, 8, 9, 10)


def _right(figure: str, classes: tuple[int, ...]) -> dict[str, Published]:
    return {f"class {c}": b(figure, f"class {c}", f"predicted class {c}") for c in classes}


def _right_s() -> dict[str, Published]:
    # Six classes are given by their range: its low end stands for each of them.
    band = b("Fig. 9", "classes 0, 1, 2, 3, 7, 8", "diagonal")
    return _right("Fig. 9", (6,)) | {f"class {c}": band for c in (0, 1, 2, 3, 7, 8)}


def _counts_fit(figure: str, dataset: str, right, wrong) -> Check:
    return Check(
        confusion.counts_fit,
        lambda: {
            "right": right(),
            "wrong": _cells(figure, wrong),
            "accuracy": accuracy(dataset),
            "n": stored.n_test(dataset),
            "supports": stored.class_supports(dataset),
        },
    )


def _broadest(figure: str, dataset: str, other: tuple[tuple[int, int], ...]) -> Check:
    return Check(
        confusion.broadest,
        lambda: {
            "quoted": _cells(figure, ((4, 10), (4, 5), (4, 9))),
            "accuracy": accuracy(dataset),
            "n": stored.n_test(dataset),
            "k": int(stored.released(dataset, "classes").value),
            "other": sum(value.value for value in _cells(figure, other).values()),
        },
    )


def _reciprocal(figure: str, a: int, c: int) -> Check:
    return Check(
        confusion.reciprocal,
        lambda: {
            "there": b(figure, f"class {a}", f"predicted class {c}"),
            "back": b(figure, f"class {c}", f"predicted class {a}"),
        },
    )


def _areas(key: tuple[str, str, str], dataset: str, measure: str, label: int | None = None):
    return Check(
        confusion.class_areas,
        lambda: {
            "printed": b(*key),
            "areas": stored.class_areas(dataset, measure, label=label),
        },
    )


def _course(figure: str, dataset: str) -> Check:
    losses = {"train loss": "train_loss", "test loss": "val_loss"}
    return Check(
        confusion.course,
        lambda: {
            "printed": {
                "train loss": b(figure, "plateau", f"{dataset}/train_loss"),
                "test loss": b(figure, "plateau", f"{dataset}/test_loss"),
            },
            "epochs": b("methods", "training", "epochs"),
            "found": stored.curves_at(dataset, losses),
        },
    )


def _early(figure: str, dataset: str, columns: dict[str, str]) -> Check:
    figures = {"train accuracy": "train_accuracy", "test accuracy": "val_accuracy"}
    epoch = ("methods", "training", "rapid_until")
    return Check(
        course.reaches,
        lambda: {
            "printed": {t: b(figure, "epoch 50", f"{dataset}/{c}") for t, c in columns.items()},
            "epoch": b(*epoch),
            "found": stored.curves_at(dataset, figures, epoch=int(b(*epoch).value), scale=100),
        },
    )


def _plateau(figure: str, dataset: str) -> Check:
    return Check(
        confusion.plateau,
        lambda: {
            "printed": b(figure, "plateau", f"{dataset}/test_accuracy"),
            "accuracy": accuracy(dataset),
            "within": _WITHIN,
        },
    )


def _neighbours(*pairs: tuple[int, int]) -> Check:
    return Check(
        data.neighbours,
        lambda: {"pairs": pairs, "names": stored.class_names("organcmnist")},
    )


def _in_words(index: int) -> Check:
    return Check(results.in_words, lambda: stored.claim_in_words(index))


def _part(family: str, *names: str) -> Check:
    return Check(results.part_helps, lambda: {"compared": stored.compared(family, *names)})


def _focused(layer: str) -> Check:
    return Check(
        interpretation.focused,
        lambda: {"finding": stored.layer(layer), "level": stored.level()},
    )


def _spread(*, breast: bool) -> Check:
    return Check(
        interpretation.spread_by_class,
        lambda: {"findings": stored.spread((_GATE_PATH, _LAST), breast=breast)},
    )


def _smaller(
    count, unit: str, others: dict[str, str], *, times: float = 1.0, printed: tuple[str, ...] = ()
) -> Check:
    keys = {"paper": "medvit", "table": "sizes", "column": "params"}
    return Check(
        sizes.smaller_than,
        lambda: {
            "ours": count("medspectralnet"),
            "others": {title: count(model) for title, model in others.items()},
            "unit": unit,
            "times": times,
            "printed": {title: lookup(row=title, **keys) for title in printed},
        },
    )


_OURS_M = ("Fig. 14", "MedSpectralNet", "params")
_OURS_G = ("Table 4", "MedSpectralNet", "flops")
_MPARAMS, _GMACS = "million parameters", "10^9 multiply-accumulates"

_DESCRIBED = ("bloodmnist", "breastmnist", "pneumoniamnist", "organsmnist")
# Cells that the text quotes of both matrices: true class, predicted class.
_QUOTED_TWICE = ((4, 10), (4, 5), (4, 9))

CHECKS = {
    # --- abstract, Table 3 ---
    "B01": _table3("organcmnist"),
    "B02": _table3("bloodmnist"),
    "B03": _table3("breastmnist"),
    "B04": _table3("pneumoniamnist"),
    "B05": _table3("dermamnist"),
    "B06": _table3("organsmnist"),
    "B07": _settings("seeds"),
    "B08": Check(
        gains.range_of_gains,
        lambda: {
            "pairs": stored.against_medmamba(),
            "printed": b("claims", "relative accuracy gain over larger transformers", "claimed"),
            "quoted": _quoted("pneumoniamnist", "breastmnist", "bloodmnist"),
        },
    ),
    "B09": Check(
        sizes.stated_total,
        lambda: {
            "printed": b(*_OURS_M),
            "trunk": stored.backbone()[0],
            "built": stored.millions("medspectralnet"),
            "light": stored.millions("medspectralnet_resnet16"),
        },
    ),
    "B10": _saving("params saved against MedMamba-T", _OURS_M, ("Fig. 14", "MedMamba-T", "params")),
    "B11": _size("Fig. 14", "MedMamba-T", "params", model="medmamba_t"),
    "B12": Check(
        confusion.end_of_range,
        lambda: {
            "value": b("abstract", "MedSpectralNet", "highest_auc"),
            "band": b("Fig. 6", "per class", "organcmnist/auc"),
            "which": "within",
        },
    ),
    "B13": Check(
        gains.state_of_the_art,
        lambda: {
            "ours": {d: accuracy(d) for d in stored.SIX},
            "quoted": {d: _medvit(d) for d in ("breastmnist", "pneumoniamnist", "bloodmnist")},
            "public": {d: stored.higher_public(d) for d in stored.SIX},
        },
    ),
    "B14": Check(
        data.all_reported,
        lambda: {"datasets": stored.SIX, "accuracies": {d: accuracy(d) for d in stored.SIX}},
    ),
    # --- architecture ---
    "B15": Check(
        sizes.linear_cost,
        lambda: {
            name: {side: stored.counts(model, side).macs for side in (224, 448, 896)}
            for name, model in (("macs", "medspectralnet"), ("plain", "resnet18"))
        },
    ),
    "B16": Check(
        sizes.attention_cost,
        lambda: {
            "printed": b("claims", "FLOPs of self-attention with as many parameters", "claimed"),
            "attention": stored.self_attention((7, 14, 28)),
            "macs": stored.spectralflow((7, 14, 28))[1],
        },
    ),
    "B17": Check(
        sizes.backbone_map,
        lambda: {
            "channels": b("methods", "backbone", "channels"),
            "stride": b("methods", "backbone", "stride"),
            "shape": stored.backbone()[1],
            "image_size": IMAGE_SIZE,
        },
    ),
    "B18": Check(
        sizes.whole_channels,
        lambda: {
            "channels": b("methods", "backbone", "channels"),
            "share": b("methods", "ContextGate", "gate_channels"),
        },
    ),
    "B19": Check(
        sizes.gate_fits,
        lambda: {
            "gate": b("methods", "ContextGate", "gate_channels"),
            "gated": b("methods", "ContextGate", "gated_channels"),
        },
    ),
    "B20": Check(
        sizes.whole_patches,
        lambda: {
            "sides": [
                int(k) for k in b("methods", "SpectralFlow", "patch_size").printed.split(" or ")
            ],
            "stride": b("methods", "backbone", "stride"),
            "sizes": _SIZES,
        },
    ),
    # --- FLOPs and parameters ---
    "B21": _size(*_OURS_G, model="medspectralnet", open_choice=True),
    "B22": Check(
        sizes.no_better_by_adding,
        lambda: {
            "printed": b(*_OURS_G),
            "trunk": stored.gmacs("resnet18"),
            "shortened": stored.gmacs("medspectralnet_resnet16"),
        },
    ),
    "B23": _size("Table 4", "ConvNeXt-T", "flops", model="convnext_tiny"),
    "B24": _size("Table 4", "Swin-T", "flops", model="swin_tiny"),
    "B25": _size("section 4.7", "ResNet-50", "flops", model="resnet50"),
    "B26": _saving("FLOPs saved against ConvNeXt-T", _OURS_G, ("Table 4", "ConvNeXt-T", "flops")),
    "B27": _saving("FLOPs saved against Swin-T", _OURS_G, ("Table 4", "Swin-T", "flops")),
    "B28": _smaller(stored.gmacs, _GMACS, {"ResNet-50": "resnet50"}, times=2.0),
    "B29": Check(
        sizes.tool_gives,
        lambda: {
            "printed": b("Table 4", "Swin-T", "flops"),
            "by_tool": lookup(
                paper="macs_by_tool",
                table="one 224 px image",
                row="swin_t",
                column=b("section 4.3", "FLOPs", "tool").printed,
            ),
        },
    ),
    "B30": Check(
        sizes.operations,
        lambda: {
            "printed": {
                row: (b("Table 4", row, "flops"), *stored.both_gmacs(model))
                for row, model in (("ConvNeXt-T", "convnext_tiny"), ("Swin-T", "swin_tiny"))
            },
        },
    ),
    "B31": _size("Fig. 14", "VMamba-T", "params", model="vmamba_t"),
    "B32": _size("Fig. 14", "Swin-T", "params", model="swin_tiny"),
    "B33": Check(
        sizes.saving_range,
        lambda: {
            "printed": b("claims", "params saved", "claimed"),
            "ours": b(*_OURS_M),
            "others": _printed_sizes(),
        },
    ),
    "B34": Check(
        sizes.saving_over_unnamed,
        lambda: {
            "printed": b("claims", "params saved against MedMamba-T", "claimed"),
            "ours": b(*_OURS_M),
            "others": _printed_sizes(),
        },
    ),
    "B35": _smaller(
        stored.millions, _MPARAMS, {"MedMamba-S": "medmamba_s", "MedMamba-B": "medmamba_b"}
    ),
    "B36": _smaller(
        *(stored.millions, _MPARAMS),
        {"MedViT-S": "medvit_s", "MedViT-T": "medvit_t"},
        printed=("MedViT-T",),
    ),
    "B37": Check(data.times_printed, lambda: {"timed": stored.timed()}),
    # --- data ---
    "B38": _same_number(
        ("section 4.1", "bloodmnist", "images"), lambda: stored.total_images("bloodmnist")
    ),
    "B39": _same_number(
        ("section 4.1", "bloodmnist", "classes"),
        lambda: stored.released("bloodmnist", "classes").value,
    ),
    "B40": Check(
        data.classes_agree,
        lambda: {
            "printed": b("section 4.1", "breastmnist", "classes"),
            "elsewhere": b("section 4.4.1", "breastmnist", "classes"),
            "released": stored.released("breastmnist", "classes"),
        },
    ),
    "B41": Check(
        data.class_meaning,
        lambda: {
            "quoted": {c: b("section 4.4.1", f"class {c}", "name") for c in (0, 1)},
            "released": stored.class_names("breastmnist"),
        },
    ),
    "B42": _same_number(
        ("section 4.1", "pneumoniamnist", "classes"),
        lambda: stored.released("pneumoniamnist", "classes").value,
    ),
    "B43": Check(
        data.same_word,
        lambda: {
            "printed": b("section 4.1", "organcmnist", "colour"),
            "released": stored.released("organcmnist", "colour"),
        },
    ),
    "B44": _same_number(
        ("Fig. 6", "organcmnist", "classes"),
        lambda: stored.released("organcmnist", "classes").value,
    ),
    "B45": _same_number(
        ("Fig. 10", "organsmnist", "classes"),
        lambda: stored.released("organsmnist", "classes").value,
    ),
    "B46": Check(
        data.are_largest,
        lambda: {
            "named": ("organcmnist", "organsmnist"),
            "totals": {d: stored.total_images(d) for d in stored.SIX},
        },
    ),
    "B47": Check(
        data.moderate_imbalance,
        lambda: {
            "shares": {d: stored.rarest_share(d) for d in stored.SIX},
            "bound": b("section 4.8", "severe imbalance", "share"),
        },
    ),
    "B48": Check(
        data.same_constants,
        lambda: {
            "printed": {name: b("methods", "normalisation", name) for name in ("mean", "std")},
            "ours": NORMALISE._asdict(),
        },
    ),
    # --- training ---
    "B49": _settings(
        *("epochs", "optimizer", "learning_rate", "schedule", "batch_size", "weight_decay"),
        *("image_size", "seeds", "validation_split"),
    ),
    "B50": _settings("learning_rate", "schedule", "batch_size", "weight_decay", "image_size"),
    "B51": _course("Fig. 4", "organcmnist"),
    "B52": _plateau("Fig. 4", "organcmnist"),
    "B53": Check(
        results.augmentation_lowers,
        lambda: {
            "with_it": stored.train_gaps("accuracy", cutmix=True),
            "without": stored.train_gaps("accuracy", cutmix=False),
            "what": "validation less training accuracy, in points,",
            "scale": 100,
            "spec": "+.1f",
        },
    ),
    "B54": _course("Fig. 8", "organsmnist"),
    "B55": _plateau("Fig. 8", "organsmnist"),
    "B56": Check(
        confusion.above,
        lambda: {
            "higher": b("Fig. 8", "plateau", "organsmnist/train_accuracy"),
            "lower": b("Fig. 8", "plateau", "organsmnist/test_accuracy"),
        },
    ),
    # --- confusion matrices and class-wise areas ---
    "B57": _counts_fit("Fig. 5", "organcmnist", lambda: _right("Fig. 5", _RIGHT_C), _WRONG_C),
    "B58": _broadest("Fig. 5", "organcmnist", ((5, 4), (5, 0))),
    "B59": _reciprocal("Fig. 5", 4, 5),
    "B60": Check(
        confusion.concentrated,
        lambda: {
            "wrong": _cells("Fig. 5", _WRONG_C),
            "accuracy": accuracy("organcmnist"),
            "n": stored.n_test("organcmnist"),
            "k": int(stored.released("organcmnist", "classes").value),
        },
    ),
    "B61": _areas(("Fig. 6", "per class", "organcmnist/auc"), "organcmnist", "auc"),
    "B62": _areas(
        ("Fig. 7", "per class", "organcmnist/average_precision"),
        "organcmnist",
        "average_precision",
    ),
    "B63": Check(
        confusion.end_of_range,
        lambda: {
            "value": b("Fig. 7", "class 3", "organcmnist/average_precision"),
            "band": b("Fig. 7", "per class", "organcmnist/average_precision"),
            "which": "low",
        },
    ),
    "B64": _neighbours((4, 5), (4, 9), (4, 10), (5, 10), (9, 10)),
    "B65": _neighbours((0, 9)),
    "B66": _counts_fit("Fig. 9", "organsmnist", _right_s, _WRONG_S),
    "B67": _broadest("Fig. 9", "organsmnist", ((10, 4),)),
    "B68": _reciprocal("Fig. 9", 4, 10),
    "B69": Check(
        confusion.alike,
        lambda: {
            "first": {"class 6": b("Fig. 5", "class 6", "predicted class 6")}
            | _cells("Fig. 5", _QUOTED_TWICE),
            "second": {"class 6": b("Fig. 9", "class 6", "predicted class 6")}
            | _cells("Fig. 9", _QUOTED_TWICE),
            "accuracies": (accuracy("organcmnist"), accuracy("organsmnist")),
        },
    ),
    "B70": _areas(("Fig. 10", "class 10", "organsmnist/auc"), "organsmnist", "auc", 10),
    "B71": _areas(
        ("Fig. 11", "per class", "organsmnist/average_precision"),
        "organsmnist",
        "average_precision",
    ),
    "B72": Check(
        confusion.is_no_auc,
        lambda: {
            "called": b("section 4.6", "MedSpectralNet", "organcmnist/auc"),
            "accuracy": accuracy("organcmnist"),
            "band": b("Fig. 6", "per class", "organcmnist/auc"),
        },
    ),
    # --- comparisons ---
    "B73": Check(gains.higher_everywhere, lambda: {"pairs": stored.against_medmamba()}),
    "B74": _gain("pneumoniamnist", "MedMamba-T", stored.medmamba),
    "B75": _gain("organcmnist", "MedMamba-T", stored.medmamba),
    "B76": _gain("organsmnist", "MedMamba-T", stored.medmamba),
    "B77": Check(
        gains.resolved,
        lambda: {
            "pairs": stored.against_medmamba(),
            "n": {d: stored.n_test(d) for d in stored.SIX},
        },
    ),
    "B78": _in_words(0),
    "B79": Check(
        results.worse_somewhere,
        lambda: {
            "against": stored.as_published(("medmamba_s", "medmamba_b")),
            "missing": stored.missing(),
        },
    ),
    "B80": Check(
        gains.higher_everywhere,
        lambda: {
            "pairs": {
                f"{d}, {row}": (accuracy(d), stored.benchmark(row, d))
                for d in stored.SIX
                for row in _RESNETS
            }
        },
    ),
    "B81": _resnet_gain("ResNet-18 (28)"),
    "B82": _resnet_gain("ResNet-18 (224)"),
    "B83": _resnet_gain("ResNet-50 (28)"),
    "B84": _resnet_gain("ResNet-50 (224)"),
    "B85": _in_words(1),
    "B86": Check(
        results.plain_as_good,
        lambda: {
            "against": stored.same_start("imagenet", ("resnet18", "mobilenet_v2")),
            "missing": stored.missing(),
        },
    ),
    "B87": Check(
        gains.below_plain_backbone,
        lambda: {
            "pairs": {
                d: (accuracy(d), plain) for d in stored.SIX if (plain := stored.plain_pretrained(d))
            },
            "n": {d: stored.n_test(d) for d in stored.SIX},
        },
    ),
    "B88": _sklearn_gain("pneumoniamnist"),
    "B89": _sklearn_gain("breastmnist"),
    "B90": _sklearn_gain("bloodmnist"),
    "B91": _sklearn_gain("dermamnist"),
    "B92": _sklearn_gain("organcmnist"),
    "B93": _sklearn_gain("organsmnist"),
    "B94": Check(
        gains.competitive,
        lambda: {
            "pairs": {
                (row, d): (accuracy(d), stored.benchmark(row, d))
                for row in _AUTOML
                for d in stored.SIX
            },
            "yardstick": _yardstick(),
        },
    ),
    "B95": _comparable("pneumoniamnist"),
    "B96": Check(
        gains.narrower,
        lambda: {
            "reference": _quoted("pneumoniamnist"),
            "others": _quoted("breastmnist", "bloodmnist"),
        },
    ),
    "B97": _comparable("breastmnist"),
    "B98": _comparable("bloodmnist"),
    "B99": _in_words(2),
    # --- ablation ---
    "B100": _part("cutmix"),
    "B101": Check(results.best_optimizer, lambda: {"best": stored.optimizers()}),
    "B102": _part("blocks", "spectralflow"),
    "B103": _part("blocks", "contextgate"),
    "B104": _part("blocks", "both"),
    "B105": _part("blocks", "plain"),
    # --- Grad-CAM ---
    "B106": _focused(_GATE_PATH),
    "B107": _focused(_LAST),
    "B108": Check(interpretation.progresses, lambda: {"findings": stored.map_progression()}),
    "B109": _spread(breast=True),
    "B110": _spread(breast=False),
    # --- efficiency ---
    "B111": Check(efficiency.faster, lambda: stored.time_ratios("cpu")),
    "B112": Check(efficiency.faster, lambda: stored.time_ratios("cuda")),
    "B113": Check(
        efficiency.less_memory,
        lambda: {
            "ours": stored.peak("cuda", "medspectralnet"),
            "theirs": stored.peak("cuda", "medmamba_t"),
            "device": "a GPU",
        },
    ),
    "B121": Check(interpretation.varies_within_class, lambda: stored.gate_scatter(_GATE_PATH)),
    "B124": Check(
        sizes.needs_less,
        lambda: {
            "printed": (
                b(*_OURS_G),
                lookup(paper="medmamba", table="sizes", row="MedMamba-T", column="macs"),
            ),
            "counted": (stored.gmacs("medspectralnet"), stored.gmacs("medmamba_t")),
        },
    ),
    "B114": Check(
        efficiency.exports,
        lambda: {"row": stored.export_row(), "at_most": _EXPORT_SHARE},
    ),
    # --- found on reading both texts once more ---
    "B125": Check(
        against.substantial_everywhere,
        lambda: {
            "pairs": {
                (row, d): (accuracy(d), stored.benchmark(row, d))
                for row in ("auto-sklearn", *_AUTOML)
                for d in stored.SIX
            },
            "yardstick": _yardstick(),
        },
    ),
    "B126": Check(
        against.exceeds_quoted,
        lambda: {"pairs": _quoted("pneumoniamnist", "breastmnist", "bloodmnist")},
    ),
    "B127": Check(
        against.comparable_and_better,
        lambda: {"pairs": stored.against_medmamba(), "yardstick": _yardstick()},
    ),
    "B128": Check(
        course.settles,
        lambda: {
            "courses": stored.long_courses(
                "breastmnist", {"training loss": "train_loss", "held-out loss": "val_loss"}
            ),
            "rapid": b("methods", "training", "rapid_until"),
            "steady": b("methods", "training", "stable_from"),
            "dataset": "BreastMNIST",
            "same": False,
        },
    ),
    "B129": _early(
        "Fig. 4", "organcmnist", {"train accuracy": "accuracy", "test accuracy": "accuracy"}
    ),
    "B130": _early(
        "Fig. 8", "organsmnist", {"train accuracy": "accuracy", "test accuracy": "accuracy"}
    ),
    "B131": Check(
        results.augmentation_lowers,
        lambda: {
            "with_it": stored.train_gaps("loss", cutmix=True),
            "without": stored.train_gaps("loss", cutmix=False),
            "what": "training less validation loss",
            "scale": 1,
            "spec": "+.2f",
        },
    ),
    "B132": Check(course.chosen_on_test, lambda: {"rows": stored.chosen_epochs()}),
    "B133": Check(
        scale.file_size,
        lambda: {
            "given": b("methods", "training", "file_size"),
            "files": _SIZES,
            "costs": {side: stored.counts("medspectralnet", side).macs / 1e9 for side in _SIZES},
            "printed": b(*_OURS_G),
            "record": b("Data Availability", "data", "record"),
            "sides": [
                int(k) for k in b("methods", "SpectralFlow", "patch_size").printed.split(" or ")
            ],
            "stride": b("methods", "backbone", "stride"),
        },
    ),
    "B134": _smaller(
        stored.gmacs, _GMACS, {"MedMamba-S": "medmamba_s", "MedMamba-B": "medmamba_b"}
    ),
    "B135": Check(
        confusion.end_of_range,
        lambda: {
            "value": b("Fig. 7", "class 10", "organcmnist/average_precision"),
            "band": b("Fig. 7", "per class", "organcmnist/average_precision"),
            "which": "within",
        },
    ),
    "B136": Check(
        data.described,
        lambda: {
            "stated": {d: b("section 4.1", d, "content") for d in _DESCRIBED},
            "released": {d: stored.description(d) for d in _DESCRIBED},
        },
    ),
    "B137": Check(scale.quadratic_cost, lambda: {"macs": stored.self_attention((7, 14, 28))}),
    "B138": Check(efficiency.batches_better, lambda: stored.time_ratios("cpu")),
    "B139": Check(
        efficiency.less_memory,
        lambda: {
            "ours": stored.peak("cpu", "medspectralnet"),
            "theirs": stored.peak("cpu", "medmamba_t"),
            "device": "a CPU",
        },
    ),
    "B140": Check(real_time.fast_enough, lambda: one_image({"MedSpectralNet": "medspectralnet"})),
}
