"""How figures look, and how they become files.

Colours that colour-blind readers can tell apart, dark text, and the same bytes for the same figure. Here matplotlib is
set up; only modules that draw import it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 5.8
"""Inches: on a telephone of 390 pixels the smallest text is still 7 pixels high."""
BLUE, ORANGE, GREEN, PURPLE, SKY, BROWN, GREY = (
    "#0072B2", "#D55E00", "#007D5A", "#A8497C", "#3FA0DA", "#8C6200", "#6E6E6E"
)  # fmt: skip
"""After M. Okabe and K. Ito, "Color Universal Design" (2008), the light ones darker: lines on white need contrast."""
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, BROWN, "#000000")
DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1, 1.5)))
MARKS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#1a1a1a"
SCALE = "cividis"
"""From 0 to 1; made for colour-blind readers, and it stays one in print without colours."""
SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": "#555555",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that figures are equal everywhere
    "font.size": 9.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "path.simplify": True,
    "svg.fonttype": "path",
    "svg.hashsalt": "clade",  # ids by content, not by chance
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a stranger's word begins no formula
    "xtick.color": INK,
    "ytick.color": INK,
}
DPI = 200
"""Of PNG files, and of what is drawn as pixels within SVG files."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A figure with its words."""

    name: str
    """Of its files."""
    title: str
    about: str
    """What is seen in it: the text under it, and instead of it for who cannot see it."""
    figure: Figure


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save in it: nothing of a user's own matplotlib settings applies."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names may be in any script
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def blank(height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes. `height` in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def in_percent(axis: Any) -> None:
    """Ticks of an axis of shares."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")


def saved(figure: Figure, kind: str) -> bytes:
    """The figure as `svg` or `png`; the same bytes for the same figure."""
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return out.getvalue()
