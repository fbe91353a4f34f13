"""The calls on a cassette, ready to be found again.

A call is found by whose it is and what it says. Whose: the move (the recorded one that the replayed move stands for),
the part of it (a child's life check is another rollout than the rewriting), its seed and its split. What: the model,
the messages by their likeness, and all other fields. A call that was made several times has several answers, which are
given out in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from archive import Call
from evolve.llm.base import Completion, Json, ModelError, Usage
from evolve.llm.cassette.likeness import likeness, rest_of
from evolve.llm.cassette.miss import Spoken
from evolve.llm.cassette.tape import Tape, name_of, text_of, value_of
from evolve.llm.jsontext import dumps
from evolve.llm.ledger import BudgetSpent

_CALL = ("role", "model", "input_tokens", "cached_tokens", "output_tokens", "usd", "seconds", "retries", "status")
_USAGE = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")

Ending = Completion | ModelError | BudgetSpent


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose a call is."""

    launch: int | None
    """Number of the recorded move; None for what was asked outside of any."""
    part: str
    """Of the move: empty, or such as `-life`."""
    seed: int
    split: str | None
    """None where splits are shared."""


@dataclass(frozen=True, slots=True)
class Take:
    """A recorded call."""

    messages: tuple[Json, ...]
    """As they were sent then."""
    ending: Ending
    calls: tuple[Call, ...]
    """What was booked for it: tries whose answers were lost, and the call itself."""
    lost: tuple[str, ...] = ()
    """Why those answers were lost."""


@dataclass(slots=True)
class Recorded:
    """A call's line of the index, its request by the names of its bodies."""

    line: Json
    messages: tuple[str, ...]
    used: bool = False


