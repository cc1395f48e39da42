"""Paper B's claims: each has a check or says why not, and every check can come out otherwise."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from helpers.metrics.scores import Estimate
from study.claims.check_result import BUDGET, OPEN_CHOICE
from study.claims.judge import CHECKS
from study.claims.ledger import Key, load_claims
from study.claims.paper_b import budget, scale, stored, streams
from study.compare import Compared
from study.maps.findings import FocusFinding, LayerFinding, SignFinding
from study.plans.form import PlanError
from study.published import Published, parse_printed
from study.ranking import RankingClaim
from study.verdicts import (
    COMPATIBLE,
    CONTRADICTED,
    IN_PART,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    OF_CLAIMS,
    OURS_LOWER,
    REPRODUCED,
    REVIEWERS_QUESTION,
    SHORT,
    SHOWN,
    SHOWN_REVERSED,
    SLIP,
    TOO_FEW_SEEDS,
    UNDERSPECIFIED,
)

CLAIMS = {claim.id: claim for claim in load_claims() if claim.paper == "B"}
CHECKED = [name for name, claim in CLAIMS.items() if not claim.cannot]


def printed(text, unit="%", mark="T"):
    value, low, high = (None,) * 3 if unit == "text" else parse_printed(text)
    return Published(value, text, mark, "a test", unit, low=low, high=high)


# --- altered inputs: what is changed, and the verdict that must follow ----------------------------


def put(**changes):
    """Replace inputs by values, or by functions of what they were."""

    def alter(inputs):
        new = {k: v(inputs[k]) if callable(v) else v for k, v in changes.items()}
        return inputs | new

    return alter


def halved(counts):
    return {name: (plain / 2, normed / 2) for name, (plain, normed) in counts.items()}


def half_as_many(cells):
    """Let the other matrix have half the counts."""
    return {name: replace(cell, value=cell.value / 2) for name, cell in cells.items()}


def to(text, unit="%"):
    return lambda old: printed(text, unit)


def ours(verdict):
    group = SimpleNamespace(
        config={"epochs": 200, "image_size": 224, "recipe": "common"}, source_size=224
    )
    one_more = Estimate(0.9, 0.89, 0.91, 5000, "made up", seeds=5)
    levels = {"here": one_more, "one_more": one_more}
    return lambda level: replace(level, group=group, verdict=verdict, **levels)


TABLE3 = [
    (put(level=ours(REPRODUCED)), REPRODUCED),
    (put(level=ours(OURS_LOWER)), NOT_REPRODUCED),
    (put(level=ours(SHORT)), SHORT),
    (put(level=ours(COMPATIBLE)), COMPATIBLE),
    (put(level=lambda level: replace(level, one_more=None, verdict=NOT_RUN)), NOT_RUN),
]
NEXT = [(put(other=1000.0), CONTRADICTED)]
GAINS = [f"B{i}" for i in (*range(74, 77), *range(81, 85), *range(88, 94))]
GAIN = [(put(gain=to("0.1", "points")), NOT_REPRODUCED)]
SIZE = [(put(counted=lambda old: old * 1.2), NOT_REPRODUCED)]
OURS = [(put(counted=2.0, up_to=None), REPRODUCED)]
NUMBER = [(put(released=1), NOT_REPRODUCED)]
FEWER = [(put(ours=lambda old: 100 * old), NOT_REPRODUCED)]
GIVEN = [(put(settings={"seeds": printed("5", "seeds")}), REPRODUCED)]
KEY = Key("a source", "a table", "a system", "a set/accuracy")
RIVAL = {KEY: printed("90.0")}


def of_files(side, accuracy):
    """Let there be one published value, from files of this side."""
    return {KEY._replace(row=f"a system @{side}"): printed(accuracy)}


HIGH, LOW = {"a set": printed("90.0")}, {"a set": printed("80.0")}
UP = {"ours": HIGH, "theirs": {KEY: printed("80.0")}}
DOWN = {"ours": LOW, "theirs": RIVAL}
LOW_QUOTED, HIGH_QUOTED = {"a set": [printed("80.0")]}, {"a set": [printed("95.0")]}
REVERSE = [(put(**DOWN), CONTRADICTED)]
SIDES = {f"class {c}": 10_000 for c in range(11)}
EVEN, RARE = {"class 0": 20, "class 1": 80}, {"class 0": 9, "class 1": 991}
CELLS = [
    (put(supports=SIDES), REPRODUCED),
    (put(supports={"class 6": 100}), CONTRADICTED),
    (put(supports={}), NOT_RUN),
    (put(n=100), CONTRADICTED),
]
LONG, BRIEF = 20, 19  # a tenth of the printed epochs, and one less


def in_range(inputs):
    """Let the classes' areas be the ends of the printed range."""
    return inputs | {"areas": [[inputs["printed"].low, inputs["printed"].high]]}


