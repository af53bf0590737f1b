"""Modal's interface from 2022 to May 2025, as signatures: what the table must be complete against.

A line (it may go on, indented) is a dotted path below `modal`, with its parameters where it is called.
Defaults that no user sees are `None`. `/` ends the parameters that are known by their place only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

#: `__all__` of the package, by revision (`__version__` is always there).
_BASE = (
    "App Cron Dict Function Image Mount Period Queue RateLimit Secret SharedVolume Stub "
    "container_app is_local"
)
NAMES = {
    "2022-08": f"{_BASE} Conda DebianSlim DockerfileImage DockerhubImage Object create_package_mount "
    "create_package_mounts lookup ref",
    "2022-09": f"{_BASE} Conda DebianSlim DockerfileImage DockerhubImage Error create_package_mount "
    "create_package_mounts current_input_id lookup ref",
    "2022-11": f"{_BASE} Conda DebianSlim DockerfileImage DockerhubImage Error Proxy Retries "
    "create_package_mount "
    "create_package_mounts current_input_id lookup ref",
    "2023-02": f"{_BASE} Cloud Error Proxy Retries create_package_mounts current_input_id lookup",
    "2023-04": f"{_BASE} Cloud Error Proxy Retries create_package_mounts current_input_id lookup",
    "2023-05": "App Client Cron Dict Error Function Image Mount Period Proxy Queue Retries Secret "
    "SharedVolume Stub "
    "asgi_app container_app create_package_mounts current_input_id is_local method web_endpoint wsgi_app",
    "2024": "App Cls CloudBucketMount Cron Dict Function Image Mount NetworkFileSystem Period Queue Retries "
    "Sandbox Secret Stub Volume forward is_local parameter",
    "1.6": "App Client Cluster Cls Cron Dict Environment Error FilePatternMatcher Function "
    "FunctionCall Image "
    "NetworkFileSystem Period Probe Proxy Queue Retries CloudBucketMount Sandbox SandboxSnapshot "
    "SchedulerPlacement "
    "Secret Server Tunnel Volume Workspace asgi_app batched billing clustered concurrent "
    "current_function_call_id "
    "current_input_id enable_output enter exit experimental fastapi_endpoint forward is_local "
    "interact method "
    "parameter sessioned types web_endpoint web_server wsgi_app Stub",
}

#: Modules that programs import by name, and names that only they hold.
MODULES = {
    "gpu": "T4 A100 A10G Any",
    "functions": "FunctionCall FunctionHandle gather",
    "aio": "AioApp AioDict AioImage AioMount AioQueue AioSecret AioStub AioFunctionHandle aio_container_app "
    "aio_lookup",
    "exception": "Error RemoteError TimeoutError AuthError ConnectionError InvalidError "
    "VersionError NotFoundError "
    "ExecutionError DeprecationError LocalFunctionError FunctionTimeoutError InternalFailure "
    "OutputExpiredError "
    "ResourceExhaustedError InputCancellation",
    "client": "",
    "dict": "DictHandle",
    "queue": "QueueHandle",
    "shared_volume": "SharedVolumeHandle",
    "config": "",
    "extensions.ipython": "",
    "runner": "run_stub deploy_stub serve_stub run_app deploy_app",
}

_2022 = (
    "image schedule secret secrets gpu rate_limit serialized mounts shared_volumes cpu memory proxy retries "
    "concurrency_limit"
)
_WEB = "image secret secrets gpu mounts shared_volumes memory proxy"
#: Keywords of the decorators of `Stub`, by revision.
KEYWORDS = {
    (
        "Stub.function",
        "2022-08",
    ): "image schedule secret secrets gpu rate_limit serialized mounts shared_volumes memory proxy",
    ("Stub.function", "2022-09"): _2022,
    ("Stub.function", "2022-11"): f"{_2022} timeout interactive",
    ("Stub.function", "2022-12"): f"{_2022} timeout interactive container_idle_timeout keep_warm",
    (
        "Stub.function",
        "2023-02",
    ): f"{_2022} container_idle_timeout timeout interactive keep_warm name is_generator cloud",
    ("Stub.function", "2023-05"): "image schedule secret secrets gpu serialized mounts shared_volumes "
    "allow_cross_region_volumes cpu memory proxy retries concurrency_limit container_idle_timeout timeout "
    "interactive keep_warm name is_generator cloud",
    ("Stub.function", "2023-08"): "image schedule gpu serialized cpu memory proxy retries timeout name "
    "is_generator shared_volumes network_file_systems allow_cross_region_volumes volumes "
    "allow_concurrent_inputs concurrency_limit container_idle_timeout keep_warm interactive "
    "secret secrets mounts "
    "cloud",
    (
        "Stub.function",
        "2024-03",
    ): "checkpointing_enabled block_network max_inputs _allow_background_volume_commits "
    "_experimental_boost _experimental_scheduler _experimental_scheduler_placement",
    ("Stub.function", "2024-08"): "memory ephemeral_disk region enable_memory_snapshot _experimental_gpus",
    ("Stub.function", "2025-01"): "gpu cpu i6pn _experimental_buffer_containers _experimental_proxy_ip "
    "_experimental_custom_scaling_factor",
    ("Stub.function", "2025-03"): "min_containers max_containers buffer_containers scaledown_window",
    ("Stub.generator", "2022-11"): f"{_2022} timeout interactive",
    ("Stub.webhook", "2022-08"): f"method wait_for_response {_WEB}",
    (
        "Stub.webhook",
        "2022-11",
    ): f"method wait_for_response {_WEB} cpu retries concurrency_limit timeout keep_warm",
    ("Stub.webhook", "2023-02"): f"method label wait_for_response {_WEB} cpu retries concurrency_limit "
    "container_idle_timeout timeout keep_warm cloud",
    (
        "Stub.asgi",
        "2023-02",
    ): f"label wait_for_response {_WEB} cpu retries concurrency_limit container_idle_timeout "
    "timeout keep_warm cloud",
    (
        "Stub.wsgi",
        "2023-02",
    ): f"label wait_for_response {_WEB} cpu retries concurrency_limit container_idle_timeout "
    "timeout keep_warm cloud",
}

#: 2022 and 2023, section A; the first three are the words of the guide of 2022, A0.
OLD = """
webhook(raw_f=None, *, method="GET")
asgi(raw_f=None)
wsgi(raw_f=None)
Stub(name=None, *, image=None, mounts=[], secrets=[], **blueprint)
Stub.name
Stub.description
Stub.is_inside(image=None)
Stub.run(client=None, stdout=None, show_progress=None, detach=False)
Stub.run_forever(client=None, stdout=None, show_progress=None)
Stub.serve(client=None, stdout=None, show_progress=None, timeout=None)
Stub.deploy(name=None, namespace=None, client=None, stdout=None, show_progress=None, object_entity="ap")
Stub.interactive_shell(cmd=None, image=None, **function_kwargs)
Stub.registered_functions
Stub.registered_entrypoints
Stub.registered_web_endpoints
Stub.local_entrypoint(raw_f=None, name=None)
Stub.function(raw_f=None)
Stub.webhook(raw_f=None, *, method="GET", label=None, wait_for_response=True)
Stub.asgi(asgi_app=None, *, label=None, wait_for_response=True)
Stub.wsgi(wsgi_app=None, *, label=None, wait_for_response=True)
Stub.generator(raw_f=None)
Stub.web_endpoint(method="GET", label=None, wait_for_response=True)
Stub.asgi_app(label=None, wait_for_response=True)
Stub.wsgi_app(label=None, wait_for_response=True)
Stub.app
Stub.cls()
container_app
is_local()
current_input_id()
lookup(app_name, tag=None, namespace=None, client=None)
ref(app_name, tag=None, namespace=None)
Function.call(*args, **kwargs)
Function.spawn(*args, **kwargs)
Function.submit(*args, **kwargs)
Function.enqueue(*args, **kwargs)
Function.map(*iterators, kwargs={}, order_outputs=None, return_exceptions=False)
Function.starmap(iterator, kwargs={}, order_outputs=None, return_exceptions=False)
Function.for_each(*iterators, kwargs={}, ignore_exceptions=False)
Function.get_current_stats()
Function.web_url
Function.is_generator
Function.get_raw_f()
Function.object_id
Function.from_app(app_name, tag=None, namespace=None, client=None)
Function.from_id(id, client=None)
FunctionCall.get(timeout=None)
FunctionCall.get_call_graph()
FunctionCall.cancel()
FunctionCall.from_id(function_call_id, /, client=None)
functions.gather(*calls)
DebianSlim(python_version=None)
Conda()
DockerhubImage(tag, setup_commands=[], **kwargs)
DockerfileImage(path)
Image.debian_slim(python_version=None)
Image.conda(python_version="3.9")
Image.micromamba(python_version=None)
Image.micromamba_install(*packages, channels=[])
Image.from_dockerhub(tag, setup_commands=[], **kwargs)
Image.from_dockerfile(path, context_mount=None)
Image.from_aws_ecr(tag, secret=None, setup_dockerfile_commands=[], setup_commands=[], **kwargs)
Image.from_gcp_artifact_registry(tag, secret=None, setup_dockerfile_commands=[], setup_commands=[], **kwargs)
Image.pip_install(*packages, find_links=None, index_url=None, extra_index_url=None, pre=False)
Image.pip_install_from_requirements(requirements_txt, find_links=None)
Image.pip_install_from_pyproject(pyproject_toml, optional_dependencies=[])
Image.pip_install_private_repos(*repositories, git_user, secrets=[])
Image.poetry_install_from_file(poetry_pyproject_toml, poetry_lockfile=None, ignore_lockfile=False,
    old_installer=False)
