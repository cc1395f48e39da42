"""The page: what stands on it, in which order."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from helpers.config import PROFILES
from helpers.files import load_template
from helpers.paths import repo_root, results_root, write_text
from helpers.runs.groups import contradictions, group_runs
from helpers.runs.store import list_runs, list_unreadable
from helpers.terminal import command
from study.markup import to_html
from study.report import charts, runs
from study.report.notebooks import write_pages
from study.reproduced import sentence
from study.tables.__main__ import markers

COMMAND = "python -m study report"


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="paper")
    print(f"Report: {build_report(parser.parse_args(arguments).profile)}")


def build_report(profile: str) -> Path:
    """Write the page of a profile, and its executed notebooks beside it; return its path."""
    root, page = results_root(profile), results_root(profile) / "report" / "index.html"
    notebooks = write_pages(root / "executed", page.parent)
    write_text(page, render(profile, notebooks=notebooks))
    return page


def render(profile: str, *, notebooks: Sequence[str] = ()) -> str:
    """Return the page of a profile; `notebooks` are names of pages beside it."""
    root, own, paper = results_root(profile), repo_root() / "results", profile == "paper"
    # The trees are apart already; a run that strayed is not shown under the wrong profile.
    stored = [run for run in list_runs(root) if run.config["profile"] == profile]
    groups, study = group_runs(stored), root / "study.json"
    # Whether the study came out again, by `python -m study check`.
    checked = not paper and study.exists() and sentence(json.loads(study.read_text("utf-8")))
    answered = root if paper else own if checked else None
    said, limits = _from_readme() if answered == own else ("", "")
    # What a paper profile found stands in its tables, all but phantom data.
    shown = [group for group in groups if group.is_phantom or not paper]
    return load_template("report.html.j2", package="study").render(
        profile=profile,
        command=f"{COMMAND} --profile {profile}",
        phantom=[group.is_phantom for group in groups],
        said=said,
        limits=limits,
        answer=charts.answer(answered / "tables") if answered else [],
        checked=checked,
        sections=charts.sections(root / "tables") if paper else [],
        stored=stored,
        networks={group.config["model"] for group in groups},
        hours=sum(run.record["timing"]["train_seconds"] for run in stored) / 3600,
        charts=list(runs.charts(shown)),
        pictured=[] if paper else [group.runs[0] for group in groups],
        pictures=runs.pictures,
        notebooks=notebooks,
        environment=runs.environment(stored),
        left_out=list_unreadable(root) | contradictions(stored),
    )


def _from_readme() -> tuple[str, str]:
    """Return the README's answer (its list, and the claims counted) and its list of limits."""
    page = (repo_root() / "README.md").read_text(encoding="utf-8")
    answer, _, rest = page.partition(markers("answer")[1])
    chosen = [line for line in answer.splitlines() if line.startswith(("- ", "**"))]
    said = "\n".join(chosen).partition(" Made by")[0].replace("\n**", "\n\n**")
    limits = [line for line in rest.splitlines() if line[:1].isdigit()]
    return to_html(said), to_html("\n".join(limits))
