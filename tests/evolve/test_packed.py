"""Records as bytes: what came of a move comes back as it was."""

from hypothesis import given
from hypothesis import strategies as st

from archive import Call, Outcome
from evolve.jobs import Record
from evolve.packed import packed, unpacked

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 10**12)
SECONDS = st.floats(0, 1e7)
FILES = st.dictionaries(TEXTS, st.binary(max_size=40), max_size=3)
CALLS = st.builds(Call, TEXTS, TEXTS, NUMBERS, NUMBERS, NUMBERS, SECONDS, SECONDS, NUMBERS, TEXTS)
RECORDS = st.builds(
    Record,
    outcome=st.sampled_from(Outcome),
    reason=TEXTS,
    seconds=SECONDS,
    steps=NUMBERS,
    calls=st.lists(CALLS, max_size=3).map(tuple),
    files=FILES,
    issue=TEXTS,
    child=st.none() | FILES,
    shape=st.none() | TEXTS,
    source=TEXTS,
    clocked=st.booleans(),
)


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    again = unpacked(packed(record))
    assert again == record
    assert type(again.outcome) is Outcome
    assert again.repeatable == record.repeatable


@given(RECORDS)
def test_packing_is_the_same_every_time(record: Record) -> None:
    assert packed(unpacked(packed(record))) == packed(record)


def test_a_child_without_files_is_not_the_lack_of_one() -> None:
    for child in ({}, None):
        assert unpacked(packed(Record(Outcome.BORN, "", 1.0, child=child))).child == child
