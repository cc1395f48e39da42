"""Paired comparisons as tables: the cells of a comparison, and the columns that show them."""

from collections.abc import Iterator, Sequence
from typing import Any

from study.compare import Compared, Results
from study.plans.comparisons import GAINS
from study.table import Column, Table, column, ends, estimate, interval, number, p_value, page
from study.tables.scores import SEEDS
from study.words import protocol_text

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
POINTS = {"spec": "+.1f", "scale": 100}
SIGNED = {"spec": "+.3f"}


def compared_cells(c: Compared) -> dict[str, Any]:
    """Return a comparison as the cells of a row; missing where it is not run."""
    cells: dict[str, Any] = {
        "seeds": " ".join(map(str, c.seeds)),
        "n_seeds": len(c.seeds),
        "n_test_images": c.accuracy and c.accuracy.n,
        "planned": c.family_size,
    }
    for name in GAINS:
        difference, one_more = c.difference(name), c.one_more.get(name)
        a, b = c.means.get(name, (None, None))
        cells |= {
            f"{name}_a": a,
            f"{name}_b": b,
            f"{name}_difference": difference and difference.value,
            f"{name}_low": difference and difference.low,
            f"{name}_high": difference and difference.high,
            f"p_{name}": difference and difference.p,
            f"p_{name}_holm": c.p.get(name),
            f"{name}_shown": c.shown.get(name),
            f"{name}_one_more_low": one_more and one_more.low,
            f"{name}_one_more_high": one_more and one_more.high,
        }
    return cells | {"verdict": c.verdict, "power": c.chance}


def difference_column(title: str, measure: str, **form: Any) -> Column:
    """Return a difference with its interval."""
    sources = (f"{measure}_difference", f"{measure}_low", f"{measure}_high")
    return column(title, *sources, write=interval, **form)


def p_column(measure: str) -> Column:
    """Return a corrected p value."""
    return column("p, corrected", f"p_{measure}_holm", write=p_value)


TITLE = column("what A has and B lacks", "title")
AUC = difference_column("AUC, A - B (95 %)", "auc", **SIGNED)
ACCURACY = difference_column("accuracy, A - B, points (95 %)", "accuracy", **POINTS)
POWER = column("power", write=number, spec=".0f", scale=100, unit=" %")
FULL = (
    TITLE,
    column("the claim", "claim"),
    column("A", "a"),
    column("B", "b"),
    SEEDS,
    column("AUC of A", "auc_a", write=number),
    column("AUC of B", "auc_b", write=number),
    AUC,
    p_column("auc"),
    ACCURACY,
    p_column("accuracy"),
    "verdict",
    POWER,
)
BRIEF = (TITLE, AUC, ACCURACY, SEEDS, "verdict", POWER)


def comparison_table(
    results: Results, *families: str, columns: Sequence[Column | str] = FULL, caption: str = ""
) -> Table:
    """Return the comparisons of some families, shares from 0 to 1."""
    rows = [
        {
            "family": name,
            "comparison": c.name,
            "title": c.title,
            "claim": c.pair.claim,
            "a": protocol_text(c.pair.a),
            "b": protocol_text(c.pair.b),
            **compared_cells(c),
        }
        for name in families
        for c in results.compared[name]
    ]
    return Table.of(rows, columns, caption)


def family_sections(results: Results, *names: str) -> Iterator[str | Table]:
    """Yield each family's heading and table."""
    for name in names:
        title = results.plan.family(name).title
        yield from (f"## {title}", comparison_table(results, name, caption=title))


def family_files(
    results: Results,
    name: str,
    title: str,
    intro: str,
    *families: str,
    more: Sequence[str | Table] = (),
) -> dict[str, str]:
    """Return a page of some families, with more after them, and their comparisons as CSV."""
    sections = (*family_sections(results, *families), *more)
    text = page(title, intro, *sections, of=results.of_families(*families))
    return {f"{name}.md": text, f"{name}.csv": comparison_table(results, *families).csv()}


def gain_table(results: Results, *families: str) -> Table:
    """Return printed gains beside measured differences, both in the unit of the print."""
    rows = []
    for compared in (c for name in families for c in results.compared[name]):
        for gain in results.gains(compared):
            in_points = gain.published.unit == "points"
            rows.append(
                {
                    "gain of": compared.title,
                    "in": GAINS[gain.metric] + (", points" if in_points else ""),
                    "printed": gain.published.printed,
                    **ends("measured", gain.measured),
                    "in_points": in_points,
                    "sign": gain.sign,
                    "power": gain.power,
                    "size": gain.verdict,
                }
            )
    columns = [
        "gain of",
        "in",
        column("printed", write="+{}".format),
        estimate("ours, A - B (95 %)", "measured", "in_points", write=_in_unit),
        "sign",
        POWER,
        "size",
    ]
    return Table.of(rows, columns, "Printed gains")


def _in_unit(value: float, low: float, high: float, in_points: bool) -> str:
    return interval(value, low, high, **(POINTS if in_points else SIGNED))
