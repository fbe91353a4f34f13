"""Options of a benchmark, as they stand in a run's settings: checked, and refused by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmarks.base import BenchmarkError


class Options(BaseModel):
    """What every benchmark's options have in common: unknown ones are an error, and they do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Chosen = TypeVar("Chosen", bound=Options)


def read_options(model: type[Chosen], options: Mapping[str, object], benchmark: str) -> Chosen:
    """The options as a checked value. Raises: `BenchmarkError` for an unknown or unacceptable one."""
    for name in options:
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            raise BenchmarkError(
                f"{benchmark} has no option {name!r}{nearest(name, model.model_fields)}; it has: {known}"
            )
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "options"
        raise BenchmarkError(f"{benchmark}, option {where}: {first['msg']} (given: {first['input']!r})") from error


def nearest(name: str, known: Collection[str]) -> str:
    """` (did you mean …?)` if a known name is close, else nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
