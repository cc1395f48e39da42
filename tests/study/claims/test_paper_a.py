"""Paper A's claims: each has a check or a reason, and each check can come out otherwise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from sklearn.metrics import f1_score

from helpers.config import READINGS
from helpers.metrics.intervals import accuracy_scores, auc_scores, holm
from helpers.metrics.power import best_mcnemar
from helpers.metrics.scores import Estimate
from helpers.training.losses import focal_loss
from study.claims.check_result import LIMITS, verdict_of_measures
from study.claims.confusion import TAKEN, matrices, other_sets, score_of
from study.claims.judge import CHECKS as ALL_CHECKS
from study.claims.ledger import load_claims
from study.claims.one_cycle import Fit, Grid, chance_of_fit, find_schedules, rates
from study.claims.paper_a import planned
from study.claims.paper_a.comparisons import told
from study.claims.paper_a.data import auc_splits
from study.claims.paper_a.differences import difference, judge_family, leaning, sensitivity
from study.claims.paper_a.results import Level
from study.claims.paper_a.sizes import Backbone, by_stage, count_backbone, step_memory
from study.claims.paper_a.stages import Early, Scattered
from study.claims.paper_a.table4 import auc_p, most_lost, needed_correlation
from study.claims.paper_a.training import focal_gradient
from study.claims.seeds import mean_over_seeds
from study.claims.split_sizes import search_sizes
from study.claims.warm_restarts import FACTORS, all_cycles, fits_from_any, fits_from_zero
from study.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    SHOWN,
    SHOWN_REVERSED,
    TOO_FEW_SEEDS,
    UNDERSPECIFIED,
)
from tests.study.claims.test_core import printed

CLAIMS = {claim.id: claim for claim in load_claims() if claim.paper == "A"}
CHECKS = {claim: ALL_CHECKS[claim] for claim in CLAIMS if claim in ALL_CHECKS}


def fraction(text):
    return printed(text, "fraction")


def rates_printed(*texts):
    return [printed(text, "") for text in texts]


def gain(c):
    """Return a comparison that came out in favour of A."""
    better = Estimate(0.1, 0.08, 0.12, 120, "made up", seeds=5, p=1e-6)
    return replace(c, auc=better, p={"auc": 1e-5}, shown={"auc": 1}, verdict=SHOWN)


def all_better(inputs):
    planned = inputs["planned"]
    better = {name: gain(c) for name, c in planned.deciding.items()}
    return {"planned": replace(planned, deciding=better)}


def apart(value, p=1e-6):
    """Return a difference over five seeds; its p value decides."""
    return Estimate(value, value - 0.02, value + 0.02, 120, "made up", seeds=5, p=p, se=0.01, df=4)


LESS = ([0.1, 0.11, 0.1, 0.12, 0.1], [0.3, 0.31, 0.32, 0.3, 0.3])
RISING = [fraction(text) for text in ("0.7", "0.8", "0.9", "0.85")]
SURE = Estimate(0.85, 0.78, 0.9, 120, "made up", seeds=5)
WRONG_MATRIX = dict.fromkeys(("tn", "fp", "fn", "tp"), 30)
HALF = Backbone(trunk=100, last_stage=90, last_block=60, features=9)

SPREAD = [0.7, 0.8, 0.9, 0.75, 0.85]
KNOWN = {"source": printed("ARCADE", "text")}
ENDED = {"length": printed("2", "epochs"), "criterion": printed("0.01", "AUC")}
STEADY = [0.85, 0.851, 0.852, 0.853, 0.854]
# The method keeps a tenth more of its AUC than its control.
KEPT = apart(0.1)


def scattered(a, b):
    return Scattered(a, b, (len(a), len(b)))


# For each claim: other inputs (or a function of the real ones that returns them), and the verdict.
OTHERWISE = {
    **dict.fromkeys(("A02", "A14", "A15", "A55", "A57", "A60", "A61"), (all_better, SHOWN)),
    **dict.fromkeys(("A73", "A92", "A93", "A94", "A95"), (all_better, SHOWN)),
    "A01": ({"positive": 100, "negative": 20}, REPRODUCED),
    "A03": ({"seconds": {"a network": 0.2}}, NOT_REPRODUCED),
    "A04": ({"heads": {"wide": (50.0, HALF)}}, NOT_REPRODUCED),
    "A05": ({"backbones": {"small": HALF}}, NOT_REPRODUCED),
    "A06": ({"named": printed("ResNet18", "text"), "printed": printed("11.2", "M")}, REPRODUCED),
    "A07": ({"printed": printed("11.2", "M")}, REPRODUCED),
    "A08": ({"easy": 0.5, "hard": 0.4}, REPRODUCED),
    "A09": ({"gammas": (0.0,)}, NOT_REPRODUCED),
    "A10": ({"gammas": (0.0,)}, NOT_REPRODUCED),
    "A11": ({"by_class": printed("alpha and 1 - alpha", "text")}, REPRODUCED),
    "A12": ({"eps": (0.0,)}, NOT_REPRODUCED),
    "A13": ({"eps": 0.0}, REPRODUCED),
    "A16": (lambda i: all_better(i) | {"rarest": 0.2}, SHOWN),
    # A cycle of five epochs, from a peak of 5e-3 to zero.
    "A17": ({"printed": rates_printed("4.52e-3", "3.27e-3", "1.73e-3", "4.77e-4")}, REPRODUCED),
    "A18": ({"fits": []}, NOT_REPRODUCED),
    "A19": ({"values": {"AUC": scattered(STEADY, SPREAD)}}, SHOWN),
    "A20": ({"values": {"x": LESS}}, SHOWN),
    "A22": ({"printed": [printed("83.54"), printed("50.81")]}, CONTRADICTED),
    "A23": ({"printed": [printed("50.41"), printed("50.40")]}, CONTRADICTED),
    "A24": ({"printed": RISING}, CONTRADICTED),
    "A25": (KNOWN, NOT_REPRODUCED),
    "A26": (lambda i: {"train": i["val"], "val": i["train"]}, CONTRADICTED),
    "A27": (lambda i: {"accuracies": i["accuracies"][::-1]} | KNOWN, REPRODUCED),
    "A28": ({"total": 119}, CONTRADICTED),
    "A29": (KNOWN | {"by_patient": printed("yes", "text")}, REPRODUCED),
    **{f"A{n}": (WRONG_MATRIX, CONTRADICTED) for n in (30, 31, 32, 33, 34, 35, 37)},
    "A36": ({"auc": fraction("0.9950")}, CONTRADICTED),
    "A38": ({"tn": 58, "fp": 2, "fn": 16, "tp": 44}, CONTRADICTED),
    "A39": (lambda i: {"scores": i["scores"][::-1]} | KNOWN, REPRODUCED),
    "A40": (KNOWN, NOT_REPRODUCED),
    "A41": (lambda i: {"ours": i["others"]["ResNet34"]}, CONTRADICTED),
    "A42": ({"n": 121}, CONTRADICTED),
    "A43": ({"f1": fraction("0.7812")}, REPRODUCED),
    "A44": ({"f1": fraction("0.8031")}, REPRODUCED),
    "A45": ({"f1": fraction("0.8226")}, REPRODUCED),
    "A46": ({"f1": fraction("0.8660")}, CONTRADICTED),
    "A47": ({"printed": printed("8.34", "points")}, CONTRADICTED),
    "A48": ({"printed": fraction("0.0918")}, CONTRADICTED),
    "A49": ({"theirs": fraction("0.7831")}, CONTRADICTED),
    "A50": ({"theirs": printed("82.50")}, CONTRADICTED),
    "A51": ({"ours": fraction("0.9470")}, CONTRADICTED),
    "A52": ({"theirs": printed("70.00")}, REPRODUCED),
    "A53": ({"theirs": printed("83.33")}, NOT_REPRODUCED),
    "A54": ({"theirs": printed("85.83")}, CONTRADICTED),
    "A56": (lambda i: all_better(i) | {"start": printed("scratch", "text")}, SHOWN),
    "A58": (lambda i: all_better(i) | {"circuit": printed("4 qubits", "text")}, SHOWN),
    "A59": ({"results": printed("linear", "text")}, REPRODUCED),
    "A62": ({"printed": printed("11.7", "M")}, CONTRADICTED),
    "A63": ({"printed": printed("21.8", "M")}, CONTRADICTED),
    "A64": ({"described": printed("4 qubits", "text")}, REPRODUCED),
    "A65": ({"seconds": printed("30", "s")}, CONTRADICTED),
    "A66": ({"image_size": printed("128", "pixels"), "seconds": [40.0]}, NOT_REPRODUCED),
    "A67": ({"stated": printed("5e-3", "")}, CONTRADICTED),
    "A68": (
        lambda i: {
            "early": (SPREAD, [value + 0.2 + k / 100 for k, value in enumerate(SPREAD)]),
            "final": replace(i["final"], low=0.01),
            "others": printed("step", "text"),
        },
        REPRODUCED,
    ),
    "A69": ({"prevalence": printed("50")}, REPRODUCED),
    "A70": ({"others": {"wide": printed("23.5", "M")}}, REPRODUCED),
    "A71": ({"image_size": printed("128", "pixels"), "seconds": [200.0]}, NOT_REPRODUCED),
    "A74": (lambda i: all_better(i) | {"kept": {"1 : 4": KEPT}}, SHOWN),
    "A75": ({"differences": {"1 : 4": apart(0.1), "1 : 9": apart(0.2)}}, SHOWN),
    "A76": (lambda i: all_better(i) | {"kept": {"noise": KEPT}}, SHOWN),
    "A78": ({"seeds": printed("5", "seeds"), "levels": {"x": Level(SURE, 0.01, 5)}}, REPRODUCED),
    "A79": ({"printed": {"x": fraction("0.8453")}}, REPRODUCED),
    "A80": ({"theirs": fraction("0.9272")}, NOT_REPRODUCED),
    "A81": ({"theirs": fraction("0.8000")}, REPRODUCED),
    "A82": ({"theirs": fraction("0.9400")}, CONTRADICTED),
    "A83": (lambda i: {"second": i["first"] | {"f1": fraction("0.8658")}}, CONTRADICTED),
    "A84": ({"test": printed("70.00")}, CONTRADICTED),
    "A85": (
        {"steps": {"x": {"warm-up": 3, "selective fine-tuning": 1, "all layers": 2}}},
        NOT_REPRODUCED,
    ),
    "A86": (ENDED | {"epochs": (STEADY, STEADY[::-1])}, REPRODUCED),
    "A87": (lambda i: {"early": replace(i["early"], sides=LESS)}, SHOWN),
    "A88": ({"values": {"x": LESS}}, SHOWN),
    "A89": ({"differences": {"x": apart(-0.1)}}, SHOWN),
    "A90": ({"besides": [], "linear": False}, SHOWN),
    "A96": (
        {"steps": {"x": {"warm-up": 1, "selective fine-tuning": 3, "all layers": 2}}},
        NOT_REPRODUCED,
    ),
    "A98": (ENDED, SHOWN),
    "A99": ({"all_layers": (10, 15)}, SHOWN),
    "A100": ({"differences": {"1 : 4": apart(-0.1), "1 : 9": apart(0.2)}}, SHOWN_REVERSED),
}


@pytest.fixture(scope="module")
def inputs():
    """What each check is given, read once."""
    return {name: check.inputs(CLAIMS[name]) for name, check in CHECKS.items()}


@pytest.fixture(scope="module")
def check(inputs):
    """Run the check of a claim on what it is given, some of it changed."""
    return lambda name, **changes: CHECKS[name].function(**inputs[name] | changes)


# --- every claim ---------------------------------------------------------------------------------


def test_every_claim_has_a_check_or_a_reason_why_not():
    assert len(CLAIMS) >= 40
    assert set(CHECKS) == {name for name, claim in CLAIMS.items() if not claim.cannot}
    assert set(OTHERWISE) == set(CHECKS)
    assert list(CLAIMS) == [f"A{n:02d}" for n in range(1, len(CLAIMS) + 1)]


def test_every_check_runs_and_says_what_it_hangs_on(check):
    measured = 0
    for name in CHECKS:
        result = check(name)
        assert result.verdict != NOT_RUN, name
        assert result.evidence.endswith("."), name
        assert set(result.limits) <= set(LIMITS), name
        # What was measured on other images says so, and names its runs; a time needs no images.
        on_images = bool(result.runs) and result.runs != ("results/efficiency",)
        assert on_images == ("other images than the paper's" in result.limits), name
        measured += bool(result.runs)
    assert measured > 20


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_every_check_can_come_out_otherwise(name, inputs, check):
    change, expected = OTHERWISE[name]
    change = change(inputs[name]) if callable(change) else change
    assert check(name).verdict != expected == check(name, **change).verdict


def test_what_the_papers_own_numbers_contradict(check):
    found = {name for name in CHECKS if check(name).verdict == CONTRADICTED}
    assert found == {"A06", "A07", "A17", "A43", "A44", "A45"}


def test_values_from_memory_carry_no_verdict():
    used = {key for claim in CLAIMS.values() for key in claim.sources}
    assert {key.value().mark for key in used} == {"T"}


def test_a_comparison_that_is_not_run_gets_no_verdict(inputs, check):
    planned = inputs["A55"]["planned"]
    missing = {title: replace(c, verdict=NOT_RUN) for title, c in planned.deciding.items()}
    result = check("A55", planned=replace(planned, deciding=missing))
    assert result.verdict == NOT_RUN and not result.runs


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("A27", {"accuracies": ([0.8], [0.9])}),
        ("A58", {"added": None}),
        ("A74", {"kept": {"1 : 4": None}}),
        ("A75", {"differences": {"1 : 4": replace(apart(0.1), seeds=4)}}),
        ("A86", {"epochs": (STEADY[:4], STEADY[:4])}),
        ("A89", {"differences": {}}),
        ("A94", {"planned": planned.Planned({}, [], "r")}),
        ("A99", {"all_layers": (4, 4)}),
    ],
)
def test_where_some_of_the_runs_are_missing_nothing_is_judged(name, lacking, check):
    assert check(name, **lacking).verdict == NOT_RUN


def test_where_no_run_is_stored_no_claim_on_runs_is_judged(check, tmp_path, monkeypatch):
    on_runs = [name for name in CHECKS if check(name).runs]
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    for name in on_runs:
        result = CHECKS[name](CLAIMS[name])
        # The paper gives no seeds, whatever is stored.
        expected = UNDERSPECIFIED if name == "A78" else NOT_RUN
        assert (result.verdict, result.runs) == (expected, ()), name


def test_one_of_two_comparisons_is_not_enough(inputs, check):
    first, second = inputs["A74"]["planned"].deciding.values()
    assert second.verdict == INCONCLUSIVE
    mixed = planned.Planned({"first": gain(first), "second": second}, [], "r")
    assert check("A55", planned=mixed).verdict == INCONCLUSIVE


# --- the searches --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_size_of_a_set_is_found_from_its_accuracies(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(300, 900))
    shares = [printed(f"{100 * k / n:.2f}") for k in rng.choice(n, 5, replace=False)]
    found = search_sizes(shares)
    assert n in found.sizes
    assert all(
        f"{100 * k / found.sizes[0]:.2f}" == share.printed
        for k, share in zip(found.counts, shares, strict=True)
    )


def test_the_chance_of_an_accidental_fit_is_that_of_random_accuracies():
    """Of two random percentages only, so that accidents are frequent enough to count."""
    rng, draws = np.random.default_rng(0), 600
    found = [
        search_sizes([printed(f"{v / 100:.2f}") for v in rng.integers(0, 10001, 2)], largest=400)
        for _ in range(draws)
    ]
    hits = sum(bool(search.sizes) for search in found) / draws
    chance = next(search.chance for search in found if not search.sizes)
    assert chance == pytest.approx(0.215, abs=0.005)
    # The sum over the sizes counts sets that fit twice; it is a bound, and not a loose one.
    assert 0.6 * chance < hits < chance


def test_shares_of_one_set_have_the_same_digits():
    with pytest.raises(ValueError, match="same digits"):
        search_sizes([printed("50.1"), printed("50.12")])


def test_class_sizes_are_found_from_aucs():
    n, positive = 121, 40
    pairs = positive * (n - positive)
    aucs = [fraction(f"{k / pairs:.6f}") for k in (2000, 2345, 2877)]
    assert auc_splits(aucs, n=n).smaller == (positive,)


def optimizer(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates_of_torch(schedule, *, epochs, steps):
    """Return the rate after each epoch."""
    theirs = []
    for _ in range(epochs):
        for _ in range(steps):
            schedule.optimizer.step()
            schedule.step()
        theirs += schedule.get_last_lr()
    return theirs


@pytest.mark.parametrize(("max_lr", "div", "rise", "steps"), [(5e-3, 25, 6, 35), (0.01, 10, 9, 20)])
def test_rates_are_those_of_torch(max_lr, div, rise, steps):
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer(max_lr),
        max_lr=max_lr,
        total_steps=30 * steps,
        pct_start=rise / 30,
        div_factor=div,
        cycle_momentum=False,
    )
    theirs = rates_of_torch(schedule, epochs=4, steps=steps)
    assert rates(max_lr, div, rise, steps, epochs=4) == pytest.approx(theirs, rel=1e-9)
    shown = rates_printed(*(f"{rate:.2e}" for rate in theirs))
    small = Grid(max_lr=(max_lr / 2, max_lr, 2 * max_lr), steps=(steps,))
    assert Fit(max_lr, div, rise, (steps, steps)) in find_schedules(shown, grid=small)


def test_the_printed_rates_have_one_schedule_on_the_grid(inputs):
    (fit,) = inputs["A18"]["fits"]
    assert (fit.max_lr, fit.div_factor, fit.rise_epochs) == (0.005, 25, 6)
    assert fit.steps[0] <= -(-559 // 16) <= fit.steps[1]
    assert chance_of_fit(epochs=len(inputs["A18"]["printed"])) < 0.05
    # A grid that holds every rate drawn from it: all draws fit, so the chance can be high.
    dense = Grid(
        max_lr=(0.004, 0.00401), div_factor=(25, 25.01), rise_epochs=(6, 6.01), steps=(30,)
    )
    assert chance_of_fit(epochs=4, grid=dense, draws=50) > 0.5


def test_the_cycles_are_those_of_torch():
    batches, first, epochs = 7, 9, 4
    for factor in FACTORS:
        schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
            optimizer(1.0), first, factor
        )
        theirs = rates_of_torch(schedule, epochs=epochs, steps=batches)
        cycles = all_cycles(most_batches=batches, longest=1, epochs=epochs)
        wanted = (cycles.batches == batches) & (cycles.first == first) & (cycles.factor == factor)
        assert cycles.heights[wanted][0] == pytest.approx(theirs, abs=1e-12)


def test_a_lowest_rate_above_zero_is_found_and_leaves_the_name_to_decide(inputs, check):
    """One cycle of six epochs, and cycles of 6/5 of an epoch, meet at the end of each epoch."""
    shown, cycles = inputs["A17"]["printed"], inputs["A17"]["cycles"]
    free = fits_from_any(shown, cycles)
    assert free.any() and not fits_from_zero(shown, cycles).any()
    wanted = (cycles.batches == 30) & (cycles.first == 36) & (cycles.factor == 1)
    assert free[wanted].all()
    named = printed("warm restarts", "text")
    assert check("A17", named=named).verdict == UNDERSPECIFIED
    beyond = rates_printed("5.25e-4", "1.41e-3", "2.62e-3", "9.99e-3")
    assert check("A17", printed=beyond, named=named).verdict == CONTRADICTED


def test_half_counts_of_pairs_need_ties(check):
    result = check("A79", printed={"x": fraction("0.8721")})
    assert result.verdict == UNDERSPECIFIED and "3,139.5" in result.evidence
    few = check("A79", printed={"x": fraction("0.8453")}, positive=3, negative=3)
    assert few.verdict == CONTRADICTED


@pytest.mark.parametrize("name", ["A80", "A81", "A82"])
def test_the_correlation_that_an_auc_gain_needs_is_where_its_family_turns(name, inputs, check):
    ours, theirs, others = (inputs[name][role] for role in ("ours", "theirs", "others"))
    assert len({ours.value, theirs.value, *(o.value for o in others)}) == 4
    r = needed_correlation(ours, theirs, others, 60, 60)
    p_values = [auc_p(ours, value, 60, 60, r) for value in (theirs, *others)]
    assert holm(p_values)[0] == pytest.approx(0.05, rel=1e-6)
    assert f"correlated by {r:.2f}" in check(name).evidence


def test_a_gain_that_is_significant_alone_need_not_be_in_its_family(inputs, check):
    assert auc_p(inputs["A80"]["ours"], inputs["A80"]["theirs"], 60, 60, 0.0) < 0.05
    assert check("A80").verdict == UNDERSPECIFIED
    assert check("A80", others=[]).verdict == REPRODUCED


def test_the_images_that_a_count_may_lose_are_those_of_the_corrected_test(check):
    others = [best_mcnemar(102, k) for k in (95, 98)]
    lost = most_lost(10, 120, others)
    assert most_lost(10, 120, []) > lost
    assert most_lost(4, 120, others) is None
    assert f"on at most {lost} images" in check("A52").evidence
    # Significant as if of different images, alone; no longer as one of three.
    theirs = printed("73.33")
    assert check("A52", theirs=theirs, others=[]).verdict == REPRODUCED
    assert check("A52", theirs=theirs).verdict == UNDERSPECIFIED


def test_a_course_shown_reversed_and_one_measure_alone(check):
    mixed = {"x": LESS, "y": (STEADY, STEADY[::-1])}
    assert check("A20", values={"x": LESS[::-1]}).verdict == SHOWN_REVERSED
    assert check("A20", values=mixed).verdict == UNDERSPECIFIED


# --- formulas ------------------------------------------------------------------------------------


def test_all_matrices_of_an_accuracy_are_tried():
    found = matrices(printed("85.00"), positive=60, negative=60)
    assert found.true_positives.min() == 42 and found.true_positives.max() == 60
    assert len(found.true_positives) == 19
    assert not len(matrices(printed("85.01"), positive=60, negative=60).true_positives)


def test_an_unknown_score_is_named():
    with pytest.raises(ValueError, match="unknown score 'kappa'; known: f1, accuracy"):
        score_of("kappa", tn=1, fp=1, fn=1, tp=1)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("p_t", [0.1, 0.5, 0.9])
def test_the_focal_gradient_is_that_of_the_loss(gamma, p_t):
    logit = torch.logit(torch.tensor([p_t], dtype=torch.float64)).requires_grad_()
    focal_loss(logit, torch.ones(1, dtype=torch.float64), gamma=gamma).backward()
    assert focal_gradient(p_t, gamma) == pytest.approx(abs(logit.grad.item()), rel=1e-6)


def test_the_readings_of_the_joint_loss(check):
    """What each is by its definition: `tests/helpers/training/test_losses.py`."""
    evidence = check("A13", probability=0.9, gamma=2.0, eps=0.1).evidence
    assert READINGS == ("hard_pt", "soft_pt", "linear", "exp_ce")
    # The smallest loss of the reading by p_t of hard labels lies at the grid's end.
    assert "lowest at 0.999, 0.995, 0.75, 0.95. That" in evidence
    # (1 - p)^gamma times the entropy against a label of .95.
    assert "give 0.00215 (hard_pt)," in evidence
    assert "holds in all but linear." in evidence


def test_backbones_are_counted_as_torchvision_states():
    for name, weights in (
        ("resnet18", torchvision.models.ResNet18_Weights.DEFAULT),
        ("resnet50", torchvision.models.ResNet50_Weights.DEFAULT),
    ):
        backbone = count_backbone(name)
        assert round(1e6 * backbone.with_linear(1000)) == weights.meta["num_params"]
        assert backbone.last_block < backbone.last_stage < backbone.trunk


def test_an_interval_over_seeds_needs_two():
    mean = mean_over_seeds([0.1, 0.2, 0.3])
    assert mean.value == pytest.approx(0.2)
    assert mean.high - mean.value == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    with pytest.raises(ValueError, match="needs two values, got 1"):
        mean_over_seeds([0.1])


def test_prevalence_decides_how_much_a_negative_result_reassures(check):
    assert check("A69").verdict == UNDERSPECIFIED
    assert check("A69", prevalence=printed("90")).verdict == NOT_REPRODUCED


def test_one_measure_of_stability_for_and_one_against_leave_it_open(check):
    both = {"AUC": scattered(STEADY, SPREAD), "accuracy": scattered(SPREAD, SPREAD)}
    assert check("A19", values=both).verdict == UNDERSPECIFIED
    assert check("A19", values={"AUC": scattered(SPREAD, STEADY)}).verdict == SHOWN_REVERSED
    assert check("A74", kept={"1 : 4": KEPT}).verdict == UNDERSPECIFIED


# --- what decides, and what is shown beside it ---------------------------------------------------


def test_draws_of_one_seed_do_not_add_to_the_degrees_of_freedom(check):
    """Draws of each seed, as alike as can be, tell no more than one."""
    doubled = Scattered([*STEADY, *STEADY], SPREAD, (5, 5))
    alone = scattered(STEADY, [0.85, 0.8475, 0.855, 0.8525, 0.845])
    many = replace(alone, a=STEADY * 4, b=alone.b * 4)
    for both, verdict in ((doubled, SHOWN), (alone, INCONCLUSIVE), (many, INCONCLUSIVE)):
        assert check("A19", values={"x": both}).verdict == verdict


def test_runs_made_again_elsewhere_enter_and_more_images_decide(inputs, check):
    given = inputs["A19"]
    assert {len(v.a) for v in given["values"].values()} == {10}
    (fewer,) = given["fewer"].values()
    assert fewer["accuracy"].seeds == (5, 5) and len(fewer["accuracy"].a) > 5
    for name in ("A55", "A61"):
        beside = inputs[name]["planned"]
        (shown,) = beside.fewer
        assert beside.one.auc.n > shown.auc.n and beside.one.auc.seeds > shown.auc.seeds
        better = replace(beside, fewer=[gain(shown)])
        assert check(name, planned=better).verdict == INCONCLUSIVE
    whole = inputs["A02"]["planned"].deciding["whole"]
    assert whole.auc.n == inputs["A55"]["planned"].one.auc.n


@pytest.mark.parametrize(("name", "scores"), [("auc", auc_scores), ("accuracy", accuracy_scores)])
def test_any_score_is_compared_as_the_planned_ones(name, scores):
    """Also where a seed has several draws, as the framework's have."""
    c = planned.pair("ablation", "smoothing")
    assert len(c.a.draws) > len(c.a.runs)
    found = difference(c.a, c.b, scores)
    wanted = c.difference(name)
    for field in ("value", "low", "high", "p", "seeds"):
        assert getattr(found, field) == pytest.approx(getattr(wanted, field)), field


