"""Stored runs grouped by protocol: the seeds of a group are repetitions of one experiment.

Runs that contradict each other end nothing: those that do not fit are left out, or are not paired,
and `contradictions` says so.
"""

import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from helpers.config import RunConfig, without_size
from helpers.data.rebuilt import Rebuilt, find_rebuilt
from helpers.metrics import intervals
from helpers.metrics.intervals import Scores, accuracy_scores, auc_scores
from helpers.metrics.scores import Estimate
from helpers.runs.replicas import draws, metric_of
from helpers.runs.store import Run, is_constant, run_id

# The measures that have an interval over images and seeds.
MEASURES = {"accuracy": accuracy_scores, "auc": auc_scores}


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone.

    Attributes:
        dataset: name without a size suffix ("breastmnist", "cag:arcade_patches"); of a rebuilt set
            the official one, see `rebuilt`.
        source_size: side of the stored images in pixels.
        config: configuration without the seed.
        md5: of the data, None where there is no single file.
        runs: one per seed, in order of seeds.
    """

    dataset: str
    source_size: int
    config: dict[str, Any]
    md5: str | None
    runs: tuple[Run, ...]

    @property
    def rebuilt(self) -> Rebuilt | None:
        """What the images are a rebuilt version of, None if they are the official or own ones."""
        return find_rebuilt(self.config["dataset"], self.md5)

    @property
    def record(self) -> dict[str, Any]:
        """Content of the first seed's `run.json`, for what all seeds share."""
        return self.runs[0].record

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return [run.config["seed"] for run in self.runs]

    @property
    def n_test(self) -> int:
        """How many test images."""
        return self.record["data"]["n"]["test"]

    @property
    def is_phantom(self) -> bool:
        """Whether the images are synthetic."""
        return self.record["data"]["phantom"]

    @cached_property
    def accuracy(self) -> Estimate:
        """Test accuracy over the seeds, with the interval of other images and other seeds."""
        return self.estimate("accuracy", intervals.mean)

    @cached_property
    def auc(self) -> Estimate | None:
        """Test AUC, likewise; None where the test split lacks two images of two classes."""
        counts = np.unique(self.runs[0].predictions("test")[0], return_counts=True)[1]
        if len(counts) < 2 or counts.min() < 2:
            return None
        return self.estimate("auc", intervals.mean)

    @property
    def constant(self) -> tuple[int, ...]:
        """The seeds whose network answers one class for every test image."""
        return tuple(run.config["seed"] for run in self.runs if is_constant(run))

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each draw is right on each test image, bool (draws, images)."""
        runs = [run.predictions("test") for run in self.draws]
        return np.stack([p.argmax(axis=1) == y_true for y_true, p in runs])

    @property
    def is_constant(self) -> bool:
        """Whether most seeds answer one class: such a network has learnt nothing to compare."""
        return 2 * len(self.constant) > len(self.runs)

    @cached_property
    def draws(self) -> tuple[Run, ...]:
        """The runs, and those that were made again elsewhere on the same test images."""
        split = _test_split(self.runs[0])
        return tuple(run for run in draws(self.runs) if _test_split(run) == split)

    @cached_property
    def _scores(self) -> dict[str, Scores]:
        return {}

    @property
    def seed_of_draw(self) -> list[int]:
        """The seed of each of `draws`."""
        return [run.config["seed"] for run in self.draws]

    def scores(self, measure: str) -> Scores:
        """Return "accuracy" or "auc" (one of `MEASURES`) by draw and test image."""
        if measure not in self._scores:
            labels, answers = zip(*(run.predictions("test") for run in self.draws), strict=True)
            self._scores[measure] = MEASURES[measure](labels[0], np.stack(answers))
        return self._scores[measure]

    def estimate(self, measure: str | Scores, how: Callable[..., Estimate]) -> Estimate:
        """Return the mean of a measure, or where one more run falls; replicas are draws of a seed.

        A measure is one of `MEASURES`, or scores of all draws; `how` is `intervals.mean`,
        `mean_here` or `one_more_run`.
        """
        scores = self.scores(measure) if isinstance(measure, str) else measure
        return how(scores, groups=_labels(self.seed_of_draw))

    def values(self, metric: str) -> list[float | None]:
        """Return a test metric of each seed, the mean of its draws; None where it is undefined."""
        return [*self.by_seed(lambda run: metric_of(run, metric)).values()]

    def mean_and_sd(self, score: Callable[[Run], float | None]) -> tuple[float | None, ...]:
        """Return the mean of a score over seeds, and its deviation over all draws (ddof = 1).

        The mean is that of `estimate`: a seed that was made again counts once. None where a draw
        has no score, or a single one has no deviation.
        """
        means, values = [*self.by_seed(score).values()], [score(run) for run in self.draws]
        if None in values:
            return None, None
        return float(np.mean(means)), float(np.std(values, ddof=1)) if len(values) > 1 else None

    def by_seed(self, score: Callable[[Run], float | None]) -> dict[int, float | None]:
        """Return a score of each seed, the mean of its draws; None where a draw has none."""
        of_seed = {seed: [] for seed in self.seeds}
        for run in self.draws:
            of_seed[run.config["seed"]].append(score(run))
        return {s: None if None in own else float(np.mean(own)) for s, own in of_seed.items()}


def is_real(run: Run) -> bool:
    """Say whether a run may stand among results: the paper profile, on real images."""
    return run.config["profile"] == "paper" and not run.record["data"]["phantom"]


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Group runs by protocol: the whole configuration but for the seed, and the data.

    A run that contradicts the others of its protocol is left out and said on stderr, see
    `contradictions`. A table of results passes real runs only (`is_real`).
    """
    grouped, left_out = _sort_out(runs)
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    groups = []
    for members in grouped:
        config = members[0].protocol
        data = members[0].record["data"]
        rebuilt = find_rebuilt(config["dataset"], data["md5"])
        dataset = rebuilt.official if rebuilt else without_size(config["dataset"])
        groups.append(Group(dataset, data["image_size"], config, data["md5"], tuple(members)))
    return sorted(groups, key=lambda g: (str(g.config), str(g.md5)))


