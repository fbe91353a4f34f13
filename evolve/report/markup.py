"""HTML that is safe by construction: whatever is not an `Html` already is escaped, control characters made visible."""

from __future__ import annotations

import html

from archive import visible


class Html(str):
    """Text that is HTML. Only this module makes it, and the page from constants and from base64."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Untrusted text; line breaks and tabs stay."""
    return text if isinstance(text, Html) else Html(html.escape(visible(text)))


def element(tag: str, *children: str, **attributes: str) -> Html:
    """`<tag attributes>children</tag>`; an attribute `class_` is `class`."""
    inner = "".join(map(escaped, children))
    return Html(f"<{tag}{_attributes(attributes)}>{inner}</{tag}>")


def void(tag: str, **attributes: str) -> Html:
    """An element that has no end, such as an image."""
    return Html(f"<{tag}{_attributes(attributes)}>")


def joined(*parts: str) -> Html:
    return Html("\n".join(map(escaped, parts)))


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(f' {name.rstrip("_")}="{escaped(value)}"' for name, value in attributes.items())
