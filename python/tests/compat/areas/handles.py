"""Handles of functions, calls of them, and looking up what is deployed."""

from __future__ import annotations

from ..table import Area, refused, works

_LATER = " is not built yet in this version of pilotlight"
_F = "@app.function()\ndef f(*a): ...\n"
_G = "@app.function()\ndef f():\n    yield 1\n"
_CALLING = "f.NAME(…)" + _LATER + ": f.local(…) runs it in this process, under stub.run() and app.run() too"

HANDLES = Area(
    "Functions and calls",
    "Calls of web functions are refused with the URL of the endpoint.",
    (
        works(
            "modal.Function, modal.functions.FunctionHandle",
            does="@stub.webhook\ndef f(): ...\nassert isinstance(f, modal.Function)",
        ),
        works("Function.local", does="@app.function()\ndef f(x): return x\nassert f.local(3) == 3"),
        works("Function.get_raw_f", does="@stub.function\ndef f(): return 3\nassert f.get_raw_f()() == 3"),
        works(
            "Function.is_generator",
            does="@stub.function\ndef f(): ...\nassert not f.is_generator\n"
            "@stub.function\ndef g():\n    yield\nassert g.is_generator",
        ),
        works(
            "Function.web_url, Function.get_web_url",
            "e2e/test_urls.py::test_an_endpoint_calls_another_by_its_url",
        ),
        works("Function.object_id", does="@stub.function\ndef f(): ...\nassert f.object_id is None"),
        works(
            "Function.from_name(app_name, name, tag=…)",
            "sdk/test_handles.py::test_a_deployed_function_has_its_url",
        ),
        works(
            "Function.from_app(app_name, tag), Function.lookup(app_name, tag)",
            "sdk/test_handles.py::test_a_deployed_function_has_its_url",
        ),
        refused(
            "Function.from_name(version=…)",
            "NotBuiltError",
            "Function.from_name(version=…)" + _LATER,
            "modal.Function.from_name('x', 'f', version=1)",
        ),
        refused(
            "Function.from_id",
            "NotBuiltError",
            "Function.from_id" + _LATER + ": Function.from_name finds a deployed function",
            "modal.Function.from_id('fu-1')",
        ),
        refused(
            "Function.remote, Function.call, Function.spawn, Function.map, Function.for_each, "
            "Function.spawn_map",
            "NotBuiltError",
            _CALLING,
            _F + "f.NAME([1])",
        ),
        refused("Function.starmap", "NotBuiltError", _CALLING, _F + "f.NAME([(1,)])"),
        refused("Function.remote_gen", "NotBuiltError", _CALLING, _G + "f.NAME()"),
        refused(
            "Function.submit, Function.enqueue",
            "DeprecationError",
            "f.NAME(…) is now f.spawn(…)",
            _F + "f.NAME(1)",
        ),
        refused(
            "Function.with_options, Function.get_current_stats",
            "NotBuiltError",
            "f.NAME" + _LATER + "…",
            _F + "f.NAME()",
        ),
        refused(
            "Function.with_concurrency", "NotBuiltError", "f.NAME" + _LATER + "…", _F + "f.NAME(max_inputs=1)"
        ),
        refused(
            "Function.with_batching",
            "NotBuiltError",
            "f.NAME" + _LATER + "…",
            _F + "f.NAME(max_batch_size=1, wait_ms=1)",
        ),
        works(
            "Function.update_autoscaler(min_containers, max_containers, buffer_containers, scaledown_window)",
            "e2e/test_scaling.py::test_a_deployed_function_is_scaled_live",
        ),
        works(
            "Function.autoscaler",
            "e2e/test_scaling.py::test_a_deployed_function_is_scaled_live",
        ),
        works(
            "Function.keep_warm(warm_pool_size)",
            "e2e/test_scaling.py::test_a_deployed_function_is_scaled_live",
        ),
        refused(
            "Function.shell, Function.info, Function.stats, Function.logs, "
            "Function.metrics, "
            "Function.experimental_spawn_map",
            "NotBuiltError",
            "Function.NAME" + _LATER,
            _F + "f.NAME()",
        ),
        refused(
            "modal.FunctionCall, modal.functions.FunctionCall",
            "InvalidError",
            "FunctionCall() makes no call: it is what f.spawn(…) returns",
            "modal.FunctionCall()",
        ),
        works(
            "FunctionCall.from_id(function_call_id), FunctionCall.object_id",
            does="assert modal.FunctionCall.from_id('fc-1').object_id == 'fc-1'",
        ),
        refused(
            "FunctionCall.get, FunctionCall.iter, FunctionCall.num_inputs, FunctionCall.get_call_graph, "
            "FunctionCall.cancel, FunctionCall.gather",
            "NotBuiltError",
            "FunctionCall.NAME" + _LATER,
            "modal.FunctionCall.from_id('fc-1').NAME()",
        ),
        refused(
            "FunctionCall.logs",
            "NotBuiltError",
            "FunctionCall.logs" + _LATER,
            "modal.FunctionCall.from_id('fc-1').logs",
        ),
        refused("Function.app", "NotBuiltError", "Function.app" + _LATER, _F + "f.app"),
        refused("modal.functions.gather", "NotBuiltError", "gather" + _LATER, "modal.functions.gather()"),
    ),
)