def after(alter, epochs):
    """Alter the inputs, and let the runs have so many epochs."""
    return lambda inputs: alter(inputs) | {"epochs": epochs}


AREAS = [
    (after(in_range, LONG), REPRODUCED),
    (after(in_range, BRIEF), SHORT),
    (put(areas=[[0.5, 0.99], [0.6, 0.99]], epochs=LONG), NOT_REPRODUCED),
    (put(areas=[[0.5, 0.99], [0.6, 0.99]], epochs=BRIEF), SHORT),
    (put(areas=[]), NOT_RUN),
]
COURSE = [
    (lambda i: i | {"found": {k: v.value for k, v in i["printed"].items()}}, REPRODUCED),
    (put(found={"train loss": 5.0, "test loss": 5.0}), NOT_REPRODUCED),
    (put(found={}), NOT_RUN),
]


def on_sets(verdict, *, shown=0, contrary=0, seen=2, planned=2):
    return RankingClaim(None, verdict, shown, contrary, seen, planned)


def against(*verdicts, epochs=None):
    side = epochs and SimpleNamespace(config={"epochs": epochs, "recipe": "made up"})
    return [Compared(str(i), "a network", side, side, verdict=v) for i, v in enumerate(verdicts)]


FULL = on_sets(SHOWN, shown=2)
IN_WORDS = [
    (put(scratch=FULL, published=FULL, missing=(), same_start={}), SHOWN),
    (put(published=on_sets(SHOWN_REVERSED, contrary=1)), SHOWN_REVERSED),
    (put(scratch=on_sets(NOT_RUN, seen=0), published=on_sets(NOT_RUN, seen=0)), NOT_RUN),
    (
        put(scratch=FULL, published=FULL, same_start={"a set": against(SHOWN_REVERSED)}),
        SHOWN_REVERSED,
    ),
]


def compared(verdict, at_length=None):
    """Let the comparisons come out so, and those at the paper's own length, if they are stored."""

    def alter(inputs):
        short, long = (
            [replace(c, verdict=v) for c in inputs["compared"]] if v else []
            for v in (verdict, at_length)
        )
        return {"compared": short, "at_length": long}

    return alter


PARTS = [
    (compared(SHOWN), SHOWN),
    (compared(INCONCLUSIVE), INCONCLUSIVE),
    (compared(TOO_FEW_SEEDS), NOT_RUN),
    (compared(SHORT, at_length=SHOWN), SHOWN),
    (compared(SHOWN, at_length=SHOWN_REVERSED), SHOWN_REVERSED),
    (compared(SHOWN, at_length=INCONCLUSIVE), INCONCLUSIVE),
]


SHIFT = Estimate(0.1, 0.05, 0.15, 60, "made up", seeds=5, p=0.001)
MEAN = Estimate(0.3, 0.2, 0.4, 60, "made up", seeds=5)


def layer(verdict):
    p = 0.001 if verdict == SHOWN else 1.0
    return LayerFinding("x", "a layer", {"chance": SHIFT}, {"chance": p}, verdict)


def sign(verdict):
    return SignFinding("a difference", SHIFT, 0.001, verdict)


def classes(*verdicts):
    return [
        FocusFinding(f"breastmnist_{i}", "x", "a layer", MEAN, MEAN, sign(verdict))
        for i, verdict in enumerate(verdicts)
    ]


