"""The counted sizes of every model beside the printed ones, as a table; see `study.sizes`."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from helpers.models.counting import MACS_TOOL
from helpers.models.registry import list_models
from study.published import Published, lookup
from study.sizes import (
    IMAGE_SIZE,
    NUM_CLASSES,
    Counted,
    Counts,
    PrintedSize,
    Source,
    count_sizes,
    matches,
)
from study.sizes import printed_sizes as all_printed
from study.table import Pages, Table, column, joined, number, page
from study.verdicts import MATCH, NO_MATCH, UNVERIFIED

NONE_PUBLISHED = "none published"
NOTE = (
    "A count matches if it rounds to the printed digits, with the source's classes, image size and "
    f"way of counting: convolutions and products ({MACS_TOOL}; attention and scan included), and, "
    "where a star stands, normalisation as fvcore counts it for timm. Sources that do not state "
    f"their classes are compared with {NUM_CLASSES}; the cost of one that does not state its way "
    "of counting matches from the count without normalisation to the one with it. Marks: T stated "
    "in paper A or B, S read in a public source, M quoted from memory and not judged."
)


def _cells(name: str, counted: Counted) -> dict[str, Any]:
    printed = counted.published
    expected = f"{printed.printed} [{printed.mark}]" if printed else ""
    return {name: counted.count, f"{name}_expected": expected, f"{name}_verdict": counted.verdict}


def _row(model: str, size: PrintedSize | None) -> dict[str, Any]:
    """Return a model as one source counts it, or as we count it where nothing is printed."""
    source = size.source if size else Source(title=NONE_PUBLISHED, params="", macs="")
    image_size = size.image_size if size else IMAGE_SIZE
    counts = count_sizes(
        model, num_classes=source.num_classes, image_size=image_size, merged=source.merged
    )
    params = Counted(count=counts.parameters / 1e6, published=_printed(size, source.params))
    with_norms = (counts.macs + counts.norm_macs) / 1e9
    macs = Counted(
        count=with_norms if source.norms else counts.macs / 1e9,
        published=_printed(size, source.macs),
        up_to=with_norms if source.norms is None else None,
    )
    notes = [size.note if size else ""]
    notes.append("branches merged, as for inference" if source.merged else "")
    if macs.published and not matches(macs.count, macs.published):
        notes.append(_other_ways(counts, norms=bool(source.norms)))
    return {
        "model": model,
        "source": source.title,
        "classes": source.num_classes,
        "image_size": image_size,
        "norms_counted": bool(source.norms),
        **_cells("parameters", params),
        **_cells("macs", macs),
        "note": "; ".join(filter(None, notes)),
    }


def _printed(size: PrintedSize | None, column: str) -> Published | None:
    if not column:
        return None
    source = size.source
    return lookup(paper=source.paper, table=source.table, row=size.row, column=column)


def _other_ways(counts: Counts, *, norms: bool) -> str:
    """Say what another way of counting gives, for a cost that is printed otherwise."""
    ways = {"with normalisation": counts.macs + counts.norm_macs}
    if norms:
        ways = {"without normalisation": counts.macs}
    if counts.mixing_macs:
        ways["without batched products and scan"] = counts.macs - counts.mixing_macs
    return ", ".join(f"{way} {macs / 1e9:.2f}" for way, macs in ways.items())


COLUMNS = (
    "model",
    "source",
    "classes",
    column("px", "image_size"),
    column("parameters (M): we see", "parameters", write=number, spec=".2f"),
    column("expected", "parameters_expected"),
    column("verdict", "parameters_verdict"),
    column(
        "MACs (G): we see",
        "macs",
        "norms_counted",
        write=lambda macs, norms: f"{macs:.2f}{'*' if norms else ''}",
    ),
    column("expected", "macs_expected"),
    column("verdict", "macs_verdict"),
    "note",
)


def size_table(models: Iterable[str] | None = None) -> Table:
    """Count models, by default all, beside everything that is published about their size.

    Millions of parameters and 10^9 MACs: the rows of `params/sizes.yaml` by model in the registry's
    order; one row with our counts alone for a model of which nothing is published.
    """
    rows = []
    for model in list_models() if models is None else models:
        printed = [size for size in all_printed() if size.model == model]
        rows += [_row(model, size) for size in printed or [None]]
    return Table.of(rows, COLUMNS, "Sizes")


def count_table(table: Table) -> Table:
    """Return how many printed numbers of a `size_table` have which verdict."""
    frame = table.frame
    found = Counter([*frame["parameters_verdict"], *frame["macs_verdict"]])
    words = {word: found[word] for word in (MATCH, NO_MATCH, UNVERIFIED)}
    row = {"models": frame["model"].nunique(), "printed numbers": sum(words.values()), **words}
    return Table.of([row], list(row), "Printed sizes")


def mismatches(table: Table) -> Table:
    """Return the rows of a `size_table` in which a count is not the printed one."""
    verdicts = table.frame[["parameters_verdict", "macs_verdict"]]
    kept = table.keep((verdicts == NO_MATCH).any(axis=1))
    return replace(kept, caption="Counts that are not the printed ones", empty="None.")


def size_pages() -> Pages:
    """Return all counts; the block says how many printed sizes match, and each that does not."""
    table = size_table()
    counts = count_table(table)
    title = "Parameters and multiply-accumulates of every model, beside the published ones"
    files = {"model_sizes.md": page(title, NOTE, counts, table), "model_sizes.csv": table.csv()}
    link = "All counts: [model sizes](results/tables/model_sizes.md)."
    return Pages(files, joined(NOTE, counts, mismatches(table), link))
