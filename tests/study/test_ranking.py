"""Table 3, measured: the plan, ranks and their ranges, verdicts, orders, tables and pictures."""

import copy
import itertools
import math
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from helpers.metrics.intervals import accuracy_scores, holm, image_scores, less, mean
from helpers.metrics.scores import proportion
from helpers.plots import style
from helpers.runs.groups import group_runs
from helpers.runs.matrix import load_matrix
from helpers.runs.store import list_runs
from study.automl.rows import AutoMLRow
from study.orders import kendall, order_agreement
from study.plans.form import PlanError
from study.plans.ranking import load_plan, published_accuracies
from study.plans.verdicts import load_rules
from study.plots import forest
from study.plots import ranking as ranking_plots
from study.published import lookup
from study.ranking import judge_claim, pooled_scatter, primary, rank_everything, rank_models
from study.tables.ranking import ranking_pages
from study.verdicts import (
    EXCLUDED,
    INCONCLUSIVE,
    NO_COMPETITOR,
    NOT_RUN,
    SHORT,
    SHOWN,
    SHOWN_REVERSED,
    TOO_FEW_SEEDS,
    UNVERIFIED,
)
from tests.fabricated import fabricate_from, fabricate_run

# The runs of the ranking are shorter than a tenth of the paper's; these rules know no budget.
RULES = load_rules()
RULES = RULES.model_copy(update={"budget": RULES.budget.model_copy(update={"epochs": {}})})
MEDMAMBA = {"paper": "medmamba", "table": "results"}
SMALL = {
    "paper": "B",
    "recipe": "ranking",
    "level": 0.05,
    "rank_seeds": 2,
    "focus": "medspectralnet",
    "datasets": {"breastmnist": "BreastMNIST", "pneumoniamnist": "PneumoniaMNIST"},
    "models": {
        "medspectralnet": {
            "title": "MedSpectralNet",
            "published": [{"paper": "B", "table": "Table 3", "row": "MedSpectralNet"}],
        },
        "medmamba_t": {"title": "MedMamba-T", "published": [MEDMAMBA | {"row": "MedMamba-T"}]},
        "medmamba_b": {"title": "MedMamba-B", "published": [MEDMAMBA | {"row": "MedMamba-B"}]},
        "resnet50": {
            "title": "ResNet-50",
            "published": [{"paper": "medmnist_v2", "table": "Table 3", "row": "ResNet-50 (28)"}],
        },
        "swin_tiny": {"title": "Swin-T"},
    },
    "starts": {
        "none": ["medspectralnet", "medmamba_t", "medmamba_b", "resnet50", "swin_tiny"],
        "imagenet": ["medspectralnet"],
    },
    "as_published": ["medmamba_t", "medmamba_b", "resnet50"],
    "claims": [{"text": "outperforms MedMamba-T", "section": "4.6", "others": ["medmamba_t"]}],
    "not_rebuilt": [],
}


def write_plan(folder, **changes):
    path = folder / "ranking.yaml"
    path.write_text(yaml.safe_dump(copy.deepcopy(SMALL) | changes, sort_keys=False))
    return load_plan(path)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return write_plan(tmp_path_factory.mktemp("params"))


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path / "results"))


