"""Where no key can be, one is looked for: what a box asks, and what comes out of it.

Boxes hold no keys, so a key in a box's request or in its diff means that the isolation is broken. Besides the keys that
this process has read, a *canary* is looked for: a random false key, planted in the environment of this process, where
everything that leaks an environment leaks it too. One hit ends the run.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator

from evolve.llm.redact import known_secrets

LONG_ENOUGH = 16
"""Characters of a real key at least: the placeholders that local servers ask for may well stand in some text."""


class Tripwire:
    """One run's canary, and whether a key was found in a box. May be used from any thread."""

    def __init__(self) -> None:
        self.canary = f"sk-canary-{secrets.token_hex(16)}"
        """Has the shape of a key, and opens nothing."""
        self.variable = f"CANARY_{secrets.token_hex(4).upper()}_API_KEY"
        self.breach: str | None = None
        """The first key that was found where none can be, in one sentence; never the key itself."""

    def plant(self) -> None:
        """Put the canary into the environment of this process."""
        os.environ[self.variable] = self.canary

    def lift(self) -> None:
        """Take the canary out again. Safe to call twice."""
        os.environ.pop(self.variable, None)

    def check(self, content: bytes, where: str) -> str | None:
        """Look for a key in what a box sent; the breach in one sentence, or None.

        `where` continues the sentence "… was found in". For every request of a box, so it looks for plain keys only.
        """
        for name, key in self._watched():
            if key.encode() in content:
                return self._found(name, where)
        return None

    def search(self, content: bytes, where: str) -> str | None:
        """As `check`, and for the usual encodings (base64, hexadecimal) too: for what comes out of a box."""
        for name, key in self._watched():
            if any(form in content for form in forms(key)):
                return self._found(name, where)
        return None

    def _watched(self) -> Iterator[tuple[str, str]]:
        yield "the canary key of this run", self.canary
        for key, name in known_secrets().items():
            if len(key) >= LONG_ENOUGH and any(character.isdigit() for character in key):
                yield f"the key in {name}", key

    def _found(self, what: str, where: str) -> str:
        breach = f"{what} was found in {where}: the isolation of this run is broken"
        self.breach = self.breach or f"{breach}, so it was stopped; replace the keys it had, and see `clade doctor`"
        return breach


def forms(key: str) -> tuple[bytes, ...]:
    """A key as it stands, reversed, in hexadecimal, and the parts of it that stand in any text in base64 around it."""
    plain = key.encode()
    encoded = [plain, plain[::-1], plain.hex().encode(), plain.hex().upper().encode()]
    for lead in range(3):
        # The first and last digits also depend on the neighbours: only those between are certain.
        text = base64.b64encode(b"\0" * lead + plain)
        first = (0, 2, 3)[lead]
        whole = (lead + len(plain)) // 3 * 4
        encoded.append(text[first:whole])
    return tuple(encoded)
