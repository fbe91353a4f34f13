"""Calls of a tape, found by whose they are and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm import Completion, Json, Usage
from evolve.llm.cassette.likeness import rest_of
from evolve.llm.cassette.miss import Spoken
from evolve.llm.cassette.recordings import Recordings, Speaker, ending_fields
from evolve.llm.cassette.tape import Tape

OWN = Speaker(0, "", 7, "search")


class Library:
    """A tape with recordings."""

    def __init__(self, path: Path) -> None:
        self.tape = Tape(path, write=True)

    def recordings(self, *, share_splits: bool = False) -> Recordings:
        return Recordings(self.tape, share_splits)

    def add(self, recordings: Recordings, speaker: Speaker, *said: str, answer: str = "x") -> Json:
        names = [recordings.put({"role": "user", "content": text}) for text in said]
        line: Json = {
            "event": "call",
            "launch": speaker.launch,
            "part": speaker.part,
            "seed": speaker.seed,
            "split": speaker.split,
            "model": "m",
        }
        line["kept"] = recordings.kept(line, names)
        line |= {"new": names[line["kept"] :], "rest": self.tape.put(rest_of({})), "calls": []}
        line |= ending_fields(self.tape, Completion({"text": answer}, Usage()))
        recordings.add(line)
        return line

    def find(
        self, recordings: Recordings, speaker: Speaker, *said: str, model: str = "m", anywhere: bool = False
    ) -> str | None:
        found = recordings.find(speaker, spoken(recordings, *said, model=model), anywhere=anywhere)
        if found is None:
            return None
        found.used = True
        ending = recordings.take(found).ending
        assert isinstance(ending, Completion)
        return str(ending.body["text"])


def spoken(recordings: Recordings, *said: str, model: str = "m") -> Spoken:
    return recordings.spoken(model, {"messages": [{"role": "user", "content": text} for text in said]})


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "tape")
    yield library
    library.tape.close()


@pytest.mark.parametrize(
    "other",
    [
        Speaker(1, "", 7, "search"),
        Speaker(0, "-life", 7, "search"),
        Speaker(0, "", 8, "search"),
        Speaker(0, "", 7, "x"),
    ],
)
def test_only_whose_call_it_is_gets_its_answer(library: Library, other: Speaker) -> None:
    recordings = library.recordings()
    library.add(recordings, OWN, "hi")
    assert library.find(recordings, other, "hi") is None
    assert library.find(recordings, OWN, "hi") == "x"
    assert library.find(recordings, OWN, "hi") is None


def test_only_the_same_words_to_the_same_model_are_the_same_call(library: Library) -> None:
    recordings = library.recordings()
    library.add(recordings, OWN, "hi", "ho")
    assert library.find(recordings, OWN, "hi") is None
    assert library.find(recordings, OWN, "hi", "ho", "hu") is None
    assert library.find(recordings, OWN, "ho", "hi") is None
    assert library.find(recordings, OWN, "hi", "ho", model="n") is None
    assert library.find(recordings, OWN, "hi", "ho") == "x"


def test_anywhere_means_another_move_of_the_same_part_seed_and_split(library: Library) -> None:
    recordings = library.recordings()
    library.add(recordings, Speaker(3, "", 7, "search"), "hi", answer="of another")
    library.add(recordings, OWN, "hi", answer="of its own")
    assert library.find(recordings, OWN, "hi", anywhere=True) == "of its own"
    assert library.find(recordings, OWN, "hi", anywhere=False) is None
    assert library.find(recordings, Speaker(None, "", 8, "search"), "hi", anywhere=True) is None
    assert library.find(recordings, Speaker(None, "", 7, "sealed"), "hi", anywhere=True) is None
    assert library.find(recordings, Speaker(None, "", 7, "search"), "hi", anywhere=True) == "of another"


def test_a_rollouts_requests_are_told_by_what_is_new_in_them(library: Library) -> None:
    recordings = library.recordings()
    lines = [
        library.add(recordings, OWN, "a"),
        library.add(recordings, OWN, "a", "b", "c"),
        library.add(recordings, OWN, "a", "x", "c"),  # an agent may rewrite its history
        library.add(recordings, Speaker(1, "", 7, "search"), "a", "x", "c"),
        library.add(recordings, OWN, "a"),
    ]
    assert [(line["kept"], len(line["new"])) for line in lines] == [(0, 1), (1, 2), (1, 2), (0, 3), (1, 0)]


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4)), max_size=12
    )
)
def test_whatever_was_said_is_read_again_message_by_message(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, list[str]]]
) -> None:
    library = Library(tmp_path_factory.mktemp("tapes") / "tape")
    written = library.recordings()
    lines = [
        library.add(written, Speaker(launch, "", 7, "search"), *said, answer=str(number))
        for number, (launch, said) in enumerate(calls)
    ]
    read = library.recordings()
    read.learn([{"event": "session"}, *lines])
    for number, (launch, said) in enumerate(calls):
        found = read.find(Speaker(launch, "", 7, "search"), spoken(read, *said), anywhere=False)
        assert found is not None
        found.used = True
        take = read.take(found)
        assert [message["content"] for message in take.messages] == said
        assert isinstance(take.ending, Completion)
        # Equal calls are given out in their order, so the number is the first one not given out yet: this very one.
        assert take.ending.body == {"text": str(number)}
    library.tape.close()


def test_splits_are_one_where_they_are_shared(library: Library) -> None:
    recordings = library.recordings(share_splits=True)
    library.add(recordings, OWN, "hi")
    assert library.find(recordings, Speaker(0, "", 7, None), "hi") == "x"