def runs(model, wrong, *, seeds=5, dataset="breastmnist", start="none", recipe="ranking", **more):
    """Store runs with so many mistakes, or with those of each seed."""
    more |= {"pretrained": start, "recipe": recipe, "epochs": None}
    for seed, mistakes in enumerate([wrong] * seeds if isinstance(wrong, int) else wrong):
        fabricate_run(dataset, model, seed=seed, wrong=mistakes, **more)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """BreastMNIST from scratch: one better than the focus, one level, one worse, one seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(tmp_path_factory.mktemp("store")))
        wrong = {"medspectralnet": 40, "medmamba_t": 5, "medmamba_b": 41, "resnet50": 110}
        for model, count in wrong.items():
            runs(model, count)
        runs("swin_tiny", 130, seeds=1)
        yield group_runs(list_runs())


def ranked(plan, *, groups=None, dataset="breastmnist", start="none"):
    groups = group_runs(list_runs()) if groups is None else groups
    return rank_models(groups, dataset=dataset, start=start, plan=plan, rules=RULES)


def in_order(ranking):
    return [place.system.model for place in ranking.ranked]


def against(ranking, other):
    (found,) = [c for c in ranking.against if c.name == other]
    return found


# --- the plan ------------------------------------------------------------------------------------


def test_the_plan_ranks_what_the_matrix_runs_and_looks_for_it_by_its_protocol():
    plan = load_plan()
    cells = [(model, start) for start, models in plan.starts.items() for model in models]
    planned = {plan.config(dataset, *cell) for dataset in plan.datasets for cell in cells}
    matrix = [config for config in load_matrix("paper") if config.recipe == plan.recipe]
    assert {replace(config, seed=0) for config in matrix} == planned


def test_the_paper_s_data_sets_in_its_order_and_a_published_value_for_each():
    plan = load_plan()
    rows = plan.systems[plan.focus].rows
    for dataset in plan.datasets:
        (accuracy,) = published_accuracies(rows, dataset)
        column = f"{dataset}/accuracy"
        assert accuracy.published == lookup(
            paper="B", table="Table 3", row="MedSpectralNet", column=column
        )
        assert accuracy.start == "imagenet"
    assert len(plan.datasets) == 6


def test_published_values_of_a_data_set_that_nobody_published_on_are_none(plan):
    assert published_accuracies(plan.systems["medmamba_t"].rows, "pathmnist") == ()


def with_model(name, **entry):
    return {"models": SMALL["models"] | {name: {"title": "X"} | entry}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levle": 0.05}, r"unknown key 'levle'.*Did you mean 'level'"),
        ({"level": 5}, "level: .*less than 1, got 5"),
        ({"rank_seeds": 1}, "rank_seeds: .*greater than or equal to 2, got 1"),
        ({"datasets": {}}, "datasets: .*at least 1 item"),
        ({"recipe": "rankng"}, "unknown recipe 'rankng'; known: common"),
        (
            with_model("swin_tinny"),
            r"unknown model 'swin_tinny'; known: .*Did you mean 'swin_tiny'",
        ),
        (
            with_model("resnet18", titel="Y"),
            r"models\.resnet18: unknown key 'titel'; .*Did you mean 'title'",
        ),
        (
            with_model("resnet18", published=[MEDMAMBA | {"row": "MedMamba-X"}]),
            r"resnet18\.published\.0: unknown row 'MedMamba-X'; known: .*MedMamba-T",
        ),
        (
            with_model("resnet18", published=[{"paper": "B"}]),
            "a published row has paper, table and row, got paper",
        ),
        ({"starts": {"none": ["medspectralnet"]}}, r"starts\.imagenet: this key is missing"),
        ({"starts": SMALL["starts"] | {"auto": []}}, r"starts\.auto: this key is unknown"),
        (
            {"starts": SMALL["starts"] | {"imagenet": ["medspectralnet", "resnet18"]}},
            "unknown model in starts, imagenet 'resnet18'; known: medspectralnet",
        ),
        (
            {"starts": SMALL["starts"] | {"imagenet": ["medspectralnet"] * 2}},
            "imagenet: medspectralnet stands twice",
        ),
        ({"starts": SMALL["starts"] | {"imagenet": ["resnet50"]}}, "the focus 'medspectralnet' is"),
        ({"as_published": ["medspectralnet"]}, "as_published holds others than the focus"),
        (
            {"claims": [{"text": "a", "section": "1", "others": ["swin_tiny"]}]},
            "unknown model in a claim 'swin_tiny'",
        ),
    ],
)
def test_a_plan_that_is_not_in_order_is_refused(tmp_path, changes, message):
    with pytest.raises(PlanError, match=rf"^ranking.yaml[:,] .*{message}"):
        write_plan(tmp_path, **changes)


def test_a_missing_key_is_named(tmp_path):
    content = {name: value for name, value in SMALL.items() if name != "claims"}
    (tmp_path / "ranking.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(PlanError, match=r"ranking\.yaml, claims: this key is missing"):
        load_plan(tmp_path / "ranking.yaml")


def test_unknown_data_sets_and_starts_are_answered_with_the_known_ones(plan):
    with pytest.raises(PlanError, match="unknown data set 'brestmnist'; known: breastmnist"):
        rank_models([], dataset="brestmnist", start="none", plan=plan, rules=RULES)
    with pytest.raises(PlanError, match="unknown start 'scratch'; known: none, imagenet"):
        rank_models([], dataset="breastmnist", start="scratch", plan=plan, rules=RULES)


# --- ranks ---------------------------------------------------------------------------------------


def test_models_far_apart_have_their_rank_alone_others_share_a_range(plan, scene):
    ranking = ranked(plan, groups=[g for g in scene if g.config["model"] != "swin_tiny"])
    assert in_order(ranking) == ["medmamba_t", "medspectralnet", "medmamba_b", "resnet50"]
    assert [p.rank for p in ranking.ranked] == [1, 2, 3, 4]
    assert [(p.best, p.worst) for p in ranking.ranked] == [(1, 1), (2, 3), (2, 3), (4, 4)]


def test_models_that_agree_on_every_image_share_a_rank_and_its_range(plan):
    for model, wrong in (("medspectralnet", 20), ("medmamba_t", 20), ("resnet50", 110)):
        runs(model, wrong, seeds=2)
    places = {p.system.model: (p.rank, p.best, p.worst) for p in ranked(plan).ranked}
    assert places["medspectralnet"] == places["medmamba_t"] == (1, 1, 2)
    assert places["resnet50"] == (3, 3, 3)


def test_ranks_do_not_depend_on_the_order_of_runs(plan, scene):
    ours, turned = ranked(plan, groups=scene), ranked(plan, groups=scene[::-1])
    assert ours.places == turned.places and ours.against == turned.against


def test_one_seed_tells_no_pair_apart_and_its_interval_covers_the_images_alone(plan):
    runs("medspectralnet", 5, seeds=2)
    runs("resnet50", 140, seeds=1)
    ranking = ranked(plan)
    assert [(p.rank, p.best, p.worst) for p in ranking.ranked] == [(1, 1, 2), (2, 1, 2)]
    (pair,) = ranking.pairs.values()
    assert pair.seeds == (0,) and pair.accuracy.value > 0.8
    assert pair.p["accuracy"] is None and pair.sign("accuracy") == 0
    assert against(ranking, "resnet50").verdict == TOO_FEW_SEEDS
    alone, wilson = ranking.place("resnet50").accuracy, proportion(16, 156)
    assert alone.seeds == 1 and "images alone" in alone.method
    assert (alone.low, alone.high) == pytest.approx((wilson.low, wilson.high), abs=0.01)


def test_models_without_runs_are_last_without_numbers_and_hold_their_place(plan):
    runs("medspectralnet", 10)
    runs("medmamba_t", 22)
    ranking = ranked(plan)
    assert in_order(ranking) == ["medspectralnet", "medmamba_t"]
    missing = [p.system.model for p in ranking.places if p.group is None]
    assert missing == ["medmamba_b", "resnet50", "swin_tiny"]
    assert {p.rank for p in ranking.places if p.group is None} == {None}
    # Ten pairs and four comparisons are planned, one of each is there.
    (pair,) = ranking.pairs.values()
    assert ranking.n_pairs == pair.family_size == math.comb(5, 2)
    assert pair.p["accuracy"] == pytest.approx(min(1, 10 * pair.accuracy.p))
    focus = against(ranking, "medmamba_t")
    assert focus.p["accuracy"] == pytest.approx(min(1, 4 * focus.accuracy.p))
    assert against(ranking, "swin_tiny").verdict == NOT_RUN


def test_the_tests_are_those_of_intervals_and_corrected_by_holm_over_all_pairs(plan):
    for model, wrong in zip(SMALL["models"], (14, 18, 20, 25, 90), strict=True):
        runs(model, wrong, seeds=2)
    ranking = ranked(plan)
    by_model = {g.config["model"]: g for g in ranking.groups}
    expected = []
    for names, pair in ranking.pairs.items():
        sides = [[run.predictions("test")[1] for run in by_model[m].runs] for m in names]
        y_true = by_model[names[0]].runs[0].predictions("test")[0]
        # Fabricated seeds have the same number of mistakes: no scatter, so no floor.
        scores = [accuracy_scores(y_true, np.stack(side)) for side in sides]
        assert pair.accuracy == mean(less(*scores))
        expected.append(pair.accuracy.p)
    assert len(expected) == ranking.n_pairs == 10
    found = [pair.p["accuracy"] for pair in ranking.pairs.values()]
    np.testing.assert_allclose(found, holm(expected))
    shown = {names: pair.sign("accuracy") for names, pair in ranking.pairs.items()}
    assert shown["medspectralnet", "swin_tiny"] == 1
    assert shown["medspectralnet", "medmamba_t"] == 0


def made_up(accuracies, constant=()):
    """A group of which the pooling sees its seeds' accuracies alone."""
    return SimpleNamespace(values=lambda metric: accuracies, constant=constant)