Image.apt_install(*packages)
Image.run_commands(*commands, secrets=[], gpu=None)
Image.dockerfile_commands(dockerfile_commands, context_files={}, secrets=[], gpu=None, context_mount=None)
Image.conda_install(*packages, channels=[])
Image.conda_update_from_environment(environment_yml)
Image.copy(mount, remote_path=".")
Image.run_function(raw_f, *, secret=None, secrets=(), gpu=None, mounts=(), shared_volumes={}, cpu=None,
    memory=None, timeout=None, cloud=None)
Image.env(vars, /)
Image.extend(**low_level_kwargs)
Image.from_name(app_name, tag=None, namespace=None)
Image.persist(label)
Secret(env_dict={}, template_type="")
Secret.from_name(app_name, tag=None, namespace=None)
Mount(remote_dir, *, local_dir=None, local_file=None, condition=None, recursive=True)
Mount.add_local_dir(local_path, *, remote_path=None, condition=None, recursive=True)
Mount.add_local_file(local_path, remote_path=None)
Mount.from_local_dir(local_path)
Mount.from_local_file(local_path)
Mount.extend()
create_package_mounts(module_names)
create_package_mount(name, /)
SharedVolume(cloud_provider=None)
SharedVolume.persist(label)
SharedVolume.from_name(app_name, tag=None, namespace=None)
SharedVolume.write_file(remote_path, fp)
SharedVolume.read_file(path)
SharedVolume.listdir(path)
SharedVolume.remove_file(path, recursive=False)
SharedVolume.iterdir(path)
SharedVolume.add_local_file(local_path, remote_path=None)
SharedVolume.add_local_dir(local_path, remote_path=None)
Dict(data={})
Dict.persist(label)
Dict.get(key)
Dict.contains(key)
Dict.len()
Dict.update(**kwargs)
Dict.put(key, value)
Dict.pop(key)
Queue()
Queue.persist(label)
Queue.get(block=True, timeout=None)
Queue.get_many(n_values, block=True, timeout=None)
Queue.put(v)
Queue.put_many(vs)
Cron(cron_string)
Period(years=0, months=0, weeks=0, days=0, hours=0, minutes=0, seconds=0)
Retries(*, max_retries, backoff_coefficient=2.0, initial_delay=1.0, max_delay=60.0)
RateLimit(*, per_second=None, per_minute=None)
gpu.T4()
gpu.A100(*, count=1, memory=0)
gpu.A10G(*, count=1)
gpu.Any(*, count=1)
Proxy.from_name(name, /)
"""

#: Between May 2023 and May 2025, section A13.
BRIDGE = """
web_endpoint(method="GET", label=None, wait_for_response=True, custom_domains=None)
web_endpoint(*, docs=False, requires_proxy_auth=False)
asgi_app(label=None, wait_for_response=True, custom_domains=None, *, requires_proxy_auth=False)
wsgi_app(label=None, wait_for_response=True, custom_domains=None, *, requires_proxy_auth=False)
web_server(port, *, startup_timeout=5.0, label=None, custom_domains=None, requires_proxy_auth=False)
method()
enter(*, snap=False)
exit()
build()
Function.remote(*args, **kwargs)
Function.remote_gen(*args, **kwargs)
Function.local(*args, **kwargs)
Function.shell(*args, **kwargs)
Function.keep_warm(n, /)
Function.lookup(app_name, tag)
Function.from_name(app_name, tag)
Dict.persisted(label)
Dict.new()
Dict.lookup(label)
Queue.persisted(label)
Queue.new()
Queue.lookup(label)
Volume.persisted(label)
Volume.new()
Volume.lookup(label)
NetworkFileSystem.persisted(label)
NetworkFileSystem.new()
NetworkFileSystem.lookup(label)
NetworkFileSystem.from_name(name, *, create_if_missing=False)
Secret.from_dict(env_dict, /)
Secret.from_dotenv(path=None)
S3Mount(bucket_name, /)
Image.from_registry(tag)
Image.pip_install(*packages, force_build=False)
Image.copy_local_file(local_path, remote_path)
Image.copy_local_dir(local_path, remote_path)
Image.copy_mount(mount, remote_path=".")
Image.imports()
Image.run_inside()
Image.workdir(path, /)
Image.entrypoint(commands, /)
"""


def parse(lines: str) -> Iterator[tuple[str, ast.arguments | None]]:
    """The lines as paths with their parameters; None for a name that is not called."""
    for line in re.sub(r"\n +", " ", lines).strip().splitlines():
        path, opened, _ = line.partition("(")
        function = ast.parse(f"def f({line[len(path) + 1 : -1]}): ...").body[0]
        assert isinstance(function, ast.FunctionDef)
        yield path, function.args if opened else None


def parameter_names(arguments: ast.arguments | None) -> list[str]:
    """The parameters that users write by name, or that take the rest of the places."""
    if arguments is None:
        return []
    named = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    if arguments.vararg is not None and arguments.vararg.arg != "args":
        named.append(arguments.vararg.arg)
    return named


def signatures() -> list[tuple[str, ast.arguments]]:
    """Every callable of the reference, once per way to call it."""
    from . import reference_today

    lines = "".join((OLD, BRIDGE, reference_today.TODAY))
    return [(path, arguments) for path, arguments in parse(lines) if arguments is not None]


def names() -> set[str]:
    """Every dotted path of both halves of the reference."""
    from . import reference_today

    found = {name for text in NAMES.values() for name in text.split()}
    for module, members in MODULES.items():
        found |= {module, *(f"{module}.{member}" for member in members.split())}
    for text in (OLD, BRIDGE, reference_today.TODAY):
        found |= {path for path, _ in parse(text)}
    return found
