"""How the reading verbs print: untrusted text made visible, numbers in one style, diffs coloured, JSON safe to show."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TextIO

import click
from rich.console import Console, RenderableType
from rich.text import Text

from archive import Bill, Outcome, Tally, visible
from evolve.statistics.paired import Paired
from evolve.statistics.posterior import Skill

__all__ = [
    "bill_text",
    "console",
    "count",
    "diff_text",
    "echo_json",
    "fraction",
    "outcome_text",
    "paired_lines",
    "percent",
    "plain",
    "plot",
    "points",
    "print_table",
    "score_text",
    "span",
    "sure",
    "visible",
]

PLOT_WIDTH = 13
DIFF_STYLES = {"@@": "cyan", "+++": "bold", "---": "bold", "+": "green", "-": "red", "Binary files": "magenta"}


def console(file: TextIO | None = None) -> Console:
    """A rich console on standard output or a file: colour only on a terminal (NO_COLOR is honoured), no markup ever."""
    out = sys.stdout if file is None else file
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    return Console(file=out, markup=False, emoji=False, highlight=False)


def plain(text: str, style: str = "") -> Text:
    """One line of untrusted text."""
    return Text(visible(text, keep=""), style)


def print_table(out: Console, renderable: RenderableType) -> None:
    """Print what rich pads to a rectangle; where nobody sees the padding (a pipe, a file), without it."""
    if out.is_terminal:
        out.print(renderable)
        return
    with out.capture() as captured:
        out.print(renderable)
    out.file.write("".join(line.rstrip() + "\n" for line in captured.get().removesuffix("\n").split("\n")))


def echo_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output, ASCII only, so that nothing in it can steer a terminal."""
    click.echo(json.dumps(document, indent=1, default=_jsonable))


def _jsonable(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")


def percent(share: float | None, digits: int = 0) -> str:
    return "–" if share is None else f"{share:.{digits}%}".replace("%", " %")


def points(share: float) -> str:
    """A difference of two rates in percentage points, with its sign."""
    return f"{100 * share:+.0f}"


def sure(probability: float) -> str:
    if probability > 0.999:
        return "above 99.9 %"
    return "below 0.1 %" if probability < 0.001 else percent(probability, 1)


def paired_lines(paired: Paired, first: str, second: str) -> list[str]:
    """A paired comparison in three lines."""
    return [
        f"on the same {count(paired.n, 'task')}: {first} {paired.a.passed}, {second} {paired.b.passed}; "
        f"solved by {first} only {paired.only_a}, by {second} only {paired.only_b}",
        f"difference {points(paired.difference)} points, 95 % credible {points(paired.low)} to {points(paired.high)}; "
        f"P({first} is better) {sure(paired.p_better)}",
        f"exact McNemar p = {paired.p:.2g}",
    ]


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def score_text(raw: Tally, skill: Skill | None) -> str:
    """An agent's raw score and its skill, each with its 95 % interval in brackets."""
    parts = [f"raw {raw.passed} of {raw.n}, {span(raw.mean, *raw.interval())}" if raw.n else "not measured yet"]
    if skill is not None:
        parts.append(f"skill {span(skill.mean, skill.low, skill.high)}")
    return "; ".join(parts)


def span(mean: float | None, low: float, high: float) -> str:
    """A mean and its interval, in per cent."""
    return f"{percent(mean)} ({100 * low:.0f} to {100 * high:.0f})"


def fraction(tally: Tally) -> str:
    return f"{tally.passed}/{tally.n}" if tally.n else "–"


def plot(tally: Tally, width: int = PLOT_WIDTH) -> str:
    """The 95 % interval and the mean on an axis from 0 to 1; blank without evidence."""
    if tally.mean is None:
        return ""
    low, high = (round(edge * (width - 1)) for edge in tally.interval())
    middle = round(tally.mean * (width - 1))
    low, high = min(low, middle), max(high, middle)
    return "".join("●" if at == middle else "─" if low <= at <= high else " " for at in range(width))


def outcome_text(outcome: Outcome | None) -> Text:
    """An outcome in its colour: evidence for, evidence against, or none."""
    if outcome is None:
        return Text("under way", "yellow")
    good = outcome in (Outcome.RESOLVED, Outcome.BORN)
    return Text(outcome.value, "green" if good else "magenta" if outcome is Outcome.VOID else "red")


def bill_text(bill: Bill) -> str:
    tokens = bill.input_tokens + bill.output_tokens
    return f"${bill.usd:.2f}, {count(tokens, 'token')}, {count(bill.calls, 'call')}"


def diff_text(diff: str) -> Text:
    """A unified diff, untrusted, coloured by line."""
    text = Text()
    if not diff:
        return text
    for line in diff.removesuffix("\n").split("\n"):
        style = next((style for start, style in DIFF_STYLES.items() if line.startswith(start)), "")
        text.append(visible(line, keep="\t") + "\n", style)
    return text
