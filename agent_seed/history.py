"""Making the messages shorter when they are too long for the model. The problem statement always stays."""

from __future__ import annotations

KEEP_FULL_OBSERVATIONS = 6  # the newest ones, kept whole when older observations are shortened
SHORT_OBSERVATION = 160  # characters kept of an older one
OPENING = 2  # system message and problem statement


def shorten(messages):
    """Shorten old observations, more of them each time; then drop old turns. In place; what was done, or None."""
    keep = KEEP_FULL_OBSERVATIONS
    while True:
        if shorten_observations(messages, keep):
            return "observations"
        if keep <= 0:
            break
        keep //= 2
    return "turns" if drop_turns(messages) else None


def shorten_observations(messages, keep):
    """Cut all observations but the newest `keep` of them; how many were cut."""
    old = [message for message in messages[OPENING:] if message["role"] == "tool"]
    cut = 0
    for message in old[: len(old) - keep]:
        text = message["content"]
        short = text[:SHORT_OBSERVATION] + "\n[the rest of this old observation was left out]"
        if len(short) < len(text):
            message["content"] = short
            cut += 1
    return cut


def drop_turns(messages):
    """Drop the older half of the turns, each answer together with its observations; how many messages went."""
    starts = [i for i in range(OPENING, len(messages)) if messages[i]["role"] == "assistant"]
    if len(starts) < 2:
        return 0
    first_kept = starts[len(starts) // 2]
    del messages[OPENING:first_kept]
    return first_kept - OPENING
