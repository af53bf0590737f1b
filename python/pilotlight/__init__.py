"""pilotlight: turns a Python file with decorators into web endpoints that run in containers.

    import pilotlight

    app = pilotlight.App("hello")

    @app.function()
    @pilotlight.fastapi_endpoint()
    def hello():
        return "Hello world!"

`import modal` gives the same names, those of Modal's package in 2022 and today. This package needs only the
standard library. What most programs do not name is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import _trace, config, exception, functions
from ._context import container_app
from .app import App, Stub
from .cls import Cls, batched, build, enter, exit, method, parameter
from .config import __version__, is_local
from .exception import Error
from .file_pattern_matcher import FilePatternMatcher
from .functions import Function, FunctionCall
from .image import Image
from .mount import Mount, create_package_mount, create_package_mounts
from .secret import Secret
from .web import (
    asgi,
    asgi_app,
    concurrent,
    fastapi_endpoint,
    web_endpoint,
    web_server,
    webhook,
    wsgi,
    wsgi_app,
)

if TYPE_CHECKING:
    from . import billing, experimental, gpu, types
    from ._inputs import current_function_call_id, current_input_id, interact
    from ._lookup import lookup, ref
    from ._old_images import Conda, DebianSlim, DockerfileImage, DockerhubImage
    from .client import Client
    from .cloud_bucket_mount import CloudBucketMount
    from .cloud_bucket_mount import CloudBucketMount as S3Mount
    from .cluster import Cluster, clustered
    from .dict import Dict
    from .environments import Environment, Workspace
    from .network_file_system import NetworkFileSystem
    from .object import Object
    from .output import enable_output
    from .proxy import Proxy
    from .queue import Queue
    from .rate_limit import RateLimit
    from .retries import Retries
    from .sandbox import Probe, Sandbox, SandboxSnapshot
    from .schedule import Cron, Period
    from .scheduler_placement import SchedulerPlacement
    from .server import Server, sessioned
    from .shared_volume import SharedVolume
    from .tunnel import Tunnel, forward
    from .volume import Volume

__all__ = [
    "App",
    "Client",
    "CloudBucketMount",
    "Cls",
    "Cluster",
    "Conda",
    "Cron",
    "DebianSlim",
    "Dict",
    "DockerfileImage",
    "DockerhubImage",
    "Environment",
    "Error",
    "FilePatternMatcher",
    "Function",
    "FunctionCall",
    "Image",
    "Mount",
    "NetworkFileSystem",
    "Object",
    "Period",
    "Probe",
    "Proxy",
    "Queue",
    "RateLimit",
    "Retries",
    "S3Mount",
    "Sandbox",
    "SandboxSnapshot",
    "SchedulerPlacement",
    "Secret",
    "Server",
    "SharedVolume",
    "Stub",
    "Tunnel",
    "Volume",
    "Workspace",
    "__version__",
    "asgi",
    "asgi_app",
    "batched",
    "billing",
    "build",
    "clustered",
    "concurrent",
    "config",
    "container_app",
    "create_package_mount",
    "create_package_mounts",
    "current_function_call_id",
    "current_input_id",
    "enable_output",
    "enter",
    "exception",
    "exit",
    "experimental",
    "fastapi_endpoint",
    "forward",
    "functions",
    "gpu",
    "interact",
    "is_local",
    "lookup",
    "method",
    "parameter",
    "ref",
    "sessioned",
    "types",
    "web_endpoint",
    "web_server",
    "webhook",
    "wsgi",
    "wsgi_app",
]

#: Names, by the module that has them, which is imported when one of them is asked for.
_LATE = {
    "_inputs": "current_function_call_id current_input_id interact",
    "_lookup": "lookup ref",
    "_old_images": "Conda DebianSlim DockerfileImage DockerhubImage",
    "client": "Client",
    "cloud_bucket_mount": "CloudBucketMount",
    "cluster": "Cluster clustered",
    "dict": "Dict",
    "environments": "Environment Workspace",
    "network_file_system": "NetworkFileSystem",
    "object": "Object",
    "output": "enable_output",
    "proxy": "Proxy",
    "queue": "Queue",
    "rate_limit": "RateLimit",
    "retries": "Retries",
    "sandbox": "Probe Sandbox SandboxSnapshot",
    "schedule": "Cron Period",
    "scheduler_placement": "SchedulerPlacement",
    "server": "Server sessioned",
    "shared_volume": "SharedVolume",
    "tunnel": "Tunnel forward",
    "volume": "Volume",
}
_MODULE_OF = {name: module for module, names in _LATE.items() for name in names.split()}
_MODULES = "aio billing client experimental gpu runner types".split()
_GONE = {
    "Cloud": 'modal.Cloud was listed in 2023 and never there: give cloud= a string, such as cloud="aws"',
}

_trace.install()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    found: Any
    if name == "S3Mount":
        from .cloud_bucket_mount import CloudBucketMount as found
    elif name in _MODULE_OF:
        found = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    elif name in _GONE:
        raise AttributeError(_GONE[name])
    else:
        from ._public import no_attribute

        raise no_attribute(f"module {__name__!r}", name, [*__all__, *_MODULES])
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
