"""One page for people: `python -m study report --profile quick` writes `report/index.html`.

The page is a single file with its style and pictures inside; beside that of quick runs lie the
notebooks that they executed. It shows the run store of one profile and the generated tables. Quick
runs and phantom data are stamped in large letters and never get a verdict.
"""
