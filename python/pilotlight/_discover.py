"""`python -m pilotlight._discover`: imports a user's program as a container will, and writes its manifest.

    python -m pilotlight._discover --output FILE [--notes] (PROGRAM[::NAME] | -m MODULE) [--name NAME]
    python -m pilotlight._discover --era (PROGRAM | -m MODULE)

The manifest, or on a user's mistake `{"error": …}` with exit code 1, goes to FILE and nowhere else; what the
program prints goes where it prints it. `--notes` adds a line for the next discovery (`_notes`). `--era`
prints `stub` or `app` without importing anything.

Environment: `PILOTLIGHT_DISCOVERY_PATH`, a folder of packages behind the user's own, or with
`PILOTLIGHT_DISCOVERY_FRONT=1` before them (a program of 2022 needs the pydantic of its time).
"""

from __future__ import annotations

import os
import sys

if (
    __name__ == "__main__"
    and sys.path[:1] in ([""], [os.getcwd()])
    and not getattr(sys.flags, "safe_path", False)
):
    # `python -m` puts the working directory first: a `json.py` there is not ours.
    del sys.path[0]

import contextlib
import json
from typing import TYPE_CHECKING, Any, NoReturn

from . import (
    _alias,
    _files,
    _find,
    _import,
    _launch,
    _manifest,
    _neighbours,
    _notes,
    _reference,
    _scan,
    _sources,
    config,
)
from ._failure import Failure

if TYPE_CHECKING:
    from ._application import Application


#: What the notes on the program that was discovered are made from.
_seen: list[tuple[set[str], bool, list[str], list[str]]] = []


def main(arguments: list[str]) -> NoReturn:
    """Runs the command line above and ends the process with its exit code."""
    config.discovering = True
    # Byte code is matched to its source by size and whole seconds: a second save within one would be lost.
    sys.dont_write_bytecode = True
    code = _run(arguments)
    # Ends at once: threads and exit handlers that the program's import left behind must not hold us.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run(arguments: list[str]) -> int:
    import argparse

    parser = argparse.ArgumentParser(prog="python -m pilotlight._discover")
    parser.add_argument("--output", help="where the manifest goes")
    parser.add_argument("--notes", action="store_true", help="add what the next discovery may use")
    parser.add_argument("--name", help="the variable that holds the App or Stub")
    parser.add_argument("--era", action="store_true", help="print stub or app, import nothing")
    parser.add_argument("-m", dest="module", help="a module by its dotted name")
    parser.add_argument("program", nargs="?", help="a file, or FILE::NAME")
    given = parser.parse_args(arguments)
    if (given.program is None) == (given.module is None):
        parser.error("give either a file or -m MODULE")
    if given.era:
        return _print_era(given.program, given.module)
    if given.output is None:
        parser.error("--output is missing")
    try:
        result, code = discover(given.program, given.module, given.name), 0
    except Failure as failure:
        result, code = {"error": failure.described()}, 1
    except KeyboardInterrupt:
        return 130  # Ctrl-C reaches every process of the terminal; nobody waits for an answer.
    with open(given.output, "w", encoding="utf-8") as file:
        json.dump(result, file)
        if given.notes and code == 0:
            file.write("\n")
            json.dump(_notes.notes(*_seen[-1]), file)
    return code


def discover(program: str | None, module: str | None = None, name: str | None = None) -> dict[str, Any]:
    """The manifest of a file (`FILE` or `FILE::NAME`) or of a module; raises `Failure` for a user's mistake.

    Changes `sys.path`, `sys.argv` and `sys.modules` as running the program would: once per process.
    """
    reference = _reference.parse(program, module, name)
    found = located(reference)
    extra = prepare_path(found)
    with open(found.path, "rb") as file:
        source = file.read()
    notices = [reference.notice] if reference.notice else []
    notices += provide_modal(found, source)
    script_arguments: list[str] = json.loads(os.environ.get(_launch.ARGUMENTS_VARIABLE, "[]"))
    sys.argv = [reference.file or found.path, *script_arguments]
    known, search_path = set(sys.modules), [path for path in sys.path if path not in extra]
    try:
        surroundings = _notes.Surroundings()
        imported = _import.import_program(found, source)
        changed = surroundings.changed()
        app = _find.application(imported, found, reference.variable, reference.shown())
        notices += [*_chosen(app, reference), *_find.undeclared(imported, app)]
        new = set(sys.modules) - known if config.automount() else set[str]()
        required = {function._spec.module for function in app._functions.values()}
        sources = _sources.collect(found, new, required, search_path, extra)
        _seen.append((known, changed, [file.local for file in sources.files], extra))
        description = " ".join([os.path.basename(found.path), *script_arguments])
        return _manifest.build(_manifest.Program(app, description, sources, notices))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failure = _import.explain(error, found)
        failure.files += [*_sources.imported_local_files(known, extra), *_files.noted()]
        raise failure from None


