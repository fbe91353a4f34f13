"""Untrusted text, made visible."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from archive import visible


def test_what_could_steer_a_terminal_or_mislead_a_reader_shows() -> None:
    assert visible("\x1b[31mred\x07\r") == "\\x1b[31mred\\x07\\x0d"
    assert visible("a\u202eb\u200bc\u2066\ufeff") == "a\\u202eb\\u200bc\\u2066\\ufeff"
    assert visible("\x9b31m\ud800\u2028\U000e0041") == "\\x9b31m\\ud800\\u2028\\U000e0041"
    assert visible("tab\tline\n") == "tab\tline\n"
    assert visible("tab\tline\n", keep="") == "tab\\x09line\\x0a"
    assert visible("naïve 日本 😀 [bold]") == "naïve 日本 😀 [bold]"


@given(st.text())
def test_no_control_or_format_character_is_left(text: str) -> None:
    shown = visible(text, keep="")
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    assert visible(shown, keep="") == shown
