"""Modal's interface today (1.6), in the form of `reference`, section B."""

from __future__ import annotations

_FUNCTION = (
    "image env secrets gpu serialized network_file_systems volumes cpu memory ephemeral_disk min_containers "
    "max_containers buffer_containers scaledown_window proxy retries timeout startup_timeout cloud region "
    "routing_region nonpreemptible enable_memory_snapshot block_network restrict_modal_access "
    "single_use_containers i6pn include_source experimental_options _experimental_restrict_output max_inputs"
)
#: Keywords of the decorators of `App`.
KEYWORDS = {
    "App.function": f"{_FUNCTION} schedule name is_generator",
    "App.cls": _FUNCTION,
}
#: Keywords that `App` refuses with today's name, and those it does not know any more.
RENAMED = "keep_warm concurrency_limit container_idle_timeout allow_concurrent_inputs"
GONE = "mounts secret shared_volumes interactive"

_ENV = "env=None, secrets=None, gpu=None"
_PIP = "find_links=None, index_url=None, extra_index_url=None, pre=False, extra_options='', force_build=False"

TODAY = f"""
App(name=None, *, tags=None, image=None, secrets=[], volumes={{}}, include_source=True)
App.lookup(name, *, client=None, environment_name=None, create_if_missing=False)
App.run(*, name=None, client=None, detach=False, interactive=False, environment_name=None)
App.deploy(*, name=None, environment_name=None, tag="", client=None, strategy="rolling")
App.local_entrypoint(*, name=None)
App.function()
App.cls()
App.server()
App.include(other_app, inherit_tags=True)
App.set_tags(tags, *, client=None)
App.get_tags()
App.stop(*, client=None)
App.info(refresh=False)
App.stats(*, since=None, until=None)
App.logs()
App.sandboxes
App.get_dashboard_url()
App.name
App.app_id
App.description
App.registered_functions
App.registered_classes
App.registered_entrypoints
App.registered_web_endpoints
fastapi_endpoint(*, method="GET", label=None, custom_domains=None, docs=False, requires_proxy_auth=False)
asgi_app(*, label=None, custom_domains=None, requires_proxy_auth=False)
wsgi_app(*, label=None, custom_domains=None, requires_proxy_auth=False)
web_server(port, *, startup_timeout=5.0, label=None, custom_domains=None, requires_proxy_auth=False)
web_endpoint()
concurrent(*, max_inputs, target_inputs=None)
batched(*, max_batch_size, wait_ms)
method(*, is_generator=None)
enter(*, snap=False)
exit()
parameter(*, default=None, init=True)
sessioned()
clustered(size, rdma=False)
Function.from_name(app_name, name, *, version=None, environment_name=None, client=None)
Function.from_id(function_id, *, client=None)
Function.remote(*args, **kwargs)
Function.remote_gen(*args, **kwargs)
Function.local(*args, **kwargs)
Function.map(*iterators, kwargs={{}}, order_outputs=True, return_exceptions=False)
Function.starmap(iterator, *, kwargs={{}}, order_outputs=True, return_exceptions=False)
Function.for_each(*iterators, kwargs={{}}, ignore_exceptions=False)
Function.spawn(*args, **kwargs)
Function.spawn_map(*iterators, kwargs={{}})
Function.experimental_spawn_map(*iterators, kwargs={{}})
Function.get_web_url()
Function.with_options(*, cpu=None, memory=None, gpu=None, env=None, secrets=None, volumes={{}},
    retries=None, max_containers=None, buffer_containers=None, scaledown_window=None, timeout=None,
    region=None, cloud=None, routing_region=None)
Function.with_concurrency(*, max_inputs, target_inputs=None)
Function.with_batching(*, max_batch_size, wait_ms)
Function.autoscaler
Function.update_autoscaler(*, min_containers=None, max_containers=None, buffer_containers=None,
    scaledown_window=None)
Function.get_current_stats()
Function.info
Function.stats(*, since=None, until=None, container=None, all_variants=None)
Function.logs
Function.metrics
Function.app
FunctionCall.get(timeout=None, *, index=0)
FunctionCall.iter(*, start=0, end=None)
FunctionCall.num_inputs()
FunctionCall.get_call_graph()
FunctionCall.cancel(terminate_containers=False)
FunctionCall.from_id(function_call_id, /, client=None)
FunctionCall.gather(*calls)
FunctionCall.logs
FunctionCall.object_id
Cls.from_name(app_name, name, *, version=None, environment_name=None, client=None)
Cls.with_options()
Cls.with_concurrency(*, max_inputs, target_inputs=None)
Cls.with_batching(*, max_batch_size, wait_ms)
Retries(*, max_retries, backoff_coefficient=2.0, initial_delay=1.0, max_delay=60.0)
Cron(cron_string, timezone="UTC")
Period(*, years=0, months=0, weeks=0, days=0, hours=0, minutes=0, seconds=0)
Image.debian_slim(python_version=None, force_build=False)
Image.micromamba(python_version=None, force_build=False)
Image.from_registry(tag, secret=None, *, setup_dockerfile_commands=[], force_build=False,
    add_python=None, **kwargs)
Image.from_gcp_artifact_registry(tag, secret=None, *, setup_dockerfile_commands=[], force_build=False,
    add_python=None, **kwargs)
Image.from_aws_ecr(tag, secret=None, *, setup_dockerfile_commands=[], force_build=False, add_python=None,
    **kwargs)
Image.from_dockerfile(path, *, force_build=False, context_dir=None, ignore=None, build_args={{}},
    registry_secret=None, secrets=None, env=None, gpu=None, add_python=None)
Image.from_scratch(force_build=False)
Image.from_id(image_id, client=None)
Image.from_name(name, *, environment_name=None, client=None)
Image.add_local_file(local_path, remote_path, *, copy=False)
Image.add_local_dir(local_path, remote_path, *, copy=False, ignore=[])
Image.add_local_python_source(*modules, copy=False, ignore=None)
Image.pip_install(*packages, {_PIP}, {_ENV})
Image.pip_install_from_requirements(requirements_txt, find_links=None, *, index_url=None,
    extra_index_url=None, pre=False, extra_options='', force_build=False, {_ENV})
Image.pip_install_from_pyproject(pyproject_toml, optional_dependencies=[], *, {_PIP}, {_ENV})
Image.pip_install_private_repos(*repositories, git_user, {_PIP}, {_ENV})
Image.uv_pip_install(*packages, requirements=None, uv_version=None, {_PIP}, {_ENV})
Image.uv_sync(uv_project_dir="./", *, force_build=False, groups=None, extras=None, frozen=True,
    extra_options='', uv_version=None, {_ENV})
Image.poetry_install_from_file(poetry_pyproject_toml, poetry_lockfile=None, *, ignore_lockfile=False,
    force_build=False, with_=[], without=[], only=[], poetry_version="latest", old_installer=False,
    {_ENV})
Image.apt_install(*packages, force_build=False, {_ENV})
Image.run_commands(*commands, env=None, secrets=None, volumes=None, gpu=None, force_build=False)
Image.dockerfile_commands(*dockerfile_commands, context_files={{}}, {_ENV}, context_dir=None,
    force_build=False, ignore=None, build_args={{}})
Image.micromamba_install(*packages, spec_file=None, channels=[], force_build=False, {_ENV})
Image.run_function(raw_f, *, env=None, secrets=None, volumes={{}}, network_file_systems={{}}, gpu=None,
    cpu=None, memory=None, timeout=None, cloud=None, region=None, force_build=False, args=(),
    kwargs={{}}, include_source=True)
Image.env(vars, /)
Image.workdir(path, /)
Image.entrypoint(commands, /)
Image.shell(commands, /)
Image.cmd(commands, /)
Image.imports()
Image.pipe(func, *args, **kwargs)
Image.build(app=None)
Image.publish(name)
Image.hydrate()
Image.logs
Secret.from_dict(env_dict={{}})
Secret.from_local_environ(env_keys, /)
Secret.from_dotenv(path=None, *, filename=".env")
Secret.from_name(name, *, environment_name=None, required_keys=[])
Secret.update(d, /)
Secret.info()
Secret.objects
Volume.from_name(name, *, environment_name=None, create_if_missing=False, version=None, create_options=None)
Volume.from_id(volume_id, /)
Volume.ephemeral()
Volume.commit()
Volume.reload()
Volume.iterdir(path, *, recursive=True)
Volume.listdir(path, *, recursive=False)
Volume.read_file(path)
Volume.read_file_into_fileobj(path, fileobj)
Volume.remove_file(path, recursive=False)
Volume.copy_files(src_paths, dst_path, /, recursive=False)
Volume.batch_upload(force=False)
Volume.rename(old_name, new_name, /)
Volume.read_only()
Volume.with_mount_options(*, read_only=None, sub_path=None)
Volume.objects
Dict.from_name(name, *, environment_name=None, create_if_missing=False)
Dict.ephemeral()
Dict.get(key, default=None)
Dict.contains(key)
Dict.len()
Dict.update(other=None, /, **kwargs)
Dict.put(key, value, *, skip_if_exists=False)
Dict.pop(key, default=None)
Dict.keys()
Dict.values()
Dict.items()
Dict.clear()
Dict.info()
Dict.objects
Queue.from_name(name, *, environment_name=None, create_if_missing=False)
Queue.ephemeral()
Queue.get(block=True, timeout=None, *, partition=None)
Queue.get_many(n_values, block=True, timeout=None, *, partition=None)
Queue.put(v, block=True, timeout=None, *, partition=None, partition_ttl=86400)
Queue.put_many(vs, block=True, timeout=None, *, partition=None, partition_ttl=86400)
Queue.len(*, partition=None, total=False)
Queue.iterate(*, partition=None, item_poll_timeout=0.0)
Queue.clear(*, partition=None, all=False)
Queue.objects
Proxy.from_name(name)
CloudBucketMount(bucket_name, /, **kwargs)
forward(port, *, unencrypted=False, h2_enabled=False, client=None)
Tunnel.url
Tunnel.tls_socket
Tunnel.tcp_socket
enable_output()
"""

