"""Paper B's comparisons, recomputed from printed accuracies: its own and its comparators'."""

from collections.abc import Mapping, Sequence

from helpers.metrics.power import newcombe
from study.claims.arithmetic import images
from study.claims.outcome import OPEN_CHOICE, Outcome
from study.published import Published
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED

# Data set -> (paper B's value, the comparator's).
Pairs = Mapping[str, tuple[Published, Published]]


def gap(ours: Published, theirs: Published) -> float:
    """Return ours - theirs in percentage points.

    Raises:
        ValueError: a value is no plain number, or not verified (marked M).
    """
    for value in (ours, theirs):
        if not value.may_carry_verdict:
            raise ValueError(f"{value.printed!r} ({value.source}) may carry no verdict.")
    return round(100 * (ours.fraction - theirs.fraction), 10)


def printed_gain(*, ours: Published, theirs: Published, gain: Published) -> Outcome:
    """Judge a printed gain in points.

    Rule: "reproduced" where the difference of the two printed accuracies is the printed gain to its
    digits, else "not reproduced" (the comparator's value is another paper's).
    """
    found = gap(ours, theirs)
    fits = matches(found, gain)
    return Outcome(
        verdict=REPRODUCED if fits else NOT_REPRODUCED,
        evidence=f"{ours.printed} % less {100 * theirs.fraction:.1f} % is {found:+.1f} points; "
        f"printed: {gain.printed}.",
        figures={"computed": found, "printed": gain.value},
    )


def range_of_gains(*, pairs: Pairs, printed: Published, quoted: Pairs) -> Outcome:
    """Judge "relative gains of low-high % over larger transformers".

    Rule: "reproduced" where the relative gains over the comparator on all its data sets lie in the
    printed range to its digits and no larger transformer that the paper quotes is more accurate;
    "contradicted" where they do not lie there; else "underspecified": which transformers and which
    data sets are meant is not said.

    Args:
        pairs: against MedMamba-T, whose gains have the printed ends.
        printed: the range.
        quoted: against transformers, as the paper quotes them.
    """
    relative = {d: 100 * gap(a, b) / (100 * b.fraction) for d, (a, b) in pairs.items()}
    absolute = {d: gap(a, b) for d, (a, b) in pairs.items()}
    higher = [d for d, (a, b) in quoted.items() if gap(a, b) < 0]
    low, high = min(relative.values()), max(relative.values())
    inside = printed.low - 0.5 <= low and high <= printed.high + 0.05
    verdict = UNDERSPECIFIED if higher else REPRODUCED
    return Outcome(
        verdict=verdict if inside else CONTRADICTED,
        evidence="Which transformers are meant is not said. Over MedMamba-T, a state-space model, "
        f"whose differences section 4.6 prints, the relative gains run from {low:.1f} to "
        f"{high:.1f} % and the differences from {min(absolute.values()):.1f} to "
        f"{max(absolute.values()):.1f} points; printed: {printed.printed} % relative. Of the "
        f"transformers that the text quotes, {len(higher)} of {len(quoted)} are more accurate.",
        figures={"relative_low": low, "relative_high": high, "higher": float(len(higher))},
    )


def higher_everywhere(*, pairs: Pairs) -> Outcome:
    """Judge "more accurate on every data set" by the printed values alone.

    Rule: "reproduced" where every printed difference is above 0, else "contradicted".
    """
    gaps = {dataset: gap(a, b) for dataset, (a, b) in pairs.items()}
    below = [dataset for dataset, value in gaps.items() if value <= 0]
    least, most = min(gaps, key=gaps.get), max(gaps, key=gaps.get)
    return Outcome(
        verdict=CONTRADICTED if below else REPRODUCED,
        evidence=f"{len(gaps) - len(below)} of {len(gaps)} printed differences are above 0, from "
        f"{gaps[least]:+.1f} points ({least}) to {gaps[most]:+.1f} ({most}).",
        figures=gaps,
    )


