"""Whether the study comes out again: what is compared, and how it is said."""

import io

from PIL import Image

from study import reproduced

LEDGER = "id,verdict\nA01,reproduced\nB02,not run\n"


def test_files_and_verdicts_are_compared_with_what_is_committed(tmp_path):
    tables = tmp_path / "results" / "tables"
    tables.mkdir(parents=True)
    (tables / "claims.csv").write_text(LEDGER.replace("not run", "reproduced"))
    (tables / "a.md").write_text("same\n")
    files = {tables / "claims.csv": LEDGER, tables / "a.md": "same\n", tables / "new.md": "x\n"}
    found = reproduced.compare(files, root=tmp_path)
    assert found == {
        "equal": ["results/tables/a.md"],
        "different": ["results/tables/claims.csv", "results/tables/new.md"],
        "verdicts": [1, 2],
    }
    said = reproduced.sentence(found)
    assert said.startswith("1 of 3 tables and pages equal, 1 of 2 verdicts; different: results/t")
    (tables / "claims.csv").write_text(LEDGER)
    (tables / "new.md").write_text("x\n")
    found = reproduced.compare(files, root=tmp_path)
    assert reproduced.sentence(found) == "3 of 3 tables and pages equal, 2 of 2 verdicts."


def png(*, at: int = 0, shade: int = 0) -> bytes:
    image, file = Image.new("RGB", (100, 80), "white"), io.BytesIO()
    image.paste((shade, shade, shade), (at, 10, at + 20, 60))
    image.save(file, "PNG")
    return file.getvalue()


def test_pictures_are_compared_by_what_they_show(tmp_path):
    assert reproduced.same_picture(png(), png(shade=20))
    assert not reproduced.same_picture(png(), png(at=1))
    assert not reproduced.same_picture(png(), png(shade=60))
    (tmp_path / "claims.csv").write_text(LEDGER)
    (tmp_path / "a.png").write_bytes(png())
    files = {tmp_path / "claims.csv": LEDGER, tmp_path / "a.png": png(at=1), tmp_path / "b": "x"}
    (tmp_path / "b").write_text("x")
    found = reproduced.compare(files, root=tmp_path)
    assert found["different"] == ["a.png"]
    assert reproduced.sentence(found).startswith(
        "2 of 2 tables and pages equal, 0 of 1 figures, 2 of 2 verdicts; different: a.png"
    )


def test_the_figures_for_print_are_drawn_as_they_are_kept(monkeypatch):
    """The picture of the mistakes needs images, and is named where they cannot be had."""
    run = reproduced.figures.main_runs()[0]
    monkeypatch.setattr(reproduced.figures, "main_runs", lambda: [run])
    monkeypatch.setattr(reproduced, "load_images", lambda run: None)
    monkeypatch.setattr(reproduced.figures, "names_of", lambda run, splits: ["confusion_matrix"])
    root = reproduced.repo_root() / "results" / "figures"
    made, missing = reproduced.main_figures(root)
    ((path, drawn),) = made.items()
    assert reproduced.same_picture(path.read_bytes(), drawn)
    assert any(name.endswith("/mistakes.png") for name in missing)
