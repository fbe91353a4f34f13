"""What stands between an agent's chat completions and what a model can take and give. Pure functions.

`prepare` makes a request fit to be sent; `read` looks at what came back: what can be mended is mended, and what cannot
be used is named, so that the meter asks once more. Whatever is done to a request or an answer is an event, counted per
model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evolve.llm.base import Json, ToolProtocol


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as it is sent."""

    request: Json
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as the agent shall get it."""

    body: Json
    events: tuple[str, ...] = ()
    broken: str | None = None
    """Why the answer cannot be used as it stands, in a few words; it is asked for once more."""


def prepare(request: Mapping[str, Any], protocol: ToolProtocol) -> Prepared:
    """`request` (cleaned chat completions) as the model is to see it."""
    return Prepared(dict(request))


def read(body: Json, request: Mapping[str, Any], protocol: ToolProtocol) -> Reading:
    """An answer's body, for the agent's own request (before `prepare`)."""
    return Reading(body)


def again(request: Mapping[str, Any], body: Json, broken: str) -> Json:
    """The one further request (to be sent as it is) after an answer that was broken."""
    return dict(request)