def resolved(*, pairs: Pairs, n: Mapping[str, int]) -> Outcome:
    """Judge whether printed gains are more than the test images leave to chance.

    Rule: "reproduced" where the 95 % interval of every difference (Newcombe, as if the images were
    different ones: the paper prints no paired counts) lies above 0; "contradicted" where one
    lies below 0; else "underspecified": the paper prints neither seeds nor intervals nor a test.

    Args:
        pairs: printed accuracies.
        n: test images of each data set.
    """
    intervals = {}
    for dataset, (a, b) in pairs.items():
        gap(a, b)
        size = n[dataset]
        intervals[dataset] = newcombe(images(a, size).images, size, images(b, size).images, size)
    shown = [d for d, found in intervals.items() if found.low > 0]
    reverse = [d for d, found in intervals.items() if found.high < 0]
    verdict = CONTRADICTED if reverse else REPRODUCED
    if not reverse and len(shown) < len(intervals):
        verdict = UNDERSPECIFIED
    listed = "; ".join(
        f"{d} {gap(*pairs[d]):+.1f} ({100 * e.low:+.1f} to {100 * e.high:+.1f})"
        for d, e in intervals.items()
    )
    return Outcome(
        verdict=verdict,
        evidence=f"{len(shown)} of {len(intervals)} printed differences exceed the chance of the "
        f"test images (95 %, points): {listed}.",
        figures={f"{d}_low": 100 * e.low for d, e in intervals.items()}
        | {"shown": float(len(shown))},
    )


def comparable(
    *, ours: Published, theirs: Sequence[Published], yardstick: Published, n: int
) -> Outcome:
    """Judge "comparable or superior to" others that the paper itself quotes.

    Rule: a lead is superior. A shortfall is comparable where it is smaller than the smallest gain
    that the paper itself calls notable (its own yardstick, so that one measure serves both
    directions): "reproduced" if so for every value; else "contradicted" where the 95 % interval of
    the largest shortfall excludes 0 (Newcombe), "underspecified" where the test images are too few
    to tell.

    Args:
        ours: paper B's accuracy.
        theirs: the quoted ones; of a range its ends.
        yardstick: the gain in points.
        n: test images.
    """
    gaps = [gap(ours, other) for other in theirs]
    worst = min(gaps)
    lowest = theirs[gaps.index(worst)]
    interval = newcombe(images(ours, n).images, n, images(lowest, n).images, n)
    verdict = CONTRADICTED if interval.high < 0 else UNDERSPECIFIED
    return Outcome(
        verdict=REPRODUCED if worst > -yardstick.value else verdict,
        evidence=f"{ours.printed} % is {', '.join(f'{g:+.1f}' for g in gaps)} points from the "
        f"quoted values; a gain of {yardstick.printed} is called notable. The least of them is "
        f"{abs(worst) * n / 100:.0f} of {n} test images, 95 % {100 * interval.low:+.1f} to "
        f"{100 * interval.high:+.1f} points.",
        figures={"worst": worst, "yardstick": yardstick.value},
    )


def narrower(*, reference: Pairs, others: Pairs) -> Outcome:
    """Judge "the gap narrows considerably on other data sets".

    Rule: "reproduced" where the comparators' lead is smaller in each of the others than the
    smallest lead in the reference, "contradicted" where in none, else "underspecified": it holds in
    part, and which sets are meant is not said.
    """
    start = {name: -gap(a, b) for name, (a, b) in reference.items()}
    leads = {name: -gap(a, b) for name, (a, b) in others.items()}
    wider = [name for name, lead in leads.items() if lead >= min(start.values())]
    listed = ", ".join(f"{name} {lead:+.1f}" for name, lead in (start | leads).items())
    return Outcome(
        verdict=REPRODUCED
        if not wider
        else CONTRADICTED
        if len(wider) == len(leads)
        else UNDERSPECIFIED,
        evidence=f"The lead of MedViT's two values in points: {listed}."
        + (f" So in part: not on {', '.join(wider)}." if 0 < len(wider) < len(leads) else ""),
        figures=start | leads,
    )


