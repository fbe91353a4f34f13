"""Untrusted text made harmless to show: what agents, tasks and models wrote must not steer a terminal or a reader."""

from __future__ import annotations

import unicodedata


def visible(text: str, keep: str = "\n\t") -> str:
    """The text with every character that has no glyph of its own written as `\\xNN`, `\\uNNNN` or `\\UNNNNNNNN`.

    That is control characters (terminal escapes begin with one), format characters (which reorder or hide what
    surrounds them), line and paragraph separators, surrogates, and code points that Unicode leaves unassigned or
    private. Those in `keep` stay.
    """
    return "".join(_escaped(char) if _hidden(char) and char not in keep else char for char in text)


def _hidden(char: str) -> bool:
    category = unicodedata.category(char)
    return category.startswith("C") or category in ("Zl", "Zp")


def _escaped(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
