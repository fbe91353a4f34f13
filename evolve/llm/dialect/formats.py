"""How the families of models write a tool call in their own text. Pure functions.

A `Format` knows where a call may begin and reads it to its end. Every one insists on the call's own end (a closed JSON
object, a closing tag): a call that was cut off is never a call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evolve.llm.dialect.arguments import parse, scan

NAME = r"[\w.:/-]+"
_DSML = r"[|｜‖]{1,2}\s*DSML\s*[|｜‖]{1,2}"
"""DeepSeek's namespace, with the bars that tokenizers and web pages make of it."""
_SPACE = r"(?:antml:|" + _DSML + r")?"
"""Namespaces of an `invoke` block."""
_BAR, _JOINT = r"[|｜]", r"[▁_ ]"
"""DeepSeek's special tokens, in its own characters and in those that look like them."""
_WRAPPER = rf"(?:<{_SPACE}(?:function_calls|tool_calls|calls|minimax:tool_call|tool_call|seed:tool_call)>\s*)?"


@dataclass(frozen=True, slots=True)
class Written:
    """A call as it was written; the name may be decorated."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    """Values of JSON."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Values that were written as plain text; the tool's schema says what they are."""


Reader = Callable[[str, "re.Match[str]"], tuple[list[Written], int]]
"""The calls that begin with a match, and where they end. Raises: `ValueError`."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write calls."""

    family: str
    opening: re.Pattern[str]
    read: Reader
    special: bool = False
    """Whether it begins with a special token, which nobody types: it may stand in the middle of a line."""


def _json_calls(text: str, opening: re.Match[str]) -> tuple[list[Written], int]:
    """`{"name": …, "arguments": {…}}`, or a list of such, or several one after the other."""
    value, end = scan(text, opening.end())
    calls = json_written(value)
    while more := _NEXT_OBJECT.match(text, end):
        value, end = scan(text, more.end())
        calls += json_written(value)
    extra = _BRACKETS_TOO_MANY.match(text, end)
    return calls, extra.end() if extra else end


_BRACKETS_TOO_MANY = re.compile(r"[}\]]+(?=\s*</)")
_NEXT_OBJECT = re.compile(r"\s*[;,]?\s*(?=\{)")


def json_written(value: object) -> list[Written]:
    """Calls in JSON of the shapes that models use. Raises: `ValueError` if it is anything else."""
    if isinstance(value, list) and value:
        return [call for each in value for call in json_written(each)]
    if not isinstance(value, dict):
        raise ValueError("no call is written there")
    inner = value.get("function")
    fields: dict[str, object] = inner if isinstance(inner, dict) else value
    name = fields.get("name", fields.get("function"))
    given = [fields[key] for key in _ARGUMENTS if key in fields]
    if not isinstance(name, str) or len(given) > 1 or fields.keys() - {"name", "function", "type", "id", *_ARGUMENTS}:
        raise ValueError("the JSON is not a call: name and arguments are needed")
    arguments = given[0] if given else None
    if isinstance(arguments, str):
        arguments = parse(arguments).value
    if not isinstance(arguments, dict | None):
        raise ValueError("the arguments are not an object")
    return [Written(name, arguments or {})]


_ARGUMENTS = ("arguments", "parameters", "args")


def _named_json(text: str, opening: re.Match[str]) -> tuple[list[Written], int]:
    """A name in the opening, then the arguments as JSON."""
    arguments, end = scan(text, opening.end())
    if not isinstance(arguments, dict):
        raise ValueError("the arguments are not an object")
    return [Written(opening["name"], arguments)], end


def _deepseek(text: str, opening: re.Match[str]) -> tuple[list[Written], int]:
    (call,), end = _named_json(text, opening)
    closing = _DEEPSEEK_END.match(text, end)
    if closing is None:
        raise ValueError("the call is never closed")
    return [call], closing.end()


_DEEPSEEK_END = re.compile(rf"\s*(?:```)?\s*<{_BAR}tool{_JOINT}call{_JOINT}end{_BAR}>")


def _function_tag(text: str, opening: re.Match[str]) -> tuple[list[Written], int]:
    """`<function=NAME>` with parameters in tags (Qwen3-Coder, Seed-OSS) or with JSON (Llama)."""
    name = opening["name"]
    if _BRACE.match(text, opening.end()):
        arguments, end = scan(text, opening.end())
        if not isinstance(arguments, dict):
            raise ValueError("the arguments are not an object")
        return [Written(name, arguments)], _closed(_FUNCTION_END, text, end)
    values, end = _pairs(_PARAMETER, text, opening.end())
    texts = {key: _unwrapped(value) for key, value in values}
    return [Written(name, texts=texts)], _closed(_FUNCTION_END, text, end)


