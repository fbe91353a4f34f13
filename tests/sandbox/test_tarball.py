"""Tar streams of a stranger's: nothing but regular files with good names, and no lie goes unnoticed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest

from sandbox import File
from sandbox.tarball import pack, single, unpack


def chunks(data: bytes, size: int = 1000) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def archive(*entries: tuple[str, bytes, bytes]) -> bytes:
    """A tar of (name, type, content or link target) below the two folders of the workspace."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind, content in (("box", tarfile.DIRTYPE, b""), ("box/work", tarfile.DIRTYPE, b""), *entries):
            entry = tarfile.TarInfo(name)
            entry.type = kind
            if kind == tarfile.REGTYPE:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            else:
                entry.linkname = content.decode()
                tar.addfile(entry)
    return buffer.getvalue()


def test_what_was_packed_comes_out() -> None:
    files = {"a": File(b"1"), "d/e": File(bytes(range(256)) * 20, True), "ü " + "x" * 150: File(b"")}
    assert unpack(chunks(pack(files, "/box/work")), "box/work").files == files


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_only_regular_files(kind: bytes) -> None:
    snapshot = unpack(
        chunks(archive(("box/work/x", kind, b"/etc/passwd"), ("box/work/y", tarfile.REGTYPE, b"1"))), "box/work"
    )
    assert snapshot.files == {"y": File(b"1")}
    assert set(snapshot.refused) == {"x"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "box/workers/x", "etc/passwd"])
def test_names_outside_are_no_files_of_the_workspace(name: str) -> None:
    assert unpack(chunks(archive((name, tarfile.REGTYPE, b"1"))), "box/work").files == {}


@pytest.mark.parametrize("name", ["box/work/../../etc/x", "box/work//x", "box/work/a\nb"])
def test_evil_names_are_refused(name: str) -> None:
    snapshot = unpack(chunks(archive((name, tarfile.REGTYPE, b"1"))), "box/work")
    assert snapshot.files == {}
    assert len(snapshot.refused) == 1


def test_a_folder_above_that_is_a_link() -> None:
    link = archive(("box/work", tarfile.SYMTYPE, b"/etc"), ("box/work/passwd", tarfile.REGTYPE, b"1"))
    assert "." in unpack(chunks(link), "box/work").refused
    assert single(chunks(link), "box/work/passwd", 10) is None


@pytest.mark.parametrize("cut", [0, 100, 1600, 2100])
def test_a_stream_that_breaks_off_is_noticed(cut: int) -> None:
    data = archive(("box/work/x", tarfile.REGTYPE, b"1" * 3000))
    assert "." in unpack(chunks(data[:cut]), "box/work").refused
    assert unpack(chunks(data[:cut]), "box/work").files == {}


def test_noise_is_noticed() -> None:
    assert "." in unpack(chunks(b"\xff" * 5000), "box/work").refused


def test_a_single_file() -> None:
    data = archive(("box/work/x", tarfile.REGTYPE, b"12345"), ("box/work/l", tarfile.SYMTYPE, b"x"))
    assert single(chunks(data), "box/work/x", 5) == b"12345"
    assert single(chunks(data), "box/work/x", 4) is None
    assert single(chunks(data), "box/work/l", 5) is None
    assert single(chunks(data), "box/work/none", 5) is None
