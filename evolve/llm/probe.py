"""The house's own small question to a model: whether its service answers at all.

It goes straight to the provider, past the queue that waits for its answer, and is paid from the run's budget like any
other call. One word is asked for, so it costs a fraction of a cent. What failed costs nothing; a question that was cut
short is charged in full, because the provider may do so.
"""

from __future__ import annotations

from collections.abc import Mapping

from evolve.llm.base import Completion, Json, Model, ModelError, Role, Scope, Usage
from evolve.llm.ledger import BudgetSpent, Ledger, Worst
from evolve.llm.redact import redact

SCOPE = Scope("question")
"""Its lines in the ledger."""
QUESTION = "Answer with the word: here"
MAX_TOKENS = 256
"""Enough for a model that thinks before it says a word; one that is cut short has answered too."""
PROMPT_TOKENS = 64
"""More than the question can have with any tokenizer and chat template."""


class Probe:
    """Asks a model by its label."""

    def __init__(self, models: Mapping[Role, Model], ledger: Ledger) -> None:
        self._models = models
        self._ledger = ledger

    async def __call__(self, label: str) -> None:
        """Returns if the model answers, or if it cannot be asked because its budget is spent. Raises: `ModelError`."""
        found = next(((role, model) for role, model in self._models.items() if model.label == label), None)
        if found is None:  # a rollout's own model, such as the life check's
            return
        role, model = found
        request = question(model)
        account = self._ledger.account(SCOPE.key)
        try:
            reservation = await account.set_aside(
                role, label, Worst.of(model.price, PROMPT_TOKENS, request["max_tokens"])
            )
        except BudgetSpent:
            return
        usage: Usage | None = None
        status = "cancelled"
        try:
            completion = await self._answer(model, request)
            usage, status = completion.usage if completion.usage.told else None, "ok"
        except ModelError as error:
            usage, status = None if error.lost else Usage(), error.kind
            raise
        finally:
            account.settle(reservation, usage, 0.0 if usage is None else model.price.of(usage), status=status)

    async def _answer(self, model: Model, request: Json) -> Completion:
        try:
            return await model.provider.complete(request, SCOPE)
        except ModelError:
            raise
        except Exception as error:  # the boundary to providers, which others write
            text = redact(f"the provider {model.provider.name!r} failed: {error!r}")
            raise ModelError(text, kind="unavailable") from error


def question(model: Model) -> Json:
    """The request, as the model's settings want it."""
    messages = [{"role": "user", "content": QUESTION}]
    limit = min(MAX_TOKENS, model.max_output_tokens)
    return {**model.parameters, "model": model.name, "messages": messages, "max_tokens": limit}
