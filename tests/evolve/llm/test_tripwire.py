"""A key where none can be is found, also in the usual disguises; nothing else is."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm import Tripwire, redact
from evolve.llm.tripwire import forms


def test_the_canary_is_planted_in_the_environment_and_lifted_again() -> None:
    first, second = Tripwire(), Tripwire()
    assert first.canary != second.canary and first.variable != second.variable
    first.plant()
    assert os.environ[first.variable] == first.canary
    first.lift()
    first.lift()
    assert first.variable not in os.environ
    assert first.canary not in redact(f"x {first.canary} x"), "it has the shape of a key, so nobody keeps it"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_every_disguise_is_seen_through(before: bytes, after: bytes) -> None:
    tripwire = Tripwire()
    plain = before + tripwire.canary.encode() + after
    for text in (plain, plain[::-1], base64.b64encode(plain), plain.hex().encode()):
        assert tripwire.search(text, "it") is not None


def test_the_first_breach_is_what_is_told() -> None:
    tripwire = Tripwire()
    assert tripwire.search(b"nothing here", "a") is None and tripwire.check(b"", "a") is None
    assert tripwire.breach is None
    assert tripwire.search(tripwire.canary[:-1].encode(), "a part") is None
    tripwire.search(tripwire.canary.encode(), "the changes of evaluation-1")
    tripwire.check(tripwire.canary.encode(), "a request of evaluation-2")
    assert "the changes of evaluation-1" in str(tripwire.breach) and tripwire.canary not in str(tripwire.breach)


@pytest.mark.parametrize("length", [16, 17, 18, 42])
def test_forms_are_long_enough_to_mean_something(length: int) -> None:
    assert all(len(form) >= length for form in forms("k" * length))
