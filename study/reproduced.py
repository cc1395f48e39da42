"""Does the study come out again: `python -m study check FILE`.

Every table, page and verdict is made anew from the stored predictions and compared with the
committed one; FILE says in JSON how many are equal, for the page of `make reproduce`.
"""

import argparse
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.paths import repo_root, write_atomically
from helpers.terminal import escape_unshowable, path_argument
from study.table import COMMAND as TABLES_COMMAND
from study.tables.__main__ import generate


def compare(files: dict[Path, str], *, root: Path) -> dict[str, Any]:
    """Compare generated files with those on disk.

    Args:
        files: path -> what it should hold, see `study.tables.__main__.generate`.
        root: the repository; files are named as seen from it.

    Returns:
        `equal` and `different`, names of files, and `verdicts`, a pair: how many claims have the
        verdict that is committed, of how many.
    """
    names = {path: path.relative_to(root).as_posix() for path in files}
    present = {p: p.read_text(encoding="utf-8") if p.exists() else "" for p in files}
    ledger = next(path for path in files if path.name == "claims.csv")
    committed, anew = _verdicts(present[ledger]), _verdicts(files[ledger])
    return {
        "equal": sorted(names[path] for path in files if files[path] == present[path]),
        "different": sorted(names[path] for path in files if files[path] != present[path]),
        "verdicts": [sum(committed.get(k) == v for k, v in anew.items()), len(anew)],
    }


def _verdicts(ledger: str) -> dict[str, str]:
    return {row["id"]: row["verdict"] for row in csv.DictReader(io.StringIO(ledger))}


def sentence(compared: dict[str, Any]) -> str:
    """Say what `compare` found, in one line."""
    same, all_of_them = compared["verdicts"]
    n = len(compared["equal"]) + len(compared["different"])
    text = (
        f"{len(compared['equal'])} of {n} tables and pages equal, {same} of {all_of_them} verdicts"
    )
    if compared["different"]:
        text += (
            f"; different: {', '.join(compared['different'])} "
            f"(`{TABLES_COMMAND} --check` shows where)"
        )
    return f"{text}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: compare, write the file, say the sentence; 1 if anything differs."""
    escape_unshowable()
    parser = argparse.ArgumentParser(prog="python -m study check", description=__doc__)
    parser.add_argument("file", type=path_argument, help="where the JSON goes")
    options = parser.parse_args(arguments)
    # The study's own tree, wherever the runs of the quick profile go.
    root = repo_root()
    compared = compare(generate(root=root / "results", pages=root), root=root)
    with write_atomically(options.file) as temporary:
        temporary.write_text(json.dumps(compared, indent=1) + "\n", encoding="utf-8")
    print(sentence(compared))
    return 1 if compared["different"] else 0