def by_set(*epochs):
    return {f"breastmnist_{i}": n for i, n in enumerate(epochs)}


FOCUS = [
    (put(finding=layer(SHOWN), epochs=LONG), SHOWN),
    (put(finding=layer(SHOWN_REVERSED), epochs=LONG), SHOWN_REVERSED),
    (put(finding=layer(IN_PART), epochs=LONG), UNDERSPECIFIED),
    (put(finding=layer(SHOWN_REVERSED), epochs=BRIEF), SHORT),
    (put(finding=None), NOT_RUN),
]
SPREAD = [
    (put(findings=classes(SHOWN, SHOWN), epochs=by_set(LONG, LONG)), SHOWN),
    (put(findings=classes(SHOWN_REVERSED), epochs=by_set(LONG)), SHOWN_REVERSED),
    (put(findings=classes(SHOWN_REVERSED, SHOWN), epochs=by_set(LONG, BRIEF)), SHOWN_REVERSED),
    (put(findings=classes(SHOWN_REVERSED, SHOWN), epochs=by_set(BRIEF, LONG)), SHOWN),
    (put(findings=classes(SHOWN_REVERSED, SHOWN), epochs=by_set(BRIEF, BRIEF)), SHORT),
    (put(findings=[]), NOT_RUN),
]


def times(low, high):
    return {"1 image": Estimate((low + high) / 2, low, high, 30, "a test")}


FASTER = [
    (put(ratios=times(0.4, 0.5), quiet=True), UNDERSPECIFIED),
    (put(ratios=times(1.1, 1.2), quiet=True), NOT_REPRODUCED),
    (put(ratios=times(0.4, 0.5), quiet=False), NOT_RUN),
]

GAP = [
    (put(with_it=[0.02, 0.03], without=[0.01, 0.02], epochs=LONG), REPRODUCED),
    (put(with_it=[0.02, 0.03], without=[-0.01, -0.02], epochs=LONG), UNDERSPECIFIED),
    (put(with_it=[-0.02, -0.03], without=[-0.01, -0.02], epochs=LONG), UNDERSPECIFIED),
    (put(with_it=[0.02, 0.03], without=[0.01, 0.02], epochs=BRIEF), SHORT),
    (put(with_it=[0.02]), NOT_RUN),
]
EARLY = [
    (lambda i: i | {"found": {"train accuracy": i["printed"].low}}, REPRODUCED),
    (put(found={"train accuracy": 10.0}), NOT_REPRODUCED),
]
WIDE, NARROW = [0.5, 0.51, 0.52, 0.5, 0.51], [0.1, 0.11, 0.1, 0.12, 0.1]
SETTLED = {"loss": [[2.0 ** (-epoch / 10) for epoch in range(200)]] * 2}
SLOW = {"loss": [[1 - epoch / 200 for epoch in range(200)]] * 2}
NO_TIME = {"a network": None}


def timed(**seconds):
    return {m: Estimate(s, 0.9 * s, 1.1 * s, 30, "a test") for m, s in seconds.items()}


