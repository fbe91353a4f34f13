"""Cassettes: what the models said in a run, kept so that the run can be played again without them.

`tape` is the format on disk, `likeness` says which requests are the same, `order` which moves the recorded run made
when, `miss` explains a call that is not there; `cassette` is what the rest of the house uses.
"""

from evolve.llm.cassette.cassette import Cassette, Mode
from evolve.llm.cassette.order import Landing, Launch, Step
from evolve.llm.cassette.recordings import Take

__all__ = ["Cassette", "Landing", "Launch", "Mode", "Step", "Take"]
