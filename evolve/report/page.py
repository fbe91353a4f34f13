"""The page around a report: one HTML file that loads nothing, executes nothing and prints well."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from evolve.report.markup import Html, element, joined, void
from evolve.report.style import Picture

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Of the page: no script at all, nothing from anywhere else, figures from the page itself."""
STYLE = Html(
    """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; color: #1a1a1a; background: #fff;
  font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #bbb; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p, ul { max-width: 48rem; margin: .4rem 0; }
figure { margin: .8rem 0; }
figure img { width: 100%; max-width: 46rem; height: auto; display: block; }
figcaption { color: #444; font-size: .875rem; max-width: 46rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 1.5rem;
  align-items: start; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #ddd; }
th { font-weight: 600; border-bottom: 2px solid #888; white-space: nowrap; }
td { overflow-wrap: normal; }
td.text { min-width: 9rem; overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
.short { white-space: nowrap; }
tr.best td { font-weight: 600; background: #fdf1e7; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; margin: .6rem 0; }
dt { color: #555; } dd { margin: 0; }
.answer { font-size: 1.1rem; border-left: 4px solid #0072B2; padding: .3rem .8rem; margin: .8rem 0; max-width: 48rem; }
.warning { border-left: 4px solid #D55E00; padding: .1rem .8rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: .6rem; font-size: .8rem;
  margin: .4rem 0; }
summary { cursor: pointer; }
footer { margin-top: 3rem; border-top: 1px solid #bbb; color: #555; font-size: .8rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dt { margin-top: .4rem; } body { padding: .7rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } figure, tr, .answer { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .scroll { overflow: visible; } .figures { grid-template-columns: 1fr 1fr; } }
"""
)


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table."""

    name: str
    kind: str = "text"
    """`number` is set flush right; `text` may wrap; `short` does not."""


def page(title: str, body: Iterable[str]) -> str:
    """The whole file."""
    head = joined(
        void("meta", charset="utf-8"),
        void("meta", **{"http-equiv": "Content-Security-Policy"}, content=POLICY),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", STYLE),
    )
    made = element("footer", element("p", f"Made by clade report, Clade {version('clade-evolve')}."))
    whole = element("html", head, element("body", joined(*body, made)), lang="en")
    return f"<!doctype html>\n{whole}\n"


def drawn(picture: Picture, svg: bytes) -> Html:
    """A figure, as an image: whatever is in it, it can neither run nor change anything of the page."""
    source = Html("data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii"))
    image = void("img", src=source, alt=f"{picture.title}. {picture.about}")
    return element(
        "figure",
        image,
        element(
            "figcaption",
            element("strong", f"{picture.title}{'' if picture.title.endswith('?') else '.'} "),
            picture.about,
        ),
    )


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], marked: int | None = None) -> Html:
    """A table that scrolls by itself where it is wider than the page. `marked`: the row to stand out."""
    head = element("tr", *(element("th", each.name, class_=each.kind) for each in columns))
    lines = []
    for number, row in enumerate(rows):
        cells = [element("td", cell, class_=each.kind) for cell, each in zip(row, columns, strict=True)]
        lines.append(element("tr", *cells, class_="best" if number == marked else "plain"))
    return element("div", element("table", element("thead", head), element("tbody", *lines)), class_="scroll")


def listed(facts: Iterable[tuple[str, str]]) -> Html:
    """Names and what they are."""
    return element("dl", *(part for name, what in facts for part in (element("dt", name), element("dd", what))))


def folded(title: str, *inside: str) -> Html:
    """What only some readers want."""
    return element("details", element("summary", title), *inside)


def excerpt(text: str, lines: int, characters: int) -> str:
    """The beginning of a stranger's text; it may be of any length."""
    short = text[:characters]
    kept = short.strip().split("\n")[:lines]
    shown = "\n".join(kept)
    return shown if len(shown) >= len(text.strip()) else f"{shown}\n… ({len(text):,} characters in all)"