def _print_era(program: str | None, module: str | None) -> int:
    try:
        found = located(_reference.parse(program, module, None))
        print(_scan.era(found.path, [found.root, os.getcwd()]))
    except (OSError, Failure):
        print("app")
    return 0


def located(reference: _reference.Reference) -> _sources.Program:
    if reference.file is not None:
        return _import.locate_file(reference.file)
    if sys.path[:1] != [os.getcwd()]:
        sys.path.insert(0, os.getcwd())
    return _import.locate_module(str(reference.module))


def _chosen(app: Application, reference: _reference.Reference) -> list[str]:
    """Checks that the function of `APP.FUNCTION` exists; a notice that all of the app is taken."""
    function = reference.function
    if function is None:
        return []
    where = f"{reference.shown()}::{reference.variable}"
    if function not in app._functions:
        listed = ", ".join(f"{where}.{name}" for name in app._functions) or "it has none"
        raise Failure("no_stub", f"{where} has no function {function}", f"name one: {listed}")
    others = len(app._functions) - 1
    return [f"{where}: all of its functions are taken, not {function} alone"] if others else []


def prepare_path(program: _sources.Program) -> list[str]:
    """Puts the program's folder first, as `python FILE` does, the working directory behind the user's
    packages, and the discovery environment behind or before all of them. Returns the folders that count as
    installed.

    Before them: for a program of 2022, and where the user has no FastAPI. Ours would then import the user's
    older copies of what it needs, which it was never tried with.
    """
    root = program.root
    extra = extra_path()
    # Modal looks in the working directory as well; a link's file finds the modules beside itself too.
    others = [os.path.dirname(os.path.realpath(program.path)), os.getcwd()]
    behind = [path for path in dict.fromkeys(others) if path != root and path not in sys.path]
    sys.path[:] = [path for path in sys.path if path not in extra and path != root] + behind
    if is_extra_first():
        sys.path[:0] = [root, *extra]
    else:
        sys.path[:] = [root, *sys.path, *extra]
    return extra


def extra_path() -> list[str]:
    """The folders of the discovery environment."""
    return [path for path in os.environ.get("PILOTLIGHT_DISCOVERY_PATH", "").split(os.pathsep) if path]


def is_extra_first() -> bool:
    """Whether the discovery environment goes before what `sys.path` has."""
    # Not whether it is imported already: it is looked for among the user's own.
    return os.environ.get("PILOTLIGHT_DISCOVERY_FRONT") == "1" or _import.find_spec("fastapi") is None


def provide_modal(program: _sources.Program, source: bytes) -> list[str]:
    """Makes `import modal` ours, unless the user has a module of that name; returns what to tell the user."""
    own = _import.own_modal(program.root)
    if own is not None:
        if _scan.imports_modal(source):
            raise Failure(
                "invalid",
                f"`import modal` finds {own}, your own file, and not pilotlight's modal",
                "rename that file, or use `import pilotlight` in place of `import modal`",
                files=[program.path, own],
            )
        return []
    _alias.install()
    client = _neighbours.installed_client()
    if client is None or not _scan.imports_modal(source):
        return []
    return [
        f"`import modal` is pilotlight here; {client.name} {client.version}, installed in {client.folder}, "
        f"is not used and not changed. `python FILE` may find that one: `pip uninstall {client.name}`, or a "
        "virtual environment without it, makes both ways the same"
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
