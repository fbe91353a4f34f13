"""The options of cassettes: what may be given together, and what is said where there is none. Nothing runs here."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from archive import Archive
from evolve.cli import main
from evolve.cli.cassettes import Tape, cassette_options, opened
from evolve.llm import ModelError

SETTINGS = '[benchmark]\nname = "repair"\nsearch = 1\nvalidation = 1\nsealed = 1\n'
OPTIONS = ("--record", "--replay", "--replay-or-call")


@click.command()
@click.argument("word")
@cassette_options
def shown(word: str, tape: Tape | None) -> None:
    click.echo(f"{word} {tape}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.toml").write_text(SETTINGS)
    return folder


def clade(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_none_is_no_cassette() -> None:
    assert CliRunner().invoke(shown, ["hi"]).output == "hi None\n"
    with opened(None) as cassette:
        assert cassette is None


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("share", [False, True])
def test_each_option_names_a_cassette_and_its_use(tmp_path: Path, option: str, share: bool) -> None:
    more = ["--share-splits"] if share else []
    result = CliRunner().invoke(shown, ["hi", option, str(tmp_path / "tape"), *more])
    assert result.output == f"hi {Tape(tmp_path / 'tape', option[2:], share)}\n"  # type: ignore[arg-type]
    assert not (tmp_path / "tape").exists()


@pytest.mark.parametrize("verb", ["run", "evaluate"])
@pytest.mark.parametrize(("one", "other"), [OPTIONS[:2], OPTIONS[1:], OPTIONS[::2]])
def test_the_three_exclude_one_another(folder: Path, tmp_path: Path, verb: str, one: str, other: str) -> None:
    result = clade(verb, folder, *(["0"] if verb == "evaluate" else []), one, tmp_path / "a", other, tmp_path / "b")
    assert result.exit_code == 2
    assert "--record, --replay and --replay-or-call exclude one another: give one of them" in result.output
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
    assert not Archive.exists(folder)


def test_sharing_splits_needs_a_cassette(folder: Path) -> None:
    result = clade("run", folder, "--share-splits")
    assert result.exit_code == 2
    assert "--share-splits goes with --record, --replay or --replay-or-call" in result.output


def test_a_cassette_is_a_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = clade("run", folder, "--record", tmp_path / "file")
    assert result.exit_code == 2
    assert "is a file" in result.output


def test_a_replay_without_a_cassette_is_one_sentence_and_begins_no_run(folder: Path, tmp_path: Path) -> None:
    result = clade("run", folder, "--plain", "--replay", tmp_path / "none")
    assert result.exit_code == 1
    assert (
        result.output == f"clade: there is no cassette in {tmp_path}/none: record one with --record {tmp_path}/none\n"
    )
    assert not (tmp_path / "none").exists()
    assert not Archive.exists(folder)


def test_a_cassette_in_use_is_one_sentence_and_begins_no_run(folder: Path, tmp_path: Path) -> None:
    with opened(Tape(tmp_path / "tape", "record", False)):
        result = clade("run", folder, "--plain", "--record", tmp_path / "tape")
    assert result.exit_code == 1
    assert (
        result.output
        == f"clade: another process is using the cassette {tmp_path}/tape: wait for it, or use another one\n"
    )
    assert not Archive.exists(folder)


def test_a_folder_that_cannot_be_made_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = clade("run", folder, "--plain", "--record", tmp_path / "file" / "tape")
    assert result.exit_code == 1
    assert result.output == f"clade: the cassette's folder {tmp_path}/file/tape cannot be made: Not a directory\n"


def test_the_cassette_is_closed_whatever_happens(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "tape", "record", False)
    with pytest.raises(KeyError), opened(tape):
        raise KeyError
    with opened(tape) as cassette:
        assert cassette is not None
    with pytest.raises(ModelError, match="there is no cassette"), opened(Tape(tmp_path / "none", "replay", False)):
        pass