def test_pooled_scatter_is_the_variance_within_models():
    values = [[0.5, 0.7], [0.9], [0.8, 0.8, 0.8], [0.1, 0.2, 0.3]]
    variance, df = pooled_scatter([None, *(made_up(v) for v in values)])
    assert df == 1 + 2 + 2
    assert variance == pytest.approx(2 * (0.02 + 0 + 0.02) / 5)
    assert pooled_scatter([made_up([0.5]), made_up([0.7]), None]) is None


def test_a_network_that_answers_one_class_stays_out_of_the_scatter():
    alone = pooled_scatter([made_up([0.5, 0.7])])
    assert pooled_scatter([made_up([0.5, 0.7]), made_up([0.73] * 5, constant=(0,))]) == alone


def scored(right):
    return image_scores(np.asarray(right, float))


def test_a_difference_has_at_least_the_pooled_scatter():
    rng = np.random.default_rng(0)
    a, b = (scored(rng.random((3, 200)) < share) for share in (0.9, 0.8))
    plain = mean(less(a, b))
    # A little more scatter with far more degrees of freedom would be a smaller p.
    assert mean(less(a, b), floor=(2 * 0.04**2, 20)) == plain
    assert mean(less(a, b), floor=(1e-9, 20)) == plain
    floored = mean(less(a, b), floor=(2 * 0.1**2, 20))
    assert floored.value == plain.value
    assert floored.p > plain.p and floored.low < plain.low < plain.high < floored.high
    # By hand: no image and no seed differs, so the floor is all there is.
    alone = mean(less(a, a), floor=(2 * 0.1**2, 20))
    half = stats.t.ppf(0.975, 20) * math.sqrt(2 * 0.1**2 / 3)
    assert (alone.low, alone.high) == pytest.approx((-half, half)) and alone.p == 1