#: Commands of 1.6 and of 2022 that have to do with web endpoints, and their options (A11, B10).
COMMANDS = {
    "run": "--name --write-result --quiet --detach --interactive --env -m --timestamps",
    "serve": "--name --timeout --env -m --timestamps",
    "deploy": "--name --env --stream-logs --tag -m --timestamps --strategy",
    "app list": "--json --limit",
    "app logs": "--follow --since --until --tail --search --function --function-call --container --source "
    "--timestamps --show-function-id --show-function-call-id --show-container-id",
    "app stop": "--yes",
    "app deploy": "--name",
    "app run": "--function-name --detach",
    "app shell": "--function-name --cmd",
    "app history": "--json",
    "app rollback": "--strategy",
    "app rollover": "--strategy",
    "app info": "",
    "app stats": "--since --until --json",
    "app dashboard": "",
    "shell": "--cmd --image --add-python --volume --add-local --secret --cpu --memory --gpu --cloud --region "
    "--runtime --pty -m",
}
#: The other groups of commands: hosted things.
GROUPS = (
    "curl container function server endpoint secret volume dict queue image environment profile "
    "token config setup "
    "workspace nfs billing changelog dashboard skills env launch"
)

#: Settings by their environment variables (A11, B10), without the `MODAL_`.
SETTINGS = (
    "TOKEN_ID TOKEN_SECRET SERVER_URL LOGLEVEL LOGS_TIMEOUT AUTOMOUNT SERVE_TIMEOUT "
    "IMAGE_PYTHON_VERSION CONFIG_PATH "
    "ENV PROFILE ENVIRONMENT IMAGE_BUILDER_VERSION LOG_FORMAT LOG_PATTERN TRACEBACK "
    "MAX_THROTTLE_WAIT FORCE_BUILD "
    "IGNORE_CACHE BUILD_VALIDATION DEV_SUFFIX PAYLOAD_FORMAT DISABLE_API_PROXY SANDBOX_V2 "
    "SANDBOX_CHANNEL_IDLE_TIMEOUT VOLUME_BLOCK_READ_TIMEOUT DEFAULT_CLOUD ASYNC_WARNINGS HEARTBEAT_INTERVAL"
)
#: Variables that containers have (A7, B6).
CONTAINER_VARIABLES = (
    "TASK_ID TASK_SECRET IMAGE_ID REGION CLOUD_PROVIDER ENVIRONMENT IS_REMOTE IDENTITY_TOKEN SERVER_URL"
)

