"""Official sets rebuilt from their sources: the same images and splits, other bytes.

Such a file never carries the official name or MD5. It is known by its own name and MD5 together;
tables hold it against what is published on the official set, under a title that says what it is.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rebuilt:
    """A rebuilt set."""

    official: str  # flag of the official set, whose classes and published values it shares
    title: str  # what tables call it
    md5: str  # of the rebuilt file


REBUILT = {
    "npz:dermamnist_rebuilt": Rebuilt(
        "dermamnist", "DermaMNIST, rebuilt", "2d596fa4c70528c3f49cc0db9a67c1ee"
    ),
}


def find_rebuilt(name: str, md5: str | None) -> Rebuilt | None:
    """Return what a data set is a rebuilt version of; None if it is not, or has other bytes."""
    found = REBUILT.get(name)
    return found if found and found.md5 == md5 else None
