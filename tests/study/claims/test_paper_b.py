"""Paper B's claims: each has a check or says why not, and every check can come out otherwise."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from helpers.metrics.scores import Estimate
from study.claims.judge import CHECKS
from study.claims.ledger import Key, load_claims
from study.compare import Compared
from study.maps.findings import FocusFinding, LayerFinding, SignFinding
from study.published import Published, parse_printed
from study.ranking import JudgedClaim
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


def like_the_first(inputs):
    """Let both matrices have the same quoted cells."""
    return inputs | {"second": inputs["first"]}


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
    return lambda level: replace(level, group=group, one_more=one_more, verdict=verdict)


TABLE3 = [
    (put(level=ours(REPRODUCED)), REPRODUCED),
    (put(level=ours(OURS_LOWER)), NOT_REPRODUCED),
    (put(level=ours(SHORT)), SHORT),
    (put(level=ours(COMPATIBLE)), COMPATIBLE),
    (put(level=lambda level: replace(level, one_more=None, verdict=NOT_RUN)), NOT_RUN),
]
GAIN = [(put(gain=to("0.1", "points")), NOT_REPRODUCED)]
SIZE = [(put(counted=lambda old: old * 1.2), NOT_REPRODUCED)]
OURS = [(put(counted=2.0, up_to=None), REPRODUCED)]
NUMBER = [(put(released=1), NOT_REPRODUCED)]
FEWER = [(put(ours=lambda old: 100 * old), NOT_REPRODUCED)]
GIVEN = [(put(settings={"seeds": printed("5", "seeds")}), REPRODUCED)]
KEY = Key("a source", "a table", "a system", "a set/accuracy")
HIGH, LOW = {"a set": printed("90.0")}, {"a set": printed("80.0")}
UP, DOWN = {"ours": HIGH, "theirs": LOW}, {"ours": LOW, "theirs": HIGH}
LOW_QUOTED, HIGH_QUOTED = {"a set": [printed("80.0")]}, {"a set": [printed("95.0")]}
REVERSE = [(put(ours=LOW, theirs={KEY: printed("90.0")}), CONTRADICTED)]
SIDES = {f"class {c}": 10_000 for c in range(11)}
CELLS = [
    (put(supports=SIDES), REPRODUCED),
    (put(supports={"class 6": 100}), CONTRADICTED),
    (put(supports=None), NOT_RUN),
    (put(n=100), CONTRADICTED),
]
AREAS = [
    (lambda i: i | {"areas": [[i["printed"].low, i["printed"].high]]}, REPRODUCED),
    (put(areas=[[0.5, 0.99], [0.6, 0.99]]), NOT_REPRODUCED),
    (put(areas=[]), NOT_RUN),
]
COURSE = [
    (lambda i: i | {"found": {k: v.value for k, v in i["printed"].items()}}, REPRODUCED),
    (put(found={"train loss": 5.0, "test loss": 5.0}), NOT_REPRODUCED),
    (put(found=None), NOT_RUN),
]


def judged(verdict, *, shown=0, contrary=0, seen=2, planned=2):
    return JudgedClaim(None, verdict, shown, contrary, seen, planned)


FULL = judged(SHOWN, shown=2)
IN_WORDS = [
    (put(scratch=FULL, published=FULL, missing=()), SHOWN),
    (put(published=judged(SHOWN_REVERSED, contrary=1)), SHOWN_REVERSED),
    (put(scratch=judged(NOT_RUN, seen=0), published=judged(NOT_RUN, seen=0)), NOT_RUN),
]


def against(*verdicts):
    return [Compared(str(i), "a network", None, None, verdict=v) for i, v in enumerate(verdicts)]


PARTS = [
    (lambda i: i | {"compared": verdicts(i, SHOWN)}, SHOWN),
    (lambda i: i | {"compared": verdicts(i, INCONCLUSIVE)}, INCONCLUSIVE),
    (lambda i: i | {"compared": verdicts(i, TOO_FEW_SEEDS)}, NOT_RUN),
]


def verdicts(inputs, verdict):
    return [replace(c, verdict=verdict) for c in inputs["compared"]]


SHIFT = Estimate(0.1, 0.05, 0.15, 60, "made up", seeds=5, p=0.001)
MEAN = Estimate(0.3, 0.2, 0.4, 60, "made up", seeds=5)


def layer(verdict):
    p = 0.001 if verdict == SHOWN else 1.0
    return LayerFinding("x", "a layer", {"chance": SHIFT}, {"chance": p}, verdict)


def sign(verdict):
    return SignFinding("a difference", SHIFT, 0.001, verdict)


def classes(verdict):
    return [FocusFinding("breastmnist_64", "x", "a layer", MEAN, MEAN, sign(verdict))]


FOCUS = [
    (put(finding=layer(SHOWN)), SHOWN),
    (put(finding=layer(SHOWN_REVERSED)), SHOWN_REVERSED),
    (put(finding=layer(IN_PART)), UNDERSPECIFIED),
    (put(finding=None), NOT_RUN),
]
SPREAD = [
    (put(findings=classes(SHOWN)), SHOWN),
    (put(findings=classes(SHOWN_REVERSED)), SHOWN_REVERSED),
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
    (put(with_it=[0.02, 0.03], without=[0.01, 0.02]), REPRODUCED),
    (put(with_it=[0.02, 0.03], without=[-0.01, -0.02]), UNDERSPECIFIED),
    (put(with_it=[-0.02, -0.03], without=[-0.01, -0.02]), UNDERSPECIFIED),
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

ALTERED = {
    **dict.fromkeys(("B01", "B02", "B03", "B04", "B05", "B06"), TABLE3),
    "B07": GIVEN,
    "B08": [
        (put(**UP, printed=to("10-15"), quoted=LOW_QUOTED), REPRODUCED),
        (put(**UP, printed=to("10-15"), quoted=HIGH_QUOTED), UNDERSPECIFIED),
    ],
    "B09": [
        (put(trunk=8.0, built=8.5), REPRODUCED),
        (put(trunk=8.0), NOT_REPRODUCED),
    ],
    "B10": [(put(printed=to("41")), REPRODUCED)],
    "B11": SIZE,
    "B12": [(put(value=to("0.9995", "fraction")), CONTRADICTED)],
    "B13": [
        (put(quoted={}, public={}), REPRODUCED),
        (put(quoted={}), NOT_REPRODUCED),
    ],
    "B14": [(put(accuracies={}), CONTRADICTED)],
    "B15": [(put(macs=lambda old: {side: side**4 for side in old}), NOT_REPRODUCED)],
    "B16": [(put(macs=lambda old: {7: round(old[7] / 2.3)}), REPRODUCED)],
    "B17": [(put(shape=(2048, 7, 7)), NOT_REPRODUCED)],
    "B18": [(put(channels=to("513", "channels")), REPRODUCED)],
    "B19": [(put(gate=to("2C/3", "text")), REPRODUCED)],
    "B20": [(put(sizes=(96,)), REPRODUCED)],
    "B21": OURS,
    "B22": [(put(shortened=2.0), REPRODUCED)],
    **dict.fromkeys(("B23", "B24", "B31", "B32"), SIZE),
    "B25": [(put(counted=3.0, up_to=3.1), NOT_REPRODUCED)],
    "B26": [(put(printed=to("55.3")), REPRODUCED)],
    "B27": [(put(printed=to("55.6")), REPRODUCED)],
    **dict.fromkeys(("B28", "B35", "B36"), FEWER),
    "B29": [(put(printed=to("2.98", "G")), REPRODUCED)],
    "B30": [
        (
            put(counted=lambda old: {k: (a / 2, b / 2) for k, (a, b) in old.items()}),
            REPRODUCED,
        )
    ],
    "B33": [(put(printed=to("40-70")), REPRODUCED)],
    "B34": [
        (put(printed=to("40")), REPRODUCED),
        (put(printed=to("90")), CONTRADICTED),
    ],
    "B37": [(put(timed=1), REPRODUCED)],
    **dict.fromkeys(("B38", "B39", "B42", "B44", "B45"), NUMBER),
    "B40": [
        (put(printed=to("2", "classes")), REPRODUCED),
        (put(elsewhere=to("3", "classes")), NOT_REPRODUCED),
        (put(elsewhere=to("4", "classes")), UNDERSPECIFIED),
    ],
    "B41": [(put(released={"0": "normal", "1": "abnormal"}), REPRODUCED)],
    "B43": [(put(released=to("RGB", "text")), REPRODUCED)],
    "B46": [(put(totals=lambda old: old | {"bloodmnist": 10**6}), NOT_REPRODUCED)],
    "B47": [
        (put(shares=lambda old: dict.fromkeys(old, 0.2)), REPRODUCED),
        (put(shares=lambda old: old | {"dermamnist": 0.009}), NOT_REPRODUCED),
        (put(shares=lambda old: dict.fromkeys(old)), NOT_RUN),
    ],
    "B48": [(put(ours=lambda old: old | {"mean": (0.5, 0.5, 0.5)}), NOT_REPRODUCED)],
    **dict.fromkeys(("B49", "B50"), GIVEN),
    **dict.fromkeys(("B51", "B54"), COURSE),
    "B52": [(put(accuracy=to("95.7")), UNDERSPECIFIED)],
    "B53": GAP,
    "B55": [(put(accuracy=to("81.1")), REPRODUCED)],
    "B56": [(put(higher=to("81-83")), CONTRADICTED)],
    **dict.fromkeys(("B57", "B66"), CELLS),
    "B58": [(put(other=1000.0), CONTRADICTED)],
    "B59": [(put(back=to("4", "images")), CONTRADICTED)],
    "B60": [(put(n=10**6), CONTRADICTED), (put(n=43_000), UNDERSPECIFIED)],
    **dict.fromkeys(("B61", "B62", "B70", "B71"), AREAS),
    "B63": [(put(value=to("0.950", "fraction")), CONTRADICTED)],
    "B64": [(put(confused={(4, 5): None, (0, 10): None}), NOT_REPRODUCED)],
    "B65": [(put(confused={(0, 1): None}), UNDERSPECIFIED)],
    "B67": [(put(other=1000.0), CONTRADICTED)],
    "B68": [
        (put(back=to("30", "images")), CONTRADICTED),
        (put(back=to("70", "images")), REPRODUCED),
    ],
    "B69": [(like_the_first, UNDERSPECIFIED), (put(second=half_as_many), REPRODUCED)],
    "B72": [(put(called=to("98.7")), REPRODUCED)],
    "B73": REVERSE,
    "B80": REVERSE,
    **dict.fromkeys(("B74", "B75", "B76", "B81", "B82", "B83", "B84"), GAIN),
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
        (put(against=against(SHOWN, SHOWN), missing=[]), SHOWN),
        (put(against=against(SHOWN, INCONCLUSIVE)), INCONCLUSIVE),
        (put(against=against(SHOWN), missing=["DermaMNIST"]), NOT_RUN),
    ],
    "B87": [
        (
            put(ours=HIGH, plain={KEY: printed("80.0")}, n={"a set": 100}),
            UNDERSPECIFIED,
        )
    ],
    **dict.fromkeys(("B88", "B89", "B90", "B91", "B92", "B93"), GAIN),
    "B94": [(put(yardstick=to("0.3", "points")), CONTRADICTED)],
    "B95": [(put(yardstick=to("3.0", "points")), REPRODUCED)],
    "B96": [
        (
            lambda i: i | {"ours": i["ours"] | LOW, "others": {"a set": [printed("80.1")]}},
            REPRODUCED,
        )
    ],
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
        (put(findings=[sign(SHOWN), sign(SHOWN)]), SHOWN),
        (put(findings=[sign(SHOWN), sign(SHOWN_REVERSED)]), SHOWN_REVERSED),
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
        (put(trained=WIDE, untaught={"random": NARROW}), SHOWN),
        (put(trained=WIDE, untaught={"random": NARROW, "shuffled": WIDE}), UNDERSPECIFIED),
        (put(untaught={}), NOT_RUN),
    ],
    "B124": [
        (put(ours=to("1.0", "G"), theirs=to("2.0", "G")), REPRODUCED),
        (put(counted_ours=2.0, counted_theirs=2.0), NOT_REPRODUCED),
    ],
    "B125": [
        (put(ours=HIGH, theirs={KEY: printed("80.0")}), REPRODUCED),
        (
            put(ours=HIGH, theirs={KEY: printed("80.0")}, yardstick=to("20.0", "points")),
            UNDERSPECIFIED,
        ),
    ],
    "B126": [
        (put(ours=HIGH, quoted=LOW_QUOTED), REPRODUCED),
        (put(ours=HIGH, quoted=HIGH_QUOTED), CONTRADICTED),
    ],
    "B127": [
        (put(ours={"a set": printed("80.5")}, theirs=LOW), REPRODUCED),
        (put(**DOWN), CONTRADICTED),
    ],
    "B128": [
        (put(courses=SETTLED, same=True), REPRODUCED),
        (put(courses=SLOW, same=True), NOT_REPRODUCED),
        (put(courses={"loss": []}), NOT_RUN),
    ],
    **dict.fromkeys(("B129", "B130"), EARLY),
    "B131": GAP,
    "B132": [
        (lambda i: i | {"rows": [row | {"gain_low": -0.01} for row in i["rows"]]}, INCONCLUSIVE),
        (put(rows=[]), NOT_RUN),
    ],
    "B133": [(put(given=to("28", "pixels")), REPRODUCED)],
    "B134": FEWER,
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
