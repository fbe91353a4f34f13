"""Everything that the dialect does to requests and answers, by name: what the counts per model are counts of."""

from __future__ import annotations

EVENTS: dict[str, str] = {
    # of a request
    "arguments_emptied": "a call of the history had arguments that are no JSON object; {} was sent in their place",
    "ids_renewed": "a call of the history had an empty id, or that of another call; it was sent with a new one",
    "result_missing": "a call of the history had no result; one that says so was sent with it",
    "result_orphaned": "a result of the history belonged to no call; it was sent as a message of the user",
    "turn_filled": "an answer of the history held neither text nor calls; it was sent with a few words",
    # of an answer
    "arguments_repaired": "a call's arguments were no JSON object, but could only mean one",
    "arguments_broken": "a call's arguments were no JSON object, nor could they be read as one",
    "name_repaired": "a call named its tool with decorations",
    "id_made": "a call came without an id, or with that of another one",
    "call_leaked": "a call was left in the answer's text, and read there",
    "call_leaked_in_reasoning": "a call was left in the model's reasoning, and read there",
    "call_unreadable": "a call seems to be left in the text, but cannot be read, or would not fit the tool",
    "result_invented": "the model went on to write its call's result itself; that was cut off",
    "answer_cut": "a call or an answer was cut at its length limit",
    "answer_empty": "an answer held neither text nor calls",
    # of plain text (protocol fenced)
    "fence_broken": "a block that names a tool could not be read",
    "fences_dropped": "an answer held several blocks that name a tool; only the first was taken",
    # of the one repair
    "repair_retry": "an answer that could not be used was asked for once more",
    "repair_failed": "the second answer could not be used either",
}
"""Event -> what it means, in one line."""
