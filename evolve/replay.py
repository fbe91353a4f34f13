"""The meta-loop led by a recorded run: the same moves, launched and landed in the same order.

The policy still decides, and is held to what it decided then: a replay that departs from the recording says where. What
the recorded run's own process left open when it died is left open here as well and cut off at the same point, because
later decisions saw it under way. Clocks have no say: no stop rule, no pause and no number of workers, only the order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import replace

from archive import INTERRUPTED, Bill, Evaluation, Expansion, History, Outcome
from evolve.jobs import Job, Record
from evolve.landings import departure, landing_in
from evolve.llm import Cassette, Launch, ModelError, Step
from evolve.loop import ASKED, Evolution, record_of
from evolve.openings import Known
from evolve.policies import Expand, Move
from evolve.policies.base import View
from evolve.rows import Row, has_ended, key_of, what_of
from evolve.seeds import generator
from evolve.state import Stop, in_closing_order, moves_of, next_decision, view_of


class Replay(Evolution):
    """One session of a replay. With `replay-or-call` it is led as far as the recording goes, and goes on freely."""

    _tape: Cassette
    _steps: deque[Step]
    _launch_of: Launch | None = None
    """The recorded launch that is being repeated right now."""
    _past: History | None = None
    """For a move that is launched again after a kill, what it was decided on then."""
    _departed = False
    """Whether this run has become another one than the recorded one."""

    def known(self) -> Known:
        """What moves are made from; it may be the past."""
        return super().known() if self._past is None else self._past

    def view(self) -> View:
        """What is decided on. No board is of the past, so that is recomputed."""
        return super().view() if self._past is None else view_of(self._past, self.tasks, self.settings)

    def _open_cassette(self, cassette: Cassette) -> None:
        """Find where on the recording this run stands. Raises: `ModelError` if it is not a replay of it."""
        self._tape = cassette
        closed = in_closing_order([row for row in moves_of(self.archive.history()) if has_ended(row)])
        steps = cassette.steps_left([(row.decision, what_of(row)) for row in closed])
        self._keys: dict[int, str] = {}
        if steps is not None:
            recorded = cassette.landings()[: len(closed)]
            self._keys = {launch.number: key_of(row) for launch, row in zip(recorded, closed, strict=True)}
            if cassette.mode == "replay":
                ends = [(key_of(row), landing_in(self.archive, row)) for row in closed]
                if (told := cassette.first_departure(ends)) is not None:
                    raise self._another_run(f"is not the one on {cassette.path}: {told}")
        elif cassette.mode == "replay":
            raise self._another_run(f"has moves that {cassette.path} does not have")
        self._steps = deque(steps or ())
        self._departed = steps is None

    def _another_run(self, why: str) -> ModelError:
        return ModelError(
            f"the run in {self.archive.folder} {why}: replay into a new folder, with the run.toml of the recorded run",
            kind="refused",
        )

    def _fill(self) -> Stop | None:
        if self._tape.missed is not None:
            self._cut_off(list(self._flying))
            return Stop(self._tape.missed, finished=False)
        while self._steps:
            step = self._steps[0]
            if step.kind == "landed":
                return None
            if step.kind == "cut":
                self._cut_off(list(self._flying))
            elif self.stopping:
                self._cut_off(list(self._flying))
                return ASKED
            elif step.launch is not None and not self._repeat(step, step.launch):
                return self._depart(step.launch)
            self._steps.popleft()
        return super()._fill() if self._tape.mode == "replay-or-call" else self._ending()

    def _ending(self) -> Stop:
        """The recording is told to its end."""
        if self._tape.ending is None:
            return Stop("the recording ends here: its run was cut off", finished=False)
        reason, finished = self._tape.ending
        return Stop(reason if finished else f"the recorded run ended here: {reason}", finished=finished)

    def _repeat(self, step: Step, launch: Launch) -> bool:
        """Launch what the recorded run launched, if that is what the policy chooses."""
        self._past = self._before(step)
        try:
            view = self.view()
            number = self._board.next_decision if self._past is None else next_decision(self._past)
            move = self.settings.policy.choose(view, generator(self.settings.seed, "decision", number))
            chosen = in_words(move, view.tasks)
            self._chosen = f"decision {number}: {chosen}"
            if move is None or (number, chosen) != (launch.decision, launch.what):
                return False
            self._launch_of = launch
            self._launch(move, number, view)
        finally:
            self._past = self._launch_of = None
        return True

    def _before(self, step: Step) -> History | None:
        """What a recorded step was decided on, where that is not what this run has come to."""
        if step.landed is None:
            return None
        landed = {self._keys[number] for number in step.landed}
        flying = {self._keys[number] for number in step.flying}
        return as_of(self.archive.history(), landed, flying)

    def _begin(self, row: Row, job: Job) -> Future[Record]:
        launch = self._launch_of
        if launch is None:
            decision = None if self._departed else row.decision
            self._tape.launched(key_of(row), what_of(row), decision)
            return self.executor.submit(self.perform, job)
        self._tape.relaunched(key_of(row), launch)
        self._keys[launch.number] = key_of(row)
        # What was cut off then is not performed: its calls may be there in part, and nothing came of it.
        return self.executor.submit(self.perform, job) if launch.landed else Future()

    def _awaited(self) -> list[Future[Record]]:
        if not self._steps:
            return super()._awaited()
        launch = self._steps[0].launch
        key = None if launch is None else self._keys.get(launch.number)
        return [future for future, row in self._flying.items() if key_of(row) == key]

    def _land(self, row: Row, future: Future[Record]) -> None:
        told = departure(self._tape, key_of(row), self._concluded(row, record_of(future)))
        if told is not None and self._tape.mode != "replay":
            self.listener.say(f"{told}. The run goes on with what came now")
        if self._tape.missed is not None:  # the call that is not there may be one of this very move
            self._flying[future] = row
            return
        super()._land(row, future)
        if self._steps:
            self._steps.popleft()
            self._rest_until = 0.0

    def _depart(self, launch: Launch) -> Stop | None:
        """The policy chose otherwise than it did in the recorded run."""
        text = (
            f"the run departs from the recorded one at its {self._chosen}; recorded was decision {launch.decision}: "
            f"{launch.what}. A replay needs the recorded run's settings, benchmark and version of Clade"
        )
        if self._tape.mode == "replay":
            self._tape.miss(text)
            return self._fill()
        self._departed = True
        self._steps.clear()
        self._cut_off([future for future in self._flying if not future.running() and not future.done()])
        self.listener.say(f"{text}. It goes on freely; what it asks is recorded, its order is not")
        return None

    def _cut_off(self, futures: Collection[Future[Record]]) -> None:
        """End moves as a dying process ends them: nothing of them counts, and they can be made again."""
        for future in futures:
            row = self._flying.pop(future)
            future.cancel()
            close = self.archive.close_expansion if isinstance(row, Expansion) else self.archive.close_evaluation
            self.listener.closed(close(row.id, Outcome.VOID, reason=INTERRUPTED))
        self._recount()


def led(
    cassette: Cassette | None,
) -> type[Evolution]:
    """The kind of loop that goes with a cassette."""
    return Evolution if cassette is None or cassette.mode == "record" else Replay


def in_words(move: Move | None, tasks: Sequence[str]) -> str:
    """As `what_of` a move's row."""
    if move is None:
        return "no further move"
    if isinstance(move, Expand):
        return f"expand agent {move.agent}"
    return f"evaluate agent {move.agent} on {tasks[move.task]}"


def as_of(history: History, landed: Collection[str], flying: Collection[str]) -> History:
    """The history at an earlier moment: when of the chosen moves these had landed and those were under way."""
    expansions: list[Expansion] = []
    evaluations: list[Evaluation] = []
    for row in history.expansions:
        if key_of(row) in landed:
            expansions.append(row)
        elif key_of(row) in flying:
            expansions.append(
                replace(row, outcome=None, reason="", issue="", child=None, closed=None, seconds=0.0, bill=Bill())
            )
    for each in history.evaluations:
        if key_of(each) in landed or each.decision is None:
            evaluations.append(each)
        elif key_of(each) in flying:
            evaluations.append(
                replace(each, outcome=None, reason="", closed=None, seconds=0.0, steps=0, bill=Bill(), source="")
            )
    born = {row.child for row in expansions if row.outcome is Outcome.BORN}
    agents = tuple(agent for agent in history.agents if agent.parent is None or agent.id in born)
    return History(agents, tuple(expansions), tuple(evaluations))
