"""The list of claims, `results/published/claims.csv`: what both papers say, in our words.

One row is one claim. It names the published values it speaks of, `also` those that its check needs
besides, and `beside` what of ours is put beside them: networks, comparisons, a layer, a device. A
value before which a role stands (`ours=B | Table 4 | ...`) is given to the check, see `check`. A
claim that cannot be checked says why not. Verdicts are not in the file: the checks of
`study.claims` give them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from helpers.files import read_csv, reading
from helpers.paths import published_dir
from study.published import Published, PublishedError, lookup

COLUMNS = (
    *("id", "paper", "place", "claim", "printed", "kind", "check"),
    *("sources", "also", "beside", "cannot"),
)
# What no paper claims, and a reviewer would ask.
QUESTION = "question"
KINDS = (
    *("arithmetic", "architecture", "data", "training"),
    *("result", "comparison", "interpretation"),
    QUESTION,
)
PAPERS = ("A", "B")
# Between the parts of a published value's key, and between entries; before an entry stands a name.
PART, ENTRY, NAMED = " | ", " ;; ", "="


class ClaimsError(ValueError):
    """The list of claims is not in order, or a claim is unknown."""


class Key(NamedTuple):
    """Where a published value stands."""

    paper: str
    table: str
    row: str
    column: str

    @property
    def dataset(self) -> str:
        """The data set of a column such as "breastmnist/accuracy"."""
        return self.column.partition("/")[0]

    def value(self) -> Published:
        """Return the value."""
        return lookup(**self._asdict())


@dataclass(frozen=True)
class Claim:
    """One claim."""

    id: str  # "A07", "B31"; the letter is the paper's
    paper: str  # one of `PAPERS`
    place: str  # section, table, figure or equation
    claim: str  # in our words, one sentence
    printed: str  # the printed value or values, "" where the claim has no number
    kind: str  # one of `KINDS`
    check: str  # how it can be checked, in words
    sources: tuple[Key, ...]  # the published values it speaks of
    given: Mapping[str, tuple[Key, ...]]  # role -> the published values of it
    # What of ours stands beside it: name -> network, comparison and so on; without a name, its own.
    beside: Mapping[str, str]
    cannot: str  # why it cannot be checked, "" where it can

    def items(self, role: str) -> list[tuple[Key, Published]]:
        """Return the values of a role with their keys."""
        return [(key, key.value()) for key in self.given[role]]

    def value(self, role: str) -> Published:
        """Return the only value of a role."""
        ((_, value),) = self.items(role)
        return value

    @property
    def dataset(self) -> str:
        """The one data set that its values speak of."""
        (name,) = {key.dataset for key in self.sources if "/" in key.column}
        return name

    @property
    def ours(self) -> str:
        """The one thing of ours that stands beside it."""
        (name,) = self.beside.values()
        return name


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
    sources, also = (_keys(row[name], where) for name in ("sources", "also"))
    roles = dict.fromkeys(role for role, _ in sources + also if role)
    given = {role: tuple(key for r, key in sources + also if r == role) for role in roles}
    beside = [_named(entry) for entry in row["beside"].split(ENTRY) if entry]
    fields = row | {
        "sources": tuple(key for _, key in sources),
        "given": given,
        "beside": {name or value: value for name, value in beside},
    }
    del fields["also"]
    return Claim(**fields)


def _keys(text: str, where: str) -> list[tuple[str, Key]]:
    """Return the published values of a field with their roles, "" where none stands before it."""
    found = []
    for role, source in map(_named, filter(None, text.split(ENTRY))):
        parts = source.split(PART)
        if len(parts) != 4:
            raise ClaimsError(
                f"{where}: the source {source!r} is not paper{PART}table{PART}row{PART}column; "
                f"sources are joined by {ENTRY!r}."
            )
        key = Key(*parts)
        try:
            key.value()
        except PublishedError as error:
            raise PublishedError(f"{where}: {error}") from None
        found.append((role, key))
    return found


def _named(entry: str) -> tuple[str, str]:
    """Split "ours=B | Table 4 | ..." into the name, which may be missing, and the rest."""
    name, _, rest = entry.rpartition(NAMED)
    return name, rest
