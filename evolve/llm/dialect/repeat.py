"""The one further request after an answer that was broken. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evolve.llm.base import Json

_CALL = "To call a tool, make a proper tool call with a JSON object as its arguments."
_BLOCK = "To run a tool, write one complete block in the form described."
_NOTE = "[An answer to this was thrown away, for {broken}. {how} If you are done, say so in plain words.]"


def again(request: Mapping[str, Any], body: Json, broken: str) -> Json:
    """`request` (as it was sent) with a note of what was wrong with the answer `body`.

    The broken answer is not shown: many servers refuse a conversation that holds one, and models copy what they see.
    The note stands at the end of the last message and not in one of its own, as some services refuse a user's turn
    behind a tool's, or two of the same role in a row.
    """
    note = _NOTE.format(broken=broken.rstrip("."), how=_CALL if request.get("tools") else _BLOCK)
    *before, last = request["messages"]
    content = last.get("content")
    if last["role"] not in ("user", "tool"):
        return {**request, "messages": [*before, last, {"role": "user", "content": note}]}
    if isinstance(content, list):
        noted: object = [*content, {"type": "text", "text": note}]
    else:
        noted = f"{content or ''}\n\n{note}".lstrip()
    return {**request, "messages": [*before, {**last, "content": noted}]}