def contradictions(runs: Iterable[Run]) -> dict[str, str]:
    """Say which runs `group_runs` leaves out, and why: name -> reason.

    They are those of a seed that stands twice in one protocol (the first by path stays), and those
    whose test split is not that of most runs on the same data. Where as many runs have one as the
    other, nothing says which is right, and all of the protocol that has both are left out.
    """
    return _sort_out(runs)[1]


def _sort_out(runs: Iterable[Run]) -> tuple[list[list[Run]], dict[str, str]]:
    """Return the runs of each protocol, in order of seeds, and those that are left out."""
    grouped: dict[Any, list[Run]] = defaultdict(list)
    on_data: dict[Any, Counter] = defaultdict(Counter)
    for run in sorted(runs, key=lambda run: (run.config["seed"], run.path)):
        grouped[tuple(sorted(run.protocol.items())), *_data_of(run)].append(run)
        on_data[_data_of(run)][_test_split(run)] += 1
    kept, left_out = [], {}
    for members in grouped.values():
        usual = on_data[_data_of(members[0])]
        splits = {_test_split(run) for run in members}
        most = max(usual[split] for split in splits)
        right = [split for split in splits if usual[split] == most]
        staying: dict[int, Run] = {}
        for run in members:
            seed, split = run.config["seed"], _test_split(run)
            if right != [split]:
                left_out[run_id(run)] = (
                    f"its test split has {_shown(split)}, other runs of its protocol have "
                    f"{' or '.join(_shown(other) for other in sorted(splits - {split}))}; delete "
                    "the runs made on other data"
                )
            elif seed in staying:
                left_out[run_id(run)] = (
                    f"seed {seed} stands twice in one protocol, here and in "
                    f"{run_id(staying[seed])}; delete one"
                )
            else:
                staying[seed] = run
        if staying:
            kept.append(list(staying.values()))
    return kept, left_out


