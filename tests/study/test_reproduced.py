"""Whether the study comes out again: what is compared, and how it is said."""

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
