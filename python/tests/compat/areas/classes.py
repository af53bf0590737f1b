"""Classes with web methods, and what stands on their methods."""

from __future__ import annotations

from ..table import Area, notice, refused, works

_LATER = " is not built yet in this version of pilotlight"


def _cls(body: str, options: str = "") -> str:
    return f"app = modal.App('x')\n@app.cls({options})\nclass C:\n    {body}\n"


_WEB = "    @modal.fastapi_endpoint()\n    def web(self): ...\n"

CLASSES = Area(
    "Classes",
    "Each web method of a class has a URL and, in this version, containers of its own.",
    (
        notice(
            "@modal.method(is_generator=…)",
            "C.f: is a method, not a web endpoint; calling methods is not built yet",
            _cls("@modal.method(is_generator=False)\n    def f(self): ...") + _WEB,
        ),
        notice(
            "@modal.batched(max_batch_size=…, wait_ms=…)",
            "f: is not a web endpoint; calling functions is not built yet",
            "@app.function()\n@modal.batched(max_batch_size=2, wait_ms=10)\ndef f(x): ...",
        ),
        works(
            "@modal.enter",
            "e2e/test_classes.py::test_methods_of_a_class_are_served_with_its_hooks",
        ),
        works(
            "@modal.enter(snap=…)",
            "e2e/test_snapshots.py::test_snap_hooks_run_once_for_all_containers",
            "runner/test_classes.py::test_hooks_run_in_order_around_the_requests",
        ),
        works(
            "@modal.enter(checkpoint=…)",
            "sdk/test_cls.py::test_the_runner_finds_hooks_methods_and_defaults_in_the_users_class",
        ),
        works(
            "@modal.exit",
            "runner/test_classes.py::test_hooks_run_in_order_around_the_requests",
        ),
        refused(
            "@modal.build",
            "DeprecationError",
            "C.f: @modal.build is gone: use Image.run_function(…) instead",
            _cls("@modal.build()\n    def f(self): ...") + _WEB,
        ),
        works(
            "modal.parameter(default=…, init=…)",
            "sdk/test_cls.py::test_the_runner_finds_hooks_methods_and_defaults_in_the_users_class",
        ),
        notice(
            "@modal.clustered(size, rdma)",
            "f: @modal.clustered is accepted but not built yet, and has no effect",
            "@app.function()\n@modal.clustered(2)\n@modal.fastapi_endpoint()\ndef f(): ...",
        ),
        refused("@modal.sessioned", "NotBuiltError", "@modal.sessioned…" + _LATER + "…", "modal.sessioned()"),
        works(
            "Cls.from_name(app_name, name, tag=…)",
            does="assert modal.Cls.from_name('shop', 'C').__name__ == 'C'",
        ),
        refused(
            "Cls.from_name(version=…)",
            "NotBuiltError",
            "Cls.from_name(version=…)" + _LATER,
            "modal.Cls.from_name('shop', 'C', version=1)",
        ),
        works("Cls.lookup(app_name, tag)", "sdk/test_handles.py::test_a_deployed_function_has_its_url"),
        refused(
            "Cls.with_options, Cls.with_concurrency, Cls.with_batching",
            "NotBuiltError",
            "C.NAME" + _LATER + "…",
            "modal.Cls.from_name('shop', 'C').NAME(**{'with_concurrency': {'max_inputs': 1}, "
            "'with_batching': {'max_batch_size': 1, 'wait_ms': 1}}.get('NAME', {}))",
        ),
        works(
            "modal.cls.Obj.update_autoscaler(min_containers, max_containers, buffer_containers, "
            "scaledown_window), modal.cls.Obj.keep_warm(warm_pool_size)",
            "e2e/test_scaling.py::test_a_deployed_class_is_scaled_by_its_web_methods",
        ),
    ),
)
