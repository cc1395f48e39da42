"""Planned comparisons: the file, the pairing of stored runs, Holm, verdicts."""

from dataclasses import replace

import pytest
import yaml

from helpers.metrics.intervals import (
    accuracy_scores,
    auc_scores,
    holm,
    less,
    mean,
    one_more_run,
    power,
)
from helpers.metrics.scores import Estimate
from helpers.models.registry import list_models
from helpers.paths import repo_root
from helpers.runs.groups import group_runs, is_real
from helpers.runs.matrix import load_matrix
from helpers.runs.store import list_runs
from study.compare import Compared, Corrected, Results, compare_family, correct
from study.plans.comparisons import load_plan, planned_configs
from study.plans.form import PlanError
from study.plans.verdicts import load_rules
from study.verdicts import (
    EXCLUDED,
    INCONCLUSIVE,
    NO_COMPETITOR,
    NOT_RUN,
    OTHER_IMAGES,
    SHORT,
    SHOWN,
    SHOWN_REVERSED,
    TOO_FEW_SEEDS,
)
from study.words import p_text, sentence, signed
from tests.fabricated import fabricate_from, fabricate_seeds

SMALL = """
rule: {paper: A, same_images: false, min_seeds: 5, level: 0.05}
dataset: cag:patches
families:
  - name: heads
    title: Heads
    common: {recipe: common, pretrained: imagenet}
    comparisons:
      - {id: one, title: One, claim: it helps, a: {model: first}, b: {model: second}}
      - {id: two, title: Two, claim: it helps, a: {model: first}, b: {model: third}}
      - id: three
        title: Three
        claim: it helps
        a: {model: first}
        b: {model: first, weight_decay: 0.5}
        published: {paper: A, table: section 3.4, row: gain over ResNet18 (baseline)}
systems: {imagenet: [], none: []}
"""


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "comparisons.yaml").write_text(SMALL)
    return load_plan(tmp_path / "comparisons.yaml")


@pytest.fixture
def pair(plan):
    return {pair.name: pair for pair in plan.family("heads").pairs}


def with_rule(plan, **change):
    """Return the plan with some settings of its rule changed."""
    return plan.model_copy(update={"rule": plan.rule.model_copy(update=change)})


def compare(plan, root, name="heads"):
    groups = group_runs(filter(is_real, list_runs(root)))
    compared = compare_family(plan.family(name), groups, plan=plan, rules=load_rules())
    return {c.pair.name: c for c in compared}


# --- the shipped file ----------------------------------------------------------------------------


def test_the_shipped_comparisons_are_of_known_models_on_one_data_set():
    plan = load_plan()
    planned = planned_configs([0], plan=plan)
    assert {config.model for config in planned} <= set(list_models())
    full = planned_configs(
        [0], plan=plan.model_copy(update={"families": (plan.family("full_set"),)})
    )
    assert {config.dataset for config in full} == {"cag:arcade_patches"}
    assert {config.dataset for config in planned - full} == {plan.dataset}
    assert {config.profile for config in planned} == {"paper"}
    names = [family.name for family in plan.families]
    assert names == [
        *("ablation", "full_set", "readings", "table4", "table4_scratch", "robustness"),
        *("stopping", "stopping_momentum", "momentum"),
    ]


def test_planned_runs_are_each_protocol_once_a_seed():
    one, five = planned_configs([0]), planned_configs(range(5))
    assert len(five) == 5 * len(one)
    assert {config.seed for config in five} == set(range(5))
    assert {replace(config, seed=0) for config in five} == one


def test_the_matrix_asks_for_every_run_that_a_comparison_needs():
    planned = planned_configs(range(load_plan().rule.min_seeds))
    assert planned <= {*load_matrix("paper"), *load_matrix("evidence")}