def state_of_the_art(
    *, ours: Mapping[str, Published], quoted: Mapping[str, Sequence[Published]], public: Mapping
) -> Outcome:
    """Judge "state-of-the-art accuracy".

    Rule: "contradicted" where the paper itself quotes a higher accuracy on a data set; else "not
    reproduced" where a verified public one is higher; else "reproduced".

    Args:
        ours: accuracy by data set.
        quoted: higher or lower ones that the paper's text quotes.
        public: data set -> {system: accuracy}, verified values of other sources.
    """
    own = [d for d, values in quoted.items() if any(gap(ours[d], v) < 0 for v in values)]
    higher = {
        d: max((v.fraction, s) for s, v in systems.items())
        for d, systems in public.items()
        if any(gap(ours[d], v) < 0 for v in systems.values())
    }
    verdict = CONTRADICTED if own else NOT_REPRODUCED if higher else REPRODUCED
    listed = "; ".join(
        f"{d} {ours[d].printed} against {100 * value:.1f} ({system})"
        for d, (value, system) in higher.items()
    )
    return Outcome(
        verdict=verdict,
        evidence=f"The text itself quotes higher accuracies on {len(own)} data sets "
        f"({', '.join(own) or 'none'}); verified public ones are higher on {len(higher)} of "
        f"{len(ours)}: {listed or 'none'}.",
        figures={"quoted_higher": float(len(own)), "public_higher": float(len(higher))},
    )


def below_plain_backbone(
    *, pairs: Mapping[str, tuple[Published, dict]], n: Mapping[str, int]
) -> Outcome:
    """Judge whether the gains can be the architecture's and not the pretrained backbone's.

    Rule: "not reproduced" where a plain ResNet-18 from the same ImageNet weights has a higher
    published accuracy on any data set, at whatever image size (the paper states none), by more than
    the chance of the test images (Newcombe, 95 %); else "underspecified", since published values of
    other protocols do not prove an advantage.

    Args:
        pairs: data set -> (paper B's accuracy, {system: accuracy of the plain network}).
        n: test images of each data set.
    """
    best = {d: max((v.fraction, s) for s, v in plain.items()) for d, (_, plain) in pairs.items()}
    for a, plain in pairs.values():
        for value in plain.values():
            gap(a, value)
    above = [d for d, (a, _) in pairs.items() if best[d][0] > a.fraction]
    resolved = [d for d in above if _resolved(best[d][0], pairs[d][0].fraction, n[d])]
    listed = "; ".join(
        f"{d} {a.printed} against {100 * best[d][0]:.2f} ({best[d][1]})"
        for d, (a, _) in pairs.items()
    )
    return Outcome(
        verdict=NOT_REPRODUCED if resolved else UNDERSPECIFIED,
        evidence=f"The plain ImageNet ResNet-18 is more accurate on {len(above)} of {len(pairs)} "
        f"data sets, on {len(resolved)} by more than the chance of the test images: "
        f"{listed}. The ResNets of the paper's table started from scratch.",
        figures={"above": float(len(above)), "datasets": float(len(pairs))},
        limits=(OPEN_CHOICE,),
    )


def _resolved(above: float, below: float, n: int) -> bool:
    return newcombe(round(above * n), n, round(below * n), n).low > 0


def competitive(
    *, pairs: Mapping[tuple[str, str], tuple[Published, Published]], yardstick: Published
) -> Outcome:
    """Judge "competitive with these systems" over all data sets.

    Rule: as `comparable`: "reproduced" where no printed shortfall reaches the smallest gain that
    the paper calls notable, else "contradicted".

    Args:
        pairs: (system, data set) -> (paper B's value, the system's).
        yardstick: the gain in points.
    """
    gaps = {key: gap(a, b) for key, (a, b) in pairs.items()}
    system, dataset = min(gaps, key=gaps.get)
    worst = gaps[system, dataset]
    ahead = sum(value > 0 for value in gaps.values())
    return Outcome(
        verdict=REPRODUCED if worst > -yardstick.value else CONTRADICTED,
        evidence=f"Ahead in {ahead} of {len(gaps)} printed comparisons; the least is "
        f"{worst:+.1f} points ({system}, {dataset}). A gain of {yardstick.printed} is called "
        "notable.",
        figures={"worst": worst, "ahead": float(ahead)},
    )