ALTERED = {
    **dict.fromkeys(("B01", "B02", "B03", "B04", "B05", "B06"), TABLE3),
    "B08": [
        (put(**UP, printed=to("10-15"), quoted=LOW_QUOTED), REPRODUCED),
        (put(**UP, printed=to("10-15"), quoted=HIGH_QUOTED), UNDERSPECIFIED),
    ],
    "B09": [(put(trunk=8.0, built=8.5), REPRODUCED), (put(trunk=8.0), NOT_REPRODUCED)],
    "B10": [(put(printed=to("41")), REPRODUCED)],
    "B12": [(put(value=to("0.9995", "fraction")), CONTRADICTED)],
    "B13": [
        (put(quoted={}, public={}), REPRODUCED),
        (put(quoted={}), NOT_REPRODUCED),
        (put(quoted={}, public=RIVAL, ours=LOW, on_test=set()), NOT_REPRODUCED),
        (put(quoted={}, public=RIVAL, ours=LOW, on_test={"a source"}), REPRODUCED),
    ],
    "B14": [(put(accuracies={}), CONTRADICTED)],
    "B15": [(put(macs=lambda old: {side: side**4 for side in old}), NOT_REPRODUCED)],
    "B16": [
        (put(ratios={4: {7: 4.4, 14: 3.6}}), REPRODUCED),
        (put(ratios=lambda old: {r: {7: of_map[7]} for r, of_map in old.items()}), NOT_REPRODUCED),
        (put(ratios={2: {7: 4.4}, 4: {7: 1.8}}), UNDERSPECIFIED),
    ],
    "B17": [(put(shape=(2048, 7, 7)), NOT_REPRODUCED)],
    "B18": [(put(channels=to("513", "channels")), REPRODUCED)],
    "B19": [(put(gate=to("2C/3", "text")), REPRODUCED)],
    "B20": [(put(sizes=(96,)), REPRODUCED)],
    "B21": OURS,
    "B22": [(put(shortened=2.0), REPRODUCED)],
    **dict.fromkeys(("B11", "B23", "B24", "B31", "B32"), SIZE),
    "B25": [(put(counted=3.0, up_to=3.1), NOT_REPRODUCED)],
    "B26": [(put(printed=to("55.3")), REPRODUCED)],
    "B27": [(put(printed=to("55.6")), REPRODUCED)],
    **dict.fromkeys(("B28", "B35", "B134"), FEWER),
    "B36": [
        *FEWER,
        (put(printed={"MedViT-T": printed("10.8", "M", mark="S")}), UNDERSPECIFIED),
        (put(printed={"MedViT-T": printed("10.8", "M", mark="M")}), REPRODUCED),
    ],
    "B29": [(put(printed=to("2.98", "G")), REPRODUCED)],
    "B30": [(put(counted=halved), REPRODUCED)],
    "B33": [(put(printed=to("40-70")), REPRODUCED)],
    "B34": [(put(printed=to("40")), REPRODUCED), (put(printed=to("90")), CONTRADICTED)],
    "B37": [(put(timed=1), REPRODUCED)],
    **dict.fromkeys(("B38", "B39", "B42", "B44", "B45"), NUMBER),
    "B40": [
        (put(printed=to("2", "classes")), REPRODUCED),
        (put(elsewhere=to("3", "classes")), NOT_REPRODUCED),
        (put(elsewhere=to("4", "classes")), UNDERSPECIFIED),
    ],
    "B41": [(put(names={"0": "normal", "1": "abnormal"}), REPRODUCED)],
    "B43": [(put(released=to("RGB", "text")), REPRODUCED)],
    "B46": [(put(totals=lambda old: old | {"bloodmnist": 10**6}), NOT_REPRODUCED)],
    "B47": [
        (put(supports=lambda old: dict.fromkeys(old, EVEN)), REPRODUCED),
        (put(supports=lambda old: old | {"dermamnist": RARE}), NOT_REPRODUCED),
        (put(supports=lambda old: {name: {} for name in old}), NOT_RUN),
    ],
    "B48": [(put(ours=lambda old: old | {"mean": (0.5, 0.5, 0.5)}), NOT_REPRODUCED)],
    **dict.fromkeys(("B07", "B49", "B50"), GIVEN),
    **dict.fromkeys(("B51", "B54"), COURSE),
    "B52": [(put(accuracy=to("93.4")), REPRODUCED), (put(accuracy=to("93.6")), UNDERSPECIFIED)],
    "B55": [(put(accuracy=to("81.1")), REPRODUCED), (put(accuracy=to("82.1")), UNDERSPECIFIED)],
    "B56": [(put(higher=to("81-83")), CONTRADICTED)],
    **dict.fromkeys(("B57", "B66"), CELLS),
    "B59": [(put(back=to("4", "images")), CONTRADICTED)],
    "B60": [(put(n=10**6), CONTRADICTED), (put(n=43_000), UNDERSPECIFIED)],
    **dict.fromkeys(("B61", "B62", "B70", "B71"), AREAS),
    "B63": [(put(value=to("0.950", "fraction")), CONTRADICTED)],
    "B64": [(put(confused={(4, 5): None, (0, 10): None}), NOT_REPRODUCED)],
    "B65": [(put(confused={(0, 1): None}), UNDERSPECIFIED)],
    **dict.fromkeys(("B58", "B67"), NEXT),
    "B68": [
        (put(back=to("30", "images")), CONTRADICTED),
        (put(back=to("70", "images")), REPRODUCED),
    ],
    "B69": [
        (lambda i: i | {"second": i["first"]}, UNDERSPECIFIED),
        (put(second=half_as_many), REPRODUCED),
    ],
    "B72": [(put(called=to("98.7")), REPRODUCED)],
    **dict.fromkeys(("B73", "B80"), REVERSE),
    **dict.fromkeys(GAINS, GAIN),
    "B77": [
        (put(**UP, n={"a set": 1000}), REPRODUCED),
        (put(**DOWN, n={"a set": 1000}), CONTRADICTED),
    ],
    **dict.fromkeys(("B78", "B85", "B99"), IN_WORDS),
    "B79": [
        (put(against=against(NOT_RUN, SHOWN_REVERSED)), SHOWN),
        (put(against=against(SHOWN, INCONCLUSIVE), missing=[]), INCONCLUSIVE),
        (put(against=against(TOO_FEW_SEEDS)), NOT_RUN),
    ],
    "B86": [
        (put(against={"a set": against(SHOWN, SHOWN, epochs=LONG)}, missing=[]), SHOWN),
        (put(against={"a set": against(SHOWN), "other": against(INCONCLUSIVE)}), INCONCLUSIVE),
        (put(against={"a set": against(SHOWN)}, missing=["DermaMNIST"]), NOT_RUN),
    ],
    "B87": [
        (put(ours=LOW, plain=of_files(28, "90.0"), n={"a set": 1000}), NOT_REPRODUCED),
        (put(ours=LOW, plain=of_files(28, "80.5"), n={"a set": 1000}), UNDERSPECIFIED),
        (put(ours=LOW, plain=of_files(224, "90.0"), n={"a set": 1000}), UNDERSPECIFIED),
    ],
    "B94": [(put(yardstick=to("0.3", "points")), NOT_REPRODUCED)],
    "B95": [(put(yardstick=to("3.0", "points")), REPRODUCED)],
    "B96": [(put(ours=lambda old: old | LOW, others={"a set": [printed("80.1")]}), REPRODUCED)],
    "B97": [(put(yardstick=to("4.0", "points")), REPRODUCED)],
    "B98": [
        (put(ours=to("90.0")), CONTRADICTED),
        (put(ours=to("90.0"), n=20), UNDERSPECIFIED),
    ],
    **dict.fromkeys(("B100", "B102", "B103", "B104", "B105"), PARTS),
    "B101": [
        (put(best={"normal": "Adam is shown to be best"}), SHOWN),
        (put(best={"normal": "none is shown to be best"}), INCONCLUSIVE),
        (put(best={"normal": NOT_RUN}), NOT_RUN),
    ],
    **dict.fromkeys(("B106", "B107"), FOCUS),
    "B108": [
        (put(findings=[sign(SHOWN), sign(SHOWN)], epochs=LONG), SHOWN),
        (put(findings=[sign(SHOWN), sign(SHOWN_REVERSED)], epochs=LONG), SHOWN_REVERSED),
        (put(findings=[sign(SHOWN), sign(SHOWN_REVERSED)], epochs=BRIEF), SHORT),
        (put(findings=[]), NOT_RUN),
    ],
    **dict.fromkeys(("B109", "B110"), SPREAD),
    **dict.fromkeys(("B111", "B112"), FASTER),
    "B113": [
        (put(ours=1, theirs=2), REPRODUCED),
        (put(ours=2, theirs=1), NOT_REPRODUCED),
        (put(ours=None), NOT_RUN),
    ],
    "B114": [
        (put(row={"difference": 1.0, "scale": 1.0, "reason": None}), NOT_REPRODUCED),
        (put(row={"difference": None, "scale": None, "reason": "no"}), NOT_REPRODUCED),
        (put(row={"difference": 0.0, "scale": 1.0, "reason": None}), UNDERSPECIFIED),
        (put(row=None), NOT_RUN),
    ],
    "B121": [
        (put(trained=WIDE, untaught={"random": NARROW}, epochs=LONG), SHOWN),
        (
            put(trained=WIDE, untaught={"random": NARROW, "shuffled": WIDE}, epochs=LONG),
            UNDERSPECIFIED,
        ),
        (put(trained=WIDE, untaught={"random": NARROW}, epochs=BRIEF), SHORT),
        (put(untaught={}), NOT_RUN),
    ],
    "B124": [
        (put(ours=to("1.0", "G"), theirs=to("2.0", "G")), REPRODUCED),
        (put(counted_ours=2.0, counted_theirs=2.0), NOT_REPRODUCED),
    ],
    "B125": [
        (put(**UP), REPRODUCED),
        (put(**UP | {"ours": LOW}), NOT_REPRODUCED),
        (put(**UP, yardstick=to("20.0", "points")), UNDERSPECIFIED),
    ],
    "B126": [
        (put(ours=HIGH, quoted=LOW_QUOTED), REPRODUCED),
        (put(ours=HIGH, quoted=HIGH_QUOTED), CONTRADICTED),
    ],
    "B127": [
        (put(**UP | {"ours": {"a set": printed("80.5")}}), REPRODUCED),
        (put(**DOWN), CONTRADICTED),
    ],
    "B128": [
        (put(courses=SETTLED, same=True), REPRODUCED),
        (put(courses=SLOW, same=True), NOT_REPRODUCED),
        (put(courses={"loss": []}), NOT_RUN),
    ],
    **dict.fromkeys(("B129", "B130"), EARLY),
    **dict.fromkeys(("B53", "B131"), GAP),
    "B132": [
        (put(gains={"a network on a set": [0.0, 0.0]}), REVIEWERS_QUESTION),
        (put(gains={"a network on a set": [0.03]}), NOT_RUN),
    ],
    "B133": [(put(given=to("28", "pixels")), REPRODUCED)],
    "B135": [(put(value=to("0.995", "fraction")), CONTRADICTED)],
    "B136": [(put(released=lambda old: dict.fromkeys(old, "images")), NOT_REPRODUCED)],
    "B137": [(put(macs={side: 100 * side**2 for side in (7, 14, 28)}), NOT_REPRODUCED)],
    "B138": [
        (put(ratios=times(0.1, 0.2) | {"64": times(0.3, 0.4)["1 image"]}), NOT_REPRODUCED),
        (put(quiet=False), NOT_RUN),
    ],
    "B139": [
        (put(ours=2, theirs=1), NOT_REPRODUCED),
        (put(ours=1, theirs=2, device="a GPU"), REPRODUCED),
        (put(theirs=None), NOT_RUN),
    ],
    "B140": [(put(seconds={"a network": 0.2}), NOT_REPRODUCED), (put(seconds=NO_TIME), NOT_RUN)],
    "B143": [
        (put(shares={"some weights": (0.1, 0.0), "others": (0.0, 0.4)}), REPRODUCED),
        (put(shares={"some weights": (0.1, 0.6), "others": (0.5, 0.0)}), NOT_REPRODUCED),
    ],
    "B144": [
        (put(waits={"a beside b": False}), REPRODUCED),
        (put(waits={"a beside b": True, "b after c": True}), NOT_REPRODUCED),
    ],
    "B145": [
        (put(macs={"a": 1, "b": 2}, times={"1 image": timed(a=1, b=2)}), REPRODUCED),
        (put(macs={"a": 1, "b": 2}, times={"1 image": timed(a=2, b=1)}), NOT_REPRODUCED),
        (put(macs={"a": 1, "b": 2}, times={"1 image": timed(a=1, b=1)}), NOT_RUN),
        (put(quiet=False), NOT_RUN),
    ],
    "B146": [
        (put(band=to("0.972-0.980", "fraction")), REPRODUCED),
        (put(band=to("0.900-0.999", "fraction")), NOT_REPRODUCED),
    ],
    "B147": [(put(others={"class 4": 60.0}), REPRODUCED)],
}