def _data_of(run: Run) -> tuple[str, str | None, bool]:
    data = run.record["data"]
    return data["name"], data["md5"], data["phantom"]


def _test_split(run: Run) -> tuple[int, tuple[int, ...], str]:
    """Return how many test images a run saw, in all and of each class, and a digest of labels."""
    labels = run.predictions("test")[0]
    digest = hashlib.sha256(labels.tobytes()).hexdigest()[:8]
    return run.record["data"]["n"]["test"], tuple(map(sum, run.record["confusion_matrix"])), digest


def _shown(split: tuple[int, tuple[int, ...], str]) -> str:
    return f"{split[0]} images ({', '.join(map(str, split[1]))} by class, labels {split[2]})"


def find_group(groups: Iterable[Group], config: RunConfig) -> Group | None:
    """Return the runs of a protocol, None if there are none.

    Of runs on several versions of the data, those on the version that most runs of the data set
    saw; where that does not decide, None. Either is said on stderr.
    """
    groups = list(groups)
    wanted = {name: value for name, value in config.to_dict().items() if name != "seed"}
    found = [group for group in groups if group.config == wanted]
    if len(found) < 2:
        return found[0] if found else None
    usual = Counter()
    for group in groups:
        if group.config["dataset"] == wanted["dataset"]:
            usual[group.md5] += len(group.runs)
    most = max(usual[group.md5] for group in found)
    right = [group for group in found if usual[group.md5] == most]
    listed = "; ".join(f"md5 {g.md5}, seeds {g.seeds}" for g in found)
    taken = f"md5 {right[0].md5} is taken" if len(right) == 1 else "none is taken"
    _say(
        f"{_name(wanted)}: runs on {len(found)} versions of the data ({listed}), {taken}; delete "
        "those that are not meant."
    )
    return right[0] if len(right) == 1 else None


def _name(config: Mapping[str, Any]) -> str:
    return "/".join(config[key] for key in ("recipe", "model", "pretrained"))


def common_seeds(a: Group, b: Group) -> tuple[int, ...]:
    """Return the seeds that both have, in a's order.

    There are none where the runs saw different data or test images, which is said on stderr.
    """
    seeds = tuple(seed for seed in a.seeds if seed in b.seeds)
    if seeds and (a.md5 != b.md5 or _test_split(a.runs[0]) != _test_split(b.runs[0])):
        names = f"{_name(a.config)} and {_name(b.config)}"
        _say(f"{names} saw different data, md5 {a.md5} and {b.md5}, or other test labels.")
        return ()
    return seeds


def paired_scores(a: Group, b: Group, measure: str) -> tuple[Scores, Scores, list[int] | None]:
    """Return a measure of both, paired by seed, and each pair's seed where one has several.

    A seed that was made again elsewhere has several draws: each draw of one side meets each of the
    other. The seeds are those of `common_seeds`; the labels are for `groups` of `intervals.mean`.
    """
    draws = ([*enumerate(group.seed_of_draw)] for group in (a, b))
    seeds = common_seeds(a, b)
    pairs = [(i, j, s) for (i, s), (j, t) in product(*draws) if s == t and s in seeds]
    pairs.sort(key=lambda pair: seeds.index(pair[2]))
    of_a, of_b, of_seed = (list(column) for column in zip(*pairs, strict=True))
    return _chosen(a.scores(measure), of_a), _chosen(b.scores(measure), of_b), _labels(of_seed)


def _labels(seeds: list[int]) -> list[int] | None:
    """Return the seeds as labels of draws that depend on each other, None where none repeats."""
    return None if len(set(seeds)) == len(seeds) else seeds


def _chosen(scores: Scores, at: list[int]) -> Scores:
    return replace(
        scores,
        values=scores.values[at],
        shares=scores.shares[at],
        reference=scores.reference[at],
    )


def _say(text: str) -> None:
    print(f"not compared: {text}", file=sys.stderr)
