"""Does the study come out again: `python -m study check FILE`.

Every table, page, figure and verdict is made anew from the stored predictions and compared with the
committed one; FILE says in JSON how many are equal, for the page of `make reproduce`.
"""

import argparse
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from helpers.paths import repo_root, write_text
from helpers.plots import figures, style
from helpers.runs.checks import load_images
from helpers.runs.groups import group_runs, is_real
from helpers.runs.store import list_runs
from helpers.terminal import escape_unshowable, path_argument
from study.plots.readme import drawn
from study.table import COMMAND as TABLES_COMMAND
from study.tables.__main__ import generate

# Another processor may round the shade of an edge otherwise; a mark that has moved is more.
SHADE = 32  # of 255, by which a pixel may differ
PIXELS = 1e-4  # share of the pixels that may differ by more


def compare(files: Mapping[Path, str | bytes], *, root: Path) -> dict[str, Any]:
    """Compare generated files with those on disk: text letter by letter, pictures by their pixels.

    Of each path below `root` there is what it should hold, text or the bytes of a PNG. Returns
    `equal` and `different`, names of files, and `verdicts`, a pair: how many claims have the
    verdict that is committed, of how many.
    """
    names = {path: path.relative_to(root).as_posix() for path in files}
    same = {path for path, made in files.items() if path.exists() and _is_equal(path, made)}
    ledger = next(path for path in files if path.name == "claims.csv")
    present = ledger.read_text(encoding="utf-8") if ledger.exists() else ""
    committed, anew = _verdicts(present), _verdicts(files[ledger])
    return {
        "equal": sorted(names[path] for path in same),
        "different": sorted(names[path] for path in files.keys() - same),
        "verdicts": [sum(committed.get(k) == v for k, v in anew.items()), len(anew)],
    }


def _is_equal(path: Path, made: str | bytes) -> bool:
    if isinstance(made, str):
        return path.read_text(encoding="utf-8") == made
    return same_picture(path.read_bytes(), made)


def same_picture(one: bytes, other: bytes) -> bool:
    """Return whether two PNGs show the same, but for the shade of some edges."""
    a, b = (_pixels(png) for png in (one, other))
    return a.shape == b.shape and bool((abs(a - b).max(axis=2) > SHADE).mean() <= PIXELS)


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


def _verdicts(ledger: str) -> dict[str, str]:
    return {row["id"]: row["verdict"] for row in csv.DictReader(io.StringIO(ledger))}


def sentence(compared: Mapping[str, Any]) -> str:
    """Say what `compare` found, in one line."""
    equal, different = compared["equal"], compared["different"]
    drawn_equal, drawn_different = (
        [name for name in names if name.endswith(".png")] for names in (equal, different)
    )
    written, drawn_n = len(equal) - len(drawn_equal), len(drawn_equal) + len(drawn_different)
    text = f"{written} of {len(equal) + len(different) - drawn_n} tables and pages equal"
    if drawn_n:
        text += f", {len(drawn_equal)} of {drawn_n} figures"
    text += ", {} of {} verdicts".format(*compared["verdicts"])
    if different:
        text += f"; different: {', '.join(different)}"
    if len(different) > len(drawn_different):
        text += f" (`{TABLES_COMMAND} --check` shows where)"
    return f"{text}."


def main_figures(root: Path) -> tuple[dict[Path, bytes], list[str]]:
    """Draw the figures that are kept for print: those of `helpers.plots.figures.main_runs`.

    Path below `root`, a folder -> PNG; and the names of those whose images cannot be had here.
    """
    made: dict[Path, bytes] = {}
    missing = []
    for run in figures.main_runs():
        folder, splits = figures.folder_of(run, root), load_images(run)
        for name in figures.names_of(run, splits):
            with style.style():
                figure, file = figures.draw(name, run, splits=splits), io.BytesIO()
                figure.savefig(file, format="png", dpi=figures.KEPT_DPI)
                plt.close(figure)
            made[folder / f"{name}.png"] = file.getvalue()
        missing += [f"{folder.name}/{p.name}" for p in folder.glob("*.png") if p not in made]
    return made, sorted(missing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: compare, write the file, say the sentence; 1 if anything differs."""
    escape_unshowable()
    parser = argparse.ArgumentParser(prog="python -m study check", description=__doc__)
    parser.add_argument("file", type=path_argument, help="where the JSON goes")
    options = parser.parse_args(arguments)
    # The study's own tree, wherever the runs of the quick profile go.
    root = repo_root()
    printed, missing = main_figures(root / "results" / "figures")
    pictures = drawn(group_runs(filter(is_real, list_runs(root / "results"))))
    compared = compare(
        generate(root=root / "results", pages=root)
        | printed
        | {root / name: png for name, png in pictures.items()},
        root=root,
    )
    write_text(options.file, json.dumps(compared, indent=1) + "\n")
    if missing:
        print(f"not drawn, their images are not at hand: {', '.join(missing)}")
    print(sentence(compared))
    return 1 if compared["different"] else 0
