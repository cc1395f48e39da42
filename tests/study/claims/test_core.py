"""The list of claims, results, tables of checks, and the arithmetic that both papers share."""

import csv

import numpy as np
import pytest

from helpers.metrics.power import auc_error, detectable_gain, power
from study.claims import check as registry
from study.claims.arithmetic import difference, fits, images, percent_saved, saved_range
from study.claims.check import ByRow, InOrder, Total, checks
from study.claims.check_result import LIMITS, CheckResult
from study.claims.judge import CHECKS
from study.claims.ledger import COLUMNS, ClaimsError, load_claims
from study.published import Published, PublishedError, last_digit, parse_printed, rounding
from study.sizes import matches
from study.verdicts import OF_CLAIMS, REPRODUCED


def printed(text, unit="%"):
    """Return a published value as if a paper had printed it; words have the unit "text"."""
    value, low, high = (None,) * 3 if unit == "text" else parse_printed(text)
    return Published(value, text, "T", "made up", unit, low=low, high=high)


# --- the list ------------------------------------------------------------------------------------

GOOD = {
    "id": "A01",
    "paper": "A",
    "place": "Table 2",
    "claim": "Accuracy is 85 %.",
    "printed": "85.00 %",
    "kind": "arithmetic",
    "check": "from the confusion matrix",
    "sources": "ours=A | Table 2 | test | accuracy ;; A | Table 2 | test | auc",
    "also": "others=A | Table 4 | ResNet34 | accuracy ;; others=A | Table 4 | ResNet34 | f1",
    "beside": "table4: over_resnet18 ;; 1 : 4=robustness: imbalance_4",
    "cannot": "",
}


def write(path, *rows, columns=COLUMNS):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_claim_is_read_with_the_values_it_speaks_of(tmp_path):
    (claim,) = load_claims(write(tmp_path / "claims.csv", GOOD))
    assert claim.id == "A01" and claim.check and not claim.cannot
    assert [key.value().printed for key in claim.sources] == ["85.00", "0.9372"]
    assert claim.value("ours").printed == "85.00"
    assert [(key.column, value.printed) for key, value in claim.items("others")] == [
        ("accuracy", "79.17"),
        ("f1", "0.8043"),
    ]
    assert claim.beside == {
        "table4: over_resnet18": "table4: over_resnet18",
        "1 : 4": "robustness: imbalance_4",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claim": " "}, "line 2: the field 'claim' is empty"),
        ({"paper": "C"}, "unknown paper 'C'; known: A, B"),
        ({"kind": "opinion"}, "unknown kind 'opinion'; known: arithmetic"),
        ({"id": "B01"}, "the id 'B01' does not begin with 'A'"),
        ({"check": ""}, "A01 needs either how it is checked or why it cannot be"),
        ({"cannot": "no data"}, "A01 needs either how it is checked or why it cannot be"),
        ({"sources": "A | Table 2 | test"}, "the source 'A | Table 2 | test' is not paper"),
    ],
)
def test_a_claim_that_is_not_in_order_is_named(tmp_path, change, message):
    with pytest.raises(ClaimsError, match=message.replace("|", r"\|")):
        load_claims(write(tmp_path / "claims.csv", GOOD | change))


def test_a_source_must_be_among_the_published_values(tmp_path):
    wrong = GOOD | {"sources": "A | Table 2 | test | kappa"}
    with pytest.raises(PublishedError, match="unknown column 'kappa'"):
        load_claims(write(tmp_path / "claims.csv", wrong))


def test_an_id_stands_once(tmp_path):
    with pytest.raises(ClaimsError, match="more than once: A01"):
        load_claims(write(tmp_path / "claims.csv", GOOD, GOOD))


def test_wrong_columns_are_named(tmp_path):
    with pytest.raises(ClaimsError, match=r"it has the columns id, .*; expected"):
        load_claims(write(tmp_path / "claims.csv", GOOD, columns=COLUMNS[:-1]))


# --- results and tables of checks ---------------------------------------------------------------


def test_a_result_has_a_known_verdict_known_limits_and_evidence():
    good = CheckResult(verdict=OF_CLAIMS[0], evidence="102 of 120.", limits=LIMITS)
    assert good.verdict == REPRODUCED and good.runs == ()
    with pytest.raises(ValueError, match="unknown verdict 'true'; known: reproduced"):
        CheckResult(verdict="true", evidence="x")
    with pytest.raises(ValueError, match=r"unknown limits \['luck'\]"):
        CheckResult(verdict=REPRODUCED, evidence="x", limits=("luck",))
    with pytest.raises(ValueError, match="needs evidence"):
        CheckResult(verdict=REPRODUCED, evidence="  ")


@pytest.fixture
def claim(tmp_path, monkeypatch):
    """Return a claim, and a registry without checks."""
    monkeypatch.setattr(registry, "CHECKS", {})
    return load_claims(write(tmp_path / "claims.csv", GOOD))[0]


