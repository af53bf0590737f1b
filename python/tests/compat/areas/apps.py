"""`Stub`, `App`, the running app, and the objects that a Stub holds."""

from __future__ import annotations

from ..table import Area, notice, refused, works

_SECRET = "modal.Secret({'A': '1'})"
_MOUNT = "modal.Mount('/data', local_file='program.py')"
_LATER = " is not built yet in this version of pilotlight"

STUB_OBJECT = Area(
    "Stub and the running app",
    "What `stub.run()` gives and `stub.deploy()` returns was named `modal.App` until 2024.",
    (
        works("modal.Stub(name)", does="assert modal.Stub('x').name == modal.Stub(name='x').name == 'x'"),
        works(
            "modal.Stub(image=…)",
            sees="stub = modal.Stub(image=modal.Image.debian_slim('3.11'))\n@stub.webhook",
            expect="image['base']['python_version'] == '3.11'",
        ),
        works(
            "modal.Stub(mounts=…, secrets=…)",
            sees=f"stub = modal.Stub(secrets=[{_SECRET}], mounts=[{_MOUNT}])\n@stub.webhook",
            expect="f['env'] == {'A': '1'} and '/data/program.py' in [file['remote'] for file in m['files']]",
        ),
        notice(
            "modal.Stub(volumes=…)",
            "Stub(volumes=…) is accepted but not built yet, and has no effect",
            "stub = modal.Stub(volumes={'/data': modal.Volume.from_name('v')})\n@stub.webhook",
        ),
        works(
            "modal.Stub(include_source=…)",
            sees="stub = modal.Stub(include_source=False)\n@stub.webhook",
            expect="m['files'] == []",
        ),
        works("Stub.name, Stub.description", does="assert modal.Stub('x').NAME == 'x'"),
        works(
            "Stub.app, Stub.app_id",
            "sdk/test_app.py::test_running_gives_what_each_era_gave",
            does="assert modal.Stub('x').NAME is None",
        ),
        works(
            "Stub.is_inside(image)",
            "e2e/test_declared.py::test_a_container_knows_its_image_and_the_objects_of_its_app",
        ),
        works("Stub.run", "sdk/test_app.py::test_running_gives_what_each_era_gave"),
        refused(
            "Stub.run(detach=…, interactive=…)",
            "NotBuiltError",
            "stub.run(…=True)" + _LATER,
            "stub.run(detach=True)",
            how="script",
        ),
        works("Stub.serve", "sdk/test_launch.py::test_serve_hands_the_script_over_and_returns"),
        works("Stub.serve(timeout)", "sdk/test_launch.py::test_serve_with_a_timeout"),
        works("Stub.run_forever", "sdk/test_app.py::test_serving_hands_over"),
        works("Stub.deploy(name)", "sdk/test_launch.py::test_deploy", "e2e/test_seed.py::test_deployed"),
        refused(
            "Stub.interactive_shell",
            "NotBuiltError",
            "stub.interactive_shell" + _LATER,
            "stub.interactive_shell()",
        ),
        works(
            "Stub.registered_functions, Stub.registered_web_endpoints",
            does="@stub.webhook\ndef f(): ...\nassert list(stub.NAME) == ['f'] and stub.NAME[0] == 'f'",
        ),
        works(
            "Stub.registered_entrypoints, Stub.local_entrypoint(raw_f, name)",
            does="@stub.local_entrypoint\ndef main(): return 3\n"
            "assert list(stub.registered_entrypoints) == ['main'] and main() == 3",
        ),
        works(
            "Stub.registered_classes, Stub.cls",
            "e2e/test_classes.py::test_a_class_of_2022_is_entered_and_left",
            does="@stub.cls()\nclass C:\n    @modal.web_endpoint()\n    def f(self): ...\n"
            "assert list(stub.registered_classes) == ['C']",
        ),
        works("Stub.function(raw_f)", does="@stub.function\ndef f(): return 3\nassert f() == 3"),
        works(
            "Stub.generator(raw_f)",
            does="@stub.generator\ndef g():\n    yield 1\nassert g.is_generator and list(g()) == [1]",
        ),
        refused("Stub.set_tags", "NotBuiltError", "Stub.set_tags…" + _LATER, "modal.Stub().set_tags({})"),
        refused("Stub.get_tags", "NotBuiltError", "Stub.get_tags" + _LATER, "modal.Stub().get_tags()"),
        works(
            "modal.container_app",
            "e2e/test_declared.py::test_a_container_knows_its_image_and_the_objects_of_its_app",
        ),
    ),
)

DECLARED = Area(
    "Objects on a Stub",
    "",
    (
        works(
            "Stub(x=…)",
            does="stub = modal.Stub('s', x=1)\nassert stub.x == stub['x'] == 1",
        ),
        works("stub.x = …", does="stub.x = 1\nassert stub['x'] == 1"),
        works('stub["x"] = …', does="stub['x'] = 1\nassert stub.x == 1"),
        works(
            "stub.image = …",
            sees="stub = modal.Stub()\nstub.image = modal.Image.debian_slim('3.11')\n@stub.webhook",
            expect="image['base']['python_version'] == '3.11'",
        ),
        refused("stub.missing", "KeyError", "the stub has nothing named 'missing'", "stub.missing"),
        works("stub.f", does="@stub.webhook\ndef f(): ...\nassert stub.f is stub['f'] is f"),
    ),
    "free",
)

