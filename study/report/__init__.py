"""One page for people: `python -m study report --profile quick` writes `report/index.html`."""
