"""A grown run, made through the archive itself, for the verbs that read one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archive import Archive, Call, Decision, Outcome

SEED = Path(__file__).parents[3] / "agent_seed"
HOSTILE = "task:\x1b[31mred\x1b[0m[bold]\u202eevil\x07\n"
PARENTS = [0, 0, 1, 1, 2, 3, 3, 6, 7, 0, 7, 9, 11, 1]
SKILL = [0.4, 0.45, 0.2, 0.5, 0.3, 0.4, 0.7, 0.6, 0.75, 0.5, 0.9, 0.7, 0.4, 0.0, 0.5]
TOML = 'seed = 3\n[policy]\nname = "hgm"\nepsilon = 0.25\n'


class Grower:
    """Writes moves as a run would."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.rng = random.Random(5)
        self.number = 0

    def decide(self, move: str, agent: int, task: str | None = None) -> Decision:
        self.number += 1
        return Decision(self.number, "hgm", move, agent, task, "{}", datetime.now(UTC))

    def call(self, role: str) -> Call:
        return Call(role, "offline:repair", 1200, 300, 240, 0.004, 0.3, 0, "ok")

    def expand(self, parent: int, entry: str, outcome: Outcome = Outcome.BORN, issue: str = "") -> None:
        row = self.archive.open_expansion(self.decide("expand", parent), entry=entry, seed=self.number)
        files = None
        if outcome is Outcome.BORN:
            main = self.archive.files(parent)["__main__.py"]
            files = {**self.archive.files(parent), "__main__.py": main + f"# improvement {row.id}\n".encode()}
        self.archive.close_expansion(
            row.id,
            outcome,
            reason=f"it ended as {outcome}",
            issue=issue,
            seconds=41.5,
            calls=[self.call("improve")] * 3,
            files=files,
            shape=str(row.id) if files else None,
            twin=0 if outcome is Outcome.DUPLICATE else None,
        )

    def measure(self, agent: int, task: str, outcome: Outcome) -> None:
        decision = self.decide("evaluate", agent, task)
        row = self.archive.open_evaluation(
            decision, agent=agent, benchmark="repair", split="search", task=task, attempt=0, seed=1
        )
        calls = [self.call("solve")] * 2
        self.archive.close_evaluation(row.id, outcome, reason="x", seconds=12.0, steps=2, calls=calls)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skills with wide errors, in a tenth of the time."""
    monkeypatch.setattr("evolve.statistics.beliefs.DRAWS", 40)


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """15 agents, failures of several kinds, hostile texts, one evaluation under way, nobody writing any more."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    with Archive.create(folder, about={"settings": TOML}) as archive:
        (folder / "run.toml").write_text(TOML)
        archive.add_seed({path.name: path.read_bytes() for path in SEED.iterdir() if path.is_file()}, "seed")
        grower = Grower(archive)
        for parent in PARENTS:
            grower.expand(
                parent, f"task:HumanEval/{parent * 7}", issue="Give the model another attempt.\nAnd show why."
            )
        grower.expand(0, HOSTILE, Outcome.STILLBORN)
        grower.expand(1, "weakness:empty_patch", Outcome.DUPLICATE)
        grower.expand(1, "weakness:context", Outcome.NO_CHANGE)
        grower.expand(1, "weakness:context", Outcome.VOID)
        for agent, skill in enumerate(SKILL):
            for task in range(0 if agent == 13 else 12 + agent):
                good = Outcome.RESOLVED if grower.rng.random() < skill else Outcome.UNRESOLVED
                grower.measure(agent, f"HumanEval/{task}", good)
        grower.measure(0, HOSTILE, Outcome.TIMED_OUT)
        grower.measure(2, "HumanEval/1", Outcome.VOID)
        for agent, passed in ((0, 4), (11, 8)):
            for task in range(10):
                row = archive.open_evaluation(
                    None, agent=agent, benchmark="repair", split="sealed", task=f"s{task}", attempt=0, seed=1
                )
                archive.close_evaluation(row.id, Outcome.RESOLVED if task < passed else Outcome.UNRESOLVED, reason="")
        archive.open_evaluation(
            grower.decide("evaluate", 4, "HumanEval/90"), agent=4, benchmark="repair", split="search",
            task="HumanEval/90", attempt=0, seed=1,
        )  # fmt: skip
        archive.note("hours", "1.25")
    yield folder


@pytest.fixture
def invoke() -> Iterator[object]:
    """Runs a command as `clade` would, at 80 columns and not on a terminal."""
    runner = CliRunner(env={"COLUMNS": "80"})

    def call(command: object, *arguments: object) -> Result:
        return runner.invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]

    yield call
