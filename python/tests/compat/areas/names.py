"""What is left of the package's names: exceptions, sub-modules, and what is declared for its own sake."""

from __future__ import annotations

from ..table import Area, Row, notice, refused, works

_LATER = " is not built yet in this version of pilotlight"
_DECLARED = " is accepted but not built yet: using it raises modal.exception.NotBuiltError"


def _later(name: str, call: str, words: str = "") -> Row:
    return refused(name, "NotBuiltError", (words or name.removeprefix("modal.")) + _LATER, call, how="script")


MODULES = Area(
    "Sub-modules and exceptions",
    "",
    (
        works(
            "modal.aio, modal.client, modal.config, modal.dict, modal.exception, modal.functions, modal.gpu, "
            "modal.queue, modal.runner, modal.shared_volume",
            "sdk/test_names.py::test_submodules_are_the_same_modules",
            does="import importlib\nimportlib.import_module('modal.NAME')",
        ),
        works(
            "modal.config.Config.get(key, profile, use_env), modal.config.Config.override_locally(key, "
            "value), "
            "modal.config.Config.to_dict",
            does="from modal.config import config\nconfig.override_locally('serve_timeout', '5')\n"
            "assert config.get('serve_timeout') == config.to_dict()['serve_timeout'] == 5",
        ),
        works("modal.extensions.ipython", does="from modal.extensions.ipython import load_ipython_extension"),
        works(
            "modal.extensions.ipython.load_ipython_extension(ipython)",
            "sdk/test_objects.py::test_ipython_extension_brings_in_functions",
        ),
        works("modal.Error, modal.exception.Error", does="assert modal.Error is modal.exception.Error"),
        works(
            ", ".join(
                f"modal.exception.{name}"
                for name in (
                    "AlreadyExistsError AuthError ClientClosed ConflictError ConnectionError DataLossError "
                    "DeserializationError ExecutionError FunctionTimeoutError InteractiveTimeoutError "
                    "InternalError InternalFailure InvalidError LocalFunctionError MountUploadTimeoutError "
                    "NotBuiltError NotFoundError OutputExpiredError PermissionDeniedError RemoteError "
                    "RequestSizeError ResourceExhaustedError SandboxTerminatedError SandboxTimeoutError "
                    "SerializationError ServiceError TimeoutError UnimplementedError VersionError "
                    "VolumeUploadTimeoutError"
                ).split()
            ),
            does="assert issubclass(modal.exception.NAME, modal.Error)",
        ),
        works(
            "modal.exception.DeprecationError, modal.exception.PendingDeprecationError, "
            "modal.exception.ServerWarning",
            does="assert issubclass(modal.exception.NAME, UserWarning)",
        ),
        works(
            "modal.exception.InputCancellation",
            does="assert not issubclass(modal.exception.InputCancellation, Exception)",
        ),
        works(
            "modal.dict.DictHandle, modal.queue.QueueHandle, modal.shared_volume.SharedVolumeHandle",
            does="import modal.dict, modal.queue, modal.shared_volume\n"
            "kept = {'DictHandle': modal.Dict, 'QueueHandle': modal.Queue, "
            "'SharedVolumeHandle': modal.SharedVolume}\n"
            "module = {'DictHandle': modal.dict, 'QueueHandle': modal.queue, "
            "'SharedVolumeHandle': modal.shared_volume}\n"
            "assert getattr(module['NAME'], 'NAME') is kept['NAME']",
        ),
        works(
            "modal.aio.AioApp, modal.aio.AioDict, modal.aio.AioFunctionHandle, modal.aio.AioImage, "
            "modal.aio.AioMount, modal.aio.AioQueue, modal.aio.AioSecret, modal.aio.AioSharedVolume, "
            "modal.aio.AioStub, modal.aio.aio_container_app, modal.aio.aio_lookup",
            "sdk/test_objects.py::test_aio_classes_await_by_plain_names",
        ),
        works(
            "modal.aio.AioApp.app_id, modal.aio.AioApp.client, modal.aio.AioApp.stop, "
            "modal.aio.AioApp.disconnect",
            "sdk/test_app.py::test_running_gives_what_each_era_gave",
        ),
        refused(
            "modal.aio.AioApp.log_url",
            "NotBuiltError",
            "App.log_url" + _LATER + "…",
            "from pilotlight._running import RunningApp, State\n"
            "RunningApp(modal.Stub(), State(None, {}, None)).log_url()",
        ),
        works(
            "modal.runner.run_app(app), modal.runner.run_stub(stub), modal.runner.deploy_app(app, name), "
            "modal.runner.deploy_stub(stub, name), modal.runner.serve_stub(stub, stub_ref, timeout)",
            "sdk/test_objects.py::test_runner_hands_over_to_the_methods",
        ),
        refused(
            "modal.runner.run_app(detach, interactive), modal.runner.run_stub(detach)",
            "NotBuiltError",
            "stub.run(detach=True)" + _LATER,
            "import modal.runner\nmodal.runner.run_stub(modal.Stub(), detach=True)",
            how="script",
        ),
        refused(
            "modal.runner.deploy_app(tag)",
            "NotBuiltError",
            "app.deploy(tag=…)" + _LATER,
            "import modal.runner\nmodal.runner.deploy_app(modal.App(), tag='x')",
            how="script",
        ),
        _later(
            "modal.runner.interactive_shell",
            "import modal.runner\nmodal.runner.interactive_shell()",
            "modal.runner.interactive_shell",
        ),
    ),
)

