"""Markup: whatever a stranger wrote arrives as text, and as nothing else."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from archive import visible
from evolve.report.markup import Html, element, escaped, joined, void

TEXT = st.text(st.characters(exclude_categories=()), max_size=60) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "\x1b[31mred", "a\u202eb", "\ud800"]
)


class Reader(HTMLParser):
    """What a parser makes of it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@given(inside=TEXT, beside=TEXT)
def test_a_text_is_a_text_wherever_it_stands(inside: str, beside: str) -> None:
    html = element("p", inside, element("b", beside), title=beside)
    html.encode("utf-8")
    found = read(html)
    assert found.text == visible(inside) + visible(beside)
    assert [tag for tag, _ in found.tags] == ["p", "b"]
    assert found.tags[0][1] == {"title": visible(beside)}


def test_html_is_not_escaped_twice_and_a_part_of_it_is_a_text_again() -> None:
    bold = element("b", "1 < 2")
    assert escaped(bold) == "<b>1 &lt; 2</b>"
    assert joined(bold, "&") == "<b>1 &lt; 2</b>\n&amp;"
    assert element("p", bold[:3]) == "<p>&lt;b&gt;</p>"
    assert void("img", class_="x", alt='"') == '<img class="x" alt="&quot;">'
    assert isinstance(bold, Html)
