"""A cassette in use: recording, replaying, or replaying and recording what is missing."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from archive import Call
from evolve.llm.base import Json, ModelError, Scope
from evolve.llm.cassette.likeness import rest_of
from evolve.llm.cassette.miss import Spoken, departure, difference, in_words, nearest
from evolve.llm.cassette.order import Landing, Launch, Step, launches_of, rest_after, steps_of
from evolve.llm.cassette.recordings import (
    Ending,
    Recordings,
    Speaker,
    Take,
    call_fields,
    ending_fields,
)
from evolve.llm.cassette.tape import FORMAT, Tape

Mode = Literal["record", "replay", "replay-or-call"]

_STRANGER = (
    "it has no call of this rollout on this split, whose seed comes from the run's seed, the agent's code and the task"
)


class Cassette:
    """Calls and their answers, and the order of the moves. Thread-safe; one process at a time writes it."""

    def __init__(self, path: Path, mode: Mode, *, share_splits: bool = False) -> None:
        """Raises: `ModelError` if there is no cassette to replay, or another process has it open."""
        self.path = path
        self.mode: Mode = mode
        self.share_splits = share_splits
        self.missed: str | None = None
        """The first call or move of a replay that is not on the cassette, in a sentence and a short difference."""
        self._lock = threading.RLock()
        self._tape = Tape(path, write=mode != "replay")
        self._lines = self._tape.lines
        self._launches = launches_of(self._lines)
        self._recordings = Recordings(self._tape, share_splits)
        self._recordings.learn(self._lines)
        self._moves: dict[str, int] = {}
        """The moves of this process: their names, and the launches that they are or stand for."""
        self._replayed: set[int] = set()
        self._begun = False
        self._asked: dict[str, int] = {}
        """Calls so far by rollout, for telling which one is missed."""

    # Calls

    def play(self, scope: Scope, role: str, label: str, request: Json) -> Take | None:
        """How the call ended when it was recorded; None if it shall be made.

        Raises: `ModelError` naming the call if it is not on the cassette and must not be made.
        """
        if self.mode == "record":
            return None
        with self._lock:
            self._asked[scope.key] = self._asked.get(scope.key, 0) + 1
            if self.missed is not None:
                raise ModelError(self.missed, kind="refused")
            speaker = self._speaker(scope)
            asked = self._recordings.spoken(label, request)
            anywhere = speaker.launch is None or self.mode == "replay-or-call"
            found = self._recordings.find(speaker, asked, anywhere=anywhere)
            if found is not None:
                return self._recordings.take(found)
            if self.mode == "replay":
                self.miss(self._told(scope, role, speaker, asked))
                raise ModelError(str(self.missed), kind="refused")
            return None

    def keep(
        self,
        scope: Scope,
        label: str,
        request: Json,
        ending: Ending,
        calls: Sequence[Call],
        lost: Sequence[str] = (),
    ) -> None:
        """Record how a call ended and what was booked for it; `lost` says why answers to earlier tries were lost."""
        if self.mode == "replay":
            return
        with self._lock:
            speaker = self._speaker(scope)
            names = [self._recordings.put(message) for message in request["messages"]]
            line: Json = {
                "event": "call",
                "launch": speaker.launch,
                "part": speaker.part,
                "seed": scope.seed,
                "split": scope.split,
                "model": label,
            }
            kept = self._recordings.kept(line, names)
            line |= {"kept": kept, "new": names[kept:], "rest": self._tape.put(rest_of(request))}
            line |= {**ending_fields(self._tape, ending), "calls": call_fields(calls)}
            line |= {"lost": list(lost)} if lost else {}
            self._append(line)
            self._recordings.add(line, used=True)
            if speaker.launch in self._replayed:
                self._recordings.amend(speaker.launch)

    # Moves

    def launched(self, move: str, what: str, decision: int | None = None) -> None:
        """Record that a move began, in words that are the same in every replay.

        In a replay a move that no policy chose (`decision` is None) stands for the recorded one of the same words.
        """
        with self._lock:
            if self.mode != "record" and decision is None:
                self._stand_for_its_like(move, what)
                if self.mode == "replay" or move in self._moves:
                    return
            line = {"event": "launched", "name": move, "what": what, "decision": decision}
            self._append(line)
            self._launches.append(Launch(len(self._launches), move, decision, what, False))
            self._moves[move] = self._launches[-1].number

    def relaunched(self, move: str, launch: Launch) -> None:
        """In a replay, `move` stands for a recorded one from now on."""
        with self._lock:
            self._moves[move] = launch.number
            self._replayed.add(launch.number)

    def landed(self, move: str, landing: Landing) -> None:
        """Record that a move's row was closed, and with what."""
        with self._lock:
            number = self._moves.get(move)
            if self.mode != "replay" and number is not None and number not in self._replayed:
                self._append({"event": "landed", "move": number, **landing.fields})

    def departure(self, move: str, landing: Landing) -> str | None:
        """In a replay: how a move ended otherwise than the recorded one that it stands for; None if it did not."""
        with self._lock:
            launch = self._stands_for(move)
            if launch is None:
                return None
            told = departure(landing, launch.landing) if launch.landing is not None else None
            if launch.landing is None and landing.outcome in ("VOID", "TIMED_OUT"):
                told = f"here it is {in_words(landing)}"  # what the house or the clock ended was kept even then
            if told is None and (unasked := self._recordings.unasked(launch.number)):
                told = f"{unasked} of its calls were not made here"
            return None if told is None else f"{move} ({launch.what}) is not as it was recorded: {told}"

    def amend(self, move: str, landing: Landing) -> None:
        """Where a replay may go on with a move that went another way: record how it ended now."""
        with self._lock:
            launch = self._stands_for(move)
            if launch is not None and launch.landing is not None and self.mode == "replay-or-call":
                self._append({"event": "landed", "move": launch.number, **landing.fields})
                self._launches[launch.number] = replace(launch, landing=landing)
                self._recordings.amend(launch.number)

    def keep_record(self, move: str, record: bytes) -> None:
        """Record what came of a move that the models' answers alone would not bring about again."""
        with self._lock:
            number = self._moves.get(move)
            if self.mode != "replay" and number is not None and number not in self._replayed:
                self._append({"event": "record", "move": number, "body": self._tape.put(record)})

    def record_of(self, move: str) -> bytes | None:
        """The record that was kept of the move, which need not be performed then."""
        with self._lock:
            number = self._moves.get(move)
            if self.mode == "record" or number not in self._replayed:
                return None
            names = [line["body"] for line in self._lines if line["event"] == "record" and line["move"] == number]
            return self._tape.get(names[-1]) if names else None

    def ended(self, reason: str, *, finished: bool) -> None:
        """Record why the run stopped, and whether there was nothing left to do."""
        if self.mode != "replay":
            with self._lock:
                if self._begun:
                    self._append({"event": "ended", "reason": reason, "finished": finished})

    # The order of a run

    def go_on(self, moves: Sequence[tuple[str, str, int]], closed: Mapping[str, Landing]) -> None:
        """Before a run is recorded: its moves (name, words, decision), and what came of those that were not cut off.

        A kill between the archive's line and ours is made good here. Raises: `ModelError` if the cassette holds another
        run, or the run has moves that were not recorded.
        """
        with self._lock:
            known = {launch.move: launch for launch in self._launches if launch.decision is not None}
            names = {name for name, _, _ in moves}
            if foreign := known.keys() - names:
                raise _refused(
                    f"the cassette {self.path} holds another run (its {min(foreign)} is not in this one): record into "
                    "a new folder, or give --replay-or-call to go on from what is there"
                )
            unknown = [(name, what, decision) for name, what, decision in moves if name not in known]
            for name, _, _ in unknown:
                if name in closed:
                    raise _refused(
                        f"{name} of this run is not on the cassette {self.path}: a run is recorded from its beginning, "
                        "so go on without --record, or start a new run with it"
                    )
            if unknown and not self._lines:
                self._begin()
                self._begun = False  # what is noted now was cut off before the session that begins next
            for name, what, decision in unknown:
                self._note({"event": "launched", "name": name, "what": what, "decision": decision})
                self._launches.append(Launch(len(self._launches), name, decision, what, False))
            for name, launch in known.items():
                if name in closed and not launch.landed:
                    self._note({"event": "landed", "move": launch.number, **closed[name].fields})

    def steps_left(self, landed: Sequence[tuple[int | None, str]]) -> list[Step] | None:
        """What a replay has to do yet, when the moves (decision, words) have landed in it; None if others have."""
        steps = steps_of(self._lines, self._launches)
        recorded = [step.launch for step in steps if step.kind == "landed" and step.launch is not None]
        if [(launch.decision, launch.what) for launch in recorded[: len(landed)]] != list(landed):
            return None
        return rest_after(steps, len(landed))

    def first_departure(self, landed: Sequence[tuple[str, Landing]]) -> str | None:
        """When moves (name, end) have landed as the recorded ones did, which one first ended otherwise, and how."""
        for launch, (move, landing) in zip(self.landings(), landed, strict=False):
            told = departure(landing, launch.landing) if launch.landing is not None else None
            if told is not None:
                return f"{move} ({launch.what}) is not as it was recorded: {told}"
        return None

    def landings(self) -> list[Launch]:
        """The recorded moves in the order in which they landed."""
        steps = steps_of(self._lines, self._launches)
        return [step.launch for step in steps if step.kind == "landed" and step.launch is not None]

    @property
    def ending(self) -> tuple[str, bool] | None:
        """Why the recorded run stopped last, and whether nothing was left to do; None if it was cut off."""
        told = [line for line in self._lines if line["event"] == "ended" or line.get("decision") is not None]
        return (told[-1]["reason"], told[-1]["finished"]) if told and told[-1]["event"] == "ended" else None

    def miss(self, text: str) -> None:
        """In a replay, something is not as it was recorded: nothing more is played."""
        with self._lock:
            self.missed = self.missed or text

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            self._tape.close()

    def _append(self, line: Json) -> None:
        """Write a line; before the first one of this process, that a new session begins."""
        if not self._begun:
            self._begin()
        self._note(line)

    def _begin(self) -> None:
        self._begun = True
        about = {"event": "session", "format": FORMAT, "clade": version("clade-evolve"), "mode": self.mode}
        self._note({**about, "at": datetime.now(UTC).isoformat(timespec="seconds")})

    def _note(self, line: Json) -> None:
        self._tape.append(line)
        self._lines.append(line)

    def _stand_for_its_like(self, move: str, what: str) -> None:
        for launch in self._launches:
            like = launch.decision is None and launch.landed and launch.what == what
            if like and launch.number not in self._replayed:
                self.relaunched(move, launch)
                return

    def _stands_for(self, move: str) -> Launch | None:
        """The recorded move that a replayed one stands for."""
        number = self._moves.get(move)
        return self._launches[number] if number is not None and number in self._replayed else None

    def _speaker(self, scope: Scope) -> Speaker:
        move = scope.move or scope.key
        split = None if self.share_splits else scope.split
        return Speaker(self._moves.get(move), scope.key.removeprefix(move), scope.seed, split)

    def _told(self, scope: Scope, role: str, speaker: Speaker, asked: Spoken) -> str:
        which = "" if speaker.launch is None else f", {self._launches[speaker.launch].what}"
        near = nearest(asked, self._recordings.of(speaker))
        if near is None:  # a change that the seed depends on shows in the words of the same move, or not at all
            near = nearest(asked, self._recordings.of_move(speaker))
            near = None if near is None or near.same(asked) else near
        why = _STRANGER if near is None else difference(asked, near)
        call = f"call {self._asked[scope.key]} of {scope.key}{which}, by the role {role} to {asked.model}"
        return f"{call}, is not on {self.path}: {why}"


def _refused(text: str) -> ModelError:
    return ModelError(text, kind="refused")
