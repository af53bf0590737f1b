"""The table is complete: against the code, against the reference, against the issue that asked for it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
from collections import Counter
from typing import Any

import pilotlight
import pytest
from pilotlight._public import FORMER_NAME

from . import reference, reference_today
from .areas import AREAS
from .snippet import binary
from .surface import parameters, surface
from .table import Row, split

ROWS = [row for area in AREAS if area.kind == "python" for row in area.rows]
#: Defaults that say "nothing".
EMPTY = ("", (), [], {}, None, False)


def covered() -> tuple[dict[str, set[str]], Counter[str], set[str]]:
    """The table's paths with their parameters, how often each is told, and the paths refused as a whole."""
    paths: dict[str, set[str]] = {}
    told: Counter[str] = Counter()
    refused: set[str] = set()
    for row in ROWS:
        for name in row.names():
            path, parameters = split(name)
            if not parameters and row.status == "refused":
                refused.add(path)
            paths.setdefault(path, set()).update(parameters)
            told.update(f"{path}({parameter})" for parameter in parameters)
    return paths, told, refused


PATHS, TOLD, REFUSED = covered()


def test_every_public_name_has_a_row() -> None:
    assert sorted(path for path in surface() if not is_told(path)) == []


def is_told(path: str) -> bool:
    """Whether a path has a row, or a name below it, of a class or a module that is nothing without it."""
    return path in PATHS or any(told.startswith(f"{path}.") for told in PATHS)


def test_every_parameter_has_a_row() -> None:
    missing = [
        f"{path}({parameter})"
        for path, parameters in surface().items()
        for parameter in parameters
        if not has_row(path, parameter)
    ]
    assert missing == []


def has_row(path: str, parameter: str) -> bool:
    """Whether a parameter has a row: its own, its class's (`Image.*`), or the one for all (`*`)."""
    owners = (path, f"{path.rpartition('.')[0]}.*", "*")
    return path in REFUSED or any(parameter in PATHS.get(owner, ()) for owner in owners)


def test_no_row_names_what_is_not_there() -> None:
    unknown: list[str] = []
    known = reference.names()
    for path, given in PATHS.items():
        if path.endswith("*") or (path in REFUSED and path in known):
            continue
        try:
            there = surface()[path] if path in surface() else parameters(find(path))
        except AttributeError:
            unknown.append(path)
            continue
        unknown += [f"{path}({name})" for name in given - set(there) - refused_parameters(path)]
    assert unknown == []


def refused_parameters(path: str) -> set[str]:
    """Parameters that the table says are refused: they need not be there."""
    return {
        parameter
        for row in ROWS
        if row.status == "refused"
        for name in row.names()
        if split(name)[0] == path
        for parameter in split(name)[1]
    }


def test_no_parameter_is_told_twice() -> None:
    assert [name for name, times in TOLD.items() if times > 1] == []


def test_every_name_of_the_reference_has_a_row() -> None:
    assert sorted(name for name in reference.names() if not is_told(name)) == []


def test_every_parameter_of_the_reference_has_a_row() -> None:
    missing = [
        f"{path}({name})"
        for path, arguments in reference.signatures()
        for name in reference.parameter_names(arguments)
        if not has_row(path, name)
    ]
    assert sorted(set(missing)) == []


def test_every_keyword_of_the_reference_has_a_row() -> None:
    stub = PATHS["Stub.function"]
    missing = [
        f"{path}({name})"
        for (path, _), text in reference.KEYWORDS.items()
        for name in text.split()
        if name not in stub | PATHS[path]
    ]
    for path, text in reference_today.KEYWORDS.items():
        missing += [f"{path}({name})" for name in text.split() if name not in PATHS["App.function"]]
    for text in (reference_today.RENAMED, reference_today.GONE):
        missing += [f"App.function({name})" for name in text.split() if name not in PATHS["App.function"]]
    assert sorted(set(missing)) == []


@pytest.mark.parametrize(
    ("path", "arguments"),
    [pytest.param(*found, id=f"{found[0]}-{number}") for number, found in enumerate(reference.signatures())],
)
def test_the_references_signature_is_ours(path: str, arguments: ast.arguments) -> None:
    """What may be written there may be written here, and means the same where it is left out."""
    if path in REFUSED:
        return
    target = find(path)
    signature = inspect.signature(target)
    first = [object()] if is_method(path) else []
    positional = [*first, *(object() for _ in (*arguments.posonlyargs, *arguments.args))]
    keywords: dict[str, Any] = {argument.arg: object() for argument in arguments.kwonlyargs}
    signature.bind(*positional, *([object()] if arguments.vararg else []), **keywords)
    named: dict[str, Any] = {argument.arg: object() for argument in arguments.args}
    # A list that was one argument by name, and is any number of them today.
    former = getattr(target, FORMER_NAME, None)
    if former in named:
        first.append(named.pop(former))
    if not arguments.vararg:
        signature.bind(*first, *(object() for _ in arguments.posonlyargs), **named, **keywords)
    defaults = dict(
        zip(
            [a.arg for a in arguments.args[len(arguments.args) - len(arguments.defaults) :]],
            arguments.defaults,
        )
    )
    defaults.update({a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults) if d is not None})
    for name, default in defaults.items():
        ours = signature.parameters.get(name)
        theirs = ast.literal_eval(default)
        if ours is not None and theirs is not None and theirs not in EMPTY:
            assert ours.default == theirs, name


@pytest.mark.parametrize("path", reference_today.BLOCKING.split())
def test_what_blocks_has_an_awaitable_twin(path: str) -> None:
    assert callable(find(path).aio)


