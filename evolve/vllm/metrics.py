"""What a vLLM server tells of itself at /metrics, whatever its version calls it. Pure functions on text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?'  # labels; a value may hold a brace or an escaped quotation mark
    r"[ \t]+(?P<value>[^ \t]+)"
    r"(?:[ \t]+.*)?"  # a time stamp, an exemplar
)
"""A line of the Prometheus text format."""

RUNNING = ("num_requests_running", "requests_running", "num_running_reqs", "requests_processing")
WAITING = ("num_requests_waiting", "requests_waiting", "num_queue_reqs", "requests_deferred")
KV_USE = ("kv_cache_usage_perc", "gpu_cache_usage_perc", "cache_usage_perc", "token_usage", "kv_cache_usage_ratio")
PREEMPTED = ("num_preemptions", "preemptions")
GENERATED = ("generation_tokens", "tokens_predicted")
PROMPT = ("prompt_tokens",)
QUERIES = ("prefix_cache_queries", "gpu_prefix_cache_queries")
HITS = ("prefix_cache_hits", "gpu_prefix_cache_hits")
"""Names without their name space and the `_total` of counters; the current one first, then those it has had."""

OTHERS = re.compile(r"^(?:external|connector|mm|cpu|request|iteration)_|_by_|_info$|_bucket$|_created$")
"""Names that end like one of those and are something else."""


WANTED = re.compile("|".join((*RUNNING, *WAITING, *KV_USE, *PREEMPTED, *GENERATED, *PROMPT, *QUERIES, *HITS)))
"""In every line that counts: looking for it first is much faster than taking all lines apart."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a server. None: this version does not tell it."""

    running: int | None = None
    waiting: int | None = None
    kv_use: float | None = None
    """Share of the key-value cache in use; the mean over its engines."""
    generated: int | None = None
    """Tokens since the server started."""
    prompt: int | None = None
    """Tokens of prompts since the server started."""
    queries: int | None = None
    """Tokens looked up in the prefix cache since the server started."""
    hits: int | None = None
    preempted: int | None = None
    """Requests thrown out of a full cache since the server started, to be done again."""

    @property
    def prefix_hit_rate(self) -> float | None:
        if not self.queries or self.hits is None:
            return None
        return min(1.0, self.hits / self.queries)


def read_metrics(text: str) -> Reading:
    """The numbers that are wanted; the series of several engines are added up. What is not understood is left out."""
    lines = (line for line in text.splitlines() if "_bucket{" not in line and WANTED.search(line))
    series = samples("\n".join(lines))
    use = _find(series, KV_USE)
    return Reading(
        running=_total(series, RUNNING),
        waiting=_total(series, WAITING),
        kv_use=None if use is None else min(1.0, max(0.0, sum(use) / len(use))),
        generated=_total(series, GENERATED),
        prompt=_total(series, PROMPT),
        queries=_total(series, QUERIES),
        hits=_total(series, HITS),
        preempted=_total(series, PREEMPTED),
    )


def samples(text: str) -> dict[str, list[float]]:
    """All finite values by name, one for each set of labels."""
    found: dict[str, list[float]] = {}
    for line in text.splitlines():
        match = SAMPLE.fullmatch(line.strip())
        if match is None:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        if math.isfinite(value):
            found.setdefault(match["name"], []).append(value)
    return found


def _find(series: Mapping[str, list[float]], aliases: tuple[str, ...]) -> list[float] | None:
    """The series by one of its names; else by the shortest name that ends in one of them."""
    bare = {re.sub(r"^.*:|^vllm_", "", name).removesuffix("_total"): name for name in series}
    for alias in aliases:
        if alias in bare:
            return series[bare[alias]]
    ending = [
        name for name in bare if name.endswith(tuple(f"_{alias}" for alias in aliases)) and not OTHERS.search(name)
    ]
    return series[bare[min(ending, key=lambda name: (len(name), name))]] if ending else None


def _total(series: Mapping[str, list[float]], aliases: tuple[str, ...]) -> int | None:
    values = _find(series, aliases)
    return None if values is None else round(sum(values))
