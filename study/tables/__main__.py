"""All generated tables: `python -m study tables`, with `--check` to compare only."""

import argparse
import difflib
import posixpath
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from helpers.paths import repo_root, results_root, write_text
from helpers.runs.groups import group_runs, is_real
from helpers.runs.store import list_runs
from helpers.terminal import escape_unshowable
from study.automl.rows import automl_rows
from study.claims.judge import judge_claims
from study.plans.comparisons import load_plan
from study.plans.maps import load_plan as load_maps_plan
from study.plans.ranking import load_plan as load_ranking
from study.plans.table2 import load_table2
from study.plans.verdicts import load_rules
from study.table import COMMAND
from study.tables.accuracy import TablesError, cag_files, medmnist_pages
from study.tables.angiograms import angiogram_pages
from study.tables.answer import answer_block
from study.tables.claims import claims_files, readme_claims
from study.tables.costs import cost_pages
from study.tables.evidence import evidence_files
from study.tables.leakage import leakage_files
from study.tables.maps import localisation_block, localisation_files
from study.tables.ranking import ranking_pages
from study.tables.replicas import replica_files
from study.tables.sizes import size_pages
from study.tables.speed import speed_pages
from study.tables.table2 import table2_pages

# The generated blocks of each page, by the names of their markers.
PAGES = {
    "README.md": ("answer",),
    "results/README.md": (
        "claims",
        "status",
        "ranking",
        "table2",
        "cag",
        "localisation",
        "model_sizes",
        "efficiency",
        "speed",
    ),
}
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def markers(name: str) -> tuple[str, str]:
    """Return the comments of the README between which a generated block stands."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def linked_from(page: str, block: str) -> str:
    """Return a markdown block whose links, written as from the repository's root, fit a page."""
    folder = posixpath.dirname(page)
    return _LINK.sub(lambda m: f"]({posixpath.relpath(m[1], folder or '.')})", block)


def with_block(readme: str, block: str, *, name: str) -> str:
    """Return a page's text with the block between the markers of its name, which must be there."""
    begin, end = markers(name)
    if readme.count(begin) != 1 or readme.count(end) != 1:
        raise TablesError(f"The page needs {begin} and {end}, each once.")
    before, rest = readme.split(begin)
    if end not in rest:
        raise TablesError(f"On the page {end} stands before {begin}.")
    after = rest.split(end)[1]
    return f"{before}{begin}\n\n{block}\n\n{end}{after}"


def generate(*, root: Path, pages: Path | None) -> dict[Path, str]:
    """Return what all generated files should hold, path -> content; nothing is written.

    The runs of a results tree are read. `pages` is a folder with the pages of `PAGES` and markers
    for all their blocks, None to leave them out.
    """
    rules, maps, claims = load_rules(), load_maps_plan(), judge_claims()
    groups = group_runs(filter(is_real, list_runs(root)))
    ranking = ranking_pages(groups, plan=load_ranking(), rules=rules, automl=automl_rows())
    made = {
        "status": medmnist_pages(groups, rules),
        "ranking": ranking,
        "table2": table2_pages(groups, load_table2(), rules),
        "cag": angiogram_pages(groups, load_plan()),
        "model_sizes": size_pages(),
        "efficiency": cost_pages(groups),
        "speed": speed_pages(),
    }
    tables = cag_files(groups, rules) | claims_files(claims) | replica_files(groups)
    tables |= evidence_files(groups) | leakage_files(groups)
    for one in made.values():
        tables |= one.files
    files = {root / "tables" / name: text for name, text in tables.items()}
    for study in maps.studies:
        folder = results_root(study.profile) / "tables"
        files |= {folder / n: text for n, text in localisation_files(study, maps).items()}
    if pages is not None:
        blocks = {name: one.block for name, one in made.items()} | {
            "answer": answer_block(claims, groups, rules),
            "claims": readme_claims(claims),
            "localisation": localisation_block(maps),
        }
        for page, names in PAGES.items():
            text = (pages / page).read_text(encoding="utf-8")
            for name in names:
                text = with_block(text, linked_from(page, blocks[name]), name=name)
            files[pages / page] = text
    return files


def stale(files: dict[Path, str]) -> str:
    """Return a diff from the files on disk to their wanted content, "" if all are up to date."""
    parts = []
    for path, wanted in files.items():
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        parts += difflib.unified_diff(
            present.splitlines(keepends=True),
            wanted.splitlines(keepends=True),
            f"{path.name} (on disk)",
            f"{path.name} (from the runs)",
        )
    return "".join(parts)


def write(files: dict[Path, str]) -> None:
    """Write the files, each atomically."""
    for path, text in files.items():
        write_text(path, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    escape_unshowable()
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only; 1 if stale")
    options = parser.parse_args(arguments)
    root = results_root()
    # Results kept elsewhere make their own tables; the pages speak of the repository's.
    own = root == repo_root() / "results"
    files = generate(root=root, pages=repo_root() if own else None)
    if not options.check:
        write(files)
        print(f"Wrote {', '.join(path.name for path in files)}.")
        return 0
    if difference := stale(files):
        print(difference)
        print(f"Stale; run `{COMMAND}`.")
        return 1
    print("Tables and pages are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
