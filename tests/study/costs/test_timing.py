"""Timing: turns, warm-up, budget and ratios by a clock that the candidates move themselves."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.costs import timing
from study.costs.timing import Times, fixed_threads, interleave, processors, ratio, watch_others


class Machine:
    """A clock that stands still but for the calls, and what was called."""

    def __init__(self, slowdown=lambda now: 1.0):
        self.now, self.called, self.slowdown = 0.0, [], slowdown

    def clock(self):
        return self.now

    def candidate(self, name, seconds):
        def call():
            self.called.append(name)
            self.now += seconds * self.slowdown(self.now)

        return call

    def time(self, costs, **options):
        candidates = {name: self.candidate(name, cost) for name, cost in costs.items()}
        return interleave(candidates, clock=self.clock, **options)

    def order(self, names, rounds):
        """Time alike candidates; return what was called after the first, untimed round."""
        self.time(dict.fromkeys(names, 1.0), rounds=rounds, settle=0)
        return self.called[len(names) :]


# --- turns ---


@given(st.integers(1, 6), st.integers(1, 4))
def test_every_candidate_has_every_place_equally_often(k, cycles):
    names = [f"m{i}" for i in range(k)]
    order = Machine().order(names, rounds=3 * k * cycles)
    found = Counter((name, at % k) for at, name in enumerate(order))
    assert found == {(name, place): 3 * cycles for name in names for place in range(k)}


def test_no_candidate_always_follows_the_same_one():
    pairs = set(pairwise(Machine().order("abcd", rounds=8)))
    for name in "abcd":
        assert len({before for before, after in pairs if after == name} - {name}) > 1


def test_only_the_timed_call_counts():
    machine = Machine()
    times = machine.time({"a": 2.0, "b": 0.5}, rounds=4, settle=2)
    assert times["a"].seconds == (2.0,) * 4 and times["b"].seconds == (0.5,) * 4
    assert machine.called[:5] == ["a", "b", "a", "a", "a"]
    assert Counter(machine.called) == {"a": 1 + 4 * 3, "b": 1 + 4 * 3}


def test_the_budget_ends_the_rounds_but_not_before_three():
    assert Machine().time({"a": 10.0}, rounds=20, settle=0, budget=45.0)["a"].n == 5
    times = Machine().time({"a": 10.0, "b": 30.0}, rounds=20, settle=0, budget=1.0)
    assert times["a"].n == times["b"].n == 3


def test_without_candidates_or_rounds():
    with pytest.raises(ValueError, match="no candidates"):
        interleave({}, rounds=3)
    with pytest.raises(ValueError, match="rounds must be at least 3, got 2"):
        interleave({"a": int}, rounds=2)


# --- times and ratios ---


def test_median_and_quartiles():
    times = Times((5.0, 1.0, 2.0, 4.0, 3.0))
    assert (times.n, times.median, times.quartiles) == (5, 3.0, (2.0, 4.0))


def test_a_ratio_forgives_a_machine_that_slows_down():
    """One after the other, the two would differ by a factor of about two."""
    machine = Machine(slowdown=lambda now: 1 + now / 50)
    times = machine.time({"a": 1.0, "b": 1.0}, rounds=24)
    assert times["a"].seconds[-1] > 3 * times["a"].seconds[0]
    found = ratio(times["a"], times["b"])
    assert found.value == pytest.approx(1, abs=0.1)
    assert found.low < 1 < found.high


def test_ratio_of_exact_times():
    times = Machine().time({"a": 3.0, "b": 2.0}, rounds=9)
    found = ratio(times["a"], times["b"])
    assert (found.value, found.low, found.high, found.n) == (1.5, 1.5, 1.5, 9)
    assert "9 rounds" in found.method


def test_interval_is_that_of_the_sign_test():
    """Of 12 ordered ratios the third and the tenth: coverage 1 - 2 P(Bin(12, 1/2) <= 2)."""
    values = np.random.default_rng(0).permutation(np.arange(1.0, 13.0))
    found = ratio(Times(tuple(values)), Times((1.0,) * 12))
    assert (found.low, found.high) == (3.0, 10.0)


@pytest.mark.parametrize(("n", "has_one"), [(5, False), (6, True)])
def test_no_interval_below_six_rounds(n, has_one):
    found = ratio(Times(tuple(range(1, n + 1))), Times((1.0,) * n))
    assert (found.low is not None) is has_one and (found.high is not None) is has_one


def test_interval_covers_the_median_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        found = ratio(Times(tuple(rng.lognormal(size=15))), Times((1.0,) * 15))
        hits += found.low <= 1 <= found.high
    assert 0.94 <= hits / 400 <= 0.99  # the interval of 15 covers with 96.5 %


def test_ratio_of_other_rounds():
    with pytest.raises(ValueError, match=r"same rounds, got 4 and 3; .*one call of interleave"):
        ratio(Times((1.0,) * 4), Times((1.0,) * 3))


# --- the machine ---


def test_threads_are_set_and_given_back():
    with fixed_threads(processors()):
        with fixed_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == processors()
        with pytest.raises(RuntimeError), fixed_threads(1):
            raise RuntimeError
        assert torch.get_num_threads() == processors()


@pytest.mark.parametrize("threads", [0, processors() + 1])
def test_more_threads_than_processors(threads):
    with pytest.raises(ValueError, match=f"got {threads}"), fixed_threads(threads):
        pass


def test_others_are_what_the_machine_did_less_our_own(tmp_path, monkeypatch):
    """Two processors for ten seconds: 12 busy ones of 20, three of them ours, a half stolen."""
    stat = tmp_path / "stat"
    monkeypatch.setattr(timing, "_PROCESSOR", stat)
    monkeypatch.setattr(timing.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(timing.os, "sysconf", lambda name: 100)
    seconds = iter([0.0, 10.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(seconds))
    own = iter([0.0, 3.0])

    class Own:
        system = children_user = children_system = 0.0

        def __init__(self):
            self.user = next(own)

    monkeypatch.setattr(timing.os, "times", Own)
    stat.write_text("cpu  1000 0 500 9000 70 0 0 50 0 0\ncpu0 1 1 1 1\n")
    with watch_others() as found:
        assert found.share is None
        stat.write_text("cpu  1900 100 600 9700 170 0 0 150 0 0\ncpu0 1 1 1 1\n")
    assert found.share == pytest.approx((12 - 3) / 20)


def test_a_system_that_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "_PROCESSOR", tmp_path / "absent")
    with watch_others() as found:
        pass
    assert found.share is None
