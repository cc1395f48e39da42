"""The page: what stands on it, in which order."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.paths import results_root, write_atomically
from helpers.predict.page import load_template
from helpers.runs.groups import Group, contradictions, group_runs, is_real
from helpers.runs.store import Run, list_runs, list_unreadable
from study.compare import compare_all
from study.plans.comparisons import Plan, load_plan
from study.plans.verdicts import Rules, load_rules
from study.report import status
from study.report.checked import section
from study.report.details import Detail, describe, featured
from study.report.key_figures import (
    course_pictures,
    difference_chart,
    gain_charts,
    medspectralnet_chart,
    system_charts,
)
from study.report.markup import split_page, split_sections, to_html
from study.report.notebooks import NotebookPage, write_notebooks
from study.report.rankings import rank
from study.tables.accuracy import MEDMNIST, NOTE, Row, build_rows, cag_files, medmnist_files
from study.tables.angiograms import comparison_files
from study.tables.comparisons import OTHER_IMAGES

TITLE = "Two light medical image classifiers, reproduced"
COMMAND = "python -m study report"
CITED = {
    "A": {
        "short": "brain-inspired classifier of coronary angiograms",
        "title": "A Lightweight Brain-Inspired Machine Learning Framework for Coronary Angiography",
        "authors": "Xia & Wang",
        "where": "arXiv 2601.15865, 2026",
        "url": "https://arxiv.org/abs/2601.15865",
    },
    "B": {
        "short": "MedSpectralNet",
        "title": "MedSpectralNet: A lightweight convolutional neural network architecture for "
        "multi-modal image classification",
        "authors": "Afrin et al.",
        "where": "PLOS ONE 21(4): e0346128, 2026",
        "url": "https://doi.org/10.1371/journal.pone.0346128",
    },
}
# Generated tables that get a section each, in this order, where the file exists.
FURTHER_TABLES = {
    "systems": "medmnist_ranking.md",
    "blocks": "table2.md",
    "cost": "efficiency.md",
    "localisation": "localisation.md",
    "ledger": "claims.md",
}
# Recipes that such a section shows; elsewhere they would stand under code names once more.
SHOWN_BY = {"ranking": "systems", "table2": "blocks"}
FAMILIES = (
    *("ablation", "readings", "robustness", "stopping", "stopping_momentum", "momentum"),
    *("table4", "table4_scratch"),
)
# In a results tree: whether the study came out again, by `python -m study check`.
STUDY_CHECKED = "study.json"
LIMITS = (
    "Paper B gives neither learning rate nor batch size, image size or seeds, and contradicts its "
    "own parameter count. What is not given was chosen here and is part of each run's protocol.",
    "Paper A's images are not public; its numbers cannot be checked on the same data.",
    "Test sets are small: on 156 images one image is 0.64 points, so a close ranking is no order.",
    "Published values come from the same test images, and wide intervals hold much: that an "
    "interval contains a value is weak evidence for it.",
)
QUICK_LIMIT = (
    "This profile trains for a few epochs on small images, to show that every step runs. Its "
    "numbers do not measure the models."
)


def build_report(profile: str, *, committed: Path | None = None) -> Path:
    """Write the report of a profile.

    Args:
        profile: "paper" or "quick".
        committed: folder of notebooks that are shown where the profile has not executed its own.

    Returns:
        The path of `index.html`. Existing pages are replaced, each atomically.
    """
    root = results_root(profile)
    folder = root / "report"
    pages = write_notebooks(root / "executed", folder, committed=committed)
    # The trees are apart already; a run that strayed is not shown under the wrong profile.
    runs = [run for run in list_runs(root) if run.config["profile"] == profile]
    html = render(
        runs,
        profile=profile,
        pages=pages,
        tables=root / "tables",
        unreadable=list_unreadable(root),
        study=section(root / STUDY_CHECKED) if profile == "quick" else None,
    )
    with write_atomically(folder / "index.html") as temporary:
        temporary.write_text(html, encoding="utf-8")
    return folder / "index.html"


def render(
    runs: Sequence[Run],
    *,
    profile: str,
    pages: Sequence[NotebookPage] = (),
    tables: Path | None = None,
    unreadable: Mapping[str, str] | None = None,
    study: Mapping[str, Any] | None = None,
) -> str:
    """Return the page.

    Args:
        runs: all runs of one profile, phantom ones included.
        profile: "paper" or "quick".
        pages: notebooks as returned by `write_notebooks`.
        tables: folder of the generated tables; further ones in it (`FURTHER_TABLES`) are shown.
        unreadable: stored runs that could not be read, with the reason, see `list_unreadable`.
        study: what a page of small runs says of the study itself, see `checked.section`.
    """
    groups = group_runs(runs)
    quick = profile == "quick"
    phantom = [group.is_phantom for group in groups]
    rules, plan = load_rules(), load_plan()
    # Runs of a group share profile and data, so its first speaks for all.
    real = [] if quick else [group for group in groups if is_real(group.runs[0])]
    rows = build_rows(real, datasets=[*MEDMNIST], rules=rules)
    further = [] if quick or tables is None else _further(tables)
    sections = {section["id"] for section in further}
    others = [g for g in groups if SHOWN_BY.get(g.config["recipe"]) not in sections]
    # Quick runs are few, and all of them are shown.
    pictured = groups if quick else featured(real, rows, plan=plan, rules=rules)
    return load_template("report.html.j2", package="study").render(
        title=TITLE,
        command=f"{COMMAND} --profile {profile}",
        quick=quick,
        study=study and {**study, "answer": to_html(study["answer"], depth=2)},
        any_phantom=any(phantom),
        all_phantom=all(phantom),
        facts=_facts(groups),
        papers=None if quick or not real else _papers(real, rows, rules=rules, plan=plan),
        rankings=rank(others, rules=rules, judged=not quick),
        listed="all" if len(others) == len(groups) else "other",
        not_run=[] if quick else _not_run(groups),
        further=further,
        details=_by_cell(describe(groups, pictured=pictured)),
        notebooks=[page for page in pages if not page.training],
        trainings=[page for page in pages if page.training],
        environment=_environment(runs),
        limits=(
            *(f"Left out, could not be read: {n}: {r}" for n, r in (unreadable or {}).items()),
            *(f"Left out: {n}: {r}" for n, r in contradictions(runs).items()),
            *((QUICK_LIMIT, *LIMITS) if quick else LIMITS),
        ),
        cited=CITED,
    )


def _papers(
    groups: Sequence[Group], rows: Sequence[Row], *, rules: Rules, plan: Plan
) -> dict[str, Any]:
    """Return what the page says of both papers; `groups` are real ones of the paper profile."""
    results = compare_all(groups, plan)
    tallies = {"A": status.paper_a(results), "B": status.paper_b(rows, rules)}
    full = medmnist_files(groups, rules) | cag_files(groups, rules) | comparison_files(groups, plan)
    return {
        "answers": (status.answer_b(rows, rules), status.answer_a(results)),
        "tallies": tallies,
        "tested": [line.cells for line in status.tested(results)],
        "outcomes": _outcomes(tallies),
        "note": to_html(NOTE),
        "other_images": OTHER_IMAGES,
        "medspectralnet": medspectralnet_chart(status.of_paper_b(rows, rules)),
        "systems": system_charts(results),
        "gains": gain_charts(results),
        "families": [
            (plan.family(name).title, difference_chart(plan.family(name).title, found))
            for name in FAMILIES
            if (found := results.compared[name])
        ],
        "course": course_pictures(results),
        "full": [_table_page(text) for name, text in full.items() if name.endswith(".md")],
    }


def _outcomes(tallies: dict[str, list[status.Tally]]) -> dict[str, str]:
    """Return the outcomes that get a column, each with the class of its colour."""
    found = sum((tally.outcomes for some in tallies.values() for tally in some), Counter())
    # A rare outcome needs a column only where it occurs.
    return {name: f"o{i}" for i, name in enumerate(status.OUTCOMES) if found[name]}


def _by_cell(details: Sequence[Detail]) -> list[list[Detail]]:
    """Return the details of each data set and start together, in order of both."""
    cells = defaultdict(list)
    for detail in details:
        cells[detail.phantom, detail.dataset, detail.start].append(detail)
    return [cells[key] for key in sorted(cells)]


def _table_page(text: str) -> dict[str, Any]:
    title, body = split_page(text)
    return {"title": title, "html": to_html(body, depth=2)}


def _further(tables: Path) -> list[dict[str, Any]]:
    """Return the generated tables that get a section; those that are not there are left out."""
    found = []
    for name, file in FURTHER_TABLES.items():
        if not (tables / file).exists():
            continue
        title, body = split_page((tables / file).read_text(encoding="utf-8"))
        first, sections = split_sections(body)
        parts = [(heading, to_html(text, depth=2)) for heading, text in _opened(sections)]
        found.append({"id": name, "title": title, "first": to_html(first), "parts": parts})
    return found


def _opened(sections: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave of the first section, which stands open, its first table; the others fold."""
    if not sections:
        return []
    (heading, text), *rest = sections
    before, parts = split_sections(text, level=3)
    if parts:
        name, table = parts.pop(0)
        before += f"### {name}\n{table}"
    return [(heading, before), *parts, *rest]


def _facts(groups: Sequence[Group]) -> list[tuple[str, str]]:
    runs = [run for group in groups for run in group.runs]
    seconds = sum(run.record["timing"]["train_seconds"] for run in runs)
    hours = seconds >= 3 * 3600
    return [
        ("runs", f"{len(runs)}"),
        ("data sets", f"{len({(g.dataset, g.is_phantom) for g in groups})}"),
        ("models", f"{len({g.config['model'] for g in groups})}"),
        ("seeds, at most", f"{max((len(g.runs) for g in groups), default=0)}"),
        ("training, in all", f"{seconds / 3600:.1f} h" if hours else f"{seconds / 60:.1f} min"),
    ]


def _not_run(groups: Sequence[Group]) -> list[str]:
    there = {group.dataset for group in groups if not group.is_phantom}
    return [title for name, title in MEDMNIST.items() if name not in there]


def _environment(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Return what the runs ran on; several values of one thing are all named."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        git = run.record["git"]
        sha = (git["sha"] or "unknown") + (", with changes not committed" if git["dirty"] else "")
        for name, value in ({"code": sha} | run.record["env"]).items():
            found.setdefault(name, {})[str(value)] = None
    return [(name, "; ".join(sorted(values))) for name, values in found.items()]
