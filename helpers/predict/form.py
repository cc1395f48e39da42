"""The form of 11_predict in JupyterLab: which run, which folder, how sure an answer has to be.

A notebook that runs without a front end (papermill, nbconvert, nbval) shows no form, and its values
are the parameters; both ways end in `PredictionForm.choice`.
"""

import os
from dataclasses import dataclass
from typing import Any

from helpers.predict.checkpoint import find_run, public_name
from helpers.runs.store import Run, list_shipped

# What Jupyter's server, and VS Code, tell a kernel that somebody looks at.
FRONT_ENDS = ("JPY_SESSION_NAME", "VSCODE_PID")


@dataclass(frozen=True)
class Choice:
    """What was chosen."""

    run: Run  # the run
    images: str | None  # a folder, None for the example
    threshold: float  # the confidence, 0 to 1, below which an answer counts as undecided


class PredictionForm:
    """Three fields, filled in beforehand."""

    def __init__(self, run: Run, *, images: str | None, threshold: float) -> None:
        """Fill in the fields, see `Choice`; a `ValueError` for a threshold beyond 0 to 1."""
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is a confidence from 0 to 1, got {threshold!r}.")
        self._start = Choice(run, images, threshold)
        self._fields: Any = None

    def show(self) -> None:
        """Show the fields where somebody can see them, else print what they hold."""
        if any(name in os.environ for name in FRONT_ENDS):
            from IPython.display import display

            display(self.build())
        else:
            start = self._start
            print(f"run         {_name(start.run)}")
            print(f"images      {start.images or 'an example is made'}")
            print(f"threshold   {start.threshold:g}")

    def build(self) -> Any:
        """Return the fields as one widget."""
        import ipywidgets as widgets  # only where they are seen

        start, wide = self._start, widgets.Layout(width="44em")
        name = _name(start.run)
        known = tuple(dict.fromkeys([*list_shipped(), name]))
        empty = "a folder; empty: an example is made"
        run = widgets.Combobox(value=name, options=known)
        images = widgets.Text(value=start.images or "", placeholder=empty)
        threshold = widgets.FloatSlider(value=start.threshold, min=0, max=1, step=0.01)
        self._fields = {"run": run, "images": images, "threshold": threshold}
        for description, field in self._fields.items():
            field.description, field.layout = description, wide
        return widgets.VBox(tuple(self._fields.values()))

    @property
    def choice(self) -> Choice:
        """What the fields hold now; a `RunError` where no run has the name in the field."""
        if self._fields is None:
            return self._start
        name, images, threshold = (field.value for field in self._fields.values())
        run = self._start.run
        if name != _name(run):
            run = find_run(name, profile=run.config["profile"])
        return Choice(run, images.strip() or None, threshold)


def _name(run: Run) -> str:
    """Return the name of a run, a short one where its weights are shipped."""
    shipped = {other.path: kind for kind, other in list_shipped().items()}
    return shipped.get(run.path, public_name(run))
