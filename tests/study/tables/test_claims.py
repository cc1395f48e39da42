"""The ledger with its verdicts: counts, tables, the README's block, limits, pictures, numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers.plots import style
from study import verdicts
from study.claims.check_result import BUDGET, OPEN_CHOICE, STAND_IN, CheckResult
from study.claims.judge import STATES, CheckedClaim, count_states, judge_claims
from study.claims.ledger import KINDS, Claim, load_claims
from study.claims.one_cycle import Grid, find_schedules, misfit, rates
from study.claims.side_by_side import SideBySide, paper_a_numbers, paper_b_numbers
from study.claims.split_sizes import misfit as size_misfit
from study.claims.split_sizes import search_sizes
from study.plots import claims as claim_plots
from study.published import PublishedError, lookup
from study.tables.accuracy import MEDMNIST
from study.tables.claims import (
    claim_table,
    claims_files,
    count_table,
    is_measured,
    kind_table,
    limits_text,
    readme_claims,
    short,
)
from study.verdicts import (
    CANNOT,
    COMPATIBLE,
    CONTRADICTED,
    MEANING,
    NOT_RUN,
    REPRODUCED,
)
from tests.study.claims.test_core import printed


def claim(name, kind="result", cannot=""):
    check = "" if cannot else "by counting"
    source = (("A", "Table 2", "test", "accuracy"),)
    what = (name, name[0], "Table 2", f"Claim | {name}.", "85 %", kind, check)
    return Claim(*what, sources=source, given={}, beside={}, cannot=cannot)


COUNTED = CheckResult(verdict=REPRODUCED, evidence="It is.", runs=("study.sizes",))
AGAINST = CheckResult(verdict=CONTRADICTED, evidence="4 is not 5.")
MEASURED = CheckResult(
    verdict=REPRODUCED, evidence="Ours.", limits=(STAND_IN, OPEN_CHOICE), runs=("common",)
)
OPEN = CheckResult(verdict=NOT_RUN, evidence="Not run: it.")
FEW = (
    CheckedClaim(claim("A01", "arithmetic"), COUNTED),
    CheckedClaim(claim("A02", "arithmetic"), AGAINST),
    CheckedClaim(claim("B01"), MEASURED),
    CheckedClaim(claim("B02"), OPEN),
    CheckedClaim(claim("B03", "interpretation", cannot="It is no number."), None),
)


@pytest.fixture(scope="module")
def claims():
    """The real ones."""
    return judge_claims()


# --- what is committed ---------------------------------------------------------------------------


def test_every_claim_has_a_verdict_or_a_reason(claims):
    assert [one.claim for one in claims] == list(load_claims())
    assert sum(one.claim.paper == "A" for one in claims) >= 40
    assert sum(one.claim.paper == "B" for one in claims) >= 60
    for one in claims:
        assert one.state in STATES and one.evidence
        assert (one.state == CANNOT) == bool(one.claim.cannot)


def test_only_what_is_left_open_hangs_on_what_is_unverified(claims):
    """B36 is not called false because of a size that its authors' page alone prints."""
    said = limits_text(claims, named=True).splitlines()[-1]
    assert said.endswith(": 0 verdicts.")
    (b36,) = (one for one in claims if one.claim.id == "B36")
    assert b36.state == REPRODUCED


def test_what_was_measured_on_other_images_says_so(claims):
    for one in claims:
        if one.result and "brain_inspired" in one.result.runs:
            assert STAND_IN in one.result.limits, one.claim.id