REST = Area(
    "Other names",
    "",
    (
        works(
            "modal.is_local",
            "sdk/test_launch.py::test_in_a_container_it_is_refused",
            does="assert modal.is_local()",
        ),
        works(
            "modal.enable_output(show_progress)",
            does="with modal.enable_output():\n    pass",
        ),
        works(
            "modal.current_input_id, modal.current_function_call_id",
            "sdk/test_objects.py::test_what_is_only_known_in_containers",
            does="assert modal.NAME() is None",
        ),
        works("modal.lookup(app_name, tag)", "sdk/test_objects.py::test_lookup_and_ref_find_functions"),
        works(
            "modal.ref(app_name, tag)",
            does="assert isinstance(modal.ref('shop', 'f'), modal.Function)",
        ),
        works(
            "modal.Client(server_url, client_type, credentials), Client.from_env, "
            "Client.from_credentials(token_id, token_secret)",
            does="with modal.Client.from_env(), modal.Client.from_credentials('a', 'b'):\n    pass",
        ),
        _later("Client.hello", "modal.Client().hello()"),
        refused(
            "modal.Cloud",
            "AttributeError",
            'modal.Cloud was listed in 2023 and never there: give cloud= a string, such as cloud="aws"',
            "modal.Cloud",
        ),
        *(
            notice(
                f"modal.{kind}, {kind}.from_name(name)",
                f"{kind}.from_name('x')" + _DECLARED,
                f"x = modal.{kind}.from_name('x')\n@app.function()",
            )
            for kind in ("Environment", "Workspace", "Cluster", "Server")
        ),
        _later("Server.get_url", "modal.Server.from_name('x').get_url()"),
        _later("Object.hydrate", "modal.Object.from_name('x').hydrate()"),
        works("Object.object_id", does="assert modal.Object.from_name('x').object_id is None"),
        notice(
            "modal.SchedulerPlacement(region, zone, spot, instance_type)",
            "f: _experimental_scheduler_placement= is accepted but not built yet, and has no effect",
            "@stub.function(_experimental_scheduler_placement=modal.SchedulerPlacement('eu'))",
        ),
        _later("Sandbox.create", "modal.Sandbox.create('ls')"),
        _later("Sandbox.from_id", "modal.Sandbox.from_id('sb-1')"),
        _later("Sandbox.from_name", "modal.Sandbox.from_name('a', 'b')"),
        _later("Sandbox.list", "modal.Sandbox.list()"),
        _later("Sandbox.objects", "modal.Sandbox.objects.list()", "Sandbox.objects.list"),
        _later("SandboxSnapshot.from_id", "modal.SandboxSnapshot.from_id('sn-1')"),
        _later("Probe.with_tcp", "modal.Probe.with_tcp(80)"),
        _later("Probe.with_exec", "modal.Probe.with_exec('true')"),
        refused(
            "modal.forward",
            "InvalidError",
            "forward: it forwards a port of a container: call it inside a function",
            "modal.forward(8000)",
            how="script",
        ),
        works(
            "modal.Tunnel(host, port, unencrypted_host, unencrypted_port), Tunnel.url, Tunnel.tls_socket, "
            "Tunnel.tcp_socket",
            does="tunnel = modal.Tunnel('a', 443, 'b', 80)\nassert tunnel.url == 'https://a'\n"
            "assert (tunnel.tls_socket, tunnel.tcp_socket) == (('a', 443), ('b', 80))",
        ),
        refused(
            "modal.interact",
            "InvalidError",
            "interact: it is for functions that run in a container with a terminal",
            "modal.interact()",
        ),
        _later(
            "modal.billing.workspace_billing_report",
            "modal.billing.workspace_billing_report(start=1)",
            "workspace_billing_report",
        ),
        *(
            _later(
                f"modal.experimental.{call.partition('(')[0]}",
                f"modal.experimental.{call}",
                call.partition("(")[0],
            )
            for call in (
                "stop_fetching_inputs()",
                "get_local_input_concurrency()",
                "set_local_input_concurrency(1)",
                "get_cluster_info()",
                "list_deployed_apps()",
            )
        ),
        works(
            "modal.types.FunctionStats(backlog, num_total_runners)",
            does="assert modal.types.FunctionStats(1, 2).backlog == 1",
        ),
        works(
            "modal.call_graph.InputInfo, modal.call_graph.InputStatus",
            does="from modal.call_graph import InputInfo, InputStatus\nassert InputStatus.SUCCESS == 1",
        ),
        works(
            "modal.partial_function.PartialFunction",
            does="from modal.partial_function import PartialFunction\n"
            "assert isinstance(modal.asgi_app()(lambda: None), PartialFunction)",
        ),
        works(
            "modal.app.LocalEntrypoint.raw_f",
            does="@app.local_entrypoint()\ndef main(): return 3\nassert main.raw_f() == 3",
        ),
    ),
)
