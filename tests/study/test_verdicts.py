"""The vocabulary of verdicts: each word has a meaning, and none is written anywhere else."""

import ast
from dataclasses import replace

import pytest

from helpers.metrics.scores import Estimate
from helpers.paths import repo_root
from study import verdicts
from study.plans.verdicts import load_rules
from study.published import lookup
from study.verdicts import (
    COMPATIBLE,
    EXCLUDED,
    INCONCLUSIVE,
    MEANING,
    NO_VERDICT,
    NOT_RUN,
    OTHER_IMAGES,
    OURS_HIGHER,
    OURS_LOWER,
    REPRODUCED,
    SHORT,
    SHOWN,
    SHOWN_REVERSED,
    TOO_FEW_SEEDS,
    UNTESTABLE,
    UNVERIFIED,
    on_all,
    on_comparison,
    on_gain,
    on_number,
    on_some,
)


def words() -> dict[str, str]:
    named = {name: value for name, value in vars(verdicts).items() if isinstance(value, str)}
    return {value: name for name, value in named.items() if name.isupper()}


def test_every_word_has_one_name_and_a_meaning():
    named = vars(verdicts).items()
    names = [name for name, value in named if name.isupper() and isinstance(value, str)]
    assert sorted(words().values()) == sorted(names)
    assert set(words()) == set(MEANING)
    assert len(set(MEANING.values())) == len(MEANING) and all(MEANING.values())


def test_no_other_module_of_the_study_writes_such_a_word():
    known, written = words(), []
    for path in (repo_root() / "study").rglob("*.py"):
        if path.samefile(verdicts.__file__):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # The keys of a table are names of columns or figures.
        keys = {id(key) for n in ast.walk(tree) if isinstance(n, ast.Dict) for key in n.keys}
        texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in keys]
        written += [
            f"{path.name}:{n.lineno} {n.value!r}" for n in texts if n.value and n.value in known
        ]
    assert not written


# --- the rules -----------------------------------------------------------------------------------

RULES = load_rules()
PRINTED = lookup(paper="B", table="Table 3", row="MedSpectralNet", column="breastmnist/accuracy")
BUDGET = RULES.budget.epochs["B"]


def estimate(low: float | None, high: float | None, *, seeds: int = 5, n: int = 156) -> Estimate:
    value = 0.0 if low is None else (low + high) / 2
    return Estimate(value, low, high, n, "made up", seeds=seeds, se=0.01, df=4.0)


def number(low, high, *, epochs=BUDGET, **made) -> str:
    return on_number(PRINTED, estimate(low, high, **made), rules=RULES, paper="B", epochs=epochs)


def comparison(shown, *, epochs=BUDGET, **given) -> str:
    own = {"rules": RULES, "paper": "B", "epochs": epochs}
    return on_comparison(estimate(-0.01, 0.05), shown, **own, **given)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.855, 0.875, REPRODUCED),
        (0.854, 0.875, COMPATIBLE),
        (0.82, 0.86, OURS_LOWER),
        (0.87, 0.89, OURS_HIGHER),
        (0.845, 0.865, REPRODUCED),
        (None, None, UNTESTABLE),
    ],
)
def test_a_printed_number_is_judged_by_one_more_run_and_how_wide_that_is(low, high, verdict):
    assert PRINTED.fraction == pytest.approx(0.865)
    assert number(low, high) == verdict


def test_the_margin_is_the_full_width():
    assert RULES.widest == 0.02
    assert number(0.865 - 0.0101, 0.865 + 0.0101) == COMPATIBLE
    assert number(0.865 - 0.0099, 0.865 + 0.0099) == REPRODUCED


@pytest.mark.parametrize("interval", [(0.855, 0.875), (0.5, 0.6), (0.9, 0.95)])
def test_below_a_tenth_of_the_printed_epochs_nothing_is_judged_whichever_way(interval):
    assert BUDGET == 200
    assert number(*interval, epochs=19) == SHORT
    assert number(*interval, epochs=20) != SHORT
    for shown in (1, 0, -1, None):
        assert comparison(shown, epochs=19, size=0.2, one_more=estimate(-0.1, 0.1)) == SHORT