@dataclass(slots=True)
class Recordings:
    """All calls of a tape."""

    tape: Tape
    share_splits: bool
    _by_seed: dict[tuple[str, int], list[Recorded]] = field(default_factory=dict)
    """By part and seed: few enough to be looked through."""
    _names: dict[bytes, str] = field(default_factory=dict)
    """Of messages, by the hash of what they were before keys were hidden in them."""
    _likenesses: dict[str, str] = field(default_factory=dict)
    _rests: dict[str, Json] = field(default_factory=dict)
    _latest: dict[tuple[object, ...], tuple[str, ...]] = field(default_factory=dict)
    _left: Counter[int | None] = field(default_factory=Counter)
    """By move, how many of its calls were not given out yet."""
    _amended: set[int | None] = field(default_factory=set)
    """Moves that went another way in a replay that was allowed to: not all of their calls will be asked again."""

    def learn(self, lines: Iterable[Json]) -> None:
        landed: set[int | None] = set()
        for line in lines:
            if line["event"] == "call":
                self.add(line)
            whose = {"call": line.get("launch"), "landed": line.get("move")}.get(line["event"])
            if whose in landed:
                self.amend(whose)
            if line["event"] == "landed":
                landed.add(whose)

    def amend(self, launch: int | None) -> None:
        """A move that had landed has gone another way."""
        self._amended.add(launch)

    def add(self, line: Json, *, used: bool = False) -> None:
        """Take a line in; `used` if its answer is not to be given out, because it was given just now."""
        rollout = _rollout(line)
        messages = (*self._latest.get(rollout, ())[: line["kept"]], *line["new"])
        self._latest[rollout] = messages
        recorded = Recorded(line, messages, used)
        self._left[line["launch"]] += not used
        self._by_seed.setdefault((line["part"], line["seed"]), []).append(recorded)

    def kept(self, line: Json, names: Sequence[str]) -> int:
        """How many messages this call's request shares with the one before of the same rollout."""
        before = self._latest.get(_rollout(line), ())
        pairs = enumerate(zip(before, names, strict=False))
        return next((index for index, (old, new) in pairs if old != new), min(len(before), len(names)))

    def find(self, speaker: Speaker, asked: Spoken, *, anywhere: bool) -> Recorded | None:
        """The first recording of the call that was not given out yet; `anywhere`: also of another move than its own."""
        found = [each for each in self._by_seed.get((speaker.part, speaker.seed), ()) if self._is(each, speaker, asked)]
        own = [each for each in found if each.line["launch"] == speaker.launch]
        return next(iter([*own, *found] if anywhere else own), None)

    def unasked(self, launch: int) -> int:
        """How many calls of a move were not given out, where all should be in the end."""
        return 0 if launch in self._amended else self._left[launch]

    def of(self, speaker: Speaker) -> list[Spoken]:
        """What the same rollout said when it was recorded."""
        seeded = self._by_seed.get((speaker.part, speaker.seed), ())
        same = [each for each in seeded if speaker.split in (None, each.line["split"])]
        own = [each for each in same if each.line["launch"] == speaker.launch]
        return [self._spoken(each) for each in own or same]

    def of_move(self, speaker: Speaker) -> list[Spoken]:
        """What the same part of the same move said, with whatever seed."""
        if speaker.launch is None:
            return []
        each_call = (each for seeded in self._by_seed.values() for each in seeded)
        asked = speaker.launch, speaker.part
        own = [each for each in each_call if (each.line["launch"], each.line["part"]) == asked]
        return [self._spoken(each) for each in own if speaker.split in (None, each.line["split"])]

    def spoken(self, label: str, request: Json) -> Spoken:
        """A request that is not on the tape, or not yet."""
        messages = request["messages"]
        alike = tuple(self._likenesses[self._name(message)] for message in messages)
        return Spoken(label, value_of(rest_of(request)), alike, lambda index: value_of(text_of(messages[index])))

    def put(self, message: Json) -> str:
        """Store a message, unless it is there; its name."""
        name = self._name(message)
        return name if self.tape.has(name) else self.tape.put(text_of(message))

    def _name(self, message: Json) -> str:
        """Under which a message is stored. A conversation comes again with every turn, and is cleaned only once."""
        raw = blake2b(dumps(message), digest_size=16).digest()
        if raw not in self._names:
            text = text_of(message)
            self._names[raw] = name_of(text)
            self._likenesses[self._names[raw]] = likeness(text)
        return self._names[raw]

    def take(self, recorded: Recorded) -> Take:
        """Give a recording out, once. Raises: `ModelError` if the tape is damaged."""
        recorded.used = True
        line = recorded.line
        self._left[line["launch"]] -= 1
        calls = tuple(Call(**dict(zip(_CALL, call, strict=True))) for call in line["calls"])
        messages = tuple(self._read(name) for name in recorded.messages)
        return Take(messages, self._ending(line), calls, tuple(line.get("lost", ())))

    def _ending(self, line: Json) -> Ending:
        if "answer" in line:
            usage = Usage(**dict(zip(_USAGE, line["usage"], strict=True)))
            return Completion(self._read(line["answer"]), usage, line.get("endpoint", ""))
        error = line["error"]
        if "whose" in error:
            return BudgetSpent(error["text"], error["whose"])
        return ModelError(error["text"], kind=error["kind"], status=error["status"])

    def _is(self, recorded: Recorded, speaker: Speaker, asked: Spoken) -> bool:
        if recorded.used or speaker.split not in (None, recorded.line["split"]):
            return False
        if len(recorded.messages) != len(asked.likenesses) or recorded.line["model"] != asked.model:
            return False
        spoken = self._spoken(recorded)
        return (spoken.likenesses, spoken.rest) == (asked.likenesses, asked.rest)

    def _spoken(self, recorded: Recorded) -> Spoken:
        line, names = recorded.line, recorded.messages
        if line["rest"] not in self._rests:
            self._rests[line["rest"]] = self._read(line["rest"])
        alike = tuple(self._likeness(name) for name in names)
        return Spoken(line["model"], self._rests[line["rest"]], alike, lambda index: self._read(names[index]))

    def _likeness(self, name: str) -> str:
        if name not in self._likenesses:
            self._likenesses[name] = likeness(self.tape.get(name))
        return self._likenesses[name]

    def _read(self, name: str) -> Json:
        return value_of(self.tape.get(name))


def _rollout(line: Json) -> tuple[object, ...]:
    """Whose requests grow out of one another."""
    return line["launch"], line["part"], line["seed"], line["split"]


def ending_fields(tape: Tape, ending: Ending) -> Json:
    """How a call ended, as its line says it; the answer's body goes onto the tape."""
    if isinstance(ending, Completion):
        usage = [getattr(ending.usage, name) for name in _USAGE]
        where = {"endpoint": ending.endpoint} if ending.endpoint else {}
        return {"answer": tape.put(text_of(ending.body)), "usage": usage, **where}
    if isinstance(ending, BudgetSpent):
        return {"error": {"text": str(ending), "whose": ending.whose}}
    return {"error": {"text": str(ending), "kind": ending.kind, "status": ending.status}}


def call_fields(calls: Sequence[Call]) -> list[list[Any]]:
    return [[getattr(call, name) for name in _CALL] for call in calls]