#: What blocks, and so has an awaitable twin: `m.aio`.
BLOCKING = (
    "Stub.run Stub.serve Stub.run_forever Stub.deploy Stub.interactive_shell App.run App.deploy "
    "App.stop App.lookup "
    "App.set_tags App.get_tags Function.remote Function.remote_gen Function.call Function.map "
    "Function.starmap "
    "Function.for_each Function.spawn Function.spawn_map Function.get_current_stats "
    "Function.update_autoscaler "
    "Function.keep_warm Function.shell Function.lookup Function.from_app Function.get_web_url "
    "FunctionCall.get "
    "FunctionCall.iter FunctionCall.num_inputs FunctionCall.get_call_graph FunctionCall.cancel "
    "FunctionCall.gather "
    "functions.gather lookup Cls.lookup Dict.get Dict.contains Dict.len Dict.update Dict.put Dict.pop "
    "Dict.keys "
    "Dict.values Dict.items Dict.clear Dict.info Dict.lookup Dict.ephemeral Queue.get Queue.get_many "
    "Queue.put "
    "Queue.put_many Queue.len Queue.iterate Queue.clear Queue.lookup Queue.ephemeral Volume.commit "
    "Volume.reload "
    "Volume.iterdir Volume.listdir Volume.read_file Volume.read_file_into_fileobj Volume.remove_file "
    "Volume.copy_files Volume.batch_upload Volume.rename Volume.lookup Volume.ephemeral "
    "SharedVolume.write_file "
    "SharedVolume.read_file SharedVolume.listdir SharedVolume.remove_file SharedVolume.iterdir "
    "SharedVolume.add_local_file SharedVolume.add_local_dir Secret.update Secret.info forward"
)