_BRACE = re.compile(r"\s*\{")
_FUNCTION_END = re.compile(r"\s*</function>")
_PARAMETER = re.compile(
    r"\s*<parameter=[\"']?(?P<key>[^>\"']+)[\"']?>(?P<value>.*?)</parameter>(?=\s*(?:<parameter=|</function>))",
    re.DOTALL,
)


def _invoke(text: str, opening: re.Match[str]) -> tuple[list[Written], int]:
    """`<invoke name="NAME">` with parameters in tags (Anthropic, MiniMax, DeepSeek's DSML)."""
    values, end = _pairs(_INVOKE_PARAMETER, text, opening.end())
    end = _closed(_INVOKE_END, text, end)
    texts: dict[str, str] = {}
    arguments: dict[str, object] = {}
    for (key, value), match in zip(values, _INVOKE_PARAMETER.finditer(text, opening.end()), strict=False):
        if match["string"] == "false":  # DSML tells which values are JSON
            arguments[key], rest = scan(value, 0)
            if value[rest:].strip():
                raise ValueError(f"the field {key!r} is not JSON")
        else:
            texts[key] = value
    return [Written(opening["name"], arguments, texts)], end


_INVOKE_END = re.compile(rf"\s*</{_SPACE}invoke>")
_INVOKE_PARAMETER = re.compile(
    rf"\s*<{_SPACE}parameter\s+name=[\"']?(?P<key>[^>\"'\s]+)[\"']?(?:\s+string=\"(?P<string>true|false)\")?\s*>"
    rf"(?P<value>.*?)</{_SPACE}parameter>(?=\s*(?:<{_SPACE}parameter\s|</{_SPACE}invoke>))",
    re.DOTALL,
)


def _glm(text: str, opening: re.Match[str]) -> tuple[list[Written], int]:
    values, end = _pairs(_GLM_PAIR, text, opening.end())
    return [Written(opening["name"], texts=dict(values))], _closed(_GLM_END, text, end)


_GLM_END = re.compile(r"\s*</tool_call>")
_GLM_PAIR = re.compile(
    r"\s*<arg_key>(?P<key>[^<]+)</arg_key>\s*<arg_value>(?P<value>.*?)</arg_value>(?=\s*(?:<arg_key>|</tool_call>))",
    re.DOTALL,
)


def _pairs(pattern: re.Pattern[str], text: str, at: int) -> tuple[list[tuple[str, str]], int]:
    """Keys and values from a position on, for as long as they follow each other."""
    found: list[tuple[str, str]] = []
    while pair := pattern.match(text, at):
        found.append((pair["key"].strip(), pair["value"]))
        at = pair.end()
    if len(dict(found)) < len(found):
        raise ValueError("a field is there twice")
    return found, at


def _closed(end: re.Pattern[str], text: str, at: int) -> int:
    closing = end.match(text, at)
    if closing is None:
        raise ValueError("the call is never closed")
    return closing.end()


def _unwrapped(value: str) -> str:
    """Without the one line end on each side that the format puts there."""
    return value.removeprefix("\n").removesuffix("\n")


def _format(family: str, opening: str, read: Reader, *, special: bool = False) -> Format:
    return Format(family, re.compile(opening), read, special)