@pytest.fixture(scope="module")
def inputs():
    """What every check is given now, read once."""
    return {name: CHECKS[name].inputs(CLAIMS[name]) for name in CHECKED}


def test_every_claim_has_a_check_or_says_why_not():
    assert len(CLAIMS) >= 60
    assert set(CHECKED) == {name for name in CHECKS if name.startswith("B")}
    assert set(ALTERED) == set(CHECKED)


def test_all_kinds_of_claims_are_there():
    kinds = {claim.kind for claim in CLAIMS.values()}
    assert kinds >= {"arithmetic", "architecture", "data", "training", "result", "comparison"}


def test_ids_follow_each_other():
    assert list(CLAIMS) == [f"B{i:02d}" for i in range(1, len(CLAIMS) + 1)]


@pytest.mark.parametrize("name", CHECKED)
def test_a_check_runs_and_can_come_out_otherwise(name, inputs):
    check, given = CHECKS[name].function, inputs[name]
    found = check(**given)
    assert found.verdict in OF_CLAIMS
    for alter, expected in ALTERED[name]:
        assert check(**alter(given)).verdict == expected
    assert any(expected != found.verdict for _, expected in ALTERED[name])


def test_verdicts_on_printed_numbers_alone_name_no_runs(inputs):
    wrong = {"B10": CONTRADICTED, "B26": SLIP, "B27": SLIP, "B33": SLIP, "B96": UNDERSPECIFIED}
    for name, expected in wrong.items():
        found = CHECKS[name].function(**inputs[name])
        assert found.verdict == expected
        assert found.runs == ()


