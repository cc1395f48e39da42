"""The list of claims, `results/published/claims.csv`: what both papers say, in our words.

One row is one claim. A claim that can be checked names the published values it speaks of; one that
cannot says why not. Verdicts are not in the file: the checks of `study.claims` give them.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from helpers.files import read_csv, reading
from helpers.paths import published_dir
from study.published import Published, PublishedError, lookup

COLUMNS = ("id", "paper", "place", "claim", "printed", "kind", "check", "sources", "cannot")
# What no paper claims, and a reviewer would ask.
QUESTION = "question"
KINDS = (
    *("arithmetic", "architecture", "data", "training"),
    *("result", "comparison", "interpretation"),
    QUESTION,
)
PAPERS = ("A", "B")
# Between the parts of a published value's key, and between keys.
PART, KEY = " | ", " ;; "


class ClaimsError(ValueError):
    """The list of claims is not in order, or a claim is unknown."""


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        id: "A07", "B31"; the letter is the paper's.
        paper: one of `PAPERS`.
        place: section, table, figure or equation.
        claim: what is claimed, in our words, one sentence.
        printed: the printed value or values, "" where the claim has no number.
        kind: one of `KINDS`.
        check: how it can be checked, in words.
        sources: keys of the published values it speaks of: (paper, table, row, column).
        cannot: why it cannot be checked, "" where it can.
    """

    id: str
    paper: str
    place: str
    claim: str
    printed: str
    kind: str
    check: str
    sources: tuple[tuple[str, str, str, str], ...]
    cannot: str

    def published(self) -> list[Published]:
        """Return the published values that the claim speaks of."""
        names = ("paper", "table", "row", "column")
        return [lookup(**dict(zip(names, key, strict=True))) for key in self.sources]


@cache
def load_claims(file: Path | None = None) -> tuple[Claim, ...]:
    """Read the list of claims, in its order.

    Raises:
        ClaimsError: wrong columns, an empty field, an unknown kind or paper, the same id twice, a
            source that is not four parts, or a claim with neither or both of `check` and `cannot`.
        PublishedError: a source that is not among the published values.
    """
    file = file or published_dir() / "claims.csv"
    with reading(file, ClaimsError):
        frame = read_csv(file, dict.fromkeys(COLUMNS, str))
    claims = tuple(
        _claim(row, f"{file.name}, line {line}")
        for line, row in enumerate(frame.to_dict("records"), start=2)
    )
    ids = [claim.id for claim in claims]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ClaimsError(f"{file.name} holds these ids more than once: {', '.join(twice)}.")
    return claims


def _claim(row: dict[str, str], where: str) -> Claim:
    for name in ("id", "paper", "place", "claim", "kind"):
        if not row[name].strip():
            raise ClaimsError(f"{where}: the field {name!r} is empty.")
    for name, known in (("paper", PAPERS), ("kind", KINDS)):
        if row[name] not in known:
            raise ClaimsError(f"{where}: unknown {name} {row[name]!r}; known: {', '.join(known)}.")
    if not row["id"].startswith(row["paper"]):
        raise ClaimsError(f"{where}: the id {row['id']!r} does not begin with {row['paper']!r}.")
    if bool(row["check"]) == bool(row["cannot"]):
        raise ClaimsError(
            f"{where}: {row['id']} needs either how it is checked or why it cannot be, not both."
        )
    keys = tuple(tuple(key.split(PART)) for key in row["sources"].split(KEY) if key)
    if wrong := [key for key in keys if len(key) != 4]:
        raise ClaimsError(
            f"{where}: the source {PART.join(wrong[0])!r} is not paper{PART}table{PART}row{PART}"
            f"column; sources are joined by {KEY!r}."
        )
    claim = Claim(**row | {"sources": keys})
    try:
        claim.published()
    except PublishedError as error:
        raise PublishedError(f"{where}: {error}") from None
    return claim
