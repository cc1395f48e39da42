"""The efficiency study's measurements on disk: one JSON file a device, by phase.

`results/efficiency/<device>_<threads>.json` holds for each phase where and when it was measured
(`about`) and its rows. It is written whole after every row, so an interruption loses one row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.metrics.scores import Estimate
from helpers.paths import results_root
from study.costs.timing import Times, ratio
from study.measurements import open_record, save_record
from study.plans.costs import Candidate

SCHEMA = 1
# Phase -> what each of its rows holds.
_KEYS = {
    "sizes": ("model", "image_size", "params", "macs"),
    "memory": ("model", "step", "batch_size", "bytes", "reason"),
    "exports": ("model", "image_size", "difference", "scale", "reason"),
    "accuracy": ("recipe", "dataset", "model", "pretrained", "seed", "n", "eager", "int8"),
    "times": ("group", "image_size", "batch_size", "others", "seconds", "failed"),
}
PHASES = tuple(_KEYS)
# A larger share of the processor time taken by others makes the times provisional.
QUIET = 0.05


def folder() -> Path:
    """Return where the files lie; it may not exist yet."""
    return results_root() / "efficiency"


def store_path(device: str, threads: int) -> Path:
    """Return the file of a device."""
    name = "cuda" if device == "cuda" else f"cpu_{threads}_thread{'s' if threads > 1 else ''}"
    return folder() / f"{name}.json"


def load_stores() -> list["Store"]:
    """Return the measurements of all devices, CPU first."""
    return [Store.read(path) for path in sorted(folder().glob("*.json"))]


class EfficiencyError(ValueError):
    """The stored measurements are not in order."""


@dataclass
class Store:
    """Measurements of one device: a file and what it holds."""

    path: Path
    content: dict[str, Any]
    about: dict[str, Any] | None = None  # of what is measured from now on; None to read alone

    @classmethod
    def open(cls, path: Path, *, about: dict[str, Any], anew: Sequence[str] = ()) -> "Store":
        """Open a file, which need not exist, to go on measuring; the phases `anew` are forgotten.

        An `EfficiencyError` where a phase was measured elsewhere or with other versions than
        `about` says, or see `read`.
        """
        content = cls.read(path).content if path.exists() else {"phases": {}}
        for phase in anew:
            content["phases"].pop(phase, None)
        for phase, part in content["phases"].items():
            old, new = part["about"]["env"], about["env"]
            # What an older file does not tell of its machine cannot be compared.
            if differing := [key for key in new if key in old and old[key] != new[key]]:
                words = ", ".join(f"{k} {old[k]} and now {new[k]}" for k in differing)
                raise EfficiencyError(
                    f"{path.name}: the phase {phase} was measured elsewhere ({words}); numbers of "
                    f"two machines do not mix. Measure it again with --anew {phase}."
                )
        return cls(path, content, about)

    @classmethod
    def read(cls, path: Path) -> "Store":
        """Read a file; an `EfficiencyError` if it is missing, damaged or of another schema."""
        if not path.exists():
            raise EfficiencyError(
                f"{path.name} does not exist; make it with `python -m study costs`."
            )
        advice = "; restore it, or move it away to measure anew (--anew)."
        with open_record(path, EfficiencyError, advice, schema=SCHEMA) as content:
            for phase, part in content["phases"].items():
                for row in part["rows"]:
                    if missing := [key for key in _KEYS.get(phase, ()) if key not in row]:
                        raise EfficiencyError(f"{path.name}: a row of {phase} lacks {missing}.")
                if not isinstance(part["about"]["env"], dict):
                    raise EfficiencyError(f"{path.name}: {phase} does not say where it was made.")
            return cls(path, content)

    def rows(self, phase: str) -> list[dict[str, Any]]:
        """Return the rows of a phase, none if it was not measured."""
        return self.content["phases"].get(phase, {"rows": []})["rows"]

    def missing(self, phase: str, models: Iterable[str], **wanted: Any) -> list[str]:
        """Return the models that no row of a phase with these values has."""
        return [model for model in models if not self.row(phase, model=model, **wanted)]

    def add(self, phase: str, **row: Any) -> None:
        """Add a row and write the file."""
        part = self.content["phases"].setdefault(phase, {"about": self.about, "rows": []})
        part["rows"].append(row)
        save_record(self.path, self.content, schema=SCHEMA)

    # --- reading ---

    def row(self, phase: str, **wanted: Any) -> dict[str, Any] | None:
        """Return the row with these values, None if there is none."""
        return next((r for r in self.rows(phase) if wanted.items() <= r.items()), None)

    def times(self, candidate: Candidate, *, image_size: int, batch_size: int) -> Times | None:
        """Return a candidate's times in the first group that has it, None if it was not timed."""
        found = self._timed([candidate], image_size=image_size, batch_size=batch_size)
        return found and found[0]

    def ratio(self, a: Candidate, b: Candidate, **place: int) -> Estimate | None:
        """Return how many times as long A takes as B, None if no group has both."""
        found = self._timed([a, b], **place)
        return found and ratio(*found)

    def failure(self, candidate: Candidate) -> str | None:
        """Return why a candidate could not be timed, None if it could or was not asked for."""
        reasons = (r["failed"].get(candidate.name) for r in self.rows("times"))
        return next((reason for reason in reasons if reason), None)

    def _timed(self, candidates: Sequence[Candidate], **place: int) -> list[Times] | None:
        """Return the times of candidates in the first group that has all of them."""
        names = [candidate.name for candidate in candidates]
        for row in self.rows("times"):
            if place.items() <= row.items() and all(name in row["seconds"] for name in names):
                return [Times(tuple(row["seconds"][name])) for name in names]
        return None

    @property
    def disturbance(self) -> float | None:
        """Largest share of the processor time that others took in a group; None if unknown."""
        shares = [row["others"] for row in self.rows("times") if row["others"] is not None]
        return max(shares, default=None)

    @property
    def is_quiet(self) -> bool:
        """Whether the times were measured on a machine that did little else."""
        return self.disturbance is not None and self.disturbance <= QUIET


# --- in words ------------------------------------------------------------------------------------


def device_title(store: Store) -> str:
    """Return the device and the number of threads as a heading."""
    env = next(iter(store.content["phases"].values()))["about"]["env"]
    return f"{env['device']}, {env['threads']} thread{'s' if env['threads'] > 1 else ''}"


def origin(store: Store) -> str:
    """Say where, with which versions and when the numbers were measured, phases alike together."""
    found: dict[str, list[str]] = {}
    phases = store.content["phases"]
    for phase in (name for name in reversed(PHASES) if name in phases):
        about = phases[phase]["about"]
        env, sha = about["env"], (about["git"]["sha"] or "unknown")[:10]
        text = (
            f"{env['device']}, threads {env['threads']}, torch {env['torch']}, ONNX Runtime "
            f"{env['onnxruntime'] or 'none'}, {about['date']}, code {sha}"
        )
        found.setdefault(text, []).append(phase)
    return "; ".join(f"{', '.join(phases)}: {text}" for text, phases in found.items())


def disturbance_text(store: Store) -> str:
    """Say how much others disturbed the times."""
    share = store.disturbance
    if not store.rows("times"):
        return "Times are not measured yet."
    if share is None:
        return "How much other processes disturbed the times is not known on this system."
    if share <= QUIET:
        return f"Other processes took at most {share:.0%} of the machine while times were measured."
    return (
        f"**Provisional times**: other processes took up to {share:.0%} of the machine while they "
        "were measured."
    )
