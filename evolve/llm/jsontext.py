"""JSON to and from bytes, at orjson's speed where it can and by the standard library where orjson will not.

A conversation of a hundred turns is written and read several times per call, on the one loop that serves all rollouts.
orjson refuses what is legal JSON but no text (lone surrogates) or beyond 64 bits; the standard library takes both.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def loads(raw: bytes | str) -> Any:
    """The value of a JSON text. Raises: `ValueError`, and `RecursionError` for what nests too deep."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return json.loads(raw, parse_constant=_no_constant)


def dumps(value: object) -> bytes:
    """A JSON text, compact, as UTF-8; what is not a character is written as its escape."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