def test_families_compare_what_they_say():
    plan = load_plan()
    for pair in plan.family("robustness").pairs:
        assert (pair.a.imbalance, pair.a.label_noise) == (pair.b.imbalance, pair.b.label_noise)
        assert (pair.a.loss, pair.b.loss) == ("focal", "cross_entropy")
        assert pair.a.plasticity == pair.b.plasticity == "staged"
    scratch = [side for p in plan.family("table4_scratch").pairs for side in (p.a, p.b)]
    assert {side.pretrained for side in scratch} == {"none"}
    assert {p.a.plasticity for p in plan.family("table4_scratch").pairs} == {"all"}
    stop, reachable = plan.family("stopping").pairs
    assert reachable.a.stop_at_accuracy < stop.a.stop_at_accuracy and reachable.b == stop.b
    assert (stop.a.stop_at_accuracy, stop.b.stop_at_accuracy) == (0.9, None)
    # But for the name of its recipe, the run that goes on differs in the stop alone.
    assert replace(stop.b, recipe=stop.a.recipe, stop_at_accuracy=0.9) == stop.a
    for plain, pair in zip(
        plan.family("stopping").pairs, plan.family("stopping_momentum").pairs, strict=True
    ):
        assert replace(plain.a, cycle_momentum=True) == pair.a
        assert replace(plain.b, cycle_momentum=True) == pair.b
    (cycle,) = plan.family("momentum").pairs
    assert cycle.b == stop.b and replace(cycle.b, cycle_momentum=True) == cycle.a
    readings = plan.family("readings").pairs
    assert [(p.a.focal_reading, p.b.focal_reading) for p in readings] == [
        ("hard_pt", "linear"),
        ("soft_pt", "linear"),
    ]
    framework = plan.family("ablation").pairs[0].a
    assert all(p.b == framework and replace(p.a, focal_reading="linear") == p.b for p in readings)
    for family, start in (("ablation", "imagenet"), ("table4", "imagenet")):
        assert {p.a.pretrained for p in plan.family(family).pairs} == {start}


def test_an_ablation_takes_one_thing_away():
    pairs = {pair.name: pair for pair in load_plan().family("ablation").pairs}
    departs = {
        "focal": {"focal_gamma"},
        "smoothing": {"label_smoothing"},
        "sampling": {"sampling"},
        # Training all layers has a learning rate of its own, tuned like the others.
        "plasticity": {"plasticity", "warmup_epochs", "learning_rate"},
        "spiking_mlp": {"model"},
        "quantum_mlp": {"model"},
        "spiking_linear": {"model"},
    }
    for name, wanted in departs.items():
        a, b = pairs[name].a.to_dict(), pairs[name].b.to_dict()
        assert {key for key in a if a[key] != b[key]} == wanted


def test_an_unknown_family_lists_the_known_ones(plan):
    with pytest.raises(PlanError, match=r"unknown family 'ablations'; known: heads"):
        plan.family("ablations")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("rule:", "rules:"), "unknown key 'rules'; known: rule, dataset, families, systems"),
        (("min_seeds: 5", "min_seeds: 1"), "rule.min_seeds: .*greater than or equal to 2, got 1"),
        (("level: 0.05", "level: 5"), "rule.level: .*less than 1, got 5"),
        (
            ("title: Heads", "titel: Heads"),
            "families.heads: unknown key 'titel'; .*Did you mean 'title'",
        ),
        (
            ("title: One", "titel: One"),
            "heads.comparisons.one: unknown key 'titel'; .*Did you mean 'title'",
        ),
        (("id: two", "id: one"), "families.heads: comparisons: one stands twice"),
        (("weight_decay", "weight_decy"), "comparisons.three.b: unknown parameter weight_decy"),
        (("weight_decay: 0.5", "patience: null"), "three.b: patience has no value"),
        (("weight_decay: 0.5", "weight_decay: 0.01"), "three: a and b are the same protocol"),
        (("recipe: common", "recipe: comon"), "one.a: unknown recipe 'comon'; known: common"),
        ((", pretrained: imagenet", ""), "one.a: .*pretrained"),
        (("gain over ResNet18", "gain over ResNet19"), "three.published: .*Did you mean"),
        (
            ("systems: {imagenet: [], none: []}", ""),
            "comparisons.yaml: the key 'systems' is missing",
        ),
        (("none: []", "scratch: []"), r"systems\.none: this key is missing"),
        (("none: []", "none: [{title: X}]"), "comparisons.yaml: the key 'runs' is missing"),
    ],
)
def test_a_file_out_of_order_is_refused(tmp_path, change, message):
    path = tmp_path / "comparisons.yaml"
    path.write_text(SMALL.replace(*change, 1))
    with pytest.raises(PlanError, match=message):
        load_plan(path)