def test_a_check_is_given_what_its_row_names(claim):
    @checks("A01", measured=lambda claim: {"counted": len(claim.beside)}, unit="%")
    def check(*, ours: Published, others: InOrder, counted: int, unit: str) -> CheckResult:
        figures = [ours.printed, *(value.printed for value in others), str(counted), unit]
        return CheckResult(verdict=REPRODUCED, evidence=" ".join(figures))

    assert registry.CHECKS["A01"](claim).evidence == "85.00 79.17 0.8043 2 %"


def test_several_values_are_arranged_as_the_argument_says(claim):
    @checks("A01")
    def by_row(*, others: ByRow) -> CheckResult:
        return CheckResult(verdict=REPRODUCED, evidence=", ".join(others))

    @checks("A02")
    def total(*, others: Total) -> CheckResult:
        return CheckResult(verdict=REPRODUCED, evidence=f"{others:.4f}")

    @checks("A03")
    def one(*, others: Published) -> CheckResult:
        return CheckResult(verdict=REPRODUCED, evidence=others.printed)

    found = registry.CHECKS
    assert found["A01"](claim).evidence == "ResNet34" and found["A02"](claim).evidence == "79.9743"
    with pytest.raises(
        ClaimsError, match="A01 names 2 values for 'others', of which one takes one"
    ):
        found["A03"](claim)


def test_an_argument_that_the_row_does_not_name_is_told(claim):
    @checks("A01")
    def gain(*, ours: Published, theirs: Published) -> CheckResult:
        return CheckResult(verdict=REPRODUCED, evidence=f"{ours.printed} {theirs.printed}")

    with pytest.raises(ClaimsError, match=r"A01 lacks theirs for gain; it has ours\. Name its"):
        registry.CHECKS["A01"](claim)


def test_a_claim_has_one_check(claim):
    checks("A01")(lambda: None)
    with pytest.raises(ClaimsError, match="two checks: A01"):
        checks("A02", "A01")(lambda: None)


@pytest.mark.parametrize("name", CHECKS)
def test_the_rule_of_a_verdict_stands_beside_its_check(name):
    assert "Rule:" in CHECKS[name].function.__doc__


# --- printed numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "digit"), [("85.00", 0.01), ("85", 1.0), ("5.25e-4", 1e-6), ("0.9372", 1e-4)]
)
def test_the_last_digit_and_what_a_number_may_stand_for(text, digit):
    value = printed(text, "")
    assert last_digit(value) == pytest.approx(digit)
    assert np.diff(rounding(value))[0] == pytest.approx(digit)
    for inside, shift in ((True, 0.49), (True, 0.5), (False, 0.51)):
        around = value.value + np.array([shift, -shift]) * digit
        assert [matches(number, value) for number in around] == [inside, inside]
        assert fits(around, value).tolist() == [inside, inside]
    with pytest.raises(ValueError, match="no plain number"):
        last_digit(printed(">=90"))


def test_differences_of_printed_numbers_are_exact():
    assert difference(printed("85.00"), printed("76.67")) == 8.33
    assert difference(printed("0.9372", "fraction"), printed("0.8912", "fraction")) == 0.046
    with pytest.raises(ValueError, match="differ in their unit"):
        difference(printed("85.00"), printed("0.85", "fraction"))


def test_savings_and_what_the_rounding_leaves_open():
    assert percent_saved(8.5, 14.5) == pytest.approx(41.379, abs=1e-3)
    low, high = saved_range(printed("8.5", "M"), printed("14.5", "M"))
    assert (low, high) == pytest.approx((100 * (1 - 8.55 / 14.45), 100 * (1 - 8.45 / 14.55)))
    assert matches(low, printed("41"), up_to=high) and not matches(low, printed("60"), up_to=high)
    with pytest.raises(ValueError, match="above 0, got 0"):
        percent_saved(1, 0)


def test_a_share_as_a_count_of_images():
    assert images(printed("81.67"), 120) == 98
    assert images(printed("0.865", "fraction"), 156) == 135
    with pytest.raises(ValueError, match="at least 1"):
        images(printed("81.67"), 0)


# --- what a test set can resolve -----------------------------------------------------------------


# Against statsmodels, and with wrong counts: tests/helpers/metrics/test_tests_of_difference.py.


def test_power_is_that_of_simulated_tests():
    p1, p2, n = 0.9, 0.75, 60
    rng = np.random.default_rng(0)
    a, b = (rng.binomial(n, p, 100_000) / n for p in (p1, p2))
    pooled = (a + b) / 2
    rejected = np.abs(a - b) > 1.959964 * np.sqrt(pooled * (1 - pooled) * 2 / n)
    assert power(p1, p2, n) == pytest.approx(rejected.mean(), abs=0.005)
    assert power(0.8, 0.8, 120) == pytest.approx(0.05, abs=0.02)


def test_the_detectable_gain_is_the_smallest_with_the_power():
    gain = detectable_gain(0.8167, 120)
    assert power(0.8167, 0.8167 + gain, 120) >= 0.8 > power(0.8167, 0.8157 + gain, 120)
    assert detectable_gain(0.99, 20) is None


def test_standard_error_of_an_auc():
    # Hanley & McNeil (1982): area 0.893 of 51 abnormal and 58 normal images, error 0.032.
    assert auc_error(0.893, 51, 58) == pytest.approx(0.032, abs=0.001)
