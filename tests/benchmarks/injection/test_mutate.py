"""Seeded bugs: one place changed, the rest untouched, the same for the same seed."""

from __future__ import annotations

import difflib
import inspect
from importlib import import_module
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.injection import Function, Mutation, compiles, functions, mutations, shuffled
from benchmarks.repair.humaneval import problems
from benchmarks.syntax import parse

SOURCE = '''\
def other(a):
    return a + 1


def f(items, limit):
    """Docstring with a < b and "text"."""
    total = 0
    # a comment: é
    for index in range(len(items)):
        if items[index] > limit and not items[index] == 3:
            total += items[index]
        else:
            items.append(limit)
    return max(total, limit) - 1 if total else -limit
'''

EXPECTED = {
    "comparison": "items[index] >= limit",
    "arithmetic": "total -= items[index]",
    "boolean": "items[index] > limit or not",
    "constant": "total = 1",
    "name": "items[limit] > limit",
    "condition": "if not (items[index] > limit and not items[index] == 3):",
    "negation": "and items[index] == 3",
    "callee": "return min(total, limit)",
    "bound": "range(len(items) - 1)",
    "order": "max(limit, total)",
    "deletion": "            pass\n        else:",
}


def named(source: str, name: str) -> Function:
    return [function for function in functions(source) if function.name == name][-1]


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_kind_of_bug(kind: str) -> None:
    found = [mutation.apply(SOURCE) for mutation in mutations(SOURCE, named(SOURCE, "f")) if mutation.kind == kind]
    assert any(EXPECTED[kind] in source for source in found), found


def test_neighbouring_lines_can_change_places() -> None:
    source = "def f(a):\n    b = a  # first\n    a = 2\n    return b\n"
    moved = [mutation for mutation in mutations(source, named(source, "f")) if mutation.kind == "moved"]
    assert [mutation.apply(source) for mutation in moved] == [
        "def f(a):\n    a = 2  # first\n    b = a\n    return b\n"
    ]


def test_only_the_function_behind_its_docstring_changes() -> None:
    head = SOURCE.index("    total = 0")
    for mutation in mutations(SOURCE, named(SOURCE, "f")):
        assert mutation.apply(SOURCE).startswith(SOURCE[:head])


@pytest.mark.parametrize("problem", problems()[::8], ids=lambda problem: str(problem.number))
def test_of_humaneval(problem) -> None:  # type: ignore[no-untyped-def]
    source = problem.solution
    found = mutations(source, named(source, problem.name))
    assert found
    for mutation in found:
        changed = mutation.apply(source)
        assert changed != source
        parse(changed)
        start, end = len(source[: mutation.start]), len(source.encode()) - mutation.end
        assert changed.encode().startswith(source.encode()[: mutation.start])
        assert end == 0 or changed.encode().endswith(source.encode()[-end:])
        assert start >= len(problem.prompt.rstrip())
        blocks = difflib.SequenceMatcher(None, source.splitlines(), changed.splitlines(), autojunk=False)
        assert sum(tag != "equal" for tag, *_ in blocks.get_opcodes()) <= 2


def test_functions_and_methods_are_found_by_their_qualified_names() -> None:
    source = (
        "def f(a=1):\n    '''Doc.'''\n    def inner():\n        return a\n    return inner\n"
        "class A:\n    x = 1\n    async def g(self):\n        return 1\n"
        "    class B:\n        @property\n        def h(self):\n            return 2\n"
        "def empty():\n    '''Only a docstring.'''\n"
    )
    found = functions(source)
    assert [(function.name, function.first_line) for function in found] == [("f", 3), ("A.g", 9), ("A.B.h", 13)]


def test_f_strings_docstrings_and_signatures_are_left_alone() -> None:
    source = (
        "def f(a=1, *, b='x'):\n"
        "    def inner():\n        '''Text.'''\n        return a\n"
        "    return f'{a + 1:>3} text' 'more'\n"
    )
    changed = [mutation.apply(source) for mutation in mutations(source, named(source, "f"))]
    assert changed
    for text in changed:
        assert text.startswith("def f(a=1, *, b='x'):\n")
        assert "'''Text.'''" in text
        assert "f'{a + 1:>3} text' 'more'" in text or "pass" in text


def height(function: Function) -> int:
    """Lines."""
    return (function.node.end_lineno or 0) - function.first_line


MODULES = ("bisect", "calendar", "colorsys", "csv", "fnmatch", "fractions", "heapq", "shlex", "string", "textwrap")


@pytest.mark.parametrize("longest", [20, pytest.param(1000, marks=pytest.mark.slow)])
@settings(deadline=None, max_examples=8)
@given(name=st.sampled_from(MODULES), rng=st.randoms(use_true_random=False))
def test_of_real_sources(longest: int, name: str, rng: Random) -> None:
    """Valid syntax, really different, inside the function, and outside of one place byte for byte the same.

    Long functions have thousands of mutations, each of which is compiled.
    """
    source = inspect.getsource(import_module(name))
    function = rng.choice([each for each in functions(source) if height(each) <= longest])
    lines = source.encode().splitlines(keepends=True)
    start = sum(map(len, lines[: function.first_line - 1]))
    end = sum(map(len, lines[: function.node.end_lineno]))
    found = mutations(source, function)
    for mutation in rng.sample(found, min(3, len(found))):
        changed = mutation.apply(source)
        assert changed != source
        assert compiles(changed)
        assert start <= mutation.start <= mutation.end <= end
        data, rest = changed.encode(), len(source.encode()) - mutation.end
        assert data[: mutation.start] == source.encode()[: mutation.start]
        assert data[len(data) - rest :] == source.encode()[mutation.end :]


IDENTIFIERS = st.sampled_from(["a", "b", "items", "é"])
EXPRESSIONS = st.recursive(
    IDENTIFIERS | st.sampled_from(["1", "0.5", "'text'", "'ü'", "True", "None", "f'{a}'", "[]"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "//", "<", "in", "is not", "and", "or"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        )
        | inner.map(lambda text: f"max({text}, a)")
        | inner.map(lambda text: f"(not {text})")
        | inner.map(lambda text: f"items[{text}]")
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(IDENTIFIERS, EXPRESSIONS), min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_of_made_up_sources(statements: list[tuple[str, str]], ending: str) -> None:
    body = "".join(f"    {name} = {text}  # ß{ending}" for name, text in statements)
    source = f"# é{ending}def f(a, b, items):{ending}{body}    return a{ending}"
    function = functions(source)[0]
    for mutation in mutations(source, function):
        changed = mutation.apply(source)
        assert changed != source
        parse(changed)
        before, after = source.splitlines(), changed.splitlines()
        assert sum(one != other for one, other in zip(before, after, strict=True)) in (1, 2)
        assert changed.count("# ß") == source.count("# ß")


@given(st.integers(), st.lists(st.sampled_from("abc"), max_size=30))
def test_shuffling_loses_nothing_and_repeats(seed: int, kinds: list[str]) -> None:
    found = tuple(Mutation(kind, index, index, "") for index, kind in enumerate(kinds))
    order = shuffled(found, Random(seed))
    assert sorted(order) == sorted(found)
    assert order == shuffled(found[::-1], Random(seed))


def test_a_rare_kind_has_the_chance_of_a_common_one() -> None:
    found = (*(Mutation("name", n, n, "") for n in range(99)), Mutation("negation", 100, 100, ""))
    first = [shuffled(found, Random(seed))[0].kind for seed in range(400)]
    assert 140 < first.count("negation") < 260