def test_the_file_is_no_matrix():
    content = yaml.safe_load((repo_root() / "params" / "comparisons.yaml").read_text())
    assert "rows" not in content


# --- pairs of stored runs ------------------------------------------------------------------------


def test_without_runs_nothing_is_said(plan, results_tree):
    for compared in compare(plan, results_tree).values():
        assert compared.verdict == NOT_RUN
        assert sentence(compared).endswith(": not run.")


def test_numbers_verdict_and_correction(plan, pair, results_tree):
    fabricate_seeds(pair["one"].a, wrong=10)
    fabricate_seeds(pair["one"].b, wrong=50)
    fabricate_seeds(pair["two"].b, wrong=11)
    compared = compare(plan, results_tree)
    one, two = compared["one"], compared["two"]
    y_true = one.a.runs[0].predictions("test")[0]
    sides = [[run.predictions("test")[1] for run in group.runs] for group in (one.a, one.b)]
    for measure, scores in (("auc", auc_scores), ("accuracy", accuracy_scores)):
        apart = less(*(scores(y_true, side) for side in sides))
        assert one.difference(measure) == mean(apart)
        assert one.one_more[measure] == one_more_run(apart)
        # The third comparison is planned and holds its place.
        corrected = holm([one.difference(measure).p, two.difference(measure).p, 1])
        assert (one.p[measure], two.p[measure]) == pytest.approx(corrected[:2])
        assert compared["three"].p[measure] is None
    assert one.accuracy.value == pytest.approx(40 / 120)
    assert (one.verdict, two.verdict, compared["three"].verdict) == (
        *(SHOWN, INCONCLUSIVE, NOT_RUN),
    )
    assert (one.shown["auc"], two.shown["auc"], compared["three"].shown["auc"]) == (1, 0, None)


def test_power_stands_beside_what_is_not_shown(plan, pair, results_tree):
    fabricate_seeds(pair["one"].a, wrong=10)
    fabricate_seeds(pair["one"].b, wrong=50)
    fabricate_seeds(pair["three"].b, wrong=11)
    found = compare(plan, results_tree)
    assert found["one"].chance is None
    # Printed is .0919; where nothing is printed, the rules have a size.
    three = found["three"]
    assert three.chance == power(0.0919, se=three.auc.se, df=three.auc.df)
    fabricate_seeds(pair["two"].b, wrong=11)
    two = compare(plan, results_tree)["two"]
    assert two.chance == power(load_rules().size["auc"], se=two.auc.se, df=two.auc.df)


def test_runs_too_short_for_the_papers_budget_get_no_verdict(plan, pair, results_tree):
    papers = with_rule(plan, paper="B", same_images=True)
    fabricate_seeds(pair["one"].a, wrong=10)
    fabricate_seeds(pair["one"].b, wrong=50)
    assert pair["one"].a.epochs < 20
    (one, *_) = compare(papers, results_tree).values()
    assert (one.verdict, one.shown["auc"]) == (SHORT, 1)


def test_one_class_for_all_images_is_no_competitor(plan, pair, results_tree):
    fabricate_seeds(pair["one"].a, wrong=10)
    for seed in range(5):
        # Every image of the second class is wrong, and nothing else.
        fabricate_from(replace(pair["one"].b, seed=seed), wrong=60, constant=seed > 1)
    one = compare(plan, results_tree)["one"]
    assert one.b.constant == (2, 3, 4) and one.b.is_constant and not one.a.constant
    assert (one.verdict, one.shown["auc"]) == (NO_COMPETITOR, None)
    assert one.auc is not None


def test_the_worse_side_is_named(plan, pair, results_tree):
    fabricate_seeds(pair["one"].a, wrong=50)
    fabricate_seeds(pair["one"].b, wrong=10)
    assert compare(plan, results_tree)["one"].verdict == SHOWN_REVERSED


