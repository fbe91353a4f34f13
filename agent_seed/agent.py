"""The loop: ask the model, act on its tool calls, observe what happened; until it is done or something runs out."""

from __future__ import annotations

import json
import time
from collections import Counter

from . import history, llm, prompts, tools

MAX_STEPS = 30  # answers of the model in one run; an attempt (edit, test, undo) takes several
PARALLEL_TOOL_CALLS = False  # may one answer hold several tool calls, done in their order?
TEMPERATURE = 1.0  # 0: the model tries the likeliest change first; more: its attempts are more varied
MAX_NUDGES = 3  # in a row, for answers with neither a tool call nor a last message
RESERVE_SECONDS = 3  # kept back from the time left, to write the result


class Agent:
    def __init__(self, request, log):
        self.folder = request["repository"]
        self.role = request["role"]
        self.deadline = time.monotonic() + request["seconds"] - RESERVE_SECONDS
        self.messages = prompts.opening(request)
        self.log = log
        self.steps = 0
        self.calls = 0
        self.nudges = 0
        self.notes = Counter()

    def run(self):
        """Work on the problem. Returns the result's status and how the run ended."""
        while self.steps < MAX_STEPS:
            if self.seconds_left() <= 0:
                return "gave_up", prompts.OUT_OF_TIME
            try:
                message, finish_reason = self.ask()
            except llm.BudgetSpentError:
                return "gave_up", prompts.BUDGET_SPENT
            except llm.ContextTooLongError:
                if not self.shorten():
                    return "gave_up", prompts.CONTEXT_FULL
                continue
            cut = finish_reason == "length"
            if message.get("tool_calls"):
                self.nudges = 0
                self.act(message["tool_calls"], cut)
                continue
            nudge = self.unusable(message["content"], finish_reason)
            if not nudge:
                return ("gave_up" if message["content"].startswith("GAVE UP") else "done"), message["content"]
            self.nudges += 1
            if self.nudges > MAX_NUDGES:
                return "gave_up", prompts.NO_USABLE_ANSWER.format(nudges=self.nudges)
            self.note(prompts.NUDGED)
            self.add({"role": "user", "content": nudge})
        return "gave_up", prompts.STEP_LIMIT.format(steps=MAX_STEPS)

    def ask(self):
        """The model's next message, added to the history in a form that every server accepts back."""
        body = {
            "model": self.role,
            "messages": self.messages,
            "tools": tools.SCHEMAS,
            "parallel_tool_calls": PARALLEL_TOOL_CALLS,
            "temperature": TEMPERATURE,
        }
        answer, finish_reason = llm.complete(body, self.seconds_left())
        self.steps += 1
        content = answer["content"] if isinstance(answer["content"], str) else ""
        message = {"role": "assistant", "content": content}
        calls = [tidy(call, "call_%d_%d" % (self.steps, i)) for i, call in enumerate(answer["tool_calls"] or [])]
        if calls:
            message["tool_calls"] = [call for call, _, _ in calls]
        self.add(message)
        return dict(message, tool_calls=calls), finish_reason

    def act(self, calls, cut):
        """Do the tool calls in their order, and show the model what happened."""
        for call, arguments, why in calls:
            self.calls += 1
            if arguments is None:
                text = prompts.CUT_ARGUMENTS if cut else prompts.BAD_ARGUMENTS.format(why=why)
                observation = tools.Observation(text, prompts.CALL_REFUSED)
            elif self.seconds_left() <= 0:
                observation = tools.Observation(prompts.OUT_OF_TIME, "")
            else:
                name = call["function"]["name"]
                observation = tools.perform(name, arguments, self.folder, self.seconds_left())
            self.add({"role": "tool", "tool_call_id": call["id"], "content": observation.text})
            if observation.note:
                self.note(observation.note)

    def unusable(self, content, finish_reason):
        """What to tell the model if an answer without tool calls cannot be its last message, else None."""
        if finish_reason == "length":
            return prompts.CUT_ANSWER
        if not content.strip():
            return prompts.EMPTY_ANSWER
        return prompts.UNREADABLE_CALL if finish_reason == "tool_calls" else None

    def shorten(self):
        """Make the messages shorter. False if nothing is left to shorten."""
        what = history.shorten(self.messages)
        if what:
            self.note(prompts.SHORTENED if what == "observations" else prompts.FORGOTTEN)
        return bool(what)

    def add(self, message):
        self.messages.append(message)
        self.log(step=self.steps, message=message)

    def note(self, text):
        self.notes[text] += 1
        self.log(step=self.steps, note=text)

    def seconds_left(self):
        return self.deadline - time.monotonic()

    def summary(self, ending):
        """How the run ended and what happened on the way, in plain words."""
        notes = [prompts.ANSWERS.format(calls=self.calls, steps=self.steps)]
        notes += ["%d x %s" % (count, text) for text, count in self.notes.most_common()]
        return "%s (%s)" % (ending.strip(), "; ".join(notes))


def tidy(call, fallback_id):
    """A tool call fit to be sent back, its arguments (None if they are not a JSON object), and what is wrong."""
    function = call.get("function") or {}
    arguments, why = function.get("arguments"), ""
    if not isinstance(arguments, dict):
        try:
            arguments = json.loads(arguments or "{}")
        except (TypeError, ValueError) as error:
            arguments, why = None, str(error)
        if arguments is not None and not isinstance(arguments, dict):
            arguments, why = None, "it is a %s" % type(arguments).__name__
    name = function.get("name") or ""
    sent_back = {"name": name, "arguments": json.dumps(arguments or {})}
    return {"id": call.get("id") or fallback_id, "type": "function", "function": sent_back}, arguments, why
