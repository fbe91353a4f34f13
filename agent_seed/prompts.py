"""Every text that the model or the reader of a result gets to see."""

from __future__ import annotations

SYSTEM = """\
You are a careful software engineer. You work in a repository through tools, alone, and nobody answers questions.
Look at the files before you change them. Make the smallest change that solves the problem.
Run the tests after each change, and undo a change that does not help.
When you are done, answer without a tool call and say in one or two sentences what you changed.
If you cannot solve the problem, begin that last answer with GAVE UP."""

TASK = """\
The repository is the current folder of every command: {repository}

{problem}
"""

TESTS = """
The tests are run with: `{test_command}`
"""

BASH = (
    "Run a command with bash in the repository's folder. Each call is a new shell; there is no input and no network. "
    "You see its output (stdout and stderr together, the middle left out where it is long) and its exit status."
)
BASH_COMMAND = "The command; it may have several lines."

EDIT = (
    "Change one text file. With `old`: replace this exact text, which must occur once. With `first_line` and "
    "`last_line`: replace these lines. With neither: create the file."
)
EDIT_PATH = "The file, relative to the repository's folder."
EDIT_NEW = "The new text, with its indentation."
EDIT_OLD = "The exact text to replace, with its indentation."
EDIT_FIRST = "Number of the first line to replace, from 1."
EDIT_LAST = "Number of the last line to replace."

# What the model is told when its answer cannot be used.
BAD_ARGUMENTS = "Error: the arguments of this call are not a JSON object ({why}). Nothing was done. Send it again."
CUT_ARGUMENTS = "Error: your answer was cut at its length limit, this call too. Nothing was done. Make smaller calls."
UNKNOWN_TOOL = "Error: there is no tool {name!r}. The tools are: {names}."
EMPTY_ANSWER = "Your answer was empty. Go on with a tool call, or say what you changed if you are done."
CUT_ANSWER = "Your answer was cut at its length limit. Go on with a tool call, and be brief."
UNREADABLE_CALL = "Your answer was meant as a tool call, but none could be read from it. Send the tool call again."

# How a run ended, for the result's summary.
STEP_LIMIT = "Stopped at the limit of {steps} steps before the model was done."
OUT_OF_TIME = "Stopped because the time was up before the model was done."
BUDGET_SPENT = "Stopped because the budget for model calls is spent."
CONTEXT_FULL = "Stopped because the messages are too long for the model and nothing is left to shorten."
NO_USABLE_ANSWER = "Stopped because {nudges} answers in a row held neither a tool call nor a last message."
MODEL_FAILED = "Stopped because the model could not be asked: {why}"
CRASHED = "The agent crashed: {why}"
TERMINATED = "The agent was told to terminate."

# What happened on the way, counted in the summary.
ANSWERS = "{calls} tool calls in {steps} answers"
COMMAND_TIMED_OUT = "a command timed out"
OUTPUT_CUT = "the output of a command was cut"
EDIT_FAILED = "an edit failed"
CALL_REFUSED = "a tool call was malformed"
NUDGED = "an answer had to be asked for again"
SHORTENED = "old observations were shortened because the messages were too long"
FORGOTTEN = "old turns were dropped because the messages were too long"


def opening(request):
    """The first two messages: who the model is, and its problem."""
    task = TASK.format(repository=request["repository"], problem=request["problem"])
    if request.get("test_command"):
        task += TESTS.format(test_command=request["test_command"])
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task}]
