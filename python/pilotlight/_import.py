"""Imports the user's program by name, as the container will, and explains what goes wrong."""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import os
import sys
import traceback
from typing import TYPE_CHECKING

from . import _neighbours, _sources, _trace
from ._failure import Failure
from ._files import short
from .exception import DeprecationError, Error

if TYPE_CHECKING:
    from types import ModuleType

# Standard modules that nothing in a container imports: a program may well be called so.
_HARMLESS_NAMES = frozenset({"test", "this", "antigravity", "idlelib", "turtle", "turtledemo"})
# What programs and the runner import; a program of that name would take its place.
_TAKEN_NAMES = frozenset({"fastapi", "modal", "pilotlight", "pydantic", "starlette", "uvicorn"})


def locate_file(path: str) -> _sources.Program:
    """The program in a file; `Failure` when it is not there or cannot be imported by its name."""
    if os.path.isdir(path):
        raise Failure("not_found", f"{path} is a directory", "name the Python file in it")
    if not os.path.isfile(path):
        raise Failure(
            "not_found", f"there is no file {path}", _nearest_file(path), files=[os.path.abspath(path)]
        )
    if not path.endswith(".py"):
        raise Failure("invalid", f"{path} is not a Python file", "its name must end in .py")
    program = _sources.locate(path)
    name = os.path.basename(path)[: -len(".py")]
    if "." in name:
        raise Failure(
            "invalid",
            f"{path} cannot be imported: its name has a dot in it",
            f"rename it, for example to {name.replace('.', '_')}.py",
            files=[program.path],
        )
    _refuse_taken(program)
    return program


def locate_module(name: str) -> _sources.Program:
    """The program in a module, found with the working directory first; `Failure` when there is none."""
    spec = find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = find_spec(name + ".__main__") or spec
    if spec is None or spec.origin is None or not os.path.isfile(spec.origin):
        raise Failure(
            "not_found", f"there is no module {name}", f"looked in {os.getcwd()} and the Python path"
        )
    path = os.path.abspath(spec.origin)
    root = path
    for _ in range(spec.name.count(".") + (2 if os.path.basename(path) == "__init__.py" else 1)):
        root = os.path.dirname(root)
    return _sources.Program(path, root, spec.name)


def find_spec(name: str, path: list[str] | None = None) -> importlib.machinery.ModuleSpec | None:
    """`importlib.util.find_spec` in `path`, else `sys.path`, without importing the packages on the way."""
    spec, path, full_name = None, sys.path if path is None else path, ""
    for part in name.split("."):
        full_name += "." + part if full_name else part
        spec = importlib.machinery.PathFinder.find_spec(full_name, path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec


def own_modal(root: str) -> str | None:
    """The path of a `modal` of the user's own in `root`, or None."""
    client = _neighbours.installed_client()
    installed = [_neighbours.SDK_DIR, *([client.folder] if client else [])]
    if os.path.realpath(root) in map(os.path.realpath, installed):
        return None  # An installed program: what lies beside it is pilotlight's or the client's.
    spec = importlib.machinery.PathFinder.find_spec("modal", [root])
    return None if spec is None else spec.origin


def import_program(program: _sources.Program, source: bytes) -> ModuleType:
    """Imports it; what the program raises comes out as it is; `Failure` when the name is taken."""
    try:
        compile(source, program.path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _syntax_failure(error, program.path) from None
    except ValueError as error:  # A null byte, before Python 3.12.
        raise Failure("syntax", f"{short(program.path)}: {error}", files=[program.path]) from None
    module = importlib.import_module(program.module)
    found = getattr(module, "__file__", None)
    if not isinstance(found, str) or not os.path.samefile(found, program.path):
        raise Failure(
            "invalid",
            f"the name {program.module} of {program.path} is taken by {found or 'a built-in module'}",
            "rename the file",
        )
    return module


def explain(error: BaseException, program: _sources.Program) -> Failure:
    """The `Failure` that tells the user about `error`, raised while their program was imported or read."""
    failure = _explain(error, program)
    failure.files = [program.path, *failure.files, *_trace.files(error)]
    return failure


def _explain(error: BaseException, program: _sources.Program) -> Failure:
    if isinstance(error, Failure):
        return error
    if isinstance(error, SyntaxError) and error.filename and os.path.isfile(error.filename):
        return _syntax_failure(error, error.filename)
    if isinstance(error, SystemExit):
        return Failure(
            "import",
            f"{short(program.path)} ends the process while it is being imported (exit code {error.code!r})",
            'put what only the script should do under `if __name__ == "__main__":`',
            _trace.format_exception(error),
        )
    place = _trace.last_user_place(error)
    ours = _trace.is_ours(error)
    if isinstance(error, (Error, DeprecationError)) or (ours and isinstance(error, (TypeError, OSError))):
        where = f"{short(place[0])}:{place[1]}: " if place else ""
        return Failure("invalid", f"{where}{error}")
    if ours and place is None:
        raise error  # A mistake of ours, to be seen whole.
    summary = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
    message = f"{short(program.path)} cannot be imported: {summary}"
    return Failure("import", message, _import_hint(error, program), _trace.format_exception(error))


def _syntax_failure(error: SyntaxError, path: str) -> Failure:
    shown = "".join(traceback.format_exception_only(type(error), error))
    message = f"{short(path)}:{error.lineno or 1}: {error.msg}"
    return Failure("syntax", message, None, shown, [os.path.abspath(path)])


def _import_hint(error: BaseException, program: _sources.Program) -> str | None:
    if type(error) is ImportError and "relative import with no known parent" in str(error):
        folder = os.path.basename(program.root)
        return (
            f"{short(program.path)} is in no package: put an `__init__.py` into {short(program.root)}, or "
            f"write `-m {folder}.{program.module}` in the folder above it"
        )
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    top = error.name.partition(".")[0]
    return (
        f"the top of a program is imported on this machine too: install {top} here as well "
        f"(`{os.path.basename(sys.executable)} -m pip install …`), or import it in the function that uses it"
    )


def _refuse_taken(program: _sources.Program) -> None:
    name = program.module.partition(".")[0]
    standard: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset(sys.builtin_module_names))
    if name in _TAKEN_NAMES or (name in standard and name not in _HARMLESS_NAMES) or name in sys.modules:
        raise Failure(
            "invalid",
            f"{short(program.path)} has the name of another module: `import {name}` would find it instead",
            f"rename it, for example to my_{name}.py",
            files=[program.path],
        )


def _nearest_file(path: str) -> str | None:
    folder, name = os.path.split(path)
    try:
        names = [entry for entry in os.listdir(folder or os.curdir) if entry.endswith(".py")]
    except OSError:
        return None
    nearest = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {os.path.join(folder, nearest[0])}?" if nearest else None