FORMATS: tuple[Format, ...] = (
    _format("Qwen3-Coder, Seed-OSS, Llama", rf"{_WRAPPER}<function=[\"']?(?P<name>{NAME})[\"']?>", _function_tag),
    _format("Anthropic, MiniMax", rf"{_WRAPPER}<(?:antml:)?invoke\s+name=[\"']?(?P<name>{NAME})[\"']?\s*>", _invoke),
    _format("DeepSeek's DSML", rf"{_WRAPPER}<{_DSML}invoke\s+name=\"(?P<name>{NAME})\"\s*>", _invoke, special=True),
    _format(
        "Hermes, Qwen, Granite",
        r"<(?P<tag>tool_calls?|function_calls?|functioncall|tools?)>\s*(?=\{|\[\s*\{)",
        _json_calls,
    ),
    _format("GLM", rf"<tool_call>\s*(?P<name>{NAME})\s*(?=<arg_key>|</tool_call>)", _glm),
    _format(
        "Granite, Phi, Llama",
        r"(?:<\|(?:tool_call|python_tag)\|>|functools)\s*(?=\{|\[\s*\{)",
        _json_calls,
        special=True,
    ),
    _format("Mistral", r"\[TOOL_CALLS\]\s*(?=\{|\[\s*\{)", _json_calls, special=True),
    _format(
        "Mistral",
        r"\[TOOL_CALLS\]\s*(?P<name>[\w.-]+)\s*(?:\[CALL_ID\]\w+)?\s*(?:\[ARGS\])?\s*(?=\{)",
        _named_json,
        special=True,
    ),
    _format(
        "DeepSeek",
        rf"(?:<{_BAR}tool{_JOINT}calls{_JOINT}begin{_BAR}>\s*)?<{_BAR}tool{_JOINT}call{_JOINT}begin{_BAR}>\s*"
        rf"(?:function<{_BAR}tool{_JOINT}sep{_BAR}>\s*)?(?P<name>[\w.-]+)\s*(?:<{_BAR}tool{_JOINT}sep{_BAR}>)?\s*"
        r"(?:```(?:json)?\s*)?(?=\{)",
        _deepseek,
        special=True,
    ),
    _format(
        "Kimi K2",
        rf"(?:<\|tool_calls_section_begin\|>\s*)?<\|tool_call_begin\|>\s*(?P<name>{NAME})\s*"
        r"<\|tool_call_argument_begin\|>\s*(?=\{)",
        _named_json,
        special=True,
    ),
    _format(
        "gpt-oss (harmony)",
        r"to=functions\.(?P<name>[\w-]+)\s*(?:<\|channel\|>\s*)?(?:(?:commentary|analysis)\s*)?"
        r"(?:<\|constrain\|>\s*)?(?:json|code)?\s*(?:<\|message\|>)?\s*(?=\{)",
        _named_json,
        special=True,
    ),
)

SIGNS = ("<", "[TOOL_CALLS]", "functools", "to=functions.")
"""A text with none of these holds no call: cheaper to see than to search for."""
ANCHORS = re.compile(r"<(?=[tfisac|｜‖m])|\[TOOL_CALLS\]|\bfunctools\b|\bto=functions\.|\]<\]")
"""Where alone any of the openings may stand."""

_CALL_END = (
    rf"</(?:{_SPACE})(?:function_calls|tool_calls|calls|invoke)>"
    r"|</(?:tool_calls?|function_calls?|functioncall|tools?|function|minimax:tool_call|seed:tool_call)>"
    r"|<\|(?:/tool_call|tool_call_end|tool_calls_section_end|call)\|>"
    rf"|<{_BAR}tool{_JOINT}calls?{_JOINT}end{_BAR}>|\[/TOOL_CALLS\]"
)
CALL_END = re.compile(_CALL_END)
"""Where a call or a list of calls ends."""
CLOSINGS = re.compile(
    rf"(?:\s|{_CALL_END}|<\|(?:im_end|eot_id|eom_id|end|return|endoftext|user)\|>"
    rf"|<{_BAR}end{_JOINT}of{_JOINT}sentence{_BAR}>|</s>)*"
)
"""What may stand behind a call: closing marks, needed or not, and the marks of a turn's end."""

INVENTED = re.compile(
    r"<tool_response>|<tool_results?>|<function_results?>|<\|im_start\|>|<\|observation\|>|<\|start_header_id\|>"
    rf"|\[TOOL_RESULTS\]|<{_BAR}tool{_JOINT}outputs?{_JOINT}begin{_BAR}>|<\|start\|>functions\."
)
"""Where a model begins to write the next turn, which is not its own."""

SUSPECTS = re.compile(
    rf"<(?:{_SPACE})(?:invoke\s+name=|function_calls>)|<function=[\"']?\w|\[TOOL_CALLS\]\s*[\w.-]*\s*(?:[\[{{]|\Z)|<\|python_tag\|>"
    r"|<(?:seed:|minimax:)?tool_calls?>\s*(?:[\[{]|<function|<invoke|[\w.-]+\s*(?:<|\n|\Z)|\Z)|\]<\]minimax\[>\[<"
    rf"|<{_BAR}tool{_JOINT}calls?{_JOINT}begin|<{_DSML}|<\|tool_calls?_(?:section_)?(?:begin|start)\|>"
    r"|<\|tool_call\|>|<start_function_call>|\bto=functions\.\w+\s*(?:<\||json|\{)"
)
"""Where a call seems to begin, readable or not."""
SPECIAL_SUSPECT = re.compile(r"\[TOOL_CALLS\]|<\||<[｜‖]|\]<\]|.{0,4}to=functions")
"""Those of them that nobody types in the middle of a sentence."""
