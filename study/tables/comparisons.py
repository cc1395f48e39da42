"""Paired comparisons as text and tables: cells, markdown, sentences, tidy frames."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from study.compare import Compared, Results
from study.plans.comparisons import GAINS
from study.table import markdown_table
from study.words import (
    excluded_effect,
    interval_text,
    p_text,
    power_text,
    protocol_text,
    sentence,
)

OTHER_IMAGES = (
    "Paper A's images are not public. Its numbers stand beside ours, which are of other images: no "
    "verdict on a number, only on comparisons."
)
PAIRED = (
    "A and B are paired by seed and scored on the same test images. Differences are A - B, means "
    "over the seeds; their 95 % intervals and p values are for other images and other seeds "
    "(docs/methods.md). p values are corrected by Holm over the family as planned. The verdict is "
    "on *A is better*, by the AUC; beside one that is not shown, the power for the printed "
    "difference stands, or for one of .03 where none is printed (at 5 %, before the correction)."
)
RULE = (
    f"{PAIRED} The comparisons (`params/comparisons.yaml`) were each written down before any of "
    "its runs was stored, but for those that are marked there as added later; the rule of the "
    "verdicts is a later one (docs/methods.md)."
)


def _seeds_text(compared: Compared) -> str:
    return f"n = {len(compared.seeds)}" if compared.seeds else ""


def _mean_text(side: int) -> Callable[[Compared], str]:
    return lambda c: f"{c.means['auc'][side]:.3f}" if c.means else ""


def _points_text(compared: Compared) -> str:
    return interval_text(compared.accuracy, scale=100, digits=1)


def _p(measure: str) -> Callable[[Compared], str]:
    return lambda c: "" if c.p.get(measure) is None else p_text(c.p[measure])


def _excluded_text(compared: Compared) -> str:
    if compared.auc is None or compared.auc.low is None:
        return ""
    return f"above {excluded_effect(compared.auc):.2f}"


CompareColumn = tuple[str, Callable[[Compared], str]]
FULL: tuple[CompareColumn, ...] = (
    ("what A has and B lacks", lambda c: c.pair.title),
    ("A", lambda c: protocol_text(c.pair.a)),
    ("B", lambda c: protocol_text(c.pair.b)),
    ("seeds", _seeds_text),
    ("AUC of A", _mean_text(0)),
    ("AUC of B", _mean_text(1)),
    ("AUC, A - B (95 %)", lambda c: interval_text(c.auc)),
    ("p, corrected", _p("auc")),
    ("accuracy, A - B, points (95 %)", _points_text),
    ("p, corrected", _p("accuracy")),
    ("verdict", lambda c: c.verdict),
    ("power", lambda c: power_text(c.chance)),
)
SHORT: tuple[CompareColumn, ...] = (
    ("what A has and B lacks", lambda c: c.pair.title),
    ("AUC, A - B (95 %)", lambda c: interval_text(c.auc)),
    ("accuracy, A - B, points (95 %)", _points_text),
    ("seeds", _seeds_text),
    ("verdict", lambda c: c.verdict),
    ("power", lambda c: power_text(c.chance)),
    ("AUC change excluded", _excluded_text),
)


def comparison_table(compared: Sequence[Compared], columns: Sequence[CompareColumn]) -> str:
    """Write comparisons as a markdown table."""
    return markdown_table(
        [name for name, _ in columns], [[cell(c) for _, cell in columns] for c in compared]
    )


def in_words(compared: Sequence[Compared]) -> str:
    """Write each comparison's sentence after the claim it tests."""
    return "\n".join(f"- Claim: {c.pair.claim}. {sentence(c)}" for c in compared)


def family_sections(results: Results, name: str) -> Iterator[str]:
    """Yield a family's heading, table and sentences."""
    yield f"## {results.plan.family(name).title}"
    yield comparison_table(results.compared[name], FULL)
    yield in_words(results.compared[name])


COMPARISON_COLUMNS = (
    *("family", "comparison", "title", "claim", "a", "b", "seeds", "n_seeds", "n_test_images"),
    *("auc_a", "auc_b", "auc_difference", "auc_low", "auc_high", "p_auc", "p_auc_holm"),
    *("accuracy_a", "accuracy_b", "accuracy_difference", "accuracy_low", "accuracy_high"),
    *("p_accuracy", "p_accuracy_holm", "excluded_effect", "verdict", "power"),
)


def comparison_frame(results: Results, *names: str) -> pd.DataFrame:
    """Return comparisons as a tidy table: shares from 0 to 1, missing where undefined."""
    rows = [_flat(name, c) for name in names for c in results.compared[name]]
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    return table.astype(dict.fromkeys(["n_seeds", "n_test_images"], "Int64"))


def _flat(family: str, compared: Compared) -> dict[str, Any]:
    pair = compared.pair
    flat: dict[str, Any] = {
        "family": family,
        "comparison": pair.name,
        "title": pair.title,
        "claim": pair.claim,
        "a": protocol_text(pair.a).replace("`", ""),
        "b": protocol_text(pair.b).replace("`", ""),
        "seeds": " ".join(map(str, compared.seeds)),
        "n_seeds": len(compared.seeds),
        "verdict": compared.verdict,
        "power": compared.chance,
    }
    for metric in GAINS:
        if (difference := compared.difference(metric)) is None:
            continue
        flat |= {
            "n_test_images": difference.n,
            f"{metric}_a": compared.means[metric][0],
            f"{metric}_b": compared.means[metric][1],
            f"{metric}_difference": difference.value,
            f"{metric}_low": difference.low,
            f"{metric}_high": difference.high,
            f"p_{metric}": difference.p,
            f"p_{metric}_holm": compared.p[metric],
        }
    if compared.auc and compared.auc.low is not None:
        flat["excluded_effect"] = excluded_effect(compared.auc)
    return flat


def gain_table(results: Results, compared: Sequence[Compared]) -> str:
    """Write printed gains beside measured differences."""
    cells = []
    for c in compared:
        for gain in results.gains(c):
            points = {"scale": 100, "digits": 1} if gain.metric == "accuracy" else {}
            unit = "accuracy, points" if gain.metric == "accuracy" else GAINS[gain.metric]
            ours = interval_text(gain.measured, **points)
            row = [c.pair.title, unit, f"+{gain.published.printed}", ours, gain.sign]
            cells.append([*row, power_text(gain.power), gain.verdict])
    head = ["gain of", "in", "printed", "ours, A - B (95 %)", "sign", "power", "size"]
    return markdown_table(head, cells)
