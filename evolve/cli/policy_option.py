"""A policy as it is named on the command line, with options of its own: `kin`, `kin:optimism=2,alpha=0.5`."""

from __future__ import annotations

import difflib
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from evolve.policies import AnyPolicy
from evolve.settings import SettingsError

POLICIES: dict[str, type[Any]] = {
    policy.model_fields["name"].default: policy for policy in get_args(get_args(AnyPolicy)[0])
}
WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}
NONE = "none"
"""How no value is written."""


def policy_called(text: str) -> AnyPolicy:
    """The policy of that name, with these options. Raises: `SettingsError`, one sentence with the cure."""
    name, _, rest = text.partition(":")
    if name not in POLICIES:
        raise SettingsError(f"there is no policy called {name!r}; there are: {', '.join(POLICIES)}")
    options: dict[str, str | None] = {}
    for part in rest.split(",") if rest else []:
        option, given, value = part.partition("=")
        if not given:
            raise SettingsError(
                f"{part!r} gives no option of the policy {name} a value: write OPTION=VALUE, as in {example(name)}"
            )
        if option in options:
            raise SettingsError(f"the option `{option}` of the policy {name} is given twice")
        options[option] = None if value == NONE else value
    for option in options:
        if option not in options_of(name):
            near = difflib.get_close_matches(option, options_of(name), n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"it has: {', '.join(options_of(name)) or 'none'}"
            raise SettingsError(f"the policy {name} has no option `{option}`; {hint}")
    try:
        policy: AnyPolicy = POLICIES[name].model_validate(options)
    except ValidationError as error:
        wrong = str(error.errors()[0]["loc"][0])
        raise SettingsError(
            f"the option `{wrong}` of the policy {name} cannot be {options[wrong] or NONE}: "
            f"it is {values_of(options_of(name)[wrong])}"
        ) from None
    return policy


def options_of(name: str) -> dict[str, FieldInfo]:
    """A policy's options, by name; what can have but one value, or is several numbers, is none."""
    return {option: field for option, field in POLICIES[name].model_fields.items() if _is_option(field)}


def _is_option(field: FieldInfo) -> bool:
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return len(get_args(annotation)) > 1
    return annotation not in (None, NoneType) and get_origin(annotation) is not tuple


def example(name: str) -> str:
    """The policy with its first option as it is anyway."""
    option, field = next(iter(options_of(name).items()))
    return f"{name}:{option}={NONE if field.default is None else field.default}"


def values_of(field: FieldInfo) -> str:
    """Which values an option may have, in words."""
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(str(each) for each in get_args(annotation))}"
    kinds = set(get_args(annotation)) or {annotation}
    words = [WORDS.get(next(iter(kinds - {NoneType})), "a value")]
    bounds = []
    for bound in field.metadata:
        match bound:
            case Gt(gt=limit):
                bounds.append(f"above {limit}")
            case Ge(ge=limit):
                bounds.append(f"at least {limit}")
            case Lt(lt=limit):
                bounds.append(f"below {limit}")
            case Le(le=limit):
                bounds.append(f"at most {limit}")
    if bounds:
        words.append(" and ".join(bounds))
    if NoneType in kinds:
        words.append(f"or {NONE}")
    return " ".join(words)
