"""`python -m _pilotlight_runner.build MODULE QUALNAME ARGUMENTS`: runs a function of the user's for an image.

`ARGUMENTS` is a pickle of positional and keyword arguments in base64. What the function prints is the build's
output; when it fails, its traceback is that of the user's code, and the exit status is 1.
"""

from __future__ import annotations

import sys

# As in a container: the user's files may not shadow what this package imports.
START_PATH = sys.path[:]
del sys.path[0]

import asyncio  # noqa: E402
import binascii  # noqa: E402
import inspect  # noqa: E402
import pickle  # noqa: E402

from . import errors, load  # noqa: E402


def main() -> int:
    module, qualname, arguments = sys.argv[1:]
    sys.path[:] = START_PATH
    try:
        function = load.imported(module, qualname)
    except errors.StartError as error:
        errors.tell(error.text)
        return 1
    try:
        # Of the user's own program, which has just been imported and may do anything in here.
        args, kwargs = pickle.loads(binascii.a2b_base64(arguments))
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            asyncio.run(_awaited(result))
    except Exception as error:
        errors.tell(errors.describe(error))
        return 1
    return 0


async def _awaited(result: object) -> None:
    await result  # type: ignore[misc]


if __name__ == "__main__":
    sys.exit(main())