def test_a_paper_without_printed_epochs_has_no_budget():
    assert "medmamba" not in RULES.budget.epochs and RULES.at_budget("medmamba", 1)


def test_number_without_runs_seeds_images_or_value():
    given = {"rules": RULES, "paper": "B", "epochs": BUDGET}
    inside = estimate(0.86, 0.87)
    assert on_number(PRINTED, None, **given) == NOT_RUN
    assert on_number(PRINTED, None, **given, same_images=False) == NOT_RUN
    assert number(0.86, 0.87, seeds=4) == TOO_FEW_SEEDS
    assert number(0.86, 0.87, seeds=3, n=8216) == REPRODUCED
    assert on_number(PRINTED, inside, **given, same_images=False) == OTHER_IMAGES
    assert on_number(replace(PRINTED, mark="M"), inside, **given) == UNVERIFIED
    assert on_number(replace(PRINTED, value=None), inside, **given) == NO_VERDICT


@pytest.mark.parametrize(
    ("shown", "size", "verdict"),
    [
        (1, None, SHOWN),
        (-1, None, SHOWN_REVERSED),
        (0, None, INCONCLUSIVE),
        (None, None, UNTESTABLE),
        (0, 0.02, INCONCLUSIVE),
        (0, 0.06, EXCLUDED),
        (1, 0.06, SHOWN),
        (1, -0.02, SHOWN_REVERSED),
        (-1, -0.02, SHOWN),
        (0, -0.06, EXCLUDED),
    ],
)
def test_a_comparison(shown, size, verdict):
    assert comparison(shown, size=size, one_more=estimate(-0.04, 0.05)) == verdict


def test_no_size_is_excluded_on_other_images_or_without_an_interval():
    assert comparison(0, size=0.9, one_more=estimate(-0.04, 0.05), same_images=False) == (
        INCONCLUSIVE
    )
    assert comparison(0, size=0.9) == INCONCLUSIVE


@pytest.mark.parametrize(
    ("shown", "interval", "verdict"),
    [
        (1, (0.005, 0.03), SHOWN),
        (1, (0.02, 0.03), EXCLUDED),
        (0, (-0.02, 0.03), INCONCLUSIVE),
        (0, (-0.02, 0.005), EXCLUDED),
        (-1, (-0.03, -0.02), SHOWN_REVERSED),
    ],
)
def test_a_printed_gain_needs_its_sign_shown_and_its_size(shown, interval, verdict):
    gain = replace(PRINTED, value=1.2, printed="1.2", unit="points")
    given = {"rules": RULES, "paper": "B", "epochs": BUDGET, "one_more": estimate(*interval)}
    assert on_gain(gain, estimate(-0.1, 0.1), shown, **given) == verdict
    assert on_gain(gain, estimate(-0.1, 0.1), shown, **given, same_images=False) == OTHER_IMAGES


@pytest.mark.parametrize(
    ("several", "all_of_them", "one_of_them"),
    [
        ([], NOT_RUN, NOT_RUN),
        ([SHOWN, SHOWN], SHOWN, SHOWN),
        ([SHOWN, INCONCLUSIVE], INCONCLUSIVE, SHOWN),
        ([SHOWN, NOT_RUN], NOT_RUN, SHOWN),
        ([INCONCLUSIVE, SHORT], SHORT, SHORT),
        ([SHOWN_REVERSED, NOT_RUN], SHOWN_REVERSED, NOT_RUN),
        ([EXCLUDED, SHOWN, SHOWN_REVERSED], SHOWN_REVERSED, SHOWN),
        ([EXCLUDED, UNTESTABLE], EXCLUDED, INCONCLUSIVE),
        ([EXCLUDED, EXCLUDED], EXCLUDED, EXCLUDED),
    ],
)
def test_claims_of_several_comparisons(several, all_of_them, one_of_them):
    assert (on_all(several), on_some(several)) == (all_of_them, one_of_them)
