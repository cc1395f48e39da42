"""Paired comparisons as text and tables: cells, markdown, sentences, tidy frames."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from helpers.metrics.paired import Difference
from study.compare import Compared, Results, judge_gains
from study.plans.comparisons import GAINS
from study.table import markdown_table
from study.words import excluded_effect, interval_text, p_text, protocol_text, sentence, signed

OTHER_IMAGES = (
    "Paper A's images are not public. Its numbers stand beside ours, which are of other images: no "
    "verdict on a number, only on comparisons."
)
PAIRED = (
    "A and B are paired by seed and scored on the same test images. Differences are A - B, means "
    "over the seeds; their 95 % intervals cover test images (for the AUC DeLong) and seeds (t). "
    "p values are corrected by Holm over the family as planned. The verdict is on the AUC. "
    "McNemar's exact test compares the majority decisions of all seeds."
)
RULE = (
    f"{PAIRED} The rule and the comparisons (`params/comparisons.yaml`) were fixed before any test "
    "split was read, but for those that are marked there as added later."
)


def _seeds_text(compared: Compared) -> str:
    return f"n = {len(compared.seeds)}" if compared.seeds else ""


def _mcnemar_text(compared: Compared) -> str:
    if compared.mcnemar is None:
        return ""
    counts = f"{compared.mcnemar.only_a} : {compared.mcnemar.only_b}"
    return counts if compared.p_mcnemar is None else f"{counts}, {p_text(compared.p_mcnemar)}"


def _points_text(difference: Difference | None) -> str:
    if difference is None:
        return ""
    points = signed(100 * difference.value, digits=1)
    return points if difference.sd is None else f"{points} ± {100 * difference.sd:.1f}"


def _p_auc_text(compared: Compared) -> str:
    return "" if compared.p_auc is None else p_text(compared.p_auc)


def _excluded_text(compared: Compared) -> str:
    # Equal ends: nothing varies, so nothing was measured.
    if compared.auc is None or compared.auc.low == compared.auc.high:
        return ""
    return f"above {excluded_effect(compared.auc):.2f}"


CompareColumn = tuple[str, Callable[[Compared], str]]
FULL: tuple[CompareColumn, ...] = (
    ("what A has and B lacks", lambda c: c.pair.title),
    ("A", lambda c: protocol_text(c.pair.a)),
    ("B", lambda c: protocol_text(c.pair.b)),
    ("seeds", _seeds_text),
    ("AUC of A", lambda c: f"{c.auc.a:.3f}" if c.auc else ""),
    ("AUC of B", lambda c: f"{c.auc.b:.3f}" if c.auc else ""),
    ("AUC, A - B (95 %)", lambda c: interval_text(c.auc)),
    ("p, corrected", _p_auc_text),
    ("accuracy, A - B, points ± sd", lambda c: _points_text(c.accuracy)),
    ("right by A : B alone, McNemar, corrected", _mcnemar_text),
    ("verdict", lambda c: c.verdict),
)
SHORT: tuple[CompareColumn, ...] = (
    ("what A has and B lacks", lambda c: c.pair.title),
    ("AUC, A - B (95 %)", lambda c: interval_text(c.auc)),
    ("accuracy, A - B, points ± sd", lambda c: _points_text(c.accuracy)),
    ("seeds", _seeds_text),
    ("verdict", lambda c: c.verdict),
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
    *("auc_a", "auc_b", "auc_difference", "auc_sd", "auc_low", "auc_high", "p_auc", "p_auc_holm"),
    *("accuracy_a", "accuracy_b", "accuracy_difference", "accuracy_sd"),
    *("accuracy_low", "accuracy_high", "only_a", "only_b", "p_mcnemar", "p_mcnemar_holm"),
    *("excluded_effect", "verdict"),
)


def comparison_frame(results: Results, *names: str) -> pd.DataFrame:
    """Return comparisons as a tidy table: shares from 0 to 1, missing where undefined."""
    rows = [_flat(name, c) for name in names for c in results.compared[name]]
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    counts = ["n_seeds", "n_test_images", "only_a", "only_b"]
    return table.astype(dict.fromkeys(counts, "Int64"))


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
        "p_auc_holm": compared.p_auc,
        "p_mcnemar_holm": compared.p_mcnemar,
        "verdict": compared.verdict,
    }
    for metric in GAINS:
        difference: Difference | None = getattr(compared, metric)
        if difference is None:
            continue
        flat |= {
            "n_test_images": difference.n_images,
            f"{metric}_a": difference.a,
            f"{metric}_b": difference.b,
            f"{metric}_difference": difference.value,
            f"{metric}_sd": difference.sd,
            f"{metric}_low": difference.low,
            f"{metric}_high": difference.high,
        }
    if compared.auc and compared.mcnemar:
        flat |= {
            "p_auc": compared.auc.p_value,
            "only_a": compared.mcnemar.only_a,
            "only_b": compared.mcnemar.only_b,
            "p_mcnemar": compared.mcnemar.p_value,
        }
        if compared.auc.low is not None:
            flat["excluded_effect"] = excluded_effect(compared.auc)
    return flat


def gain_table(compared: Sequence[Compared]) -> str:
    """Write printed gains beside measured differences."""
    cells = []
    for c in compared:
        for gain in judge_gains(c):
            points = {"scale": 100, "digits": 1} if gain.metric == "accuracy" else {}
            unit = "accuracy, points" if gain.metric == "accuracy" else GAINS[gain.metric]
            ours = interval_text(gain.measured, **points)
            cells.append(
                [c.pair.title, unit, f"+{gain.published.printed}", ours, gain.sign, gain.verdict]
            )
    head = ["gain of", "in", "printed", "ours, A - B (95 %)", "sign", "verdict"]
    return markdown_table(head, cells)
