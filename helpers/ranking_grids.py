"""The measured Table 3 as grids of text: for markdown pages and for notebooks alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from helpers.comparison_tables import interval_text
from helpers.comparisons import p_text, signed
from helpers.groups import Group
from helpers.paired import Difference
from helpers.ranking import Against, Place, Ranking, judge_accuracy, primary
from helpers.ranking_plan import START_WORDS, PublishedAccuracy, System, published_accuracies
from helpers.ranking_results import Results
from helpers.ranking_words import claim_text
from helpers.table_text import as_percent, markdown_table, mean_sd, percent
from helpers.verdicts import NOT_RUN, Rules


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Attributes:
        head: names of the columns.
        cells: lines.
    """

    head: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return a markdown table, "" if there are no lines."""
        return markdown_table(self.head, self.cells) if self.cells else ""

    def frame(self, *columns: str) -> pd.DataFrame:
        """Return a data frame, of some columns if any are named."""
        frame = pd.DataFrame(self.cells, columns=self.head)
        return frame[list(columns)] if columns else frame


def _grid(head: Sequence[str], cells: Sequence[Sequence[str]]) -> Grid:
    return Grid(tuple(head), tuple(tuple(line) for line in cells))


def published_text(accuracy: PublishedAccuracy | None, system: System, start: str) -> str:
    """Write a published accuracy in percent, with what sets its row apart from the system."""
    if accuracy is None:
        return ""
    remarks = [] if accuracy.row == system.title else [accuracy.row]
    if not accuracy.fits(start):
        remarks.append(START_WORDS[accuracy.start])
    if accuracy.published.mark == "M":
        remarks.append("unverified")
    text = as_percent(accuracy.published)
    return f"{text} ({', '.join(remarks)})" if remarks else text


def range_text(place: Place) -> str:
    """Write a rank range."""
    if place.rank is None:
        return ""
    return f"{place.best}" if place.best == place.worst else f"{place.best} to {place.worst}"


def millions(count: int | None) -> str:
    """Write a count in millions."""
    return "" if count is None else f"{count / 1e6:.1f}"


def points(difference: Difference | None) -> str:
    """Write a difference of accuracies in points, with its interval."""
    return interval_text(difference, scale=100, digits=1)


def _p(value: float | None) -> str:
    return "" if value is None else p_text(value).removeprefix("p = ").removeprefix("p ")


def ours(group: Group | None) -> list[str]:
    """Write the cells of `OURS`."""
    if group is None:
        return [NOT_RUN, "", "", ""]
    accuracy = group.accuracy
    return [
        mean_sd(group.values("accuracy"), scale=100, digits=1),
        f"{percent(accuracy.low)} to {percent(accuracy.high)}",
        mean_sd(group.values("auc")),
        f"n = {len(group.seeds)}",
    ]


OURS = ("ours, mean ± sd", "95 %", "AUC", "seeds")


def ranking_grid(ranking: Ranking, rules: Rules) -> Grid:
    """Write a ranking; models neither run nor published are left out, see `silent`."""
    head = ["rank", "range", "model", *OURS, "parameters, M", "MACs, M", "published", "verdict"]
    cells = []
    for place in ranking.places:
        accuracy = primary(place.system, ranking.dataset, ranking.start)
        if place.group is None and accuracy is None:
            continue
        model = place.group.record["model"] if place.group else {"params": None, "macs": None}
        verdict = ""
        if accuracy:
            verdict = judge_accuracy(accuracy, place.group, start=ranking.start, rules=rules)
        cells.append(
            [
                str(place.rank or ""),
                range_text(place),
                place.system.title,
                *ours(place.group),
                millions(model["params"]),
                millions(model["macs"]),
                published_text(accuracy, place.system, ranking.start),
                verdict,
            ]
        )
    return _grid(head, cells)


def silent(ranking: Ranking) -> list[str]:
    """Return the titles of the models neither run nor published."""
    return [
        place.system.title
        for place in ranking.places
        if place.group is None and primary(place.system, ranking.dataset, ranking.start) is None
    ]


def against_grid(against: Sequence[Against], *, focus: str) -> Grid:
    """Write the focus against others; differences are the focus less the other."""
    head = [
        *("other", "seeds", "accuracy, points (95 %)", "p, corrected", f"{focus} outperforms it"),
        *("AUC (95 %)", "p, corrected", "right alone, focus : other", "McNemar, corrected"),
    ]
    cells = [
        [
            c.title,
            f"n = {len(c.seeds)}" if c.seeds else "",
            points(c.accuracy),
            _p(c.p_accuracy),
            c.verdict,
            interval_text(c.auc),
            _p(c.p_auc),
            f"{c.mcnemar.only_a} : {c.mcnemar.only_b}" if c.mcnemar else "",
            _p(c.p_mcnemar),
        ]
        for c in against
    ]
    return _grid(head, cells)


def gain_grid(results: Results, dataset: str) -> Grid:
    """Write the published differences beside the measured ones."""
    head = ["other", "published, points", "ours, points (95 %)", "seeds", "p, corrected", "verdict"]
    cells = []
    for c, gain in results.gains(dataset):
        printed = f"{as_percent(gain.focus.published)} - {as_percent(gain.other.published)}"
        text = f"{signed(100 * gain.value, digits=1)} ({printed}"
        cells.append(
            [
                c.title if gain.other.row == c.title else f"{c.title} ({gain.other.row})",
                f"{text})" if gain.verified else f"{text}, unverified)",
                points(c.accuracy) or NOT_RUN,
                f"n = {len(c.seeds)}" if c.seeds else "",
                _p(c.p_accuracy),
                gain.verdict,
            ]
        )
    return _grid(head, cells)


def other_rows_grid(ranking: Ranking, rules: Rules) -> Grid:
    """Write the further published rows of the models in a ranking."""
    cells = []
    for place in ranking.places:
        first = primary(place.system, ranking.dataset, ranking.start)
        for accuracy in published_accuracies(place.system.rows, ranking.dataset):
            if accuracy == first or not accuracy.fits(ranking.start):
                continue
            verdict = judge_accuracy(accuracy, place.group, start=ranking.start, rules=rules)
            printed = as_percent(accuracy.published)
            source = f"{accuracy.row}, {accuracy.published.source}"
            cells.append([place.system.title, printed, source, accuracy.published.mark, verdict])
    head = ["model", "published", "row and source", "mark", "verdict"]
    return _grid(head, cells)


def not_run_grid(results: Results) -> Grid:
    """Write the published systems that are not run: why, and what is published, in percent."""
    plan = results.plan
    head = ["system", f"why it is {NOT_RUN}", *plan.datasets.values(), "source", "mark"]
    systems = [
        (row.name, row.reason, {d: row.published.get(d, {}).get("accuracy") for d in plan.datasets})
        for row in results.automl
        if row.system is None
    ]
    for system in plan.not_rebuilt:
        found = {d: published_accuracies([system.row], d) for d in plan.datasets}
        values = {d: accuracies[0].published for d, accuracies in found.items() if accuracies}
        systems.append((system.title, system.reason, values))
    cells = []
    for title, reason, values in systems:
        known = [value for value in values.values() if value]
        printed = [as_percent(values[d]) if values.get(d) else "" for d in plan.datasets]
        source = [known[0].source, known[0].mark] if known else ["", ""]
        cells.append([title, reason, *printed, *source])
    return _grid(head, cells)


def automl_grid(results: Results, dataset: str) -> Grid:
    """Write the open AutoML systems run on a data set."""
    head = [
        *("system", "budget", "start", *OURS),
        *(f"{results.focus} less it, points (95 %)", "p, corrected"),
        f"{results.focus} outperforms it",
    ]
    cells = [
        [
            *(row.name, row.budget, START_WORDS[c.other_group.config["pretrained"]]),
            *ours(c.other_group),
            *(points(c.accuracy), _p(c.p_accuracy), c.verdict),
        ]
        for row, c in results.against_automl(dataset)
    ]
    return _grid(head, cells)


def claim_grid(results: Results) -> Grid:
    """Write the paper's claims in words with their verdicts."""
    head = ["the paper says", "section", "both from scratch", "as the paper compares"]
    cells = [
        [f'"{scratch.claim.text}"', scratch.claim.section, claim_text(scratch), claim_text(mixed)]
        for scratch, mixed in results.claims()
    ]
    return _grid(head, cells)