def test_only_seeds_that_both_sides_have_enter(plan, pair, results_tree):
    fabricate_seeds(pair["one"].a, seeds=range(7), wrong=10)
    fabricate_seeds(pair["one"].b, seeds=range(2, 9), wrong=50)
    (one, *_) = compare(plan, results_tree).values()
    assert one.seeds == (2, 3, 4, 5, 6)
    assert one.auc.seeds == 5
    # Seed s has 10 + s mistakes on one side and 50 + s - 2 on the other.
    a, b = one.means["accuracy"]
    assert a - b == pytest.approx(38 / 120)
    assert one.verdict == SHOWN


def test_too_few_seeds_get_no_verdict(plan, pair, results_tree):
    fabricate_seeds(pair["one"].a, wrong=10)
    fabricate_seeds(pair["one"].b, seeds=range(4), wrong=50)
    fabricate_seeds(pair["two"].b, seeds=[7], wrong=50)
    compared = compare(plan, results_tree)
    # Without a common seed no pair was run.
    assert (compared["one"].verdict, compared["two"].verdict) == (TOO_FEW_SEEDS, NOT_RUN)
    assert compared["one"].p["auc"] is None
    assert compared["one"].auc.seeds == 4
    assert (compared["two"].seeds, compared["two"].auc) == ((), None)
    assert sentence(compared["one"]).endswith("too few seeds (4 seeds).")
    assert sentence(compared["two"]) == "Two: not run."


def test_runs_of_another_protocol_are_not_taken(plan, pair, results_tree):
    fabricate_seeds(replace(pair["one"].a, learning_rate=0.5), wrong=10)
    fabricate_seeds(pair["one"].b, wrong=50)
    assert compare(plan, results_tree)["one"].verdict == NOT_RUN


def test_of_two_versions_of_the_data_that_of_most_runs_is_taken(plan, pair, results_tree, capsys):
    fabricate_seeds(pair["one"].a, seeds=[0, 1])
    fabricate_seeds(pair["one"].b, seeds=[0, 1])
    fabricate_seeds(pair["one"].a, seeds=[2], md5="1" * 32)
    compared = compare(plan, results_tree)
    assert compared["one"].a.seeds == compared["one"].b.seeds == [0, 1]
    said = capsys.readouterr().err
    assert "runs on 2 versions" in said and f"md5 {'1' * 32}, seeds [2]" in said


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"md5": "1" * 32}, "saw different data"),
        ({"classes": ("a", "b", "c")}, "other test labels"),
    ],
)
def test_sides_on_different_data_make_no_pair_and_block_no_other(
    plan, pair, results_tree, other, words, capsys
):
    fabricate_seeds(pair["one"].a)
    fabricate_seeds(pair["one"].b, **other)
    compared = compare(plan, results_tree)
    assert compared["one"].seeds == () and compared["one"].verdict == NOT_RUN
    assert words in capsys.readouterr().err


# --- words ---------------------------------------------------------------------------------------


def difference(value, low, high, p=0.5):
    return Estimate(value, low, high, 120, "made up", seeds=5, p=p, se=0.02, df=8.0)


def made_up(pair, verdict=SHOWN, *, auc, accuracy=None, shown=0, p=0.5, one_more=None):
    return Compared(
        *(pair.name, pair.title, None, None, pair),
        seeds=(0, 1, 2, 3, 4),
        auc=difference(*auc),
        accuracy=difference(*(accuracy or auc)),
        one_more=dict.fromkeys(("auc", "accuracy"), difference(*(one_more or auc))),
        p={"auc": p, "accuracy": p},
        shown={"auc": shown, "accuracy": shown},
        family_size=8,
        chance=0.42,
        verdict=verdict,
    )


def test_a_sentence_says_numbers_what_is_shown_and_the_verdict(pair):
    nothing = sentence(made_up(pair["one"], INCONCLUSIVE, auc=(0.004, -0.021, 0.029)))
    power = "power 42 % for a change of 0.03"
    for part in (pair["one"].title, "+0.004 (-0.021 to +0.029)", "5 seeds", power, INCONCLUSIVE):
        assert part in nothing
    assert "a gain" in sentence(made_up(pair["one"], auc=(0.05, 0.02, 0.08), shown=1))
    assert "a loss" in sentence(made_up(pair["one"], auc=(-0.05, -0.08, -0.02), shown=-1))


