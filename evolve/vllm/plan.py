"""What a fleet shall be: decided once by `clade vllm up`, kept in its folder, read by its supervisor."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from evolve.vllm.families import Family
from evolve.vllm.registry import NAME, FleetError, folder_of, write_whole

IMAGE = "vllm/vllm-openai:v0.31.0"
"""Of 2026-10-05, looked up 2026-11-22. It has the parsers of families.toml but for those with a later `since`."""

GPUS = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often replicas are looked at, and how long what may take; in seconds."""

    poll: float = 5.0
    """Between two looks at /health and /metrics."""
    start: float = 1800.0
    """Until the first completion: a first start downloads the weights and compiles."""
    first_answer: float = 300.0
    """Of the first completion, which may compile too."""
    hang: float = 120.0
    """With requests running and no token generated, after which a replica is suspected."""
    probe: float = 60.0
    """For a suspect to answer one token."""
    drain: float = 30.0
    """For running requests to end before a replica is told to."""
    settle: float = 1.0
    """Until everyone who routes has read that a replica is draining."""
    stop: float = 15.0
    """Between SIGTERM and SIGKILL."""
    backoff: float = 2.0
    """Before the first restart; doubled with each further failure, up to a minute."""
    window: float = 1800.0
    """Time in which failures are counted."""
    failures: int = 5
    """So many failures in the window end a replica for good; two, if it was never ready."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet as it was asked for."""

    name: str
    model: str
    engine: Literal["docker", "process"]
    program: str
    """The image, or the path of the executable."""
    replicas: int = 1
    gpus: tuple[tuple[int, ...], ...] = ()
    """A group for each replica; empty: none are given out."""
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    max_model_len: int | None = None
    extra: tuple[str, ...] = ()
    """Further arguments: the family's, then the user's."""
    known: frozenset[str] = frozenset()
    """Those of `OPTIONAL` that this version of vLLM has."""
    pace: Pace = field(default_factory=Pace)

    @property
    def served_name(self) -> str:
        """What requests call the model."""
        return self.name

    @property
    def folder(self) -> Path:
        return folder_of(self.name)

    def group(self, index: int) -> tuple[int, ...]:
        """GPUs of a replica; empty if none were given out."""
        return self.gpus[index] if self.gpus else ()


OPTIONAL: dict[str, tuple[str, ...]] = {
    "--allowed-media-domains": ("none.invalid",),  # no picture or sound is fetched for whoever writes the prompt
    "--shutdown-timeout": ("30",),  # seconds that running requests get when somebody else sends SIGTERM
    "--disable-access-log-for-endpoints": ("/health,/metrics,/ping",),
}
"""Arguments that are given where the version has them."""


OURS = {
    "--served-model-name": "--name",
    "--tool-call-parser": "--tool-parser",
    "--reasoning-parser": "--reasoning-parser before the `--`",
    "--max-model-len": "--max-model-len before the `--`",
    "--model": "the argument MODEL",
    "--enable-auto-tool-choice": "--tool-parser",
    "--host": None,
    "--port": None,
    "--uds": None,
    "--api-key": None,
}
"""Arguments that no user hands on to `vllm serve`, and what says the same here."""


def own_arguments(words: Sequence[str]) -> tuple[str, ...]:
    """What the user gave after `--`. Raises: `FleetError` if it would work against what Clade says."""
    for word in words:
        flag = word.partition("=")[0].replace("_", "-")
        if flag in OURS:
            instead = OURS[flag]
            raise FleetError(
                f"{word} cannot be handed on to vllm: " + (f"use {instead}" if instead else "Clade decides it itself")
            )
    return tuple(words)


def arguments(plan: Plan, index: int, address: Sequence[str]) -> list[str]:
    """What `vllm serve` is started with; `address` is where it listens. The key is no argument: `ps` would show it."""
    given = [plan.model, "--served-model-name", plan.served_name, *address]
    for flag, values in OPTIONAL.items():
        if flag in plan.known:
            given += [flag, *values]
    if plan.tool_parser is not None:
        given += ["--enable-auto-tool-choice", "--tool-call-parser", plan.tool_parser]
    if plan.reasoning_parser is not None:
        given += ["--reasoning-parser", plan.reasoning_parser]
    if plan.max_model_len is not None:
        given += ["--max-model-len", str(plan.max_model_len)]
    if len(plan.group(index)) > 1:
        given += ["--tensor-parallel-size", str(len(plan.group(index)))]
    return [*given, *plan.extra]


def environment(plan: Plan, key: str) -> dict[str, str]:
    """Variables that a replica gets besides the user's own."""
    return {
        "VLLM_API_KEY": key,
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "CLADE_VLLM_FLEET": str(plan.folder),
    }


def gpu_groups(text: str) -> tuple[tuple[int, ...], ...]:
    """`0,1` is two groups of one GPU, `0-1,2-3` two groups of two. Raises: `FleetError`."""
    groups = []
    for part in text.split(","):
        match = GPUS.fullmatch(part.strip())
        if match is None:
            raise FleetError(f"--gpus {text} is not a list such as 0,1 (a GPU each) or 0-1,2-3 (two GPUs each)")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise FleetError(f"--gpus {text}: {part.strip()} runs backwards")
        groups.append(tuple(range(first, last + 1)))
    every = [gpu for group in groups for gpu in group]
    if len(set(every)) < len(every):
        raise FleetError(f"--gpus {text} gives a GPU to two replicas")
    return tuple(groups)


def replica_count(asked: int | None, groups: Sequence[object]) -> int:
    """One for each group of GPUs, else what was asked, else one. Raises: `FleetError` if the two differ."""
    if asked is not None and groups and asked != len(groups):
        raise FleetError(f"--gpus names {len(groups)} group(s) of GPUs for --replicas {asked}: give each replica one")
    return len(groups) if groups else asked or 1


def name_of(model: str) -> str:
    """A fleet's name made from its model's. Raises: `FleetError` if nothing of it can be used."""
    last = model.rstrip("/").rpartition("/")[2].lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", last).lstrip("._-")[:40]
    if not NAME.fullmatch(name):
        raise FleetError(f"no name for a fleet can be made from {model!r}; give one with --name")
    return name


def parsers(
    model: str, family: Family | None, tool_parser: str | None, reasoning_parser: str | None
) -> tuple[str | None, str | None]:
    """Tool-call and reasoning parser: the user's word, else the family's; `none` is none. Raises: `FleetError`."""
    if family is None and tool_parser is None:
        raise FleetError(
            f"no family of models in the table has a name like {model}: give --tool-parser PARSER, as the model's card "
            'says, or --tool-parser none and set protocol = "fenced" for it in run.toml'
        )
    tools = tool_parser or (family.tool_parser if family else None)
    thoughts = reasoning_parser or (family.reasoning_parser if family else None)
    return None if tools == "none" else tools, None if thoughts == "none" else thoughts


def write_plan(plan: Plan) -> None:
    """Raises: `OSError`."""
    written = {**asdict(plan), "known": sorted(plan.known)}
    write_whole(plan.folder / "plan.json", json.dumps(written, indent=1) + "\n")


def read_plan(name: str) -> Plan | None:
    """None if there is no fleet of this name. Raises: `FleetError`."""
    path = folder_of(name) / "plan.json"
    try:
        written: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Plan(
            **{
                **written,
                "gpus": tuple(tuple(group) for group in written["gpus"]),
                "extra": tuple(written["extra"]),
                "known": frozenset(written["known"]),
                "pace": Pace(**written["pace"]),
            }
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FleetError(f"{path} cannot be read ({error}); end the fleet with `clade vllm down {name}`") from error
