"""The two files of a cassette: what is appended is read again, and what a kill or a damage left is told apart."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.llm import ModelError, redact
from evolve.llm.cassette.tape import BODIES, FORMAT, INDEX, Tape, name_of, text_of, value_of

SESSION = {"event": "session", "format": FORMAT}
OPENAI = "sk-proj-CANARYcanaryCANARY0123456789"
PRIVATE = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 3


def recorded(path: Path, *texts: bytes) -> list[str]:
    """A closed tape with a session line and one line for each body; the bodies' names."""
    tape = Tape(path, write=True)
    if not tape.lines:
        tape.append(SESSION)
    names = []
    for text in texts:
        names.append(tape.put(text))
        tape.append({"event": "record", "move": 0, "body": names[-1]})
    tape.close()
    return names


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    names = recorded(tmp_path, b"one", b"", "drei 🌳".encode())
    tape = Tape(tmp_path, write=False)
    assert [tape.get(name) for name in names] == [b"one", b"", "drei 🌳".encode()]
    assert tape.lines == [SESSION, *({"event": "record", "move": 0, "body": name} for name in names)]
    tape.close()
    tape.close()


def test_a_body_is_stored_once(tmp_path: Path) -> None:
    tape = Tape(tmp_path, write=True)
    content = os.urandom(3000)
    assert tape.put(content) == tape.put(content) == name_of(content)
    size = (tmp_path / BODIES).stat().st_size
    tape.put(content)
    tape.close()
    again = Tape(tmp_path, write=True)
    again.put(content)
    again.close()
    assert (tmp_path / BODIES).stat().st_size == size


def test_a_resumed_recording_only_adds(tmp_path: Path) -> None:
    first = recorded(tmp_path, b"one")
    before = {name: (tmp_path / name).read_bytes() for name in (INDEX, BODIES)}
    second = recorded(tmp_path, b"two")
    for name, content in before.items():
        assert (tmp_path / name).read_bytes().startswith(content)
    tape = Tape(tmp_path, write=False)
    assert [tape.get(name) for name in first + second] == [b"one", b"two"]
    tape.close()


@pytest.mark.parametrize("write", [False, True])
def test_a_kill_at_any_byte_leaves_a_cassette(tmp_path: Path, write: bool) -> None:
    """Every prefix that appends in their order can leave: a line is there only if its body is."""
    whole = tmp_path / "whole"
    tape = Tape(whole, write=True)
    ends = []
    tape.append(SESSION)
    for text in (b"one", b"two", b"three"):
        name = tape.put(text)
        bodies = (whole / BODIES).stat().st_size
        tape.append({"event": "record", "move": 0, "body": name})
        ends.append(((whole / INDEX).stat().st_size, bodies))
    tape.close()
    index, bodies = (whole / INDEX).read_bytes(), (whole / BODIES).read_bytes()
    start = (len(index.splitlines(keepends=True)[0]), 0)
    for number, ((index_from, bodies_from), (index_to, bodies_to)) in enumerate(
        zip([start, *ends], ends, strict=False)
    ):
        torn_bodies = [(index_from, size) for size in range(bodies_from, bodies_to)]
        torn_lines = [(size, bodies_to) for size in range(index_from, index_to)]
        for index_size, bodies_size in torn_bodies + torn_lines:
            path = tmp_path / f"torn-{index_size}-{bodies_size}-{write}"
            path.mkdir()
            (path / INDEX).write_bytes(index[:index_size])
            (path / BODIES).write_bytes(bodies[:bodies_size])
            tape = Tape(path, write=write)
            assert [tape.get(line["body"]) for line in tape.lines[1:]] == [b"one", b"two", b"three"][:number]
            if write:
                name = tape.put(b"after")
                tape.append({"event": "record", "move": 0, "body": name})
            tape.close()
            if write:
                again = Tape(path, write=False)
                assert again.get(again.lines[-1]["body"]) == b"after"
                assert len(again.lines) == number + 2
                again.close()
            else:
                assert (path / INDEX).stat().st_size == index_size


@pytest.mark.parametrize(("held", "wanted"), [(True, True), (True, False), (False, True)])
def test_one_writes_alone(tmp_path: Path, held: bool, wanted: bool) -> None:
    recorded(tmp_path, b"one")
    holder = Tape(tmp_path, write=held)
    with pytest.raises(ModelError, match=f"another process is using the cassette {tmp_path}: wait for it"):
        Tape(tmp_path, write=wanted)
    holder.close()
    Tape(tmp_path, write=wanted).close()


def test_several_read_at_once(tmp_path: Path) -> None:
    (name,) = recorded(tmp_path, b"one")
    readers = [Tape(tmp_path, write=False) for _ in range(3)]
    assert [each.get(name) for each in readers] == [b"one"] * 3
    for each in readers:
        each.close()