def test_a_difference_is_written_with_its_sign():
    assert [signed(x) for x in (0.0123, -0.0123, 0.0, -0.0001)] == [
        *("+0.012", "-0.012", "0.000", "0.000"),
    ]
    assert [p_text(p) for p in (0.0004, 0.001, 1.0)] == ["p < 0.001", "p = 0.001", "p = 1.000"]


def gains_of(compared, plan, **change):
    plan = with_rule(plan, **{"paper": "A", "same_images": True} | change)
    return Results(plan, load_rules(), (), {}).gains(compared)


@pytest.mark.parametrize(
    ("one_more", "shown", "verdict", "sign"),
    [
        ((0.08, 0.03, 0.13), 1, SHOWN, SHOWN),
        ((0.05, -0.01, 0.11), 0, INCONCLUSIVE, INCONCLUSIVE),
        ((0.04, 0.01, 0.07), 1, EXCLUDED, SHOWN),
        ((0.00, -0.03, 0.03), 0, EXCLUDED, EXCLUDED),
        ((-0.06, -0.09, -0.03), -1, SHOWN_REVERSED, SHOWN_REVERSED),
        ((0.20, 0.15, 0.25), 1, EXCLUDED, SHOWN),
    ],
)
def test_printed_gains(plan, pair, one_more, shown, verdict, sign):
    compared = made_up(pair["three"], auc=(0.05, 0.0, 0.1), one_more=one_more, shown=shown)
    accuracy, auc = gains_of(compared, plan)
    assert (auc.metric, auc.published.printed) == ("auc", "0.0919")
    assert (auc.verdict, auc.sign) == (verdict, sign)
    assert auc.power == power(0.0919, se=0.02, df=8.0)
    assert (accuracy.metric, accuracy.published.fraction) == ("accuracy", pytest.approx(0.0833))


@pytest.mark.parametrize(("shown", "sign"), [(1, SHOWN), (0, INCONCLUSIVE), (-1, SHOWN_REVERSED)])
def test_on_other_images_the_sign_alone_is_judged(plan, pair, shown, sign):
    far = made_up(pair["three"], auc=(0.0, -0.01, 0.01), shown=shown)
    gains = gains_of(far, plan, same_images=False)
    assert [(g.verdict, g.sign) for g in gains] == [(OTHER_IMAGES, sign)] * 2


def test_gains_without_runs_or_without_a_printed_value(plan, pair, results_tree):
    three = gains_of(compare(plan, results_tree)["three"], plan)
    assert [gain.verdict for gain in three] == [NOT_RUN, NOT_RUN]
    assert gains_of(made_up(pair["one"], auc=(0.1, 0.0, 0.2)), plan) == []


# --- families ------------------------------------------------------------------------------------


def member(value, p):
    return difference(value, value - 0.1, value + 0.1, p)


def test_a_family_is_corrected_for_all_that_is_planned():
    members = [member(0.3, 0.0001), member(-0.2, 0.0005), member(0.01, 0.9)]
    raw = [one.p for one in members]
    found = correct(members, level=0.05, planned=10)
    assert [c.p_value for c in found] == pytest.approx(holm([*raw, *[1.0] * 7])[:3])
    assert [c.shown for c in found] == [1, -1, 0]
    assert correct([member(0.3, 0.02)], level=0.05)[0].shown == 1
    assert correct([member(0.3, 0.02)], level=0.05, planned=10)[0].shown == 0


def test_what_may_not_be_judged_yet_keeps_its_place_in_the_family():
    tested = member(0.3, 0.0001)
    untestable = replace(tested, p=None)
    found = correct([None, tested, untestable], level=0.05)
    assert found[0] == found[2] == Corrected(None, 0)
    assert [c.shown for c in found] == [0, 1, 0]
    assert found[1].p_value == pytest.approx(3 * tested.p)
    assert correct([], level=0.05) == []


def test_a_family_cannot_outgrow_its_plan():
    with pytest.raises(ValueError, match="2 members, 1 were planned"):
        correct([member(0.1, 0.5)] * 2, level=0.05, planned=1)
