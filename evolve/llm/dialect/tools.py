"""The tools that a request offers, and whether a call fits one of them. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evolve.llm.base import Json
from evolve.llm.dialect.arguments import scan

_DECORATION = re.compile(r"\A(?:functions?\.|tools?\.|default_api\.)?(?P<name>[^\s<:(]+)(?:[\s<:(].*)?\Z", re.DOTALL)
"""Namespaces before a name, and what models leave behind it: `functions.bash:0`, `bash<|channel|>commentary`."""
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


@dataclass(frozen=True, slots=True)
class Tool:
    """One function of a request."""

    name: str
    description: str
    parameters: Json

    @property
    def properties(self) -> dict[str, Any]:
        properties = self.parameters.get("properties")
        return properties if isinstance(properties, dict) else {}

    @property
    def required(self) -> list[str]:
        required = self.parameters.get("required")
        return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def offered(request: Mapping[str, Any]) -> dict[str, Tool]:
    """A request's tools by name; none where it forbids to call them."""
    if request.get("tool_choice") == "none":
        return {}
    functions = [tool["function"] for tool in request.get("tools") or ()]
    tools = [Tool(each["name"], each.get("description") or "", each.get("parameters") or {}) for each in functions]
    return {tool.name: tool for tool in tools}


def named(tools: Mapping[str, Tool], name: str) -> Tool | None:
    """The tool that a model means by a name, decorated or not."""
    if name in tools:
        return tools[name]
    bare = _DECORATION.match(name.strip())
    return tools.get(bare["name"]) if bare else None


def misfit(tool: Tool, arguments: Mapping[str, object]) -> str | None:
    """Why arguments that we read ourselves are not for this tool: a field missing or unknown. None if they fit."""
    for name in tool.required:
        if name not in arguments:
            return f"the field {name!r} is missing"
    for name in arguments:
        if name not in tool.properties and (tool.properties or tool.required):
            return f"{tool.name} has no field {name!r}"
    return None


def typed(tool: Tool, texts: Mapping[str, str]) -> Json:
    """Values that were written as plain text, with the types of the tool's schema. Raises: `ValueError`."""
    return {name: _typed(name, text, tool.properties.get(name)) for name, text in texts.items()}


def _typed(name: str, text: str, schema: object) -> object:
    kinds = _kinds(schema)
    if kinds and kinds != {"string"}:
        value = _json(text)
        wanted = tuple(each for kind in kinds - {"string"} for each in _JSON_TYPES.get(kind, ()))
        if isinstance(value, wanted) and (not isinstance(value, bool) or "boolean" in kinds):
            return value
        if "string" not in kinds:
            raise ValueError(f"the field {name!r} must be of type {' or '.join(sorted(kinds))}")
    return text


def _kinds(schema: object) -> set[str]:
    """Types that a schema allows; empty if it does not say."""
    if not isinstance(schema, dict):
        return set()
    kinds = schema.get("type")
    found = {kinds} if isinstance(kinds, str) else set(kinds) if isinstance(kinds, list) else set()
    for branch in (*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())):
        found |= _kinds(branch)
    return {kind for kind in found if isinstance(kind, str)}


class _Nothing:
    """What a text that is no JSON stands for: an instance of no JSON type."""


def _json(text: str) -> object:
    try:
        value, end = scan(text, 0)
    except ValueError:
        return _Nothing()
    return value if not text[end:].strip() else _Nothing()
