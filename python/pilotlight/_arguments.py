"""The parameters of a local entrypoint as options of a command line."""

from __future__ import annotations

import argparse
import datetime
import inspect
import sys
import typing
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ._failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIMPLE: dict[Any, str] = {str: "TEXT", int: "NUMBER", float: "NUMBER"}


class Arguments(NamedTuple):
    """What an entrypoint is called with."""

    positional: list[Any]
    named: dict[str, Any]


def parse(function: Callable[..., Any], reference: str, arguments: Sequence[str]) -> Arguments:
    """Reads `arguments` for `function`, the entrypoint that `reference` names.

    `--option-name` for each parameter: `str` (also without annotation), `int`, `float`, `bool` (`--x` and
    `--no-x`), `datetime`, `Literal`, each also as `Optional`; `*args` takes what is no option. A wrong or
    missing value ends the process with 2, `--help` with 0. Raises `Failure` for other annotations.
    """
    parameters = list(inspect.signature(function).parameters.values())
    hints = _hints(function)
    parser = _Parser(
        prog=f"pilotlight run {reference}", description=inspect.getdoc(function), allow_abbrev=False
    )
    for parameter in parameters:
        _add(parser, parameter, hints.get(parameter.name, parameter.annotation), function.__name__)
    given = vars(parser.parse_args(list(arguments)))
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += given[parameter.name]
        elif parameter.name not in given:
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and _takes_rest(parameters):
                positional.append(parameter.default)
        elif parameter.kind is parameter.POSITIONAL_ONLY or (
            parameter.kind is parameter.POSITIONAL_OR_KEYWORD and _takes_rest(parameters)
        ):
            positional.append(given[parameter.name])
        else:
            named[parameter.name] = given[parameter.name]
    return Arguments(positional, named)


def _takes_rest(parameters: list[inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)


class _Parser(argparse.ArgumentParser):
    """Tells mistakes as the command does."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"error: {message}\nhint: `{self.prog} --help` lists the options\n")
        raise SystemExit(2)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # An annotation that cannot be evaluated here (`int | None` before Python 3.10).
        names: dict[str, Any] = getattr(function, "__globals__", {})
        return {key: _evaluated(hint, names) for key, hint in function.__annotations__.items()}


def _evaluated(hint: Any, names: dict[str, Any]) -> Any:
    """What `from __future__ import annotations` left as text; the text where it cannot be evaluated."""
    if not isinstance(hint, str):
        return hint
    kinds = [kind for kind in map(str.strip, hint.split("|")) if kind != "None"]
    try:
        return eval(kinds[0] if len(kinds) == 1 else hint, names)
    except Exception:
        return hint


def _add(parser: argparse.ArgumentParser, parameter: inspect.Parameter, hint: Any, name: str) -> None:
    if parameter.kind is parameter.VAR_KEYWORD:
        return
    hint = _without_none(str if hint is parameter.empty else hint)
    if parameter.kind is parameter.VAR_POSITIONAL:
        options = _converter(parameter, hint, name)
        options["metavar"] = parameter.name.upper()
        parser.add_argument(parameter.name, nargs="*", **options)
        return
    if parameter.name == "help":
        raise Failure("invalid", f"{name}: a parameter cannot be called help: `--help` is taken")
    option = "--" + parameter.name.replace("_", "-")
    required = parameter.default is parameter.empty
    # Percent signs are the parser's own.
    shown = "required" if required else f"default: {parameter.default}".replace("%", "%%")
    described: dict[str, Any] = {"dest": parameter.name, "required": required, "help": shown}
    described["default"] = argparse.SUPPRESS
    if hint is bool:
        parser.add_argument(option, action=_Switch, **described)
    else:
        parser.add_argument(option, **{**_converter(parameter, hint, name), **described})


class _Switch(argparse.Action):
    """`--x` and `--no-x`. `argparse.BooleanOptionalAction` changes its help from one Python to the next."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        names = [*option_strings, *("--no-" + option[2:] for option in option_strings)]
        super().__init__(names, dest, nargs=0, **options)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, not str(option_string).startswith("--no-"))


def _without_none(hint: Any) -> Any:
    """`T` for `Optional[T]` and `T | None`."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    is_union = typing.get_origin(hint) is typing.Union or type(hint).__name__ == "UnionType"
    return kinds[0] if is_union and len(kinds) == 1 else hint


def _converter(parameter: inspect.Parameter, hint: Any, name: str) -> dict[str, Any]:
    if hint in _SIMPLE or hint is Any:
        kind = str if hint is Any else hint
        return {"type": kind, "metavar": _SIMPLE[kind]}
    if hint is datetime.datetime:
        return {"type": _datetime, "metavar": "DATE"}
    if typing.get_origin(hint) is typing.Literal:
        choices = {str(choice): choice for choice in typing.get_args(hint)}

        def choose(text: str) -> Any:
            if text not in choices:
                raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")
            return choices[text]

        return {"type": choose, "metavar": "|".join(choices)}
    shown = getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint)
    raise Failure(
        "invalid",
        f"{name}: the parameter {parameter.name} is a {shown}, which cannot be given on a command line",
        "use str, int, float, bool, datetime or Literal, and make the rest of it in the function",
    )


def _datetime(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date and time: write 2026-01-31 or 2026-01-31T12:30:00"
        ) from None