def test_the_lock_holds_between_processes_and_dies_with_its_own(tmp_path: Path) -> None:
    recorded(tmp_path, b"one")
    script = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / INDEX)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for write in (True, False):
            with pytest.raises(ModelError, match="another process is using the cassette"):
                Tape(tmp_path, write=write)
        other.kill()
    Tape(tmp_path, write=True).close()


def test_a_damaged_body_is_found(tmp_path: Path) -> None:
    (name,) = recorded(tmp_path, os.urandom(500))
    content = bytearray((tmp_path / BODIES).read_bytes())
    content[200] ^= 1
    (tmp_path / BODIES).write_bytes(content)
    tape = Tape(tmp_path, write=False)
    with pytest.raises(ModelError, match=f"body {name} .* is not what was recorded: it is damaged"):
        tape.get(name)
    tape.close()


def test_damage_in_the_midst_is_not_cut_away_as_a_torn_end(tmp_path: Path) -> None:
    names = recorded(tmp_path, b"one", b"two", b"three")
    content = bytearray((tmp_path / BODIES).read_bytes())
    content[16] = 0xFF  # the first body claims to be gigabytes long
    (tmp_path / BODIES).write_bytes(content)
    with pytest.raises(ModelError, match=f"lacks a body that its index names .{names[0]}.: it is damaged"):
        Tape(tmp_path, write=True)
    assert (tmp_path / BODIES).read_bytes() == content
    tape = Tape(tmp_path, write=False)
    with pytest.raises(ModelError, match="it is damaged"):
        tape.get(names[2])
    tape.close()


@pytest.mark.parametrize(
    ("index", "told"),
    [
        (b'{"event":"session","format":99}\n', "has the format 99, this version of Clade reads 1"),
        (b'{"event":"session"}\n', "has the format None, this version of Clade reads 1"),
        (b'{"event":"launched","name":"x"}\n', "does not begin as a cassette's index does"),
        (b'{"event":"session","format":1}\nnonsense\n', "line 2 of .* is not a line of a cassette"),
        (b'{"event":"session","format":1}\n[]\n', "line 2 of .* is not a line of a cassette"),
        (b'{"event":"session","format":1}\n{"no":"event"}\n', "line 2 of .* is not a line of a cassette"),
        (b'{"event":"session","format":1}\n\xff\xfe\n', "line 2 of .* is not a line of a cassette"),
    ],
)
def test_what_is_no_cassette_of_this_format_is_refused_and_left_alone(tmp_path: Path, index: bytes, told: str) -> None:
    (tmp_path / INDEX).write_bytes(index)
    (tmp_path / BODIES).write_bytes(b"")
    for write in (False, True):
        with pytest.raises(ModelError, match=told):
            Tape(tmp_path, write=write)
    assert (tmp_path / INDEX).read_bytes() == index
    with pytest.raises(ModelError, match=told):  # and nothing is locked any more
        Tape(tmp_path, write=True)


def test_what_is_not_there_is_told_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"there is no cassette in {tmp_path}/none: record one with --record"):
        Tape(tmp_path / "none", write=False)
    assert not (tmp_path / "none").exists()
    recorded(tmp_path / "half", b"one")
    (tmp_path / "half" / BODIES).unlink()
    with pytest.raises(ModelError, match="bodies cannot be opened: No such file"):
        Tape(tmp_path / "half", write=False)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match="file/tape cannot be made: Not a directory"):
        Tape(tmp_path / "file" / "tape", write=True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), VALUES))
def test_values_come_back_as_they_were(value: dict[str, object]) -> None:
    assert value_of(text_of(value)) == value


@settings(max_examples=50)
@given(
    st.sampled_from([OPENAI, PRIVATE, f"aws_secret_access_key = {'a1B2' * 10}"]), st.text(), st.text(), st.booleans()
)
def test_keys_are_hidden_and_the_text_stays_json(key: str, before: str, after: str, nested: bool) -> None:
    text = f"{before} {key} {after}"
    content = text_of({"role": "tool", "content": json.dumps({"said": text}) if nested else text})
    assert (key.split()[-1]).encode() not in content
    assert value_of(content)["role"] == "tool"


@pytest.mark.parametrize("text", ['key = "' + PRIVATE + '"', '{"secret_access_key": "' + "a1B2" * 10 + '"}'])
def test_a_key_does_not_take_its_quotation_mark_along(text: str) -> None:
    assert value_of(text_of({"content": text, "after": "x"})) == {"content": redact(text), "after": "x"}
    assert "[redacted]" in value_of(text_of({"content": text}))["content"]