def test_sensitivity_and_leaning_are_those_of_the_answers():
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    positive = np.array([[0.9, 0.8, 0.2, 0.1, 0.3, 0.2, 0.1, 0.6]])
    probabilities = np.stack([1 - positive, positive], axis=2)
    assert sensitivity(labels, probabilities).values == pytest.approx([0.5])
    assert leaning(labels, probabilities).values == pytest.approx([0.75 - 0.5])


def test_differences_of_a_claim_are_corrected_together_and_may_go_either_way(check):
    for p, verdict in ((0.02, SHOWN_REVERSED), (0.03, INCONCLUSIVE)):
        found = judge_family({"x": apart(-0.1, p), "y": apart(0.1, 0.9)})
        assert found["x"].verdict == verdict
        assert found["x"].p == pytest.approx(2 * p)
    few = replace(apart(0.1), seeds=4)
    assert judge_family({"x": few})["x"].verdict == TOO_FEW_SEEDS
    assert verdict_of_measures([1, 0]) == UNDERSPECIFIED
    for value, verdict in ((0.1, SHOWN), (-0.1, SHOWN_REVERSED)):
        result = check("A75", means={"x": (0.5, 0.5)}, differences={"x": apart(value)})
        assert result.verdict == verdict


def test_a_lead_over_the_seeds_alone_is_not_one_over_images():
    ahead = Early(([0.78, 0.79, 0.79, 0.79, 0.78], [0.80, 0.81, 0.82, 0.81, 0.80]), 0.0)
    assert ahead.lead.low > 0
    assert replace(ahead, by_images=0.02**2).lead.low < 0