def test_equal_models_with_two_seeds_are_hardly_ever_told_apart():
    rng = np.random.default_rng(0)
    n_images, n_models, rounds = 100, 6, 40
    false = {"floor": 0, "none": 0}
    for _ in range(rounds):
        seeds = rng.normal(0, 0.4, (n_models, 2, 1))
        right = rng.normal(0, 1, (n_models, 2, n_images)) + rng.normal(0, 1, n_images) + seeds < 1.2
        pooled = pooled_scatter(made_up(list(values)) for values in right.mean(axis=2))
        pairs = [less(a, b) for a, b in itertools.combinations(map(scored, right), 2)]
        for name, floor in (("floor", pooled), ("none", None)):
            p_values = [mean(pair, floor=floor).p for pair in pairs]
            p_values = [1.0 if p is None else p for p in p_values]
            false[name] += bool((holm(p_values) < 0.05).any())
    assert false["floor"] <= 0.1 * rounds < 0.2 * rounds <= false["none"]


def test_a_constant_network_is_flagged_and_no_competitor(plan):
    runs("medspectralnet", 10)
    runs("resnet50", 20)
    for seed in range(5):
        config = plan.config("breastmnist", "swin_tiny", "none")
        fabricate_from(replace(config, seed=seed), source_size=28, constant=seed > 0)
    ranking = ranked(plan)
    assert in_order(ranking) == ["medspectralnet", "resnet50"]
    assert [place.system.model for place in ranking.constant] == ["swin_tiny"]
    c = against(ranking, "swin_tiny")
    assert (c.verdict, c.p["accuracy"], c.shown["accuracy"]) == (NO_COMPETITOR, None, None)
    files = ranking_pages(group_runs(list_runs()), plan=plan, rules=RULES).files
    page = files["medmnist_ranking.md"]
    assert "(4 of 5 constant)" in page
    (line,) = [line for line in page.splitlines() if line.startswith("| Swin-T |")]
    assert f"| {NO_COMPETITOR} |" in line


