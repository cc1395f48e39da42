"""The simulation that measures the intervals' coverage, and a small part of it."""

import json
import math

import numpy as np
import pytest

from benchmarks import coverage, simulation
from benchmarks.simulation import Cell
from helpers.metrics.variance import welch_critical
from helpers.paths import repo_root

# A few settings that differ in all that matters: what is measured, how well it is, and the seeds.
CHOSEN = (
    Cell("accuracy", 2, 156, 0.85, "alike"),
    Cell("accuracy", 2, 156, 0.95, "far apart"),
    Cell("auc", 2, 156, 0.8, "unlike"),
    Cell("auc", 2, 156, 0.92, "far apart"),
)
REPLICATES = 300


@pytest.mark.parametrize("cell", CHOSEN, ids=str)
def test_intervals_cover_and_tests_err_as_often_as_they_say(cell):
    for row in simulation.simulate_cell(cell, REPLICATES):
        for name, (low, high) in coverage.FIGURES.items():
            # Four standard errors of these few replicates beyond what the whole is asked for.
            middle = (low + high) / 2
            slack = 4 * math.sqrt(middle * (1 - middle) / REPLICATES)
            assert low - slack < row[name] < high + slack, (name, row)


@pytest.mark.parametrize("classes", [2, 8])
@pytest.mark.parametrize("measure", ["accuracy", "auc"])
def test_the_true_value_is_that_of_many_images_and_seeds(measure, classes):
    cell = Cell(measure, classes, 400, 0.85, "far apart")
    rng = np.random.default_rng(0)
    y_true = simulation.labels_of(400, classes)
    own = rng.standard_normal((300, cell.columns, 400), dtype=np.float32)
    values = simulation.measured(
        cell, y_true, simulation.simulate(cell, y_true, own, 4, rng)
    ).values
    averages = values.mean(axis=1)
    error = averages.std(ddof=1) / math.sqrt(len(averages))
    assert abs(averages.mean() - 0.85) < 4 * error < 0.01


def test_class_sizes_are_those_asked_for():
    counts = np.bincount(simulation.labels_of(156, 2))
    assert counts.tolist() == [42, 114]
    assert np.bincount(simulation.labels_of(3421, 8)) / 3421 == pytest.approx(
        simulation.SHARES[8], abs=1e-3
    )


@pytest.mark.parametrize("rule", [coverage.satterthwaite_critical, welch_critical])
def test_normal_theory_at_its_ends(rule):
    """Known variance, or all of it from the seeds: exact whatever the rule."""
    for seeds in (3, 10):
        assert coverage.normal_coverage(rule, seeds, 1) == pytest.approx(0.95, abs=1e-4)
        assert coverage.normal_coverage(rule, seeds, 1e-6) == pytest.approx(0.95, abs=1e-4)


def test_normal_theory_between_its_ends():
    """Hillis's degrees of freedom are too many for three seeds; Welch's value is near."""
    assert coverage.normal_coverage(coverage.satterthwaite_critical, 3, 0.85) == pytest.approx(
        0.922, abs=1e-3
    )
    for seeds, most in ((3, 0.006), (4, 0.003), (5, 0.002), (10, 0.001)):
        for share in np.linspace(0.02, 0.99, 20):
            found = coverage.normal_coverage(welch_critical, seeds, share)
            assert found == pytest.approx(0.95, abs=most), (seeds, share)


def test_a_stopped_run_goes_on_and_other_replicates_do_not_mix(
    results_tree, tmp_path, capsys, monkeypatch
):
    few = (Cell("accuracy", 2, 156, 0.85, "alike"), Cell("accuracy", 2, 156, 0.95, "alike"))
    monkeypatch.setattr(coverage, "cells", lambda quick=False: iter(few))
    no_seeds = {seeds: {} for seeds in simulation.N_SEEDS}
    monkeypatch.setattr(simulation, "on_these_images", lambda *_, **__: no_seeds)
    monkeypatch.setattr(coverage, "repo_root", lambda: tmp_path)
    page = tmp_path / "docs" / "methods.md"
    page.parent.mkdir()
    page.write_text("before\n" + "\n".join(coverage.MARKERS) + "\nafter\n")
    few_made = simulation.simulate_cell(few[1], 20)  # the command makes more of a cheap cell
    coverage.save_rows(simulation.simulate_cell(few[0], 20 * few[0].repeats) + few_made, 20)
    coverage.main(["--replicates", "20", "--save"])
    printed = capsys.readouterr().out
    assert "level=0.95" in printed and "level=0.85" not in printed
    assert [row["replicates"] for row in coverage.load_rows()] == [80] * 6
    assert "2 of 2 settings measured, 20 replicates" in page.read_text()
    assert page.read_text().startswith("before\n") and page.read_text().endswith("\nafter\n")
    assert coverage.load_rows(replicates=30) == []


def test_a_figure_is_outside_by_its_own_number_of_trials():
    """92.4 % is within chance of 93.5 % in 1,000 replicates, not in 2,200 predictions."""
    row = {"replicates": 1000, "seeds": 5, "coverage": 0.924, "one_more_run": 0.924, "type_1": 0.05}
    figures = coverage.figures_of([row])
    assert coverage.outside(figures)["figure"].tolist() == ["one_more_run"]
    assert coverage.outside(figures, errors=0)["figure"].tolist() == ["coverage", "one_more_run"]
    figures = coverage.figures_of([row, row | {"coverage": 0.99}])
    lines = coverage.verdict_table(figures).splitlines()
    counts = {line.split("|")[1].strip(): line.split("|")[3:-1] for line in lines[2:]}
    assert [int(n) for n in counts["coverage"]] == [2, 0, 1, 0, 1]
    assert [int(n) for n in counts["one more run"]] == [2, 0, 0, 2, 0]
    assert [int(n) for n in counts["type 1"]] == [2, 2, 0, 0, 0]


def test_what_costs_little_is_measured_more_often():
    repeats = {(c.columns, c.images): c.repeats for c in simulation.cells()}
    assert repeats[1, 156] == repeats[8, 156] == 4 and repeats[8, 3421] == 1


def test_the_page_shows_what_is_stored(monkeypatch):
    monkeypatch.delenv("REPRO_RESULTS", raising=False)
    record = json.loads(coverage.record_path().read_text())
    page = (repo_root() / "docs" / "methods.md").read_text()
    assert coverage.methods_block(record["cells"], record["replicates"]) in page
