"""One file's change as git's unified diff: exact for any content, in bounded time for hostile content.

Lines are matched by patience first (lines that occur once on both sides anchor the rest), then by difflib between the
anchors where both sides are short. A plain `difflib` call is cubic in the worst case, which a stranger could choose.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from sandbox.base import File

_CONTEXT = 3
_SMALL = 250_000  # lines of one side times lines of the other, up to which difflib may look between two anchors

Lines = Sequence[bytes]
Opcode = tuple[str, int, int, int, int]


def unified(path: str, before: File | None, after: File | None) -> str:
    """The change as text: header, modes, hunks. Bytes that are not UTF-8 come out as lone surrogates."""
    old, new = _quoted("a/" + path), _quoted("b/" + path)
    header = [f"diff --git {old} {new}\n"]
    if before is None and after is not None:
        header.append(f"new file mode {_mode(after)}\n")
    elif before is not None and after is None:
        header.append(f"deleted file mode {_mode(before)}\n")
    elif before is not None and after is not None and before.executable != after.executable:
        header += [f"old mode {_mode(before)}\n", f"new mode {_mode(after)}\n"]
    body = b"".join(_hunks(_lines(before), _lines(after)))
    if body:
        # A tab ends the name where a blank in it would make readers guess, as git does.
        header.append(f"--- {old + _tab(path) if before is not None else '/dev/null'}\n")
        header.append(f"+++ {new + _tab(path) if after is not None else '/dev/null'}\n")
    return "".join(header) + body.decode("utf-8", "surrogateescape")


def _mode(file: File) -> str:
    return "100755" if file.executable else "100644"


def _tab(path: str) -> str:
    return "\t" if " " in path else ""


def _quoted(path: str) -> str:
    """The name in git's quotes where it has a quote; backslashes and control characters never get this far."""
    return '"' + path.replace('"', '\\"') + '"' if '"' in path else path


def _lines(file: File | None) -> list[bytes]:
    """Lines with their line feeds; only a line feed ends a line (not the separators that `splitlines` knows)."""
    if file is None or not file.content:
        return []
    *whole, last = file.content.split(b"\n")
    return [line + b"\n" for line in whole] + ([last] if last else [])


def _hunks(old: Lines, new: Lines) -> Iterator[bytes]:
    for group in _grouped(old, new):
        first, last = group[0], group[-1]
        yield f"@@ -{_span(first[1], last[2])} +{_span(first[3], last[4])} @@\n".encode()
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (_line(b" ", line) for line in old[i1:i2])
            else:
                yield from (_line(b"-", line) for line in old[i1:i2])
                yield from (_line(b"+", line) for line in new[j1:j2])


def _line(sign: bytes, line: bytes) -> bytes:
    return sign + line if line.endswith(b"\n") else sign + line + b"\n\\ No newline at end of file\n"


def _span(start: int, end: int) -> str:
    length = end - start
    if length == 0:
        return f"{start},0"
    return f"{start + 1}" if length == 1 else f"{start + 1},{length}"


def _grouped(old: Lines, new: Lines) -> Iterator[list[Opcode]]:
    """Changes with their context, split where more than twice the context lies between two of them."""
    group: list[Opcode] = []
    for tag, i1, i2, j1, j2 in _opcodes(old, new):
        if tag != "equal":
            group.append((tag, i1, i2, j1, j2))
            continue
        if not group:
            group = [(tag, max(i1, i2 - _CONTEXT), i2, max(j1, j2 - _CONTEXT), j2)]
        elif i2 - i1 > 2 * _CONTEXT:
            yield [*group, (tag, i1, i1 + _CONTEXT, j1, j1 + _CONTEXT)]
            group = [(tag, i2 - _CONTEXT, i2, j2 - _CONTEXT, j2)]
        else:
            group.append((tag, i1, i2, j1, j2))
    if any(tag != "equal" for tag, *_ in group):
        tag, i1, i2, j1, j2 = group[-1]
        if tag == "equal":
            group[-1] = (tag, i1, min(i2, i1 + _CONTEXT), j1, min(j2, j1 + _CONTEXT))
        yield group


def _opcodes(old: Lines, new: Lines) -> Iterator[Opcode]:
    i = j = 0
    for i1, j1, length in _merged(old, new):
        if (i, j) != (i1, j1):
            yield "replace", i, i1, j, j1
        if length:
            yield "equal", i1, i1 + length, j1, j1 + length
        i, j = i1 + length, j1 + length


def _merged(old: Lines, new: Lines) -> Iterator[tuple[int, int, int]]:
    """Maximal runs of matching lines as (old start, new start, length); ends with an empty run at both ends."""
    run = (0, 0, 0)
    for i, j in _pairs(old, new):
        if (i, j) == (run[0] + run[2], run[1] + run[2]):
            run = (run[0], run[1], run[2] + 1)
        else:
            yield run
            run = (i, j, 1)
    yield run
    yield len(old), len(new), 0


def _pairs(old: Lines, new: Lines) -> Iterator[tuple[int, int]]:
    """Matched lines (old index, new index), both rising."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    tail = 0
    while tail < min(len(old), len(new)) - start and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    i_end, j_end = len(old) - tail, len(new) - tail
    yield from ((k, k) for k in range(start))
    i = j = start
    for anchor_i, anchor_j in [*_anchors(old, new, start, i_end, j_end), (i_end, j_end)]:
        yield from _between(old, new, (i, anchor_i), (j, anchor_j))
        if anchor_i < i_end:
            yield anchor_i, anchor_j
        i, j = anchor_i + 1, anchor_j + 1
    yield from ((i_end + k, j_end + k) for k in range(tail))


def _between(old: Lines, new: Lines, i_range: tuple[int, int], j_range: tuple[int, int]) -> Iterator[tuple[int, int]]:
    (i, i_end), (j, j_end) = i_range, j_range
    if not 0 < (i_end - i) * (j_end - j) <= _SMALL:
        return
    for block in SequenceMatcher(None, old[i:i_end], new[j:j_end]).get_matching_blocks():
        yield from ((i + block.a + k, j + block.b + k) for k in range(block.size))


def _anchors(old: Lines, new: Lines, start: int, i_end: int, j_end: int) -> list[tuple[int, int]]:
    """The longest rising sequence among lines that occur exactly once on each side (patience diff)."""
    once_old = {line for line, count in Counter(old[start:i_end]).items() if count == 1}
    once_new = {line for line, count in Counter(new[start:j_end]).items() if count == 1}
    common = once_old & once_new
    where = {new[j]: j for j in range(start, j_end) if new[j] in common}
    piles: list[int] = []  # the smallest last new-index of a rising sequence of each length
    tops: list[int] = []  # its position in `cards`
    cards: list[tuple[int, int, int]] = []  # old index, new index, position of the card before it
    for i in range(start, i_end):
        if old[i] not in common:
            continue
        j = where[old[i]]
        pile = bisect_left(piles, j)
        cards.append((i, j, tops[pile - 1] if pile else -1))
        piles[pile : pile + 1] = [j]
        tops[pile : pile + 1] = [len(cards) - 1]
    chain: list[tuple[int, int]] = []
    at = tops[-1] if tops else -1
    while at >= 0:
        i, j, at = cards[at]
        chain.append((i, j))
    return chain[::-1]
