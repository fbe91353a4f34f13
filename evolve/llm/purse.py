"""What the calls of one rollout may cost, and what they did: from tokens and machine time to dollars on its account."""

from __future__ import annotations

from dataclasses import replace

from archive import Bill
from evolve.llm.base import Json, Model, ModelError, Usage
from evolve.llm.ledger import FEWEST_OUTPUT_TOKENS, Account, Reservation, Worst, fitting
from evolve.llm.wire import BYTES_PER_TOKEN, added_by_service, estimate


class Purse:
    """Prices one rollout's calls; it learns how dense the rollout's prompts are."""

    def __init__(self, account: Account, longest: float) -> None:
        """`longest`: seconds that one call may take, all its tries and pauses together."""
        self.account = account
        self._longest = longest
        self._bytes_per_token = BYTES_PER_TOKEN

    def prompt_tokens(self, request: Json) -> int:
        """An estimate on the safe side."""
        return estimate(request, self._bytes_per_token)

    def within_call(self, model: Model, request: Json) -> Json:
        """The request, generating no more than the cap on a call pays for.

        Raises: `ModelError` of kind context_length where the prompt leaves too little: the agent may shorten it.
        """
        cap = self.account.usd_per_call
        if cap is None:
            return request
        wanted = request["max_tokens"]
        most = fitting(model.price, self.prompt_tokens(request), wanted, cap - self._machine_usd(model))
        if most < min(FEWEST_OUTPUT_TOKENS, wanted):
            text = f"a call may cost ${cap:g}, which such a long prompt leaves too little of: shorten the messages"
            raise ModelError(text, kind="context_length", status=400)
        return {**request, "max_tokens": most}

    def worst(self, model: Model, request: Json) -> Worst:
        """What the call may cost at most."""
        tokens = Worst.of(model.price, self.prompt_tokens(request), request["max_tokens"])
        return replace(tokens, usd=tokens.usd + self._machine_usd(model)) if model.price.hour else tokens

    def settle(
        self, model: Model, reservation: Reservation, usage: Usage | None, machine_seconds: float, status: str
    ) -> Bill:
        """Charge a call at what it took, a machine's time included; `usage` None charges the worst case."""
        price = model.price
        if usage is None and price.hour is not None and not (price.input or price.output):
            usage = Usage()  # its tokens are not known, but only its time costs, and that is
        usd = price.of(usage) if usage is not None else 0.0
        if price.hour is not None:
            usd += machine_seconds * price.hour / 3600
        return self.account.settle(reservation, usage, usd, status=status)

    def learn(self, request: Json, estimated: int, usage: Usage) -> None:
        """A prompt denser than estimated makes the next estimates of this rollout denser, with a tenth to spare."""
        if usage.input_tokens > estimated:
            self._bytes_per_token *= (estimated - added_by_service(request)) / (1.1 * usage.input_tokens)

    def _machine_usd(self, model: Model) -> float:
        """What a machine paid by the hour could cost while a call with all its tries is on it alone."""
        return (model.price.hour or 0.0) * self._longest / 3600
