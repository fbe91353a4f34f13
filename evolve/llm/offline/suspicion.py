"""In which order changes are tried to make a failing test pass: what the failing output and the code itself suggest."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from evolve.llm.offline.candidates import Edit, as_edit, mutations, parses
from evolve.llm.offline.chance import gumbel
from evolve.llm.offline.mutation import Mutation
from evolve.syntax import literal, parse

PRIOR: Mapping[str, float] = {
    "compare": 0.8, "arithmetic": 0.8, "insert": 0.8, "boolean": 0.4, "constant": 0.3, "switch": 0.3, "call": 0.2,
    "order": 0.2, "subscript": 0.0, "move": 0.0, "negate": -0.2, "name": -0.4, "swap": -0.4, "delete": -0.5,
    "offset": -0.8, "scale": -2.0, "duplicate": -3.0, "text": -4.0,
}  # fmt: skip
"""Log-weights of the kinds of change: simple slips are likelier than others."""

LOOP = 0.7
"""Taken off the log-weight of a change inside a `while` loop: it may never end."""
HUNG = 2.0
"""Taken off where another change of the same line has led to a check that did not end."""

EXPECTED_GOT = (
    re.compile(r"Expected:\n\s+(?P<want>.+)\nGot:\n\s+(?P<got>.+)"),
    re.compile(r"expected:? (?P<want>.+?),? (?:but )?got:? (?P<got>.+)", re.IGNORECASE),
    re.compile(r"got:? (?P<got>.+?),? expected:? (?P<want>.+)", re.IGNORECASE),
    re.compile(r"^E?\s*assert (?P<got>.+) == (?P<want>[^=\n]+)$", re.MULTILINE),
    re.compile(r"AssertionError: (?P<got>.+) != (?P<want>.+)"),
)
EXCEPTIONS: Mapping[str, tuple[str, ...]] = {
    "IndexError": ("subscript", "offset", "constant", "compare", "arithmetic"),
    "KeyError": ("name", "compare", "negate", "constant"),
    "NameError": ("name", "swap", "move", "delete"),
    "UnboundLocalError": ("name", "swap", "move"),
    "TypeError": ("arithmetic", "name", "call", "subscript"),
    "AttributeError": ("name", "call"),
    "ValueError": ("call", "constant", "subscript"),
    "ZeroDivisionError": ("arithmetic", "constant", "name", "offset"),
    "RecursionError": ("compare", "constant", "arithmetic"),
    "timed out": ("compare", "arithmetic", "constant", "boolean", "delete"),
}


@dataclass(frozen=True)
class Hints:
    """What a failing output suggests: log-weights added for lines of a file, and for kinds of change."""

    lines: Mapping[tuple[str, int], float] = field(default_factory=dict)
    kinds: Mapping[str, float] = field(default_factory=dict)


def hints_in(output: str) -> Hints:
    """Read a failing output for places and for the nature of the fault."""
    lines: Counter[tuple[str, int]] = Counter()
    for path, number in re.findall(r'File "(?:\S*/)?([^/"]+)", line (\d+)', output)[-6:]:
        lines[path, int(number)] += 1
    kinds: Counter[str] = Counter()
    for name, suggested in EXCEPTIONS.items():
        if name in output:
            kinds.update(dict.fromkeys(suggested, 1))
    for want, got in _pairs(output):
        kinds.update(dict.fromkeys(_by_difference(want, got), 1))
    return Hints(
        {place: min(2.0, 1.0 * n) for place, n in lines.items()}, {kind: min(1.5, 0.8 * n) for kind, n in kinds.items()}
    )


def _pairs(output: str) -> list[tuple[object, object]]:
    pairs = []
    for pattern in EXPECTED_GOT:
        for found in list(pattern.finditer(output))[:3]:
            try:
                pairs.append((literal(found["want"].strip()), literal(found["got"].strip())))
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    return pairs


def _by_difference(want: object, got: object) -> tuple[str, ...]:
    """Kinds of change that can explain how a result differs from the wanted one."""
    if got is None:
        return ("insert", "move", "negate", "compare")
    if isinstance(want, bool) and isinstance(got, bool):
        return ("compare", "boolean", "negate", "switch")
    if isinstance(want, int | float) and isinstance(got, int | float):
        if abs(want - got) == 1:
            return ("constant", "compare", "offset", "subscript")
        return ("arithmetic", "constant", "name", "call")
    if isinstance(want, str | list | tuple) and isinstance(got, str | list | tuple):
        if sorted(map(repr, want)) == sorted(map(repr, got)):
            return ("call", "subscript", "swap", "order")
        if len(want) == len(got):
            return ("arithmetic", "constant", "name", "call")
        return ("compare", "subscript", "offset", "negate", "boolean")
    return ("call", "arithmetic", "name")


def next_repair(
    texts: Mapping[str, str],
    tried: Collection[Edit],
    hung: Collection[Edit],
    hints: Hints,
    seed: int,
    temperature: float,
) -> Edit | None:
    """The untried change that ranks first; None if there is none left.

    `hung` are the tried ones after which the check did not end: what stands next to them had better be left alone.
    """
    risky = {(edit.path, line) for edit in hung for line in edit.old.split("\n")}
    ranked: list[tuple[float, str, Mutation]] = []
    for path, text in texts.items():
        unused = _unused_names(text)
        lines = text.split("\n")
        loops = _while_lines(text)
        base = path.rsplit("/", 1)[-1]
        for mutation in mutations(text):
            weight = PRIOR[mutation.kind] + hints.kinds.get(mutation.kind, 0.0)
            weight += hints.lines.get((base, mutation.line), 0.0)
            if mutation.kind == "name" and mutation.text in unused:
                weight += 1.5
            if mutation.line in loops:
                weight -= LOOP
            if (path, lines[mutation.line - 1]) in risky:
                weight -= HUNG
            noise = gumbel(seed, path, mutation.line, mutation.kind, mutation.text, mutation.start)
            ranked.append((weight + temperature * noise, path, mutation))
    ranked.sort(key=lambda entry: -entry[0])
    for _, path, mutation in ranked:
        edit = as_edit(path, texts[path], mutation)
        if edit is not None and edit not in tried:
            return edit
    return None


def _while_lines(text: str) -> set[int]:
    loops = [node for node in ast.walk(parse(text)) if isinstance(node, ast.While)] if parses(text) else []
    return {line for loop in loops for line in range(loop.lineno, (loop.end_lineno or loop.lineno) + 1)}


def _unused_names(text: str) -> set[str]:
    """Parameters and variables that are set but never read: something may have been meant to use them."""
    if not parses(text):
        return set()
    tree = parse(text)
    stored = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    loaded: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (loaded if isinstance(node.ctx, ast.Load) else stored).add(node.id)
    return stored - loaded
