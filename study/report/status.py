"""What became of the published values: counts for the status table, and the answer in words.

Every verdict comes from the code that makes the tables; here they are only counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from study.compare import Gain, Results
from study.plans.verdicts import Rules
from study.tables.accuracy import MEDMNIST, Row
from study.tables.angiograms import METRICS, table1_frame, table4_frame
from study.verdicts import (
    COMPATIBLE,
    EXCLUDED,
    INCONCLUSIVE,
    NO_COMPETITOR,
    NO_VERDICT,
    NOT_REPRODUCED,
    NOT_RUN,
    OTHER_IMAGES,
    OURS_HIGHER,
    OURS_LOWER,
    REPRODUCED,
    SHORT,
    SHOWN,
    SHOWN_REVERSED,
    TOO_FEW_SEEDS,
    UNTESTABLE,
    UNVERIFIED,
)

OUTCOMES = (REPRODUCED, COMPATIBLE, NOT_REPRODUCED, INCONCLUSIVE, OTHER_IMAGES, SHORT, NOT_RUN)
_OUTCOME_OF = {
    REPRODUCED: REPRODUCED,
    SHOWN: REPRODUCED,
    COMPATIBLE: COMPATIBLE,
    OURS_LOWER: NOT_REPRODUCED,
    OURS_HIGHER: NOT_REPRODUCED,
    EXCLUDED: NOT_REPRODUCED,
    SHOWN_REVERSED: NOT_REPRODUCED,
    INCONCLUSIVE: INCONCLUSIVE,
    OTHER_IMAGES: OTHER_IMAGES,
    SHORT: SHORT,
    NOT_RUN: NOT_RUN,
} | dict.fromkeys((NO_VERDICT, TOO_FEW_SEEDS, UNVERIFIED, UNTESTABLE, NO_COMPETITOR), NOT_RUN)


def settle(verdicts: Iterable[str]) -> str:
    """Return the outcome of one published value: that of the one row that has a verdict.

    Args:
        verdicts: of its rows, at least one; or of the starts that a gain is measured from.

    Returns:
        One of `OUTCOMES`, the first of those that its rows have.
    """
    found = {_OUTCOME_OF[verdict] for verdict in verdicts}
    return next(outcome for outcome in OUTCOMES if outcome in found)


@dataclass(frozen=True)
class Tally:
    """Published values of one kind and what became of them.

    Attributes:
        title: which values.
        outcomes: how many of each of `OUTCOMES`.
    """

    title: str
    outcomes: Counter

    @property
    def total(self) -> int:
        """How many values."""
        return self.outcomes.total()

    @property
    def bars(self) -> list[tuple[str, int, str, str]]:
        """Outcome, count, and start and width along a bar in percent; those that occur."""
        done, bars = 0, []
        for outcome in OUTCOMES:
            if count := self.outcomes[outcome]:
                at, width = (100 * n / self.total for n in (done, count))
                bars.append((outcome, count, f"{at:.2f}", f"{width:.2f}"))
                done += count
        return bars


def paper_a(results: Results) -> list[Tally]:
    """Count paper A's printed values."""
    systems = table4_frame(results)
    values = [
        (system, metric, int(n_seeds))
        for metric in METRICS
        for system, n_seeds, printed in zip(
            systems["system"], systems["n_seeds"], systems[f"published_{metric}"], strict=True
        )
        if pd.notna(printed)
    ]
    # Of other images: a number of ours stands beside, but judges nothing.
    beside = defaultdict(list)
    for system, metric, n_seeds in values:
        beside[system, metric].append(OTHER_IMAGES if n_seeds else NOT_RUN)
    gains = defaultdict(list)
    for gain, key in _gains(results):
        gains[key].append(gain.verdict)
    course = table1_frame(results.compared["stopping"]).dropna(subset="published")
    ran = [OTHER_IMAGES if n else NOT_RUN for n in course["n_seeds"]]
    return [
        _tally("Printed gains (section 3.4)", gains.values()),
        _tally("Accuracy, AUC and F1 of the systems (Tables 2 and 4)", beside.values()),
        _tally("Course of training (Table 1)", [[verdict] for verdict in ran]),
    ]


def _gains(results: Results) -> Iterable[tuple[Gain, tuple[str, ...]]]:
    """Yield each judged gain and what it is a gain of."""
    for compared in results.compared.values():
        for c in compared:
            for gain in results.gains(c):
                yield gain, (*c.pair.published.values(), gain.metric)


