"""The contact sheet of the notebooks: equal tiles, each a panel of its notebook."""

import base64
import io
import json

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from helpers.paths import repo_root
from helpers.plots import style
from study.plots import readme


def notebook(folder, name, *shades, size=(300, 100)):
    """An executed notebook with a picture of each shade."""
    outputs = []
    for shade in shades:
        file = io.BytesIO()
        Image.new("RGB", size, (shade,) * 3).save(file, "PNG")
        outputs.append({"data": {"image/png": base64.b64encode(file.getvalue()).decode()}})
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps({"cells": [{"outputs": [one]} for one in outputs] + [{}]}))


def test_every_notebook_is_shown_and_no_tile_is_empty():
    names = {file.stem for file in (repo_root() / "notebooks").glob("*.ipynb")}
    assert {name for name, *_ in readme.PANELS} == names
    assert len(readme.PANELS) % readme._COLUMNS == 0


def test_tiles_are_equal_and_show_the_panel_asked_for(tmp_path, monkeypatch):
    panels = (("a", 2, (100, 0, 200, 75)), ("b", 1, None), ("c", 3, None), ("d", 1, None))
    monkeypatch.setattr(readme, "PANELS", panels)
    notebook(tmp_path, "a", 10, 20)
    notebook(tmp_path, "b", 30)
    notebook(tmp_path, "c", 40)  # has no third picture, and there is no notebook d
    with style.style():
        figure = readme.notebooks_picture(tmp_path)
        figure.canvas.draw()
    tiles = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in tiles] == ["a", "b"]
    a, b = (axes.images[0].get_array() for axes in tiles)
    assert a.shape == b.shape == (*readme._TILE[::-1], 3)
    assert (a == 20).all() and b[250, 300].tolist() == [30] * 3
    assert b[0, 0].tolist() == [255] * 3, "what is too wide has white above"
    plt.close(figure)


def test_without_pictures_there_is_no_sheet(tmp_path):
    with pytest.raises(ValueError, match="execute them first"):
        readme.notebooks_picture(tmp_path)