# --- how long the runs were -----------------------------------------------------------------------

OF_TRAINING = ("B53", "B106", "B107", "B108", "B109", "B110", "B121", "B131")


@pytest.mark.parametrize("name", OF_TRAINING)
def test_whatever_is_measured_on_a_brief_training_has_no_verdict(name, inputs):
    given = inputs[name]
    found = CHECKS[name].function(**given)
    epochs = given["epochs"]
    most = max(epochs.values()) if isinstance(epochs, dict) else epochs
    assert (found.verdict == SHORT) == (most < LONG)
    assert f"{most} of the 200 printed epochs" in found.evidence
    assert found.limits == () or found.verdict != SHORT


def test_a_smaller_budget_is_a_limit_only_where_there_is_a_verdict():
    assert budget.apply(SHOWN, LONG) == SHOWN and budget.apply(SHOWN, BRIEF) == SHORT
    assert budget.limits(SHOWN, LONG, OPEN_CHOICE) == (OPEN_CHOICE, BUDGET)
    assert budget.limits(SHOWN, 200, OPEN_CHOICE) == (OPEN_CHOICE,)
    assert budget.limits(SHORT, BRIEF, OPEN_CHOICE) == budget.limits(NOT_RUN, 200) == ()


def test_a_brief_comparison_counts_nothing():
    of_words = partial(CHECKS["B78"].function, missing=[], same_start={})
    brief = on_sets(SHORT, seen=0)
    found = of_words(scratch=brief, published=brief).evidence
    assert "none of 2 comparisons is counted" in found and "better in" not in found
    found = of_words(scratch=on_sets(SHOWN, shown=1), published=FULL).evidence
    assert "better in 1, worse in 0 of the 2 comparisons that are counted" in found
    found = CHECKS["B79"].function(against=against(SHORT, SHORT), missing=[]).evidence
    assert f"none is counted (open: {SHORT})" in found