def test_only_runs_of_the_protocol_enter_and_others_of_the_recipe_are_named(plan):
    runs("medspectralnet", 10, seeds=1)
    runs("medmamba_t", 10, seeds=1, recipe="common")
    runs("resnet50", 10, seeds=1, learning_rate=0.5)
    runs("resnet18", 10, seeds=1)
    groups = group_runs(list_runs())
    results = rank_everything(groups, plan=plan, rules=RULES)
    assert in_order(results.ranking("breastmnist", "none")) == ["medspectralnet"]
    assert sorted(g.config["model"] for g in results.outside) == ["resnet18", "resnet50"]
    page = ranking_pages(groups, plan=plan, rules=RULES).files["medmnist_ranking.md"]
    assert "outside the plan, not ranked: resnet18, resnet50." in page


def test_the_two_starts_are_ranked_apart(plan):
    runs("medspectralnet", 30, seeds=1)
    runs("medspectralnet", 5, seeds=1, start="imagenet")
    scratch, imagenet = ranked(plan), ranked(plan, start="imagenet")
    assert scratch.place("medspectralnet").accuracy.value == pytest.approx(1 - 30 / 156)
    assert imagenet.place("medspectralnet").accuracy.value == pytest.approx(1 - 5 / 156)
    assert not imagenet.against  # nothing else is planned there


def test_more_than_two_classes_and_a_set_without_published_values(tmp_path):
    plan = write_plan(tmp_path, datasets={"pathmnist": "PathMNIST"})
    classes = tuple("abcdefghi")
    for model, wrong in (("medspectralnet", 5), ("resnet50", 60)):
        runs(model, wrong, seeds=2, dataset="pathmnist", classes=classes)
    ranking = ranked(plan, dataset="pathmnist")
    assert [(p.best, p.worst) for p in ranking.ranked] == [(1, 1), (2, 2)]
    assert primary(plan.systems["resnet50"], "pathmnist", "none") is None
    files = ranking_pages(group_runs(list_runs()), plan=plan, rules=RULES).files
    assert "### PathMNIST, from scratch" in files["medmnist_ranking.md"]


# --- the focus against others --------------------------------------------------------------------


def test_outperforms_holds_does_not_hold_or_is_not_shown(plan, scene):
    ranking = ranked(plan, groups=scene)
    verdicts = {c.name: c.verdict for c in ranking.against}
    assert verdicts == {
        "medmamba_t": SHOWN_REVERSED,
        "medmamba_b": INCONCLUSIVE,
        "resnet50": SHOWN,
        "swin_tiny": TOO_FEW_SEEDS,
    }
    worse = against(ranking, "resnet50")
    assert worse.accuracy.value == pytest.approx(70 / 156)
    assert worse.auc.value > 0 and worse.shown["accuracy"] == 1
    assert worse.family_size == 4


def test_four_seeds_are_too_few_for_a_verdict_but_enough_for_a_rank(plan):
    runs("medspectralnet", 5, seeds=4)
    runs("resnet50", 100, seeds=4)
    ranking = ranked(plan)
    assert [(p.best, p.worst) for p in ranking.ranked] == [(1, 1), (2, 2)]
    c = against(ranking, "resnet50")
    assert c.verdict == TOO_FEW_SEEDS and c.p["accuracy"] is None and c.accuracy.value > 0


def published(plan, model, *, dataset="breastmnist", start="none"):
    return primary(plan.systems[model], dataset, start)


def test_a_published_level_has_no_verdict_in_a_ranking(plan):
    """It is judged once, by the runs that are nearest to the paper's."""
    runs("medmamba_b", 17, seeds=5)
    files = ranking_pages(group_runs(list_runs()), plan=plan, rules=RULES).files
    frame = pd.read_csv(StringIO(files["medmnist_ranking.csv"]))
    row = frame.set_index(["dataset", "pretrained", "model"]).loc["breastmnist", "none"]
    assert row.loc["medmamba_b", "published_mark"] == "M" and "verdict" not in frame
    assert "89.1 (unverified)" in files["medmnist_ranking.md"]


