"""The vocabulary of verdicts: each word has a meaning, and none is written anywhere else."""

import ast

from helpers.paths import repo_root
from study import verdicts
from study.verdicts import MEANING


def words() -> dict[str, str]:
    named = {name: value for name, value in vars(verdicts).items() if isinstance(value, str)}
    return {value: name for name, value in named.items() if name.isupper()}


def test_every_word_has_one_name_and_a_meaning():
    names = [name for name, value in vars(verdicts).items() if name.isupper() and name != "MEANING"]
    assert len(words()) == len(names)
    assert set(words()) == set(MEANING)
    assert len(set(MEANING.values())) == len(MEANING) and all(MEANING.values())


def test_no_other_module_of_the_study_writes_such_a_word():
    known, written = words(), []
    for path in (repo_root() / "study").rglob("*.py"):
        if path.samefile(verdicts.__file__):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # The keys of a table are names of columns or figures.
        keys = {id(key) for n in ast.walk(tree) if isinstance(n, ast.Dict) for key in n.keys}
        texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in keys]
        written += [
            f"{path.name}:{n.lineno} {n.value!r}" for n in texts if n.value and n.value in known
        ]
    assert not written