def test_of_two_comparisons_with_a_network_the_longer_one_counts(monkeypatch):
    def one(other, epochs):
        (found,) = against(INCONCLUSIVE, epochs=epochs)
        return replace(found, name=other)

    short = {"BreastMNIST": (one("resnet18", 10), one("mobilenet_v2", 10)), "BloodMNIST": ()}
    monkeypatch.setattr(stored, "_against", lambda root, start: short)
    monkeypatch.setattr(stored, "at_length", lambda others: {"BreastMNIST": [one("resnet18", 200)]})
    found = stored.same_start(CLAIMS["B86"])
    epochs = {c.name: c.epochs for c in found["BreastMNIST"]}
    assert epochs == {"resnet18": 200, "mobilenet_v2": 10} and not found["BloodMNIST"]


@pytest.mark.parametrize(("name", "part"), [("B104", "both"), ("B105", "plain")])
@pytest.mark.parametrize("verdict", [SHOWN, SHOWN_REVERSED, INCONCLUSIVE, SHORT, NOT_RUN])
def test_the_blocks_are_judged_at_length_once_that_is_stored(name, part, verdict, monkeypatch):
    side = SimpleNamespace(config={"epochs": 200})
    ran = {"seeds": (0, 1), "auc": SHIFT, "p": {}, "a": side, "b": side}
    if verdict == NOT_RUN:
        ran |= {"seeds": (), "auc": None, "a": None, "b": None}
    real = stored._family

    def family(root, which):
        found = real(root, which)
        at_length = [replace(c, **ran, verdict=verdict) for c in found]
        return tuple(at_length) if which == "readings" else found

    monkeypatch.setattr(stored, "_family", family)
    found = CHECKS[name](CLAIMS[name])
    briefly = CHECKS[name].function(compared=stored.compared("blocks", part))
    if verdict == NOT_RUN:
        assert found == briefly and found.verdict == SHORT
    else:
        assert found.verdict == verdict and found.runs == ("table2", "paper_b")
        assert found.evidence.index("trained to the end") < found.evidence.index(briefly.evidence)
        assert BUDGET not in found.limits