def test_the_row_of_the_ranking_s_start_stands_first():
    system = load_plan().systems["resnet18"]
    assert primary(system, "breastmnist", "none").row == "ResNet-18 (28)"
    assert primary(system, "breastmnist", "imagenet").row == "ResNet-18 @28"


def judged_gains(plan, dataset, rules=RULES):
    groups = group_runs(list_runs())
    results = rank_everything(groups, plan=plan, rules=rules)
    return {c.name: (c, printed, gain) for c, printed, gain in results.gains(dataset)}


def test_published_differences_are_judged_by_one_more_pair_and_sign(plan):
    # Published on PneumoniaMNIST: 94.2 against 89.9 and 85.4 and (unverified) 92.5.
    wrong = (45, 52, 48, 55, 50)
    runs("medspectralnet", wrong, dataset="pneumoniamnist", start="imagenet")
    runs("medmamba_t", 77, dataset="pneumoniamnist")
    runs("resnet50", 50, dataset="pneumoniamnist")
    gains = judged_gains(plan, "pneumoniamnist")
    c, printed, gain = gains["medmamba_t"]
    assert printed.published.value == c.size == pytest.approx(0.043) and gain.verdict == SHOWN
    low, high = c.one_more["accuracy"].low, c.one_more["accuracy"].high
    assert low < printed.published.value < high
    c, printed, gain = gains["resnet50"]
    assert printed.published.value == pytest.approx(0.088) and gain.verdict == EXCLUDED == c.verdict
    c, printed, gain = gains["medmamba_b"]
    assert gain.verdict == UNVERIFIED and printed.published.mark == "M" and c.size is None
    # The runs of this recipe are shorter than a tenth of the paper's.
    short = judged_gains(plan, "pneumoniamnist", rules=load_rules())
    assert short["medmamba_t"][2].verdict == SHORT == short["resnet50"][0].verdict


def test_a_difference_that_the_interval_holds_but_no_test_shows_is_inconclusive(plan):
    # Published on BreastMNIST: 86.5 against 85.3.
    runs("medspectralnet", (30, 25, 33, 28, 31), start="imagenet")
    runs("medmamba_t", 31)
    c, _, gain = judged_gains(plan, "breastmnist")["medmamba_t"]
    assert c.verdict == gain.verdict == INCONCLUSIVE
    assert 0 < gain.power < 1


def test_claims_hold_fail_or_are_not_shown(plan, scene):
    results = rank_everything(scene, plan=plan, rules=RULES)
    ((scratch, mixed),) = results.claims()
    assert (scratch.verdict, scratch.contrary, scratch.planned) == (SHOWN_REVERSED, 1, 1)
    assert mixed.verdict == NOT_RUN
    (claim,) = plan.claims
    mamba, *others = results.ranking("breastmnist", "none").against

    def of_all(*verdicts):
        return judge_claim(claim, [*others, *(replace(mamba, verdict=v) for v in verdicts)]).verdict

    assert of_all(SHOWN, SHOWN) == SHOWN
    assert of_all(SHOWN, INCONCLUSIVE) == INCONCLUSIVE
    assert of_all(SHOWN, SHOWN_REVERSED) == SHOWN_REVERSED
    assert of_all(SHOWN, TOO_FEW_SEEDS) == TOO_FEW_SEEDS
    assert of_all() == NOT_RUN


