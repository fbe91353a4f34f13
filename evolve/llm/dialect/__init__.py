"""What stands between an agent's chat completions and what a model can take and give. Pure functions.

`prepare` makes a request fit to be sent; `read` looks at what came back: what can be mended is mended, and what cannot
be used is named, so that the meter asks once more (`again`). Whatever is done to a request or an answer is an event of
`EVENTS`, counted per model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evolve.llm.base import Json, ToolProtocol
from evolve.llm.dialect.events import EVENTS
from evolve.llm.dialect.fenced import prepare_fenced, read_fenced
from evolve.llm.dialect.history import mended
from evolve.llm.dialect.reading import read_tools
from evolve.llm.dialect.repeat import again
from evolve.llm.dialect.shapes import Prepared, Reading

__all__ = ["EVENTS", "Prepared", "Reading", "again", "prepare", "read"]


def prepare(request: Mapping[str, Any], protocol: ToolProtocol) -> Prepared:
    """`request` (cleaned chat completions) as the model is to see it; the given one stays as it is."""
    messages, events = mended(request["messages"])
    sent = {**request, "messages": messages}
    return Prepared(prepare_fenced(sent) if protocol == "fenced" else sent, tuple(events))


def read(body: Json, request: Mapping[str, Any], protocol: ToolProtocol) -> Reading:
    """An answer's body, for the agent's own request (before `prepare`); the given one stays as it is."""
    return read_fenced(body, request) if protocol == "fenced" else read_tools(body, request)
