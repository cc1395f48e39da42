"""The counted sizes of every model beside the printed ones, as a table; see `study.sizes`.

`python -m study.tables.sizes` prints it; `study.tables` writes it and checks that it is not stale.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.models.counting import MACS_TOOL
from helpers.models.registry import list_models
from helpers.terminal import escape_unshowable
from study.published import Published, lookup
from study.sizes import IMAGE_SIZE, NUM_CLASSES, Counts, PrintedSize, count_sizes, matches
from study.sizes import printed_sizes as all_printed
from study.table import MADE, Table, column, joined, number
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


@dataclass(frozen=True)
class Quantity:
    """A count beside a printed one, in millions or in units of 10^9.

    Attributes:
        count: ours.
        published: the printed one, None if there is none.
        up_to: the count by another way that the source leaves open, None where it says its own.
    """

    count: float
    published: Published | None
    up_to: float | None = None

    @property
    def differs(self) -> bool:
        """Whether something else is printed than `count`, by our first way of counting."""
        return self.published is not None and not matches(self.count, self.published)

    @property
    def verdict(self) -> str:
        """`MATCH`, `NO_MATCH`, unverified, or "" where nothing is printed."""
        if self.published is None:
            return ""
        if self.published.mark == "M":
            return UNVERIFIED
        return MATCH if matches(self.count, self.published, up_to=self.up_to) else NO_MATCH

    def cells(self, name: str) -> dict[str, Any]:
        """Return the cells of a row."""
        printed = f"{self.published.printed} [{self.published.mark}]" if self.published else ""
        return {name: self.count, f"{name}_expected": printed, f"{name}_verdict": self.verdict}


def _row(model: str, size: PrintedSize | None) -> dict[str, Any]:
    """Return a model as one source counts it, or as we count it where nothing is printed."""
    if size is None:
        counts = count_sizes(model, num_classes=NUM_CLASSES, image_size=IMAGE_SIZE)
        about = (NONE_PUBLISHED, NUM_CLASSES, IMAGE_SIZE)
        params, macs = Quantity(counts.parameters / 1e6, None), Quantity(counts.macs / 1e9, None)
        norms, note = False, ""
    else:
        source, taken = size.source, {"image_size": size.image_size, "merged": size.source.merged}
        counts = count_sizes(model, num_classes=source.num_classes, **taken)
        about, norms = (source.title, source.num_classes, size.image_size), bool(source.norms)
        params = Quantity(counts.parameters / 1e6, _printed(size, source.params))
        with_norms = (counts.macs + counts.norm_macs) / 1e9
        macs = Quantity(
            with_norms if norms else counts.macs / 1e9,
            _printed(size, source.macs),
            up_to=with_norms if source.norms is None else None,
        )
        notes = [size.note, "branches merged, as for inference" if source.merged else ""]
        notes.append(_other_ways(counts, norms=norms) if macs.differs else "")
        note = "; ".join(filter(None, notes))
    row = {"model": model} | dict(zip(("source", "classes", "image_size"), about, strict=True))
    row |= {"norms_counted": norms}
    return row | params.cells("parameters") | macs.cells("macs") | {"note": note}


def _printed(size: PrintedSize, column: str) -> Published | None:
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
    *(column("model"), column("source"), column("classes"), column("px", "image_size")),
    column("parameters (M): we see", "parameters", write=number, spec=".2f"),
    *(column("expected", "parameters_expected"), column("verdict", "parameters_verdict")),
    column(
        *("MACs (G): we see", "macs", "norms_counted"),
        write=lambda macs, norms: f"{macs:.2f}{'*' if norms else ''}",
    ),
    *(column("expected", "macs_expected"), column("verdict", "macs_verdict"), column("note")),
)


def size_table(models: Iterable[str] | None = None) -> Table:
    """Count models beside everything that is published about their size.

    Args:
        models: names in the registry, by default all.

    Returns:
        Millions of parameters and 10^9 MACs: the rows of `params/sizes.yaml` by model in the
        registry's order; one row with our counts alone for a model of which nothing is published.
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
    words = (MATCH, NO_MATCH, UNVERIFIED)
    row = {"models": frame["model"].nunique(), "printed numbers": sum(found[w] for w in words)}
    row |= {word: found[word] for word in words}
    return Table.of([row], [column(name) for name in row], "Printed sizes")


def mismatches(table: Table) -> Table:
    """Return the rows of a `size_table` in which a count is not the printed one."""
    verdicts = table.frame[["parameters_verdict", "macs_verdict"]]
    kept = table.frame[(verdicts == NO_MATCH).any(axis=1)]
    return Table(kept, table.columns, "Counts that are not the printed ones", "None.")


def model_size_files() -> dict[str, str]:
    """Return the generated files: name -> content."""
    table = size_table()
    title = "# Parameters and multiply-accumulates of every model, beside the published ones"
    return {
        "model_sizes.md": joined(MADE, title, NOTE, count_table(table), table) + "\n",
        "model_sizes.csv": table.csv(),
    }


def readme_model_sizes() -> str:
    """Return the README's block: how many printed sizes match, and each that does not."""
    table = size_table()
    link = "All counts: [model sizes](results/tables/model_sizes.md)."
    return joined(NOTE, count_table(table), mismatches(table), link)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, of all models or of those named."""
    escape_unshowable()
    parser = argparse.ArgumentParser(prog="python -m study.tables.sizes", description=main.__doc__)
    parser.add_argument("models", nargs="*", help="names in the registry, by default all")
    names = parser.parse_args(arguments).models
    try:
        table = size_table(names or None)
    except ValueError as error:
        parser.error(str(error))
    print(joined(table, count_table(table), NOTE))


if __name__ == "__main__":
    main()