def coverage_grid(results: Results) -> Grid:
    """Write how much of the plan is run, by data set and start."""
    head = ["data set", "start", "models run", "planned", "seeds", "runs"]
    cells = []
    for ranking in results.rankings:
        seeds = [len(group.seeds) for group in ranking.groups]
        spread = f"{min(seeds)} to {max(seeds)}" if seeds else ""
        start = START_WORDS[ranking.start]
        counts = [str(len(seeds) or NOT_RUN), str(len(ranking.places)), spread, str(sum(seeds))]
        cells.append([ranking.title, start, *counts])
    return _grid(head, cells)


def reproduced_grid(results: Results) -> Grid:
    """Write every published accuracy of a model that was run, beside ours, with its verdict."""
    head = ["data set", "model", "start", "published", "mark", *OURS, "verdict"]
    cells = []
    for ranking in results.rankings:
        for place in ranking.ranked:
            for accuracy in published_accuracies(place.system.rows, ranking.dataset):
                if not accuracy.fits(ranking.start):
                    continue
                verdict = judge_accuracy(
                    accuracy, place.group, start=ranking.start, rules=results.rules
                )
                printed = as_percent(accuracy.published)
                published = (
                    printed if accuracy.row == place.system.title else f"{printed} ({accuracy.row})"
                )
                about = [ranking.title, place.system.title, START_WORDS[ranking.start], published]
                cells.append([*about, accuracy.published.mark, *ours(place.group), verdict])
    return _grid(head, cells)