def test_a_comparison_beside_a_claim_is_a_planned_one():
    wrong = replace(CLAIMS["B104"], beside={"blocks: both": "blocks: bth"})
    with pytest.raises(PlanError, match=r"'bth'.*Did you mean 'both'"):
        stored.compared_beside(wrong)


def test_what_choosing_on_the_test_curve_adds_has_a_size_and_no_sign(inputs):
    gains = {"a network on a set": [0.0, 0.01, 0.05]}
    found = CHECKS["B132"].function(gains=gains)
    assert "a network on a set 2.0 (0.0 to 5.0, 3 seeds)" in found.evidence
    assert "cannot be negative" in found.evidence
    assert all(min(values) >= 0 for values in inputs["B132"]["gains"].values())


# --- counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "right", "wrong"), [("B57", "7,702", "521"), ("B66", "7,339", "1,496")]
)
def test_right_and_wrong_are_whole_counts_that_round_to_the_accuracy(name, right, wrong, inputs):
    given = inputs[name]
    found = CHECKS[name].function(**given).evidence
    assert f"at most {right} right, or at most {wrong} wrong" in found
    n, accuracy = given["n"], given["accuracy"].value
    most, errors = int(right.replace(",", "")), int(wrong.replace(",", ""))
    rounded = [round(100 * count / n, 1) for count in (most, most + 1, n - errors, n - errors - 1)]
    assert [value == accuracy for value in rounded] == [True, False, True, False]


def test_streams_hold_what_the_equations_say():
    shares = streams.stream_shares(32)
    kept = 32 // scale.reduction()
    few = f"patches averaged, a map in the {kept} channels that pass"
    every = "patches averaged, a map in all 32 channels"
    assert shares[few] == pytest.approx((0, 1 / 81), abs=1e-6)
    assert shares[every] == pytest.approx((1 - kept / 32, kept / 32 / 81), abs=1e-6)
    assert shares["all weight on one place of a patch"] == pytest.approx((0, 1), abs=1e-6)
    assert shares["as it starts"][0] > 0.5


def test_the_pathways_are_independent_and_the_streams_are_not():
    assert streams.waiting() == {
        "SpectralFlow beside ContextGate": False,
        "the second SpectralFlow after ContextGate": True,
        "the high stream of a SpectralFlow after its low one": True,
    }


def test_of_the_rivals_those_chosen_on_the_test_split_are_told(inputs):
    found = CHECKS["B13"].function(**inputs["B13"]).evidence
    assert inputs["B13"]["on_test"] == {"medvitv2"}
    assert found.count("MedViTV2") == 4 and "4 of these" in found