def find(path: str) -> Any:
    """The object at a dotted path below `modal`."""
    found: Any = pilotlight
    for part in path.split("."):
        if inspect.ismodule(found) and not hasattr(found, part):
            found = importlib.import_module(f"{found.__name__}.{part}")
        else:
            found = getattr(found, part)
    return found


def is_method(path: str) -> bool:
    """Whether it is a function in a class, so that `self` comes first."""
    owner = path.rpartition(".")[0]
    if not owner or not inspect.isclass(find(owner)):
        return False
    signature = inspect.signature(find(path))
    return next(iter(signature.parameters), None) == "self"


#: What the issue that asked for the table lists as taking effect now: none of it may be a notice.
NOW = (
    "Stub.webhook Stub.asgi Stub.wsgi webhook asgi wsgi web_endpoint asgi_app wsgi_app "
    "fastapi_endpoint concurrent "
    "concurrent(max_inputs) fastapi_endpoint(method) fastapi_endpoint(label) fastapi_endpoint(docs) "
    "fastapi_endpoint(custom_domains) asgi_app(label) asgi_app(custom_domains) wsgi_app(label) "
    "wsgi_app(custom_domains) Stub.webhook(method) Stub.webhook(label) Stub.function(image) "
    "Stub.function(container_idle_timeout) Stub.function(scaledown_window) Stub.function(keep_warm) "
    "Stub.function(min_containers) Stub.function(concurrency_limit) Stub.function(max_containers) "
    "Stub.function(allow_concurrent_inputs) Stub.function(timeout) Stub.function(startup_timeout) "
    "Stub.function(name) Stub.function(serialized) Stub.function(secret) Stub.function(secrets) "
    "Stub.function(mounts) App.function(image) App.function(scaledown_window) App.function(min_containers) "
    "App.function(max_containers) App.function(timeout) App.function(startup_timeout) App.function(name) "
    "App.function(env) App.function(secrets) App.function(serialized) App.function(include_source) "
    "Mount Mount(remote_dir) Mount(local_dir) Mount(local_file) Mount(condition) Mount(recursive) "
    "create_package_mounts create_package_mounts(module_names) Image.add_local_file Image.add_local_dir "
    "Image.add_local_python_source App.include Secret Secret(env_dict) Secret.from_dict Secret.from_dotenv "
    "Secret.from_local_environ Stub(name) Stub(image) Stub.is_inside Stub.is_inside(image) "
    "container_app Stub.app "
    "Function.web_url Function.get_web_url Stub.serve Stub.serve(timeout) Stub.run_forever Stub.deploy lookup"
).split()


def statuses() -> dict[str, set[str]]:
    """Paths, and paths with one parameter, to the status of their rows."""
    found: dict[str, set[str]] = {}
    for row in ROWS:
        for name in row.names():
            path, parameters = split(name)
            for told in [f"{path}({parameter})" for parameter in parameters] or [path]:
                found.setdefault(told, set()).add(row.status)
    return found


def test_what_the_issue_asked_for_is_built() -> None:
    found = statuses()
    assert [name for name in NOW if "notice" in found.get(name, ())] == []
    assert [name for name in NOW if name not in found and name not in PATHS] == []
    for area in AREAS:
        for row in area.rows if area.kind in ("command", "variable") else ():
            named = set(row.names()) & {f"pilotlight {name}" for name in NOW_COMMANDS}
            assert not named or row.status == "works", row.name


#: The same of the command line.
NOW_COMMANDS = (
    "serve, deploy, run, app deploy, app deploy --name, app list, app logs, app stop, serve --timeout, "
    "serve -m, "
    "deploy -m, deploy --name, serve FILE::NAME, serve FILE:NAME"
).split(", ")

COMMANDS = {
    name.partition(" ")[2]: row
    for area in AREAS
    if area.kind == "command"
    for row in area.rows
    for name in row.names()
}


def test_every_command_of_the_reference_has_a_row() -> None:
    wanted = {*reference_today.COMMANDS, *reference_today.GROUPS.split()}
    for verb, options in reference_today.COMMANDS.items():
        if COMMANDS[verb].status != "refused":
            wanted |= {f"{verb} {option}" for option in options.split()}
    assert sorted(wanted - COMMANDS.keys()) == []


def test_every_command_of_ours_has_a_row() -> None:
    missing = [name for name in commands("") if name not in COMMANDS and not name.endswith("--help")]
    assert missing == []


def commands(verb: str) -> list[str]:
    """The commands below `verb` with their options, from the help."""
    help_ = subprocess.run(
        [binary(), *verb.split(), "--help"], capture_output=True, text=True, check=True
    ).stdout
    prefix = f"{verb} " if verb else ""
    found = [prefix + option for option in re.findall(r"^ +(?:-\w, )?(--[\w-]+)", help_, re.M)]
    if verb:
        # Those of all commands are told once.
        found = [name for name in found if not name.endswith(("--state-dir", "--quiet"))] + [verb]
    listed = re.search(r"^Commands:\n((?:  .+\n)+)", help_, re.M)
    for name in re.findall(r"^  (\w+)", listed.group(1), re.M) if listed else []:
        found += commands(prefix + name)
    return [name.replace("--module", "-m") for name in found]


def test_a_row_is_one_of_three_and_proven() -> None:
    for area in AREAS:
        for row in area.rows:
            assert proven(row), row.name


def proven(row: Row) -> bool:
    """Whether the row has the proof that its status needs."""
    if not row.words.replace("…", " ").strip() and row.status != "works":
        return False
    if row.status == "works":
        return bool(row.tests or row.snippet) and (
            row.how != "discover" or not row.snippet or bool(row.expect)
        )
    if row.status == "notice":
        return bool(row.words and row.snippet)
    return row.status == "refused" and bool(row.words and (row.snippet or row.tests))
