"""Figures of how belief in the best agent went over evaluations, time and money: of one run, or of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from archive import Tally
from evolve.report.course import Course, Floats
from evolve.report.facts import RunFacts
from evolve.report.style import BLUE, GREY, INK, Picture, blank, in_percent

HEIGHT = 3.5
MOST_POINTS = 600
"""Of a line; a reader sees no more, and a page of a large run stays small."""
NEAR = 0.035
"""Share of the axis' length under which two agents' names would touch."""
SHORT_HOURS = 2.0
"""Less is told in minutes."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What a course is drawn over."""

    name: str
    label: str
    of: Callable[[Course], Floats]


def scales(courses: Sequence[Course]) -> list[Scale]:
    """Evaluations, time, and what was spent: dollars, or tokens where nothing was charged."""
    longest = max((course.hours[-1] for course in courses if len(course.hours)), default=0.0)
    minutes = longest < SHORT_HOURS
    hours = Scale(
        "hours",
        f"{'minutes' if minutes else 'hours'} at work",
        lambda course: course.hours * (60 if minutes else 1),
    )
    paid = any(course.usd[-1] > 0 for course in courses if len(course.usd))
    money = Scale("dollars", "US dollars spent", lambda course: course.usd)
    tokens = Scale("tokens", "million tokens (nothing was charged)", lambda course: course.tokens / 1e6)
    evaluations = Scale("evaluations", "evaluations with a verdict", lambda course: course.evaluations.astype(float))
    return [evaluations, hours, money if paid else tokens]


def ways(run: RunFacts) -> list[Picture]:
    """The run's best agent over each scale; none before the first verdict."""
    return [_way(run, scale) for scale in scales([run.course])] if len(run.course.agent) else []


def _way(run: RunFacts, scale: Scale) -> Picture:
    course = run.course
    figure, axes = blank(HEIGHT)
    places = course.thinned(MOST_POINTS)
    x = scale.of(course)
    axes.fill_between(
        x[places], course.low[places], course.high[places], step="post", color=BLUE, alpha=0.18, linewidth=0,
        label="95 % interval",
    )  # fmt: skip
    axes.plot(x[places], course.belief[places], drawstyle="steps-post", color=BLUE, linewidth=1.8, label="best agent")
    seed = seed_belief(run)
    if seed is not None:
        axes.axhline(seed, color=GREY, linestyle=(0, (5, 3)), linewidth=1.2, label="the seed, as known at the end")
    framed(axes, scale.label, float(x[-1]))
    axes.set_ylabel("share of tasks solved, believed")
    axes.set_ylim(0, 1)
    _name_changes(axes, x, course)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=3, handlelength=1.6, columnspacing=1.4)
    last = f"agent {course.agent[-1]}: {100 * course.belief[-1]:.0f} %"
    span = f"{100 * course.low[-1]:.0f} to {100 * course.high[-1]:.0f} %"
    return Picture(
        f"best-{scale.name}",
        f"Best belief over {scale.label}",
        f"The mean and 95 % interval of the posterior of the best agent; above, its number where it changes. At the "
        f"end {last} ({span}).",
        figure,
    )


def framed(axes: Axes, label: str, end: float) -> None:
    """What all figures over a scale share."""
    axes.set_xlabel(label)
    axes.set_xlim(0, max(end, 1e-9) * 1.01)
    in_percent(axes.yaxis)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)


def seed_belief(run: RunFacts) -> float | None:
    """The posterior mean of the seed's success rate; None while it is not measured."""
    own = run.family[0].own if run.family else Tally()
    return own.belief if own.n else None


def _name_changes(axes: Axes, x: Floats, course: Course) -> None:
    """Above the axes the number of each new best agent, as far as there is room, the last one in any case."""
    changes = course.changes()
    for place in changes:
        axes.plot([x[place]] * 2, [1.0, 1.018], color=INK, linewidth=0.8, clip_on=False)
    room = NEAR * max(float(x[-1]), 1e-9)
    taken: list[tuple[float, float]] = []
    for place in [changes[-1], *changes[:-1]]:
        half = room * (0.3 + 0.35 * len(str(course.agent[place])))
        if all(abs(x[place] - at) >= half + other for at, other in taken):
            taken.append((float(x[place]), half))
            axes.annotate(
                str(course.agent[place]), (float(x[place]), 1.02), ha="center", va="bottom", fontsize=8.5,
                annotation_clip=False,
            )  # fmt: skip
    axes.set_title("best agent:", fontsize=8.5, pad=16)
