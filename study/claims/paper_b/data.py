"""Paper B's statements on data and training against the released sets and against itself."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated

from medmnist import INFO

from helpers.data.transforms import NORMALISE
from study.claims.check import ByColumn, ByDataset, ByRow, Total, TotalByRow, checks
from study.claims.check_result import CheckResult
from study.claims.ledger import Claim
from study.claims.paper_b.stored import SIX, class_supports
from study.published import NOT_GIVEN, Published, load_published
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDERSPECIFIED

# Where an organ lies, for "adjacent" in the most generous sense: the same part of the trunk.
ORGANS = {
    "chest": ("heart", "lung-left", "lung-right"),
    "upper abdomen": ("kidney-left", "kidney-right", "liver", "pancreas", "spleen"),
    "pelvis": ("bladder", "femur-left", "femur-right"),
}
REGIONS = {organ: region for region, organs in ORGANS.items() for organ in organs}


# Quoted values by the classes that their row and column name: "class 4", "predicted class 10".
ByClasses = Annotated[
    Mapping[tuple[int, ...], Published],
    lambda items: {tuple(map(int, re.findall(r"\d+", " ".join(key[2:])))): v for key, v in items},
]


@checks("B38", "B39", "B42", "B44", "B45")
def same_number(*, printed: Published, released: Total) -> CheckResult:
    """Judge a stated number of images or classes.

    Rule: "reproduced" where it is the released data set's, else "not reproduced".
    """
    return CheckResult(
        verdict=REPRODUCED if matches(released, printed) else NOT_REPRODUCED,
        evidence=f"Printed: {printed.printed} {printed.unit}; released: {released:g}.",
    )


@checks("B43")
def same_word(*, printed: Published, released: Published) -> CheckResult:
    """Judge a stated property in words.

    Rule: "reproduced" where the released set has it, else "not reproduced". "Coloured" is "RGB".
    """
    meant = {"coloured": "RGB"}.get(printed.printed, printed.printed)
    return CheckResult(
        verdict=REPRODUCED if meant == released.printed else NOT_REPRODUCED,
        evidence=f"Printed: {printed.printed}; the released images are {released.printed}.",
    )


@checks("B40")
def classes_agree(*, printed: Published, elsewhere: Published, released: Published) -> CheckResult:
    """Judge a number of classes that the paper states twice.

    Rule: "underspecified" where its two statements differ, else as `same_number`.
    """
    if printed.value != elsewhere.value:
        return CheckResult(
            verdict=UNDERSPECIFIED,
            evidence=f"Section 4.1 names {printed.printed} classes, section 4.4.1 "
            f"{elsewhere.printed}; the released set has {released.printed}. The first may mean the "
            "images that the set was made from.",
        )
    return same_number(printed=printed, released=released.value)


def _class_names(claim: Claim) -> dict[str, Mapping[str, str]]:
    return {"names": INFO[claim.ours]["label"]}


@checks("B41", measured=_class_names)
def class_meaning(*, quoted: ByClasses, names: Mapping[str, str]) -> CheckResult:
    """Judge which class is which.

    Rule: "reproduced" where the name of every released class begins with the quoted one ("normal"
    of "normal, benign"), else "not reproduced".
    """
    same = all(names[str(label)].startswith(said.printed) for (label,), said in quoted.items())
    listed = "; ".join(
        f"class {label}: printed {said.printed!r}, released {names[str(label)]!r}"
        for (label,), said in quoted.items()
    )
    return CheckResult(verdict=REPRODUCED if same else NOT_REPRODUCED, evidence=f"{listed}.")


@checks("B64", "B65", measured=_class_names)
def neighbours(*, confused: ByClasses, names: Mapping[str, str]) -> CheckResult:
    """Judge "these confused classes are anatomical neighbours".

    Rule: neighbours lie in the same part of the trunk (chest, upper abdomen, pelvis), though not
    all that lie there touch. "Not reproduced" where a pair does not, else "underspecified".
    """
    organs = {label: names[str(label)] for label in sorted({c for pair in confused for c in pair})}
    apart = [(a, b) for a, b in confused if REGIONS[organs[a]] != REGIONS[organs[b]]]
    listed = ", ".join(f"{c} is {organ} ({REGIONS[organ]})" for c, organ in organs.items())
    return CheckResult(
        verdict=NOT_REPRODUCED if apart else UNDERSPECIFIED,
        evidence=f"In the released set class {listed}. To lie in the same part is necessary, not "
        "enough.",
    )


@checks("B46", measured=lambda claim: {"named": claim.beside.keys()})
def are_largest(*, named: Collection[str], totals: TotalByRow) -> CheckResult:
    """Judge "these contain the largest number of samples".

    Rule: "reproduced" where no other data set has as many images as the least of those named, else
    "not reproduced".
    """
    least = min(totals[name] for name in named)
    larger = [name for name, total in totals.items() if name not in named and total >= least]
    listed = ", ".join(f"{name} {total:.0f}" for name, total in totals.items())
    return CheckResult(
        verdict=NOT_REPRODUCED if larger else REPRODUCED, evidence=f"Released images: {listed}."
    )


@checks("B14")
def all_reported(*, stated: Published, accuracies: ByDataset) -> CheckResult:
    """Judge "evaluated on six data sets".

    Rule: "reproduced" where as many sets have a printed accuracy, else "contradicted".
    """
    there = sum(value.value is not None for value in accuracies.values())
    return CheckResult(
        verdict=REPRODUCED if there == stated.value else CONTRADICTED,
        evidence=f"{there} of {stated.printed} data sets have a printed accuracy.",
    )


@checks("B47", measured=lambda claim: {"supports": {d: class_supports(d) for d in SIX}})
def moderate_imbalance(
    *, supports: Mapping[str, Mapping[str, int]], bound: Published
) -> CheckResult:
    """Judge "moderate class imbalance", severe being a class below the bound, in percent.

    Rule: "not reproduced" where the rarest class of a stored test split lies below the bound; "not
    run" as long as a data set has no stored run; else "reproduced".

    `supports`: data set -> images of each class, empty without a stored run.
    """
    known = {d: 100 * min(n.values()) / sum(n.values()) for d, n in supports.items() if n}
    missing = [d for d in supports if d not in known]
    verdict = NOT_RUN if missing else REPRODUCED
    if any(share < bound.high for share in known.values()):
        verdict = NOT_REPRODUCED
    listed = ", ".join(f"{d} {share:.1f} %" for d, share in known.items())
    needs = f" Needed: the labels of {', '.join(missing)}." if missing else ""
    return CheckResult(
        verdict=verdict,
        evidence=f"Rarest class of the test split: {listed or 'none stored'}.{needs}",
        runs=("run store",),
    )


@checks("B48", ours=NORMALISE._asdict())
def same_constants(*, printed: ByColumn, ours: Mapping[str, tuple]) -> CheckResult:
    """Judge printed constants against those of torchvision's ImageNet weights.

    Rule: "reproduced" where all are equal, else "not reproduced".
    """
    same = sum(
        tuple(map(float, value.printed.split(","))) == tuple(ours[name])
        for name, value in printed.items()
    )
    listed = "; ".join(f"{name} printed {value.printed}" for name, value in printed.items())
    return CheckResult(
        verdict=REPRODUCED if same == len(printed) else NOT_REPRODUCED,
        evidence=f"{listed}; {same} of {len(printed)} are those of the ImageNet weights.",
    )


@checks("B07", "B49", "B50")
def settings_given(*, settings: ByColumn) -> CheckResult:
    """Judge whether a protocol can be repeated.

    Rule: "underspecified" where one setting is not given, else "reproduced".
    """
    missing = [name for name, value in settings.items() if value.printed == NOT_GIVEN]
    return CheckResult(
        verdict=UNDERSPECIFIED if missing else REPRODUCED,
        evidence=f"Not given: {', '.join(missing) or 'nothing'} ({len(missing)} of "
        f"{len(settings)} settings).",
    )


def _timed(claim: Claim) -> dict[str, int]:
    table = load_published()
    return {"timed": int(((table["paper"] == "B") & table["unit"].isin(["s", "min"])).sum())}


@checks("B37", measured=_timed)
def times_printed(*, timed: int) -> CheckResult:
    """Judge "a comprehensive analysis of FLOPs and inference performance".

    Rule: "underspecified" where no latency or throughput is printed, else "reproduced".
    """
    return CheckResult(
        verdict=REPRODUCED if timed else UNDERSPECIFIED,
        evidence=f"Printed latencies and throughputs: {timed}; FLOPs and parameters "
        "alone are printed.",
    )


def _descriptions(claim: Claim) -> dict[str, Mapping[str, str]]:
    return {"released": {key.row: INFO[key.row]["description"] for key in claim.given["stated"]}}


@checks("B136", measured=_descriptions)
def described(*, stated: ByRow, released: Mapping[str, str]) -> CheckResult:
    """Judge what the paper says the images of each data set are.

    Rule: "reproduced" where the description of each released set has the stated words, upper and
    lower case alike, else "not reproduced".

    `stated`: data set -> words, separated by commas.
    """
    wrong = []
    for dataset, value in stated.items():
        description = released[dataset].lower()
        missing = [w for w in value.printed.split(", ") if w.lower() not in description]
        if missing:
            wrong.append(f"{dataset} {', '.join(missing)}")
    listed = "; ".join(f"{dataset}: {value.printed}" for dataset, value in stated.items())
    return CheckResult(
        verdict=NOT_REPRODUCED if wrong else REPRODUCED,
        evidence=f"Looked for in the released descriptions: {listed}; missing: "
        f"{'; '.join(wrong) or 'nothing'}.",
    )
