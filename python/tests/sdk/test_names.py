"""`modal` and `pilotlight` are one package: the same objects, sub-modules included, quick to import."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import modal
import pilotlight
import pytest
from sdk_project import Project, sdk_environment

SUBMODULES = [
    info.name.partition(".")[2]
    for info in pkgutil.walk_packages(pilotlight.__path__, "pilotlight.")
    if info.name != "pilotlight._discover"
]

#: `__all__` of Modal's package in 2022 and 2023 (its `Cloud` never existed), and today.
NAMES = """
App Client CloudBucketMount Cls Cluster Conda Cron DebianSlim Dict DockerfileImage DockerhubImage
Environment Error FilePatternMatcher Function FunctionCall Image Mount NetworkFileSystem Object Period Probe
Proxy Queue RateLimit Retries Sandbox SandboxSnapshot SchedulerPlacement Secret Server SharedVolume Stub
Tunnel Volume Workspace __version__ asgi_app batched billing clustered concurrent container_app
create_package_mount create_package_mounts current_function_call_id current_input_id enable_output enter
exit experimental fastapi_endpoint forward interact is_local lookup method parameter ref sessioned types
web_endpoint web_server wsgi_app
""".split()

#: What programs import from sub-modules.
MEMBERS = {
    "aio": "AioApp AioDict AioImage AioMount AioQueue AioSecret AioStub AioFunctionHandle aio_container_app "
    "aio_lookup",
    "app": "App",
    "billing": "workspace_billing_report",
    "call_graph": "InputInfo InputStatus",
    "client": "Client",
    "cloud_bucket_mount": "CloudBucketMount",
    "cls": "Cls",
    "config": "config",
    "dict": "Dict DictHandle",
    "exception": "AuthError ConnectionError DeprecationError Error ExecutionError FunctionTimeoutError "
    "InputCancellation InternalFailure InvalidError LocalFunctionError NotFoundError OutputExpiredError "
    "RemoteError ResourceExhausted ResourceExhaustedError SerializationError TimeoutError VersionError",
    "experimental": "clustered",
    "extensions.ipython": "load_ipython_extension",
    "functions": "Function FunctionCall FunctionHandle gather",
    "gpu": "A100 A10G Any H100 L4 L40S T4",
    "image": "Image",
    "mount": "Mount create_package_mounts",
    "network_file_system": "NetworkFileSystem",
    "object": "Object",
    "output": "enable_output",
    "partial_function": "PartialFunction asgi_app concurrent enter exit method web_endpoint",
    "proxy": "Proxy",
    "queue": "Queue QueueHandle",
    "retries": "Retries",
    "runner": "deploy_app deploy_stub run_app run_stub serve_stub",
    "sandbox": "Sandbox",
    "schedule": "Cron Period",
    "secret": "Secret",
    "shared_volume": "SharedVolume SharedVolumeHandle",
    "stub": "Stub",
    "types": "",
    "volume": "Volume",
}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_both_eras_is_there(name: str) -> None:
    assert name in pilotlight.__all__
    assert getattr(modal, name) is getattr(pilotlight, name)


@pytest.mark.parametrize("module", MEMBERS)
def test_submodules_have_their_names(module: str) -> None:
    found = importlib.import_module(f"modal.{module}")
    assert [name for name in MEMBERS[module].split() if not hasattr(found, name)] == []


def test_every_name_is_the_same_object() -> None:
    assert set(pilotlight.__all__) <= set(dir(pilotlight))
    for name in pilotlight.__all__:
        assert getattr(modal, name) is getattr(pilotlight, name)


@pytest.mark.parametrize("name", SUBMODULES)
def test_submodules_are_the_same_modules(name: str) -> None:
    theirs, ours = importlib.import_module(f"modal.{name}"), importlib.import_module(f"pilotlight.{name}")
    assert theirs is ours
    assert ours.__name__ == f"pilotlight.{name}"
    assert ours.__spec__ is not None and ours.__spec__.name == f"pilotlight.{name}"


@pytest.mark.parametrize("first", ["modal.functions", "pilotlight.functions", "modal", "modal.exception"])
def test_sameness_does_not_depend_on_what_is_imported_first(project: Project, first: str) -> None:
    code = f"""
import {first}
import modal, pilotlight, modal.functions, pilotlight.functions, modal.exception
from modal.exception import InvalidError
assert modal is pilotlight
assert modal.functions is pilotlight.functions and pilotlight.exception is modal.exception
assert InvalidError is pilotlight.exception.InvalidError
"""
    assert project.run("-c", code).stderr == ""


def test_missing_submodule_is_named_as_the_user_wrote_it() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"modal\.nonsense"):
        importlib.import_module("modal.nonsense")


def test_names_that_are_not_there_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        modal.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match="cloud="):
        modal.Cloud  # noqa: B018
    with pytest.raises(AttributeError, match=r"modal\.experimental\.nonsense is not built yet"):
        modal.experimental.nonsense  # noqa: B018
    assert not hasattr(modal, "Cloud") and {"App", "Dict", "lookup"} <= set(dir(modal))


def test_star_import_gives_all_names(project: Project) -> None:
    code = "from modal import *; print(Stub.__module__, *(x.__name__ for x in (App, Image, Dict, types)))"
    assert project.run("-c", code).stdout == "pilotlight.stub App Image Dict pilotlight.types\n"


def test_import_brings_in_no_server_library_and_no_network_client(project: Project) -> None:
    names = "fastapi pydantic starlette flask aiohttp httpx requests urllib3 asyncio socket ssl http inspect"
    code = f"import sys, modal; print([name for name in {names.split()} if name in sys.modules])"
    assert project.run("-S", "-c", code).stdout == "[]\n"


def test_discovery_gives_no_warning(project: Project) -> None:
    project.write("hello.py", HELLO)
    output = project.folder / "out.json"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pilotlight._discover", "--output", str(output), "hello.py"],
        cwd=project.folder,
        env=sdk_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert '"name": "f"' in output.read_text()


HELLO = """
import modal

stub = modal.Stub()


@stub.webhook
def f():
    return "Hello world!"


if __name__ == "__main__":
    stub.serve()
"""