# --- orders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 7])
def test_kendall_is_scipy_s_with_the_exact_p(n):
    rng = np.random.default_rng(n)
    measured, printed = rng.permutation(n), rng.permutation(n)
    tau, p_value, smallest = kendall(measured, printed)
    expected = stats.kendalltau(measured, printed, method="exact")
    assert (tau, p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert smallest == pytest.approx(min(1, 2 / math.factorial(n)))


def test_kendall_with_ties_and_with_many_models():
    measured, printed = [3, 1, 2, 2, 5, 4, 4, 9, 8], [1, 1, 2, 3, 5, 4, 4, 7, 9]
    tau, p_value, _ = kendall(measured, printed)
    assert tau == pytest.approx(stats.kendalltau(measured, printed).statistic)
    assert 0 < p_value < 0.02
    rng = np.random.default_rng(0)
    measured, printed = rng.permutation(10), rng.permutation(10)
    exact = stats.kendalltau(measured, printed, method="exact").pvalue
    assert kendall(measured, printed)[1] == pytest.approx(exact, abs=0.02)


def test_no_order_of_two_models_nor_of_equal_ones():
    assert kendall([1, 2], [1, 2]) == (None, None, None)
    assert kendall([1, 1, 1], [1, 2, 3]) == (None, None, None)


def test_a_reversed_order_is_seen_and_unverified_values_stay_out(plan):
    # Published: MedSpectralNet 94.2, MedMamba-T 89.9, ResNet-50 85.4; MedMamba-B unverified.
    wrong = {"medspectralnet": 300, "medmamba_t": 180, "resnet50": 60, "medmamba_b": 10}
    for model, count in wrong.items():
        runs(model, count, dataset="pneumoniamnist", seeds=2)
    ranking = ranked(plan, dataset="pneumoniamnist")
    agreement = order_agreement(ranking)
    assert set(agreement.models) == {"medspectralnet", "medmamba_t", "resnet50"}
    assert agreement.tau == pytest.approx(-1)
    assert (agreement.same, agreement.reversed, agreement.undecided) == (0, 3, 0)
    assert agreement.p_value == pytest.approx(2 / 6) == agreement.smallest_p
    everything = order_agreement(ranking, verified_only=False)
    assert set(everything.models) == {*agreement.models, "medmamba_b"}


# --- tables --------------------------------------------------------------------------------------


def test_an_empty_store_says_not_run_everywhere(plan):
    files = ranking_pages([], plan=plan, rules=RULES).files
    page = files["medmnist_ranking.md"]
    assert "| BreastMNIST | from scratch | 10 | not run | 5 |  | 0 |" in page
    frame = pd.read_csv(StringIO(files["medmnist_ranking.csv"]))
    assert len(frame) == 2 * (5 + 1) and not frame["n_seeds"].any()
    assert frame["accuracy_mean"].isna().all()
    readme = ranking_pages([], plan=plan, rules=RULES).block
    assert "| MedSpectralNet |" not in readme
    # Published values stand there all the same.
    assert "85.3" in page and "89.1 (unverified)" in page


def test_the_tables_hold_what_the_runs_say(plan, scene):
    files = ranking_pages(scene, plan=plan, rules=RULES).files
    frame = pd.read_csv(StringIO(files["medmnist_ranking.csv"]))
    row = frame.set_index(["dataset", "pretrained", "model"]).loc["breastmnist", "none", "resnet50"]
    place = ranked(plan, groups=scene).place("resnet50")
    # One seed tells swin_tiny from nobody.
    assert (row["rank"], row["rank_best"], row["rank_worst"]) == (4, 4, 5)
    assert row["accuracy_mean"] == pytest.approx(1 - 110 / 156, abs=1e-4)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(
        (place.accuracy.low, place.accuracy.high), abs=1e-4
    )
    assert row["params"] == place.group.record["model"]["params"]
    pairs = pd.read_csv(StringIO(files["medmnist_ranking_pairs.csv"]))
    focus = pairs[(pairs["comparison"] == "focus") & (pairs["b"] == "resnet50")]
    (found,) = focus[focus["n_seeds"] > 0].itertuples()
    assert found.verdict == SHOWN
    assert found.accuracy_difference == pytest.approx(70 / 156, abs=1e-5)
    assert (pairs["comparison"] == "all pairs").sum() == 10
    readme = ranking_pages(scene, plan=plan, rules=RULES).block
    # Better than ResNet-50, worse than MedMamba-T, not told apart from MedMamba-B, one seed.
    assert "| BreastMNIST | from scratch | 2 of 5 | 2 to 4 | 1 | 1 | 1 | 1 |" in readme
    assert "21 runs on real images" in readme
    assert ranking_pages(scene[::-1], plan=plan, rules=RULES).files == files


def test_open_automl_stands_beside_the_ranking_of_its_start_not_in_it(plan, scene):
    runs("resnet18", 90, recipe="common")
    (automl,) = group_runs(list_runs())
    groups = [*scene, automl]
    rows = [
        AutoMLRow(
            "FLAML on pixels", "flaml_pixels", measured={"breastmnist": automl}, budget="9 s"
        ),
        AutoMLRow("auto-sklearn", None, reason="no release for this Python"),
    ]
    results = rank_everything(groups, plan=plan, rules=RULES, automl=rows)
    ((row, c),) = results.against_automl("breastmnist")
    assert row.name == "FLAML on pixels" and c.verdict == SHOWN and c.family_size == 1
    assert len(results.ranking("breastmnist", "none").ranked) == 5
    page = ranking_pages(groups, plan=plan, rules=RULES, automl=rows).files["medmnist_ranking.md"]
    assert "| BreastMNIST | FLAML on pixels | 9 s | from scratch | 42.3" in page
    assert "| auto-sklearn | no release for this Python |" in page


# --- pictures ------------------------------------------------------------------------------------


def test_a_ranking_is_drawn_with_intervals_seeds_and_published_values(plan, scene, axes):
    groups = [g for g in scene if g.config["model"] in ("medspectralnet", "resnet50")]
    ranking_plots.plot_ranking(ranked(plan, groups=groups), plan=plan, axes=axes)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    # Swin-T has neither runs nor a published value.
    assert labels == ["MedSpectralNet", "ResNet-50", "MedMamba-T", "MedMamba-B"]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    means = [p.get_xdata()[0] for p in points]
    assert means == pytest.approx([100 - 4000 / 156, 100 - 11000 / 156])
    diamonds = [line for line in axes.lines if line.get_marker() == "D"]
    hollow = {
        labels[round(d.get_ydata()[0])] for d in diamonds if d.get_markerfacecolor() == "none"
    }
    # Of another start, and unverified.
    assert hollow == {"MedSpectralNet", "MedMamba-B"} and len(diamonds) == 4
    texts = [text.get_text() for text in axes.texts]
    assert texts.count(NOT_RUN) == 2 and "1-1, n = 5" in texts
    assert len(axes.collections) == 2
    forest.share_legend([axes])


def test_rankings_beside_each_other_and_none_at_all(plan, scene):
    ranking = ranked(plan, groups=scene)
    drawn = []
    with style.style():
        figure, axes = ranking_plots.side_by_side(
            [ranking, ranking], lambda *pair: drawn.append(pair), size=(4, 2)
        )
        assert drawn == [(ranking, axes[0]), (ranking, axes[1])]
        plt.close(figure)
        figure, axes = ranking_plots.side_by_side([], lambda *pair: 1 / 0, size=(4, 2))
        assert [text.get_text() for text in axes[0].texts] == [NOT_RUN]
        forest.share_legend(axes)
        assert not figure.legends
        plt.close(figure)


def test_the_matrix_of_pairs_is_the_tests_outcome_both_ways(plan, scene, axes):
    ranking = ranked(plan, groups=scene)
    better, worse = ranking_plots.BETTER, ranking_plots.WORSE
    level, none = ranking_plots.LEVEL_WITH, ranking_plots.NOT_TESTED
    expected = [
        [none, better, better, better, none],
        [worse, none, level, better, none],
        [worse, level, none, better, none],
        [worse, worse, worse, none, none],
        [none] * 5,
    ]
    found = ranking_plots.pair_matrix(ranking)
    assert found.tolist() == expected
    ranking_plots.plot_pairs(ranking, axes=axes)
    assert axes.images[0].get_array().tolist() == expected


def test_the_focus_against_others_is_drawn_strongest_first_with_its_verdict(plan, scene, axes):
    ranking_plots.plot_against(ranked(plan, groups=scene).against, focus="ours", axes=axes)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["MedMamba-T", "MedMamba-B", "ResNet-50", "Swin-T"]
    verdicts = [text.get_text() for text in axes.texts]
    assert verdicts == [SHOWN_REVERSED, INCONCLUSIVE, SHOWN, TOO_FEW_SEEDS]