ON_THE_LOSS = [f"A{n}" for n in (14, 15, 55, 56, 57, 58, 60, 61, 73, 74, 75, 76, 89, 90)]


@pytest.mark.parametrize("name", ON_THE_LOSS)
def test_claims_on_the_loss_say_which_reading_their_runs_have(name, check):
    evidence = check(name).evidence
    assert "linear in the label" in evidence and "(A13)" in evidence
    assert ("hard_pt" in evidence) == (name in ("A14", "A15", "A55", "A89", "A90"))


def test_a_reading_matters_where_labels_are_smoothed_and_the_focal_factor_is_there():
    c = planned.pair("ablation", "focal")
    assert planned.is_linear(c.pair.a) and not planned.is_linear(c.pair.b)
    assert not planned.is_linear(replace(c.pair.a, focal_reading="hard_pt"))
    assert not planned.is_linear(planned.pair("ablation", "smoothing").pair.b)
    assert planned.Planned({}, [], "r").reading == ""
    assert "was not run" in planned.linear_said({})
    under = planned.linear_said({"A part": {"hard_pt": apart(0.1)}})
    assert "A part, hard_pt +0.100 (+0.080 to +0.120)" in under and "exp_ce" in under


def test_an_interval_that_would_have_shown_more_without_the_correction_is_said(inputs):
    c = inputs["A73"]["planned"].one
    assert c.auc.high < 0 and not c.shown["auc"] and "leaves 0 out" in told(c)
    assert "leaves 0 out" not in told(inputs["A60"]["planned"].one)