APP_OBJECT = Area(
    "App",
    "",
    (
        works("modal.App(name)", does="assert modal.App('x').name == modal.App(name='x').name == 'x'"),
        works(
            "modal.App(image=…)",
            sees="app = modal.App(image=modal.Image.debian_slim('3.11'))\n@app.function()",
            expect="image['base']['python_version'] == '3.11'",
        ),
        works(
            "modal.App(secrets=…)",
            sees=f"app = modal.App(secrets=[{_SECRET}])\n@app.function(env={{'B': '2'}})",
            expect="f['env'] == {'A': '1', 'B': '2'}",
        ),
        works(
            "modal.App(include_source=…)",
            sees="app = modal.App(include_source=False)\n@app.function()",
            expect="m['files'] == []",
        ),
        notice(
            "modal.App(volumes=…)",
            "App(volumes=…) is accepted but not built yet, and has no effect",
            "app = modal.App(volumes={'/data': modal.Volume.from_name('v')})\n@app.function()",
        ),
        notice(
            "modal.App(tags=…)",
            "App(tags=…) is accepted but not built yet, and has no effect",
            "app = modal.App(tags={'team': 'web'})\n@app.function()",
        ),
        works("App.name, App.description", does="assert modal.App('x').NAME == 'x'"),
        works("App.app_id", "sdk/test_app.py::test_running_gives_what_each_era_gave"),
        works("App.lookup(name)", "sdk/test_handles.py::test_a_deployed_function_has_its_url"),
        refused(
            "App.lookup(create_if_missing=…)",
            "NotBuiltError",
            "App.lookup(create_if_missing=True)" + _LATER,
            "from pilotlight import _deployed\n_deployed.find = lambda name: None\n"
            "modal.App.lookup('x', create_if_missing=True)",
        ),
        works("App.run", "sdk/test_app.py::test_running_gives_what_each_era_gave"),
        refused(
            "App.run(name=…, detach=…, interactive=…)",
            "NotBuiltError",
            "app.run(…=…)" + _LATER,
            "app.run(detach=True)",
            how="script",
        ),
        works("App.serve", "sdk/test_launch.py::test_serve_hands_the_script_over_and_returns"),
        works("App.serve(timeout)", "sdk/test_launch.py::test_serve_with_a_timeout"),
        works("App.deploy(name=…)", "sdk/test_launch.py::test_deploy"),
        refused(
            "App.deploy(tag=…)",
            "NotBuiltError",
            "app.deploy(tag=…)" + _LATER,
            "app.deploy(tag='v1')",
            how="script",
        ),
        refused(
            "App.deploy(strategy=…)",
            "NotBuiltError",
            'app.deploy(strategy="recreate")' + _LATER,
            "app.deploy(strategy='recreate')",
            how="script",
        ),
        works("App.function", does="@app.function()\ndef f(): return 3\nassert f.local() == 3"),
        works(
            "App.cls, App.registered_classes",
            "e2e/test_classes.py::test_methods_of_a_class_are_served_with_its_hooks",
            does="@app.cls()\nclass C:\n    @modal.fastapi_endpoint()\n    def f(self): return 3\n"
            "assert list(app.registered_classes) == ['C'] and C().f.local() == 3",
        ),
        works(
            "App.local_entrypoint(name=…), App.registered_entrypoints",
            does="@app.local_entrypoint(name='go')\ndef main(): return 3\n"
            "assert list(app.registered_entrypoints) == ['go'] and main() == 3",
        ),
        works(
            "App.registered_functions, App.registered_web_endpoints",
            does="@app.function()\n@modal.fastapi_endpoint()\ndef f(): ...\nassert list(app.NAME) == ['f']",
        ),
        works(
            "App.include(other_app, inherit_tags)",
            "e2e/test_declared.py::test_an_included_app_keeps_its_own_secrets",
            sees="app = modal.App()\nother = modal.App()\n@other.function()\n@modal.fastapi_endpoint()\n"
            "def f(): ...\napp.include(other)",
            expect="[g['name'] for g in m['functions']] == ['f']",
        ),
        works("App.stop", "sdk/test_app.py::test_running_gives_what_each_era_gave"),
        refused(
            "App.server",
            "NotBuiltError",
            "@app.server" + _LATER + ": a web decorator under @app.function() serves requests",
            "@app.server(port=8000)\nclass C: ...",
        ),
        refused("App.set_tags", "NotBuiltError", "App.set_tags…" + _LATER, "app.set_tags({})"),
        refused("App.get_tags", "NotBuiltError", "App.get_tags" + _LATER, "app.get_tags()"),
        refused(
            "App.info, App.stats, App.logs, App.sandboxes, App.get_dashboard_url",
            "NotBuiltError",
            "App.NAME" + _LATER,
            "app.NAME",
        ),
    ),
)
