"""One page for people: `python -m study report --profile quick` writes `report/index.html`.

The page is a single file with its style and figures inside; beside it lie the executed notebooks as
HTML. Everything on it comes from the run store of one profile and from the code that makes the
tables. A quick profile and phantom data are stamped in large letters, and never get a verdict.
"""

from study.report.page import COMMAND, build_report, render

__all__ = ["COMMAND", "build_report", "render"]
