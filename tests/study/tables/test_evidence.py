"""The matrix of the long runs: what is stored of it, what the rest would take, the test curves."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.runs.groups import group_runs
from helpers.runs.matrix import load_matrix
from helpers.runs.store import TEST_CURVE, list_runs
from study.epoch_choice import curve_rows, longest
from study.tables.evidence import evidence_files, matrix_rows, protocols
from study.tables.speed import Record, Speed, save_record
from tests.fabricated import fabricate_from

MATRIX = load_matrix("evidence")
NAME, (FIRST, *_) = next(iter(protocols(MATRIX).items()))


def row_of(rows, config):
    keys = ("recipe", "dataset", "model", "pretrained")
    (row,) = [row for row in rows if all(row[key] == getattr(config, key) for key in keys)]
    return row


def test_protocols_have_names_of_their_own_and_hold_the_whole_matrix(results_tree):
    rows = matrix_rows(MATRIX)
    assert sum(row["planned"] for row in rows) == len(MATRIX)
    without_seed = {replace(config, seed=0) for config in MATRIX}
    assert len(rows) == len(without_seed)


def test_hours_are_those_of_the_missing_runs(results_tree):
    about = {"date": "2000-01-01", "settings": {}, "env": {}, "git": {"sha": "0", "dirty": False}}
    speeds = (Speed(name=NAME, unit="h", values=(0.5,)),)
    save_record(Record(benchmark="evidence", speeds=speeds, **about))
    planned = row_of(matrix_rows(MATRIX), FIRST)["planned"]
    fabricate_from(replace(FIRST, seed=0), wrong=3)
    row = row_of(matrix_rows(MATRIX), FIRST)
    assert row["stored"] == 1
    assert row["hours"] == pytest.approx(0.5 * (planned - 1))


def test_seeds_that_agree_have_no_interval(results_tree):
    for seed in (0, 1):
        run = fabricate_from(replace(FIRST, seed=seed, epochs=3), wrong=3)
        (run.path / TEST_CURVE).write_text("epoch,test_accuracy\n1,0.5\n2,0.5\n3,0.5\n")
    (row,) = curve_rows(group_runs(list_runs()))
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (0, None, None)


def test_of_several_protocols_of_a_network_the_one_nearest_to_the_papers_speaks(results_tree):
    for change in ({}, {"epochs": 20}, {"epochs": 20, "cutmix": 0.0}):
        fabricate_from(replace(FIRST, **change), wrong=3)
    groups = group_runs(list_runs())
    (nearest,) = longest(groups)
    assert nearest.config["epochs"] == FIRST.epochs > 20
    short = [group for group in groups if group is not nearest]
    (with_cutmix,) = longest(short)
    assert len(short) == 2 and with_cutmix.config["cutmix"] == FIRST.cutmix > 0
    assert longest(short[::-1]) == [with_cutmix]


def test_a_test_curve_is_worth_its_best_epoch_less_the_selected_one(results_tree):
    gains = []
    for seed, curve in enumerate([(0.5, 0.6, 0.9), (0.5, 0.7, 0.6)]):
        run = fabricate_from(replace(FIRST, seed=seed, epochs=3), wrong=3)
        rows = [f"{epoch},{value}" for epoch, value in enumerate(curve, start=1)]
        (run.path / TEST_CURVE).write_text("\n".join(["epoch,test_accuracy", *rows]) + "\n")
        gains.append(max(curve) - curve[run.record["selection"]["epoch"] - 1])
    groups = group_runs(list_runs())
    (row,) = curve_rows(groups)
    assert row["seeds"] == 2 and row["gain"] == pytest.approx(np.mean(gains))
    assert row["gain_high"] - row["gain"] == pytest.approx(
        12.706 * np.std(gains, ddof=1) / 2**0.5, rel=1e-3
    )
    assert f"{100 * row['gain']:+.1f}" in evidence_files(groups)["evidence.md"]
