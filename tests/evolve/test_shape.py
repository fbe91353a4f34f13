"""Equality of agents: what makes two codebases the same."""

import pytest

from evolve.shape import shape

CODE = b'"""Doc."""\nLIMIT = 3\n\ndef act(x):\n    """Do it."""\n    return x + LIMIT\n'


@pytest.mark.parametrize(
    "same",
    [
        CODE.replace(b"LIMIT = 3", b"LIMIT = 3  # a comment"),
        CODE.replace(b"LIMIT = 3", b"LIMIT   =  3"),
        CODE.replace(b"Do it.", b"Something else."),
        CODE.replace(b"x + LIMIT", b"(x + LIMIT)"),
    ],
)
def test_comments_layout_and_docstrings_do_not_count(same):
    assert shape({"a.py": same}) == shape({"a.py": CODE})


@pytest.mark.parametrize(
    "other",
    [
        {"a.py": CODE.replace(b"3", b"4")},
        {"b.py": CODE},
        {"a.py": CODE, "b.py": b""},
        {"a.py": CODE, "NOTES.md": b"x"},
    ],
)
def test_everything_else_counts(other):
    assert shape(other) != shape({"a.py": CODE})


def test_docstrings_count_where_they_are_read():
    reader = b"print(act.__doc__)\n"
    changed = CODE.replace(b"Do it.", b"Something else.")
    assert shape({"a.py": changed, "m.py": reader}) != shape({"a.py": CODE, "m.py": reader})


@pytest.mark.parametrize(
    "evil", [b"def (", b"\xff\xfe", b"x = " + b"(" * 5000 + b")" * 5000, b"-" * 20000 + b"1", b"\0"]
)
def test_what_cannot_be_parsed_counts_byte_by_byte(evil):
    assert shape({"a.py": evil}) == shape({"a.py": evil}) != shape({"a.py": evil + b" "})
