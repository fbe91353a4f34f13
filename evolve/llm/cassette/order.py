"""The order of a recorded run's moves, from the lines of an index. Pure functions and values.

A run's decisions depend on which moves had ended when each was made, and with several workers that depends on the
clock. So the cassette keeps the order in which moves were launched and landed, and a replay follows it. Where the
recording process died, what it had under way was cut off: these moves are launched in a replay too, because later
decisions saw them under way, and end as they did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from evolve.llm.base import Json


@dataclass(frozen=True, slots=True)
class Landing:
    """What came of a move, as far as another run can be held to it."""

    outcome: str
    reason: str
    child: str = ""
    """Hash of the code of the agent that was born."""

    @classmethod
    def of(cls, line: Json) -> Landing | None:
        """From a `landed` line; None where an earlier version wrote it, which did not tell."""
        if "outcome" not in line:
            return None
        return cls(line["outcome"], line["reason"], line.get("child", ""))

    @property
    def fields(self) -> Json:
        """For a `landed` line."""
        return {"outcome": self.outcome, "reason": self.reason, **({"child": self.child} if self.child else {})}


@dataclass(frozen=True, slots=True)
class Launch:
    """A move of the recorded run."""

    number: int
    """Of the launches on the cassette, from 0; calls refer to it."""
    move: str
    """Its name in the recorded run, such as `evaluation-17`."""
    decision: int | None
    """None if no policy chose it."""
    what: str
    """In words that are the same in every replay, such as `evaluate agent 3 on 012-median`."""
    landed: bool
    """False if it was cut off."""
    landing: Landing | None = None
    """None where it was cut off, or the cassette does not tell."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a recorded run did next."""

    kind: Literal["launched", "landed", "cut"]
    """`cut`: the process died, or stopped at once; all that was under way was cut off."""
    launch: Launch | None = None
    landed: frozenset[int] | None = None
    """Of a launch that is made up for later: the launches (by number) that had landed before it; None otherwise."""
    flying: frozenset[int] = frozenset()
    """Of the same, those that were under way."""


def launches_of(lines: Iterable[Json]) -> list[Launch]:
    """All moves of a cassette, in the order of their launches. Of several landings of a move the last one holds."""
    lines = list(lines)
    landings = {line["move"]: Landing.of(line) for line in lines if line["event"] == "landed"}
    launched = [line for line in lines if line["event"] == "launched"]
    return [
        Launch(number, line["name"], line.get("decision"), line["what"], number in landings, landings.get(number))
        for number, line in enumerate(launched)
    ]


def steps_of(lines: Iterable[Json], launches: Sequence[Launch]) -> list[Step]:
    """What the recorded run did, its chosen moves alone; ends with `cut` if moves were under way at the end."""
    steps: list[Step] = []
    flying: set[int] = set()
    number = 0
    for line in lines:
        match line["event"]:
            case "launched":
                if launches[number].decision is not None:
                    steps.append(Step("launched", launches[number]))
                    flying.add(number)
                number += 1
            case "landed" if line["move"] in flying:
                steps.append(Step("landed", launches[line["move"]]))
                flying.discard(line["move"])
            case "session" if flying:
                steps.append(Step("cut"))
                flying.clear()
    return [*steps, Step("cut")] if flying else steps


def rest_after(steps: Sequence[Step], landed: int) -> list[Step]:
    """The steps that are left to be done when so many moves have landed, and nothing is under way.

    Those that were under way at that point come first: they are launched again as of the moment they were launched at.
    """
    position, count = 0, 0
    while count < landed:
        count += steps[position].kind == "landed"
        position += 1
    again = []
    down: set[int] = set()
    up: dict[int, Step] = {}
    for step in steps[:position]:
        if step.kind == "cut":
            up.clear()
        elif step.launch is not None and step.kind == "launched":
            up[step.launch.number] = Step("launched", step.launch, frozenset(down), frozenset(up))
        elif step.launch is not None:
            down.add(step.launch.number)
            del up[step.launch.number]
    again = list(up.values())
    return [*again, *steps[position:]]
