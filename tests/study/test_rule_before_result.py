"""What `params/*.yaml` say of themselves, "written before its runs", against the history.

A rule is as old as the commit since which it has stood unchanged; a result as the commit that
stored the first file of it. Where a history is missing or shallow, there is nothing to ask.
"""

import subprocess
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest
import yaml

from helpers.paths import repo_root


class Stated(NamedTuple):
    """One statement of a file, and what it holds of.

    Attributes:
        file: under `params`.
        words: of its comments.
        rules: paths of keys; of a list of mappings the `id`, `name` or `dataset` is the key.
        results: what is stored by them, one pattern under `results` for all, or one for each.
        free: keys of a rule that may change: no part of the rule.
    """

    file: str
    words: str
    rules: Sequence[tuple[str, ...]]
    results: Sequence[str]
    free: tuple[str, ...] = ()


def git(*arguments: str) -> str:
    """Return what git says in the repository's root."""
    done = subprocess.run(
        ["git", *arguments], cwd=repo_root(), capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def why_no_history() -> str | None:
    """Say why the history cannot be read; None where it can."""
    try:
        if not git("rev-parse", "--git-dir"):
            return "no git repository here: an archive has no history"
    except OSError:
        return "git is not installed"
    if git("rev-parse", "--is-shallow-repository").strip() != "false":
        return "a shallow clone has no history; `git fetch --unshallow` gets it"
    return None


@cache
def versions(file: str) -> tuple[tuple[str, Any], ...]:
    """Return the contents of a file of `params`, newest first, with the commits that made them."""
    commits = git("log", "--topo-order", "--format=%H", "--", f"params/{file}").split()
    texts = ((commit, git("show", f"{commit}:params/{file}")) for commit in commits)
    return tuple((commit, yaml.safe_load(text)) for commit, text in texts if text)


def value(content: Any, path: Sequence[str], free: Sequence[str] = ()) -> Any:
    """Return what stands under a path of keys, None where nothing does."""
    for key in path:
        if isinstance(content, list):
            named = (x for x in content if key in (x.get("id"), x.get("name"), x.get("dataset")))
            content = next(named, None)
        elif isinstance(content, dict):
            content = content.get(key)
    if isinstance(content, dict):
        return {key: part for key, part in content.items() if key not in free}
    return content


def unchanged_since(file: str, path: Sequence[str], free: Sequence[str] = ()) -> str:
    """Return the commit since which a rule has stood as it does now."""
    (since, newest), *older = versions(file)
    now = value(newest, path, free)
    assert now is not None, path
    for commit, content in older:
        if value(content, path, free) != now:
            break
        since = commit
    return since


@cache
def first_stored(pattern: str) -> str | None:
    """Return the commit that stored the first file, None where none is stored."""
    found = git(
        *("log", "--reverse", "--topo-order", "--format=%H", "--diff-filter=A"),
        *("--", f":(glob)results/{pattern}"),
    )
    return next(iter(found.split()), None)


def is_before(rule: str, result: str) -> bool:
    """Say whether one commit came before another; of parallel branches the clock decides."""

    def leads(a: str, b: str) -> bool:
        return a != b and git("merge-base", a, b).strip() == a

    if leads(rule, result) or leads(result, rule) or rule == result:
        return leads(rule, result)
    return int(git("log", "-1", "--format=%ct", rule)) < int(
        git("log", "-1", "--format=%ct", result)
    )


def keys(file: str, *names: str) -> list[tuple[str, ...]]:
    """Return paths of the top level of a file: those named, or all."""
    content = yaml.safe_load((repo_root() / "params" / file).read_text(encoding="utf-8"))
    return [(name,) for name in names or content]


def comparisons(file: str, *families: str) -> list[tuple[str, ...]]:
    """Return the paths of the comparisons of a file, of some families or of all."""
    content = yaml.safe_load((repo_root() / "params" / file).read_text(encoding="utf-8"))
    return [
        ("families", family["name"], "comparisons", one["id"])
        for family in content["families"]
        for one in family["comparisons"]
        if not families or family["name"] in families
    ]


TOLD = ("title", "claim", "published")
RECIPES = keys("recipes.yaml")
# What a file says was added later, so that the words are as true of it as of the rest.
LATER = {
    ("comparisons.yaml", "readings"),
    ("comparisons.yaml", "full_set"),
    ("comparisons.yaml", "stopping_momentum"),
    ("comparisons.yaml", "momentum"),
    ("comparisons.yaml", "at_reachable"),
    ("table2.yaml", "resnet18_breastmnist"),
    ("efficiency.yaml", "claimed"),
}
STATEMENTS = [
    Stated(
        "recipes.yaml",
        "before the first run of its own was stored",
        RECIPES,
        [f"runs/{name}/**/run.json" for (name,) in RECIPES],
        ("epochs",),
    ),
    Stated(
        "comparisons.yaml",
        "before any of its runs was stored",
        comparisons("comparisons.yaml"),
        ["runs/brain_inspired/**/run.json"],
        TOLD,
    ),
    Stated(
        "table2.yaml",
        "before any of its runs was stored",
        [
            *keys("table2.yaml", "cells", "network"),
            *comparisons("table2.yaml", "cutmix", "optimizer", "blocks", "plain"),
        ],
        ["runs/table2/**/run.json"],
        TOLD,
    ),
    Stated(
        "table2.yaml",
        "before any run of the two other readings was made",
        comparisons("table2.yaml", "read_otherwise"),
        [
            f"runs/table2/*/medspectralnet_{name}/**/run.json"
            for name in ("gate_from_input", "no_depthwise")
        ],
        TOLD,
    ),
    Stated(
        "table2.yaml",
        "before any run of that recipe was made",
        comparisons("table2.yaml", "readings"),
        ["runs/paper_b/**/run.json"],
        TOLD,
    ),
    Stated(
        "table2.yaml",
        "before any run of a block alone, or without CutMix, was made by that recipe",
        comparisons("table2.yaml", "tenth"),
        [
            f"runs/paper_b/breastmnist/medspectralnet{name}/run.json"
            for name in ("_no_spectralflow/*", "_no_contextgate/*", "/5a16e8f2c1_s*")
        ],
        TOLD,
    ),
    Stated(
        "table2.yaml",
        "before any run with flips alone was made by that recipe",
        comparisons("table2.yaml", "augmentation"),
        ["runs/paper_b/breastmnist/medspectralnet/4d32d25ae3_s*/run.json"],
        TOLD,
    ),
    Stated(
        "table2.yaml",
        "before any of it on PneumoniaMNIST was stored",
        comparisons("table2.yaml", "at_length"),
        [f"runs/paper_b/{name}/**/run.json" for name in ("breastmnist", "pneumoniamnist")],
        TOLD,
    ),
    Stated(
        "ranking.yaml",
        "before any run of the recipe was stored",
        keys("ranking.yaml", "recipe", "level", "rank_seeds", "focus", "datasets", "models"),
        ["runs/ranking/**/run.json"],
    ),
    Stated(
        "verdicts.yaml",
        "before any run of at least a tenth of paper B's budget was stored",
        keys("verdicts.yaml", "budget", "widest", "level", "size", "min_seeds"),
        ["runs/paper_b/**/run.json"],
    ),
    Stated(
        "automl.yaml",
        "before any of its searches was stored",
        keys("automl.yaml", "datasets", "systems", "seeds", "estimators")
        + keys("automl.yaml", "time_budget_seconds"),
        ["automl/**"],
    ),
    Stated(
        "localisation.yaml",
        "before any map of a test image was measured",
        keys("localisation.yaml", "level", "crop", "threshold", "methods", "measures", "primary")
        + keys("localisation.yaml", "input_controls"),
        ["localisation/arcade_*.npz"],
    ),
    Stated(
        "localisation.yaml",
        "written down before a map of these runs was made",
        [("focus", "breastmnist"), ("focus", "pneumoniamnist")],
        ["runs/paper_b/**/maps.npz"],
    ),
    Stated(
        "localisation.yaml",
        "written down before a run of it was made",
        [("studies", "arcade", "common")] * 3,
        [
            f"runs/common_224/cag_arcade_patches_subset800/{run}_s*/run.json"
            for run in (
                "medspectralnet/b5dbe77cf6",
                "medspectralnet/fb00ede4d3",
                "resnet18/c2cb1ef63e",
            )
        ],
    ),
    Stated(
        "efficiency.yaml",
        "before the first measurement",
        keys("efficiency.yaml", "image_size", "targets", "main", "claimed"),
        ["efficiency/*.json"],
    ),
]


@pytest.mark.parametrize("stated", STATEMENTS, ids=lambda s: f"{s.file}: {s.words}")
def test_a_rule_is_as_old_as_its_file_says(stated):
    text = (repo_root() / "params" / stated.file).read_text(encoding="utf-8")
    said = " ".join(line.strip().removeprefix("#").strip() for line in text.splitlines())
    assert stated.words in said
    if reason := why_no_history():
        pytest.skip(reason)
    patterns = stated.results * (1 if len(stated.results) > 1 else len(stated.rules))
    judged = 0
    for path, pattern in zip(stated.rules, patterns, strict=True):
        result = first_stored(pattern)
        if result is None:
            continue
        judged += 1
        before = is_before(unchanged_since(stated.file, path, stated.free), result)
        later = any((stated.file, name) in LATER for name in path)
        if later:
            assert any(f"`{name}`" in said for name in path if (stated.file, name) in LATER), path
        assert before is not later, (stated.file, path)
    assert judged


def test_a_rule_that_changed_after_its_result_is_found(monkeypatch):
    contents = ({"a": {"level": 0.1, "title": "t"}}, {"a": {"level": 0.1}}, {"a": {"level": 0.05}})
    made_up = tuple((f"commit {i}", content) for i, content in enumerate(contents))
    monkeypatch.setattr(f"{__name__}.versions", lambda file: made_up)
    assert unchanged_since("x.yaml", ["a"]) == "commit 0"
    assert unchanged_since("x.yaml", ["a"], ["title"]) == "commit 1"
    assert unchanged_since("x.yaml", ["a", "level"]) == "commit 1"


def test_of_two_commits_the_older_one_is_before():
    if reason := why_no_history():
        pytest.skip(reason)
    first, *_, last = git("log", "--reverse", "--topo-order", "--format=%H").split()
    assert is_before(first, last)
    assert not is_before(last, first)
    assert not is_before(last, last)