def test_only_checks_on_runs_read_stored_runs(claims, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    for one, without in zip(claims, judge_claims(), strict=True):
        if one.result and is_measured(one.result):
            assert without.result != one.result, one.claim.id
        elif one.state != NOT_RUN:
            assert without == one, one.claim.id


# --- tables --------------------------------------------------------------------------------------


def test_states_are_counted_by_paper():
    counts = count_states(FEW)
    assert counts["A"] == {REPRODUCED: 1, CONTRADICTED: 1}
    assert counts["B"] == {REPRODUCED: 1, NOT_RUN: 1, CANNOT: 1}
    assert set(STATES) <= set(MEANING)


def test_the_count_table_adds_up():
    lines = count_table(FEW).markdown().splitlines()
    measured = sum(bool(one.result and is_measured(one.result)) for one in FEW)
    assert f"| {CANNOT} | 0 | 1 | 1 | 0 |" in lines
    assert lines[-1] == f"| all | 2 | 3 | 5 | {measured} |"
    assert not any(line.startswith(f"| {COMPATIBLE} |") for line in lines)  # none is


def test_the_kind_table_has_every_kind():
    lines = kind_table(FEW).markdown().splitlines()
    assert len(lines) == 2 + len(KINDS)
    (line,) = [line for line in lines if line.startswith("| arithmetic |")]
    assert [int(cell) for cell in line.split("|")[2:-1]][-1] == 2


def test_a_claim_stands_with_its_evidence_or_reason_and_bars_are_escaped():
    table = claim_table(FEW).markdown()
    assert "Claim \\| A02." in table and "4 is not 5." in table and "It is no number." in table
    assert short(CONTRADICTED) == "contradicted" and short(CANNOT) == CANNOT


def test_the_csv_holds_all():
    frame = claim_table(FEW).frame
    assert {"paper", "kind", "check", "sources"} < {*frame} and len(frame) == len(FEW)
    assert frame.loc[2, "limits"] == f"{STAND_IN}; {OPEN_CHOICE}"
    assert frame.loc[4, "verdict"] == CANNOT and frame.loc[4, "runs"] == ""


def test_files_and_readme(tmp_path):
    files = claims_files(FEW)
    assert set(files) == {"claims.md", "claims.csv"}
    assert "## Paper B" in files["claims.md"] and f"- *{CANNOT}*" in files["claims.md"]
    (tmp_path / "claims.csv").write_text(files["claims.csv"])
    assert len(pd.read_csv(tmp_path / "claims.csv")) == len(FEW)
    block = readme_claims(FEW)
    assert "Of the 2 reproduced claims, 1 compare what is printed" in block
    assert "5 claims" in block and "4 checks" in block
    assert "The 1 that" in block and "A02" in block and "B01" not in block


def test_limits_name_what_hangs_on_them():
    lines = limits_text(FEW).splitlines()
    assert f"- On {STAND_IN}" in lines[0] and lines[0].endswith("1 verdicts: B01.")
    assert f"- On {BUDGET}: 0 verdicts." in lines
    # Counting a network is no run; what is not run hangs on nothing.
    assert "- On printed numbers, formulas and counting alone: 2 verdicts." in lines
    assert "B01" not in limits_text(FEW, named=False)


# --- searches ------------------------------------------------------------------------------------


def test_the_misfit_of_a_size_is_within_rounding_where_it_fits():
    shares = [printed("33.33"), printed("66.67")]
    sizes = np.arange(1, 20)
    misfits = size_misfit(shares, sizes)
    assert (
        tuple(sizes[misfits <= 1]) == search_sizes(shares, largest=20).sizes == (*range(3, 20, 3),)
    )
    # One image: 0 or 100 %, so a third of it off.
    assert misfits[0] == pytest.approx(0.3333 / 0.00005)


def test_the_misfit_of_schedules_is_lowest_where_one_is_found():
    grid = Grid(max_lr=(0.002, 0.004), div_factor=(10, 25), rise_epochs=(3, 6, 9), steps=(20, 30))
    values = rates(0.004, 25, 6, 30, epochs=4)
    shown = [printed(f"{value:.2e}", "") for value in values]
    (fit,) = find_schedules(shown, grid=grid)
    misfits = misfit(shown, grid=grid)
    assert misfits.shape == (2, 3) and np.isnan(misfits[:, 0]).all()
    assert np.nanargmin(misfits) == 4 and misfits[1, 1] <= 1 < misfits[0, 1]
    assert (fit.max_lr, fit.rise_epochs) == (0.004, 6)


# --- numbers and pictures ------------------------------------------------------------------------


def test_papers_numbers_have_the_intervals_of_their_test_images(claims):
    a = paper_a_numbers(claims, None)
    assert [row.label for row in a] == ["A, accuracy", "A, sensitivity", "A, specificity"]
    assert all(row.ours is None and row.n_seeds == 0 for row in a)
    # Wilson's interval for 102 of 120.
    assert a[0].published == pytest.approx((0.85, 0.7753, 0.9030), abs=1e-4)
    b = paper_b_numbers(claims, MEDMNIST)
    assert [row.label for row in b] == [f"B, {title}" for title in MEDMNIST.values()]
    assert all(low < value < high for value, low, high in (row.published for row in b))
    assert all(row.state in verdicts.OPEN for row in b if row.ours is None)
    with pytest.raises(PublishedError):
        lookup(paper="B", table="Table 3", row="MedSpectralNet", column="tissuemnist/accuracy")


def test_pictures():
    row = SideBySide("A", (0.85, 0.78, 0.9), None, 0, NOT_RUN)
    ours = SideBySide("B", (0.85, 0.78, 0.9), (0.8, 0.7, 0.9), 5, REPRODUCED)
    with style.style():
        _, axes = plt.subplots(1, 5)
        claim_plots.plot_counts(FEW, axes=axes[0])
        claim_plots.plot_side_by_side([row, ours], axes=axes[1])
        claim_plots.plot_size_search(np.array([5.0, 0.5, 3.0]), [2], axes=axes[2])
        grid = Grid(max_lr=(0.1, 0.2), rise_epochs=(5, 6))
        misfits = np.array([[9.0, 0.5], [4.0, np.nan]])
        claim_plots.plot_schedule_search(misfits, grid=grid, axes=axes[3])
        f1 = {"a": printed("0.5000", "fraction"), "b": printed("0.6000", "fraction")}
        possible = {"a": np.array([0.5, 0.51]), "b": np.array([0.61])}
        claim_plots.plot_possible_f1(possible, f1, axes=axes[4])
    widths = [patch.get_width() for patch in axes[0].patches]
    assert sum(widths) == len(FEW)
    assert [text.get_text() for text in axes[1].texts] == [NOT_RUN, REPRODUCED]
    assert [text.get_text() for text in axes[2].texts] == ["2"]
    assert len(axes[3].lines) == 1  # the ring
    assert [text.get_text() for text in axes[4].texts] == ["possible", "impossible"]
    plt.close("all")
