"""A run's settings: what run.toml may say, with defaults, bounds, and an answer to every misspelling.

Settings are plain picklable data. Names of the environment variables that hold keys are in them, keys never.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evolve.llm import Caps, ProviderSettings, Role
from evolve.policies import AnyPolicy, Kin

FILE = "run.toml"


class SettingsError(ValueError):
    """A setting that does not exist, does not fit, or cannot be read; the text names it and says what to do."""


class Part(BaseModel):
    """A table of run.toml: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Budget(Part):
    """When a run stops. What is spent before an interruption counts."""

    evaluations: int = Field(80, ge=1)
    """Measurements of one agent on one task, those that are evidence."""
    expansions: int | None = Field(None, ge=0)
    """Attempts to write a child, whatever comes of them. None: 10 more than twice what the tree may hold."""
    usd: float | None = Field(None, ge=0)
    usd_per_hour: float | None = Field(None, gt=0)
    """Spent within any 60 minutes; a run that reaches it waits for the hour to pass."""
    usd_per_move: float | None = Field(None, gt=0)
    """One expansion with its diagnosis and life check, or one evaluation with all its tries."""
    usd_per_call: float | None = Field(None, gt=0)
    tokens: int | None = Field(None, ge=0)
    """Input and output tokens together."""
    hours: float | None = Field(None, gt=0)
    """Time that the run was working."""
    voids_in_a_row: int = Field(8, ge=1)
    """House's faults in a row after which going on makes no sense."""
    failures_in_a_row: int = Field(16, ge=1)
    """Expansions in a row without a child after which going on makes no sense."""

    @property
    def caps(self) -> Caps:
        """Of the run's money."""
        return Caps(usd=self.usd, tokens=self.tokens, usd_per_call=self.usd_per_call, usd_per_hour=self.usd_per_hour)

    @property
    def move_caps(self) -> Caps:
        """Of one move's money."""
        return Caps(usd=self.usd_per_move)


class Models(Part):
    """Which model plays each role, as `provider:model`."""

    solve: str = "offline"
    """Works on benchmark tasks."""
    improve: str = "offline"
    """Rewrites an agent's source."""
    diagnose: str = "offline"
    """Reads a failed attempt and writes the issue for the rewrite."""
    parameters: dict[Literal["solve", "improve", "diagnose"], dict[str, Any]] = {}
    """Fields set in every request of a role, such as temperature or reasoning_effort."""
    max_output_tokens: int = Field(8192, ge=1)
    """What one call may generate at most."""

    @property
    def roles(self) -> dict[Role, str]:
        return {"solve": self.solve, "improve": self.improve, "diagnose": self.diagnose}


class Diagnosis(Part):
    """What the diagnosing model is shown besides the transcript, the patch and the visible tests."""

    hidden_tests: bool = False
    """Also the failed task's hidden tests, as DGM and HGM do: it teaches to the tests that children are scored on."""


class Box(Part):
    """Which sandbox, and what one box may use."""

    kind: Literal["auto", "docker", "bwrap"] = "bwrap"
    """`auto` takes Docker where an engine answers, else bwrap."""
    image: str | None = None
    """Container image for tasks that name none (Docker only)."""
    memory_mb: int = Field(2048, ge=64)
    processes: int = Field(256, ge=16)
    disk_mb: int = Field(512, ge=16)


class Cache(Part):
    """Measurements taken over from other runs that made just the same one."""

    evaluations: bool = False
    """Ask the store before an evaluation, and keep what was measured in it."""
    store: str | None = None
    """SQLAlchemy URL. None: evaluations.db in the user's cache folder."""


class Rollouts(Part):
    """What one rollout of an agent may use."""

    solve_seconds: float = Field(600, gt=0)
    improve_seconds: float = Field(1200, gt=0)
    usd: float | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)
    calls: int | None = Field(None, ge=1)


class Settings(Part):
    """Everything that run.toml may say."""

    seed: int = Field(0, ge=0)
    """Seed of every random choice of the run."""
    workers: int = Field(2, ge=1, le=1024)
    """Moves under way at once."""
    agent: str | None = None
    """Folder of the first ancestor. None: the seed agent that comes with Clade."""
    database: str | None = None
    """SQLAlchemy URL of the archive's rows. None: archive.db in the run folder."""
    budget: Budget = Budget()
    policy: AnyPolicy = Kin()
    benchmark: dict[str, Any] = {"name": "repair"}
    """Name of the benchmark and its own options (checked by the benchmark)."""
    models: Models = Models()
    diagnosis: Diagnosis = Diagnosis()
    providers: dict[str, ProviderSettings] = {}
    """Model services beyond the built-in ones, by the name used in `models`."""
    sandbox: Box = Box()
    rollout: Rollouts = Rollouts()
    cache: Cache = Cache()

    @property
    def benchmark_name(self) -> str:
        return str(self.benchmark.get("name", "repair"))

    @property
    def benchmark_options(self) -> dict[str, Any]:
        return {name: value for name, value in self.benchmark.items() if name != "name"}

    @property
    def expansion_budget(self) -> int:
        if self.budget.expansions is not None:
            return self.budget.expansions
        alpha: float = getattr(self.policy, "alpha", 0.6)
        return 10 + 2 * int(self.budget.evaluations**alpha)


def load(folder: Path) -> Settings:
    """Read `run.toml` of a run folder. Raises: `SettingsError`."""
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{folder} has no {FILE}: make one with `clade init {folder}`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    return parse(text, str(path))


def parse(text: str, where: str = FILE) -> Settings:
    """Settings from TOML text. Raises: `SettingsError`, one sentence for the first thing that is wrong."""
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where} is not TOML: {error}") from None
    except ValidationError as error:
        raise SettingsError(f"{where}: {explain(error, Settings)}") from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint of pydantic as one sentence: the setting, and for a misspelling the nearest right one."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(part for part in path if part not in POLICIES)
    if first["type"] == "extra_forbidden":
        known = sorted(fields_at(model, path[:-1]) - ({"name"} if path[0] == "policy" else set()))
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        options = f"the policy {path[1]} has" if path[0] == "policy" else "known here"
        hint = f"did you mean `{near[0]}`?" if near else f"{options}: {', '.join(known)}"
        return f"there is no setting `{name}`; {hint}"
    if first["type"] == "union_tag_invalid":
        wrong = first["input"]["name"]
        near = difflib.get_close_matches(str(wrong), POLICIES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(POLICIES)}"
        return f"there is no policy called {wrong!r}; {hint}"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"`{name}` = {first['input']!r} does not fit: {message}"


POLICIES = tuple(str(policy.model_fields["name"].default) for policy in get_args(get_args(AnyPolicy)[0]))
"""Tags that pydantic puts into the path of a policy's setting; not part of what the user wrote."""


def fields_at(model: type[BaseModel], path: list[str]) -> set[str]:
    """Names of the settings in the table at `path`."""
    current: Any = model
    for part in path:
        if part in POLICIES:
            current = next(
                policy for policy in get_args(get_args(AnyPolicy)[0]) if policy.model_fields["name"].default == part
            )
        elif isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[part].annotation
        else:  # the name of an entry in a table of tables
            current = get_args(current)[1]
    if isinstance(current, type) and issubclass(current, BaseModel):
        return set(current.model_fields)
    return set()