def test_other_test_sets_are_found_by_how_f1_is_taken(inputs):
    first, second = (
        other_sets(inputs[n]["accuracy"], inputs[n]["f1"], [120]) for n in ("A43", "A44")
    )
    assert (30, 90) in first["the mean weighted by class"]
    assert (22, 98) in second["the mean weighted by class"]
    assert not first["F1 of one class"] and not first["the plain mean"]
    # 28 of 30 and 64 of 90 right.
    true, answers = np.repeat([1, 0], [30, 90]), np.repeat([1, 0, 0, 1], [28, 2, 64, 26])
    assert f"{f1_score(true, answers, average='weighted'):.4f}" == inputs["A43"]["f1"].printed


def test_all_test_sets_with_an_accuracy_and_an_f1_are_found():
    """All sets of 12 images that have a count of 9, by hand."""
    averages = dict(zip(TAKEN, ("binary", "macro", "weighted"), strict=True))
    wanted = {name: set() for name in TAKEN}
    for positive in range(1, 12):
        rest = 12 - positive
        for hits in range(max(0, 9 - rest), min(positive, 9) + 1):
            right = 9 - hits
            true = [1] * positive + [0] * rest
            given = [1] * hits + [0] * (positive - hits) + [0] * right + [1] * (rest - right)
            for name, average in averages.items():
                if f"{f1_score(true, given, average=average):.2f}" == "0.74":
                    wanted[name].add((positive, rest))
    found = other_sets(printed("75"), fraction("0.74"), [12])
    assert {name: set(sets) for name, sets in found.items()} == wanted and any(wanted.values())


def test_a_frozen_step_keeps_weights_the_head_s_gradients_and_its_input():
    network = torchvision.models.resnet18(num_classes=1)
    weights = sum(t.nbytes for t in (*network.parameters(), *network.buffers()))
    head, kept = 513 * 4, 512 * 4
    assert by_stage("resnet18", step_memory)["warm-up"] == pytest.approx(
        (weights + head + kept) / 1e6
    )
