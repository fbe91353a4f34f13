"""The bounded reader."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.output import Kept


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(0, 50))
def test_head_and_tail_of_any_stream(chunks: list[bytes], limit: int) -> None:
    kept, whole = Kept(limit), b"".join(chunks)
    for chunk in chunks:
        kept.add(chunk)
    half = limit // 2
    expected = whole if len(whole) <= limit else whole[: limit - half] + (whole[-half:] if half else b"")
    assert kept.content == expected
    assert kept.dropped == len(whole) - len(expected)