def paper_b(rows: Sequence[Row], rules: Rules) -> list[Tally]:
    """Count paper B's accuracies, and those of other papers that stand beside them."""
    by_value = _by_value(rows, rules)
    own, others = (
        [[row.verdict for row in some] for some in by_value[paper].values()]
        for paper in ("B", "others")
    )
    return [
        _tally("Accuracy of MedSpectralNet (Table 3)", own),
        _tally("ResNets of other papers on the same sets", others),
    ]


def of_paper_b(rows: Iterable[Row], rules: Rules) -> list[Row]:
    """Return the rows that speak to a number of paper B."""
    papers = {comparison.row: comparison.paper for comparison in rules.comparisons}
    return [row for row in rows if row.published and papers[row.system] == "B"]


def _by_value(rows: Sequence[Row], rules: Rules) -> dict[str, dict[tuple[str, str], list[Row]]]:
    """Return the rows of each published value, those of paper B and those of others apart."""
    own = of_paper_b(rows, rules)
    found = {"B": defaultdict(list), "others": defaultdict(list)}
    for row in rows:
        if row.published:
            found["B" if row in own else "others"][row.system, row.dataset].append(row)
    return found


def _tally(title: str, verdicts: Iterable[Sequence[str]]) -> Tally:
    return Tally(title, Counter(settle(some) for some in verdicts))


@dataclass(frozen=True)
class Tested:
    """A family of paired comparisons and what they show.

    Attributes:
        name: of the family.
        title: of the family.
        planned: how many comparisons.
        gain: in how many A is better.
        loss: in how many B is better.
        neither: in how many no difference is shown.
    """

    name: str
    title: str
    planned: int
    gain: int
    loss: int
    neither: int

    @property
    def unjudged(self) -> int:
        """How many have too few seeds, no test, or no runs."""
        return self.planned - self.gain - self.loss - self.neither

    @property
    def cells(self) -> tuple[str, ...]:
        """A line of a table: title and all counts."""
        counts = (self.planned, self.gain, self.loss, self.neither, self.unjudged)
        return (self.title, *map(str, counts))


def tested(results: Results) -> list[Tested]:
    """Count the comparisons of every family."""
    lines = []
    for family in results.plan.families:
        found = Counter(c.shown.get("auc") for c in results.compared[family.name])
        shown = (found[1], found[-1], found[0])
        lines.append(Tested(family.name, family.title, len(family.pairs), *shown))
    return lines


# --- in words ------------------------------------------------------------------------------------


def answer_b(rows: Sequence[Row], rules: Rules) -> str:
    """Say what became of paper B's accuracies."""
    own = _by_value(rows, rules)["B"]
    sets = defaultdict(list)
    for (_, dataset), some in own.items():
        outcome = settle(row.verdict for row in some)
        sets[outcome].append(MEDMNIST[dataset])
    missing = sets.pop(NOT_RUN, [])
    if not sets:
        return "No run of MedSpectralNet stands beside a printed accuracy yet."
    said = listed([f"{outcome} on {listed(names)}" for outcome, names in sets.items()])
    text = f"MedSpectralNet's printed accuracy is {said}"
    if missing:
        text += f"; {listed(missing)} {_be(len(missing))} {NOT_RUN}"
    departures = {d for some in own.values() for row in some for d in row.departures}
    if departures:
        text += (
            f". Ours departs from what the paper states ({'; '.join(sorted(departures))}), so what "
            "it does not reach is not thereby refuted"
        )
    return f"{text}."


def answer_a(results: Results) -> str:
    """Say what became of paper A's gains, and of its parts."""
    gains, *_ = paper_a(results)
    if gains.outcomes[NOT_RUN] == gains.total:
        return "The brain-inspired framework has not been run against its controls yet."
    counts = [f"{n} {_be(n)} {outcome}" for outcome, n, *_ in gains.bars]
    text = (
        f"Of the {gains.total} gains that the brain-inspired framework's paper prints, "
        f"{listed(counts)}; its images are not public, so ours are of another set."
    )
    parts = next(line for line in tested(results) if line.name == "ablation")
    if parts.planned > parts.unjudged:
        text += (
            f" Of {parts.planned} comparisons that take a part of it away, {_shows(parts.gain)} "
            f"that the part helps, {_shows(parts.loss)} that it harms, and {_shows(parts.neither)} "
            "no difference."
        )
    return text


def listed(words: Sequence[str]) -> str:
    """Write "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _shows(count: int) -> str:
    return f"{count} show" if count > 1 else "1 shows" if count else "none shows"
