"""Every spelling of the decorators, both eras, gives the function specification it should."""

from __future__ import annotations

import base64
import json
from typing import Any

import modal
import pytest
from modal.exception import DeprecationError, InvalidError, LocalFunctionError
from sdk_project import SDK_DIR, Project

ENDPOINT = {"kind": "endpoint", "method": "GET", "docs": True, "cors": True}


def function_of(project: Project, declaration: str, body: str = "def f():\n    return 'x'") -> dict[str, Any]:
    kind = "App('x')" if "@app." in declaration else "Stub()"
    variable = "app" if "@app." in declaration else "stub"
    text = f"import modal\n{variable} = modal.{kind}\n{declaration}\n{body}\n"
    result = project.manifest(text)
    (found,) = result["functions"]
    return {**found, "notices": result["notices"]}


@pytest.mark.parametrize(
    "declaration",
    [
        "@stub.webhook",
        "@stub.webhook()",
        "@stub.function\n@modal.webhook",
        "@stub.function()\n@modal.webhook()",
        "@stub.function\n@modal.webhook()",
        "@stub.function()\n@modal.webhook",
        "@stub.function()\n@modal.web_endpoint()",
        "@stub.function()\n@stub.web_endpoint()",
    ],
)
@pytest.mark.parametrize("prefix", ["def", "async def"])
def test_a_get_endpoint_in_every_spelling_of_the_era(project: Project, declaration: str, prefix: str) -> None:
    found = function_of(project, declaration, f"{prefix} f():\n    return 'x'")
    assert found["web"] == ENDPOINT
    assert (found["name"], found["module"], found["qualname"]) == ("f", "program", "f")
    assert (found["min_containers"], found["max_containers"], found["max_inputs"]) == (0, None, 1)
    assert (found["scaledown_window"], found["timeout"], found["label"]) == (60.0, 300.0, None)
    assert found["notices"] == []


@pytest.mark.parametrize(
    ("declaration", "kind"),
    [
        ("@stub.asgi", "asgi"),
        ("@stub.asgi()", "asgi"),
        ("@stub.function()\n@modal.asgi", "asgi"),
        ("@stub.function\n@modal.asgi()", "asgi"),
        ("@stub.function()\n@modal.asgi_app()", "asgi"),
        ("@app.function()\n@modal.asgi_app()", "asgi"),
        ("@stub.wsgi", "wsgi"),
        ("@stub.wsgi()", "wsgi"),
        ("@stub.function()\n@modal.wsgi", "wsgi"),
        ("@stub.function()\n@modal.wsgi()", "wsgi"),
        ("@app.function()\n@modal.wsgi_app()", "wsgi"),
    ],
)
def test_whole_applications_in_every_spelling(project: Project, declaration: str, kind: str) -> None:
    assert function_of(project, declaration)["web"] == {"kind": kind}


def test_todays_endpoint_serves_docs_only_when_asked(project: Project) -> None:
    found = function_of(project, "@app.function()\n@modal.fastapi_endpoint()")
    assert found["web"] == {**ENDPOINT, "docs": False}
    found = function_of(
        project, "@app.function()\n@modal.fastapi_endpoint(method='POST', label='my-x', docs=True)"
    )
    assert found["web"] == {**ENDPOINT, "method": "POST"}
    assert found["label"] == "my-x"


def test_keywords_of_2022_become_todays(project: Project) -> None:
    found = function_of(
        project,
        "@stub.webhook(method='post', label='a-b', keep_warm=True, concurrency_limit=5, cpu=0.5,\n"
        "    memory=512,"
        "    container_idle_timeout=7, timeout=9, allow_concurrent_inputs=3,\n"
        "    secret=modal.Secret({'A': '1', 'B': '1'}), secrets=[modal.Secret({'B': '2'})])",
    )
    assert found["web"] == {**ENDPOINT, "method": "POST"}
    assert (found["min_containers"], found["max_containers"], found["max_inputs"]) == (2, 5, 3)
    assert (found["scaledown_window"], found["timeout"]) == (7.0, 9.0)
    assert (found["cpu"], found["memory"], found["env"]) == (0.5, 512, {"A": "1", "B": "2"})
    assert found["notices"] == []


def test_todays_keywords(project: Project) -> None:
    found = function_of(
        project,
        "@app.function(min_containers=1, max_containers=2, scaledown_window=30, timeout=10,\n"
        "    startup_timeout=20, cpu=(1, 2), memory=(100, 200), env={'A': 'x', 'B': None}, name='other')\n"
        "@modal.concurrent(max_inputs=10)\n@modal.fastapi_endpoint()",
    )
    assert (found["name"], found["qualname"]) == ("other", "f")
    assert (found["min_containers"], found["max_containers"], found["max_inputs"]) == (1, 2, 10)
    assert (found["scaledown_window"], found["timeout"], found["startup_timeout"]) == (30.0, 10.0, 20.0)
    assert (found["cpu"], found["memory"], found["env"]) == (2.0, 200, {"A": "x"})


def test_every_known_keyword_is_accepted_and_what_is_not_built_is_named(project: Project) -> None:
    from pilotlight._options import AppOptions, StubOptions

    for table, decorator, web in (
        (StubOptions, "@stub.function", "webhook"),
        (AppOptions, "@app.function", "fastapi_endpoint"),
    ):
        given = "".join(f"{name}=None, " for name in sorted(table.__optional_keys__ - {"timeout"}))
        assert function_of(project, f"{decorator}({given})\n@modal.{web}()")["notices"] == []
    found = function_of(project, "@stub.webhook(gpu=modal.gpu.A100(), retries=3, wait_for_response=False)")
    assert found["notices"] == [
        f"f: {what}= is accepted but not built yet, and has no effect" for what in ("gpu", "retries")
    ]
    assert found["wait_for_response"] is False


def test_the_apps_image_secrets_and_mounts_reach_every_function(project: Project) -> None:
    project.write("data.txt", "x")
    found = project.manifest(
        """
        import modal
        image = modal.Image.debian_slim().pip_install("boto3")
        stub = modal.Stub("x", image=image, secrets=[modal.Secret({"A": "1"})],
                          mounts=[modal.Mount("/data", local_file="data.txt")])

        @stub.webhook(secrets=[modal.Secret({"B": "2"})])
        def f(): ...

        @stub.webhook(image=modal.Image.debian_slim())
        def g(): ...
        """
    )
    first, second = found["functions"]
    assert first["env"] == {"A": "1", "B": "2"} and second["env"] == {"A": "1"}
    assert [step["packages"] for step in found["images"][first["image"]]["steps"]] == [["boto3"]]
    assert found["images"][second["image"]]["steps"] == []
    assert "/data/data.txt" in [file["remote"] for file in found["files"]]
    assert str(project.folder / "data.txt") in found["watch"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stub = modal.Stub()\n@stub.webhook(metod='POST')\ndef f(): ...", "did you mean 'method'?"),
        ("stub = modal.Stub()\n@stub.webhook(imag=None)\ndef f(): ...", "did you mean 'image'?"),
        (
            "app = modal.App('x')\n@app.function(keep_warm=1)\ndef f(): ...",
            "keep_warm= is now min_containers=",
        ),
        ("app = modal.App('x')\n@app.function(concurrency_limit=1)\ndef f(): ...", "now max_containers="),
        (
            "app = modal.App('x')\n@app.function(container_idle_timeout=9)\ndef f(): ...",
            "now scaledown_window=",
        ),
        (
            "app = modal.App('x')\n@app.function(allow_concurrent_inputs=9)\ndef f(): ...",
            "@modal.concurrent(max_inputs=…)",
        ),
        (
            "app = modal.App('x')\n@app.function(mounts=[])\ndef f(): ...",
            "unexpected keyword argument 'mounts'",
        ),
        (
            "app = modal.App('x')\n@app.function()\n@modal.web_endpoint()\ndef f(): ...",
            "@modal.web_endpoint is now @modal.fastapi_endpoint()",
        ),
        ("app = modal.App('x')\n@app.function\ndef f(): ...", "needs parentheses: write @app.function()"),
        (
            "app = modal.App('x')\n@app.function()\n@modal.fastapi_endpoint\ndef f(): ...",
            "needs parentheses: write @modal.fastapi_endpoint(…)",
        ),
        (
            "app = modal.App('x')\n@modal.fastapi_endpoint()\n@app.function()\ndef f(): ...",
            "put it directly under @app.function()",
        ),
        (
            "app = modal.App('x')\n@app.function()\n@modal.asgi_app()\nasync def f(): ...",
            "plain `def` that returns the application",
        ),
        ("stub = modal.Stub()\n@stub.asgi\ndef f(x): ...", "without parameters"),
        ("stub = modal.Stub()\n@stub.webhook\ndef f():\n    yield 1", "cannot be a generator"),
        (
            "stub = modal.Stub()\n@stub.webhook(method='FETCH')\ndef f(): ...",
            "method must be one of GET, POST",
        ),
        ("stub = modal.Stub()\n@stub.webhook(label='No_Label')\ndef f(): ...", "part of a host name"),
        ("stub = modal.Stub()\n@stub.webhook(image='debian')\ndef f(): ...", "expected modal.Image object"),
        ("stub = modal.Stub()\n@stub.webhook(image=modal.Image())\ndef f(): ...", "debian_slim()"),
        ("stub = modal.Stub()\n@stub.webhook(cpu=-1)\ndef f(): ...", "cpu must be a number from 0 to 1024"),
        (
            "stub = modal.Stub()\n@stub.webhook(keep_warm=3, concurrency_limit=2)\ndef f(): ...",
            "keep_warm (3) is more than concurrency_limit (2)",
        ),
        ("app = modal.App('x')\n@app.function(timeout=None)\ndef f(): ...", "from 1 to 86400, not None"),
        ("app = modal.App('x')\n@app.function(scaledown_window=1)\ndef f(): ...", "from 2 to 3600"),
        ("app = modal.App('my app')", "'my app' cannot be the name of an app"),
        (
            "stub = modal.Stub()\ndef g():\n    @stub.webhook\n    def f(): ...\ng()",
            "move it to the top of the module",
        ),
        (
            "app = modal.App('x')\n@app.function()\n@modal.fastapi_endpoint()\n@modal.asgi_app()\n"
            "def f(): ...",
            "a function has one web decorator",
        ),
        ("app = modal.App('x')\n@app.function()\nclass C: ...", "is for functions; C is a class"),
        (
            "stub = modal.Stub()\n@stub.webhook(secret=modal.Secret.from_name('s', required_keys=['A']))\n"
            "def f(): ...",
            "f: Secret.from_name('s'), which must have A, is not built yet",
        ),
        (
            "stub = modal.Stub()\n@stub.webhook(image=modal.Image.from_scratch())\ndef f(): ...",
            "f: Image.from_scratch is not built yet",
        ),
    ],
)
def test_misuse_is_named_with_its_place_and_without_a_traceback(
    project: Project, text: str, message: str
) -> None:
    error = project.error(f"import modal\n{text}\n")
    assert message in error["message"]
    assert (error["kind"], error["traceback"]) == ("invalid", None)
    if not error["message"].startswith("f: "):
        assert error["message"].startswith("program.py:")
    assert error["files"] == [str(project.folder / "program.py")]


STUB = "stub = modal.Stub()\n"
APP = "app = modal.App('x')\n"
WEB = "@modal.fastapi_endpoint()\ndef f(): ..."


def declare(text: str) -> dict[str, Any]:
    """Runs a program in this process, as the module `program`."""
    names: dict[str, Any] = {"__name__": "program", "modal": modal}
    exec(text, names)
    return names


@pytest.mark.parametrize("era", ["app", "stub"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("image='debian'", "expected modal.Image object"),
        ("secrets=modal.Secret({})", r"secrets= takes a list: secrets=\[…\]"),
        ("secrets=['a']", "expected modal.Secret objects in secrets=, not 'a'"),
        ("secrets='a'", "secrets= takes a list, not 'a'"),
        ("cpu=-1", "cpu must be a number from 0 to 1024, not -1"),
        ("cpu='2'", "cpu must be a number, not '2'"),
        ("cpu=(2, 1)", r"cpu: the request \(2\) is more than the limit \(1\)"),
        ("cpu=(1, 2, 3)", r"a pair \(request, limit\)"),
        ("memory=1.5", "memory must be a whole number"),
        ("memory=-128", "memory must be a whole number"),
        ("memory=(200, 100)", "memory: the request"),
        ("min_containers=-1", "min_containers must be a whole number from 0"),
        ("max_containers=0", "max_containers must be a whole number from 1"),
        ("min_containers=2, max_containers=1", r"min_containers \(2\) is more than max_containers \(1\)"),
        ("buffer_containers='1'", "buffer_containers must be a whole number"),
        ("max_inputs=2", r"max_inputs=, the inputs .* can only be 1, not 2"),
        ("max_inputs=True", r"can only be 1, not True"),
        ("scaledown_window=3601", "scaledown_window must be a number from"),
        ("timeout=0", "timeout must be a number from 1 to 86400"),
        ("timeout=86401", "timeout must be a number from 1 to 86400"),
        ("timeout=float('nan')", "timeout must be a number from 1 to 86400"),
        ("startup_timeout=0", "startup_timeout must be a number from 1"),
        ("ephemeral_disk=0", "ephemeral_disk must be a whole number from 1"),
        ("gpu='a1000'", "there is no GPU 'a1000'; did you mean 'A100'?"),
        ("gpu='h100:x'", "the count of a GPU is a whole number"),
        ("gpu=7", "gpu= takes a string"),
        ("retries='3'", r"retries must be a whole number from 0 to 10 or modal\.Retries"),
        ("retries=11", "retries must be from 0 to 10, not 11"),
        ("retries=-1", "retries must be from 0 to 10, not -1"),
        ("cloud=3", "cloud must be a string"),
        ("region=[3]", "region must be a string or a list of strings"),
        ("proxy='p'", r"expected a modal\.Proxy for proxy="),
        ("volumes=['/a']", "volumes= takes a dict of paths"),
        ("volumes={'a': modal.Volume.from_name('v')}", "'a' must be a canonical, absolute path"),
        ("volumes={'/a/../b': modal.Volume.from_name('v')}", "must be a canonical, absolute path"),
        ("volumes={'/': modal.Volume.from_name('v')}", "nothing can be mounted at '/'"),
        ("network_file_systems={'/tmp': modal.Volume.from_name('v')}", "nothing can be mounted at '/tmp'"),
        ("volumes={'/a': 'v'}", r"expected a modal\.Volume for '/a'"),
        ("schedule='5 4 * * *'", r"schedule= takes modal\.Cron"),
        ("name='a b'", "'a b' cannot be the name of a function"),
        ("serialized='yes'", "serialized must be True or False"),
        ("block_network=1", "block_network must be True or False"),
        ("enable_memory_snapshot='no'", "enable_memory_snapshot must be True or False"),
        ("is_generator=True", "a web endpoint cannot be a generator"),
    ],
)
def test_values_that_cannot_be_are_refused(era: str, options: str, message: str) -> None:
    text = f"@{era}.function({options})\n{WEB}"
    with pytest.raises(InvalidError, match=message):
        declare((STUB if era == "stub" else APP) + text)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (APP + f"@app.function(timeout=None)\n{WEB}", InvalidError, "from 1 to 86400, not None"),
        (APP + f"@app.function(scaledown_window=1)\n{WEB}", InvalidError, "from 2 to 3600"),
        (APP + f"@app.function(gpu=True)\n{WEB}", InvalidError, "gpu= takes a string"),
        (APP + f"@app.function(env=['A'])\n{WEB}", InvalidError, "env= takes a dict of strings"),
        (APP + f"@app.function(retries=3)\n{WEB}", InvalidError, "retries= is not for web endpoints"),
        (
            APP + f"@app.function(schedule=modal.Period(days=1))\n{WEB}",
            InvalidError,
            "schedule= is not for web",
        ),
        (
            STUB + "@stub.function(schedule=modal.Cron('5 4 * * *'))\ndef f(a, b, c=1): ...",
            InvalidError,
            "f: a function with a schedule is called without arguments, and a, b has no default",
        ),
        (STUB + f"@stub.function(mounts=modal.Mount())\n{WEB}", InvalidError, "mounts= takes a list"),
        (STUB + f"@stub.function(mounts=['.'])\n{WEB}", InvalidError, "expected modal.Mount objects"),
        (STUB + f"@stub.function(rate_limit=5)\n{WEB}", InvalidError, "expected a modal.RateLimit"),
        (STUB + f"@stub.function(shared_volumes={{'a': 1}})\n{WEB}", InvalidError, "shared_volumes="),
        (STUB + f"@stub.function(allow_concurrent_inputs=0)\n{WEB}", InvalidError, "from 1 to 1000, not 0"),
        (STUB + "@stub.webhook(metod='POST')\ndef f(): ...", TypeError, "did you mean 'method'?"),
        (STUB + f"@stub.function(label='x')\n{WEB}", TypeError, "label= belongs to the web decorator"),
        (APP + f"@app.function(mounts=[])\n{WEB}", TypeError, "'mounts'; write image.add_local_dir"),
        (APP + f"@app.function(secret=None)\n{WEB}", TypeError, r"'secret'; write secrets=\[…\] instead"),
        (APP + f"@app.function(interactive=True)\n{WEB}", TypeError, "'interactive'"),
        (APP + f"@app.function(max_container=3)\n{WEB}", TypeError, "did you mean 'max_containers'?"),
        (APP + "@app.cls(name='x')\nclass C: ...", TypeError, "unexpected keyword argument 'name'"),
        (APP + f"@app.function(keep_warm=1)\n{WEB}", DeprecationError, "keep_warm= is now min_containers="),
        (APP + f"@app.function('image')\n{WEB}", TypeError, "takes keyword arguments only, not 'image'"),
        (APP + "@app.function\ndef f(): ...", InvalidError, r"write @app\.function\(\)"),
        (APP + "@app.function\n" + WEB, InvalidError, r"write @app\.function\(\)"),
        (APP + "@app.local_entrypoint\ndef f(): ...", InvalidError, r"write @app\.local_entrypoint\(\)"),
        (APP + "@app.cls\nclass C: ...", InvalidError, r"write @app\.cls\(\)"),
        (STUB + "@stub.cls\nclass C: ...", InvalidError, r"write @stub\.cls\(\)"),
        (APP + "@app.function()\n@modal.asgi_app\ndef f(): ...", InvalidError, r"write @modal\.asgi_app"),
        (APP + "@app.function()\n@modal.concurrent\ndef f(): ...", InvalidError, r"write @modal\.concurrent"),
        (
            APP + "@app.function()\n@modal.web_server\ndef f(): ...",
            InvalidError,
            r"@modal\.web_server\(8000\)",
        ),
        ("@modal.fastapi_endpoint('POST')\ndef f(): ...", TypeError, "keyword arguments only"),
        ("modal.web_server(0)", InvalidError, "port must be a whole number from 1 to 65535"),
        ("modal.web_server('80')", InvalidError, "port must be a whole number"),
        ("modal.web_server(80, startup_timeout=0)", InvalidError, "startup_timeout must be more than 0"),
        (
            "modal.fastapi_endpoint(requires_proxy_auth=True)",
            InvalidError,
            "drop it, or keep the endpoint on",
        ),
        (
            "modal.asgi_app(requires_proxy_auth=True)",
            InvalidError,
            "requires_proxy_auth=True is not built yet",
        ),
        ("modal.asgi_app(label='a' * 64)", InvalidError, "at most 63 lower-case letters"),
        ("modal.asgi_app(label='123')", InvalidError, "not digits alone"),
        ("modal.asgi_app(label='-a')", InvalidError, "inner dashes"),
        ("modal.wsgi_app(custom_domains='a.com')", InvalidError, r"custom_domains=\['a\.com'\]"),
        ("modal.wsgi_app(custom_domains=['https://a.com'])", InvalidError, "is not a host name"),
        ("modal.wsgi_app(custom_domains=['a.com:80'])", InvalidError, "is not a host name"),
        ("modal.wsgi_app(custom_domains=['localhost'])", InvalidError, "is not a host name"),
        ("modal.wsgi_app(custom_domains=['a.*.com'])", InvalidError, "is not a host name"),
        ("modal.wsgi_app(custom_domains=['10.0.0.1'])", InvalidError, "is not a host name"),
        ("modal.concurrent()", TypeError, "needs max_inputs="),
        ("modal.concurrent(max_inputs=2, target_inputs=3)", InvalidError, r"target_inputs \(3\) is more"),
        ("modal.concurrent(max_inputs=0)", InvalidError, "max_inputs must be a whole number from 1"),
        (
            "@modal.concurrent(max_inputs=2)\n@modal.concurrent(max_inputs=2)\ndef f(): ...",
            InvalidError,
            r"@modal\.concurrent is given twice",
        ),
        (
            STUB + f"@stub.function(allow_concurrent_inputs=2)\n@modal.concurrent(max_inputs=2)\n{WEB}",
            InvalidError,
            r"say the same: keep @modal\.concurrent",
        ),
        (f"@modal.fastapi_endpoint()\n{WEB}", InvalidError, "a function has one web decorator"),
        (f"@modal.method()\n{WEB}", InvalidError, r"@modal\.method and @modal\.fastapi_endpoint exclude"),
        (f"@modal.batched(max_batch_size=2, wait_ms=5)\n{WEB}", InvalidError, "exclude each other"),
        ("@modal.asgi_app()\n@modal.enter()\ndef f(self): ...", InvalidError, "exclude each other"),
        ("@modal.method()\n@modal.exit()\ndef f(self): ...", InvalidError, "exclude each other"),
        ("@modal.enter()\n@modal.enter()\ndef f(self): ...", InvalidError, "given twice"),
        ("@modal.asgi_app()\nclass C: ...", InvalidError, "is for functions and methods; C is a class"),
        ("modal.asgi_app()(3)", InvalidError, r"@modal\.asgi_app is for functions, not 3"),
        ("modal.batched(max_batch_size=0, wait_ms=1)", InvalidError, "max_batch_size must be"),
        ("modal.batched(max_batch_size=1, wait_ms=600001)", InvalidError, "from 0 to 600000"),
        ("modal.batched(max_batch_size=1, wait_ms=1)(lambda a=1: a)", InvalidError, "without default values"),
        (APP + f"@modal.concurrent(max_inputs=2)\n@app.function()\n{WEB}", InvalidError, "directly under"),
        (APP + f"@app.function()\n@app.function()\n{WEB}", InvalidError, "f is decorated already"),
        (APP + "@app.function()\nclass C: ...", TypeError, r"C is a class: use @app\.cls\(\)"),
        (APP + "app.function()(staticmethod(len))", InvalidError, "not for a staticmethod"),
        (APP + "@app.function()\n@modal.enter()\ndef f(self): ...", InvalidError, "for methods of a class"),
        (APP + "@app.function()\n@modal.method()\ndef f(self): ...", InvalidError, "for methods of a class"),
        (
            APP + "class C:\n    @app.function()\n    def f(self): ...",
            InvalidError,
            r"C\.f: @app\.function is not for methods: put @app\.cls\(\) on C",
        ),
        (APP + "@app.function()\n@modal.asgi_app()\ndef f(x=1): ...", InvalidError, "without parameters"),
        (APP + "@app.function()\n@modal.wsgi_app()\ndef f(*a): ...", InvalidError, "without parameters"),
        (APP + "@app.function()\n@modal.web_server(80)\ndef f(a): ...", InvalidError, "without parameters"),
        (
            APP + "@app.function()\n@modal.web_server(80)\nasync def f(): ...",
            InvalidError,
            "starts the server",
        ),
        (STUB + "@stub.asgi\ndef f(x, y=1): ...", InvalidError, "without parameters"),
        (APP + "@app.function()\n@modal.webhook\ndef f(): ...", DeprecationError, "is now @modal.fastapi"),
        (STUB + "@stub.webhook\n@modal.asgi\ndef f(): ...", InvalidError, "one web decorator, not two"),
        (
            STUB + "def g():\n    @stub.webhook\n    def f(): ...\ng()",
            LocalFunctionError,
            "move it to the top of the module, or give it serialized=True",
        ),
    ],
)
def test_misuse_raises_the_listed_error(text: str, error: type[BaseException], message: str) -> None:
    with pytest.raises(error, match=message):
        declare(text)


@pytest.mark.parametrize(
    "text",
    [
        STUB + "@stub.asgi\ndef f(x=1): ...",
        STUB + "@stub.webhook(gpu=True, keep_warm=2, cloud='aws', retries=0)\ndef f(): ...",
        STUB + "@stub.function(gpu=['h100:2', 'A100-80GB'], region=['us', 'eu'])\ndef f(): ...",
        STUB + "@stub.web_endpoint('POST', 'lab')\ndef f(): ...",
        STUB + "@stub.function(schedule=modal.Period(days=1))\ndef f(a=1): ...",
        "modal.web_endpoint('POST', 'label', False, ['A.example.com'])",
        "modal.asgi_app('label', True, ['*.example.com'])",
        APP + "@app.function(retries=3, schedule=modal.Cron('* * * * *'))\ndef f(): ...",
        APP + "@app.function(volumes={'/a': modal.Volume.from_name('v')})\n" + WEB,
    ],
)
def test_what_an_era_allows_is_allowed(text: str) -> None:
    declare(text)


@pytest.mark.parametrize(
    ("decorators", "expected"),
    [
        ("@app.function()\n@modal.fastapi_endpoint()", (0, False)),
        ("@app.function(buffer_containers=3)\n@modal.fastapi_endpoint()", (3, False)),
        ("@app.function(single_use_containers=True)\n@modal.fastapi_endpoint()", (0, True)),
        ("@app.function(single_use_containers=False)\n@modal.fastapi_endpoint()", (0, False)),
        ("@app.function(max_inputs=1)\n@modal.fastapi_endpoint()", (0, True)),
        (
            "@app.function(single_use_containers=True)\n@modal.concurrent(max_inputs=1)\n"
            "@modal.fastapi_endpoint()",
            (0, True),
        ),
    ],
)
def test_spare_containers_and_single_use_reach_the_manifest(
    decorators: str, expected: tuple[int, bool], project: Project
) -> None:
    found = function_of(project, decorators)
    assert (found["buffer_containers"], found["single_use"]) == expected


@pytest.mark.parametrize(
    "text",
    [
        STUB + f"@stub.function(max_inputs=1, allow_concurrent_inputs=2)\n{WEB}",
        APP + f"@app.function(single_use_containers=True)\n@modal.concurrent(max_inputs=2)\n{WEB}",
    ],
)
def test_a_single_use_is_not_several_at_a_time(text: str) -> None:
    with pytest.raises(InvalidError, match="a single use handles one input, never several at a time: drop"):
        declare(text)


def test_a_single_use_is_asked_for_with_true_or_false() -> None:
    with pytest.raises(InvalidError, match="single_use_containers must be True or False, not 1"):
        declare(APP + f"@app.function(single_use_containers=1)\n{WEB}")


def test_domains_concurrency_network_and_context_reach_the_manifest(project: Project) -> None:
    found = function_of(
        project,
        "@app.function(block_network=True)\n@modal.concurrent(max_inputs=9, target_inputs=4)\n"
        "@modal.fastapi_endpoint(custom_domains=['API.example.com', '*.example.org'])",
    )
    assert found["custom_domains"] == ["api.example.com", "*.example.org"]
    assert (found["max_inputs"], found["target_inputs"], found["block_network"]) == (9, 4, True)
    context = json.loads(found["context"])
    assert (context["app"], context["function"]) == ("x", "f")
    assert context["image"] == modal.Image.debian_slim()._identity()
    assert (found["cls"], found["pickled"]) == (None, None)


def test_plain_functions_are_named_and_the_rest_is_served(project: Project) -> None:
    found = project.manifest(
        "import modal\napp = modal.App('x')\n@app.function()\n@modal.web_server(8000)\ndef f(): ...\n"
        "@app.function(schedule=modal.Period(days=1))\ndef g(): ...\n@app.function()\n"
        "@modal.fastapi_endpoint()\ndef h(): ..."
    )
    assert [function["web"] is None for function in found["functions"]] == [False, True, False]
    assert found["functions"][0]["web"] == {"kind": "web_server", "port": 8000, "startup_timeout": 5.0}
    assert found["notices"] == [
        "g: is not a web endpoint; calling functions is not built yet",
        "g: schedule= is accepted but not built yet, and has no effect",
    ]


@pytest.mark.parametrize(
    ("app", "function", "own", "notices"),
    [
        ("", "", True, 0),
        (", include_source=False", "", False, 0),
        ("", "include_source=False", False, 0),
        (", include_source=False", "include_source=True", True, 0),
    ],
)
def test_include_source_decides_whether_the_own_file_goes_along(
    project: Project, app: str, function: str, own: bool, notices: int
) -> None:
    found = project.manifest(
        f"import modal\napp = modal.App('x'{app})\n@app.function({function})\n@modal.fastapi_endpoint()\n"
        "def f(): ..."
    )
    assert ("/root/program.py" in [file["remote"] for file in found["files"]]) is own
    assert str(project.folder / "program.py") in found["watch"]
    assert len(found["notices"]) == notices


def test_a_function_leaves_out_its_source_for_itself_only(project: Project) -> None:
    found = project.manifest(
        "import modal\napp = modal.App('x')\n@app.function(include_source=False)\n@modal.fastapi_endpoint()\n"
        "def f(): ...\n@app.function()\n@modal.fastapi_endpoint()\ndef g(): ..."
    )
    assert [file.get("functions") for file in found["files"]] == [["g"]]


SERIALIZED = """
import modal

app = modal.App("x")
SECRET = modal.Secret.from_dict({"TOKEN": "s3cr3t-value"})


def outer():
    greeting = "Hello"

    @app.function(serialized=True, secrets=[SECRET])
    @modal.fastapi_endpoint()
    def inner():
        return f"{greeting}, {other.local()} {app.name}"


@app.function(secrets=[SECRET])
def other():
    return "world"


outer()
"""


def test_serialized_functions_are_sent_by_value_without_what_they_ask_for(project: Project) -> None:
    found = project.manifest(SERIALIZED)
    function = found["functions"][1]
    assert (function["name"], function["qualname"]) == ("inner", "inner")
    assert [function["pickled"]] == list(found["pickles"]) == ["inner"]
    content = base64.b64decode(found["pickles"]["inner"])
    assert b"s3cr3t-value" not in content
    project.write("inner.pickle").write_bytes(content)
    (project.folder / "program.py").unlink()
    code = "import pickle; print(pickle.load(open('inner.pickle', 'rb'))())"
    run = project.run("-c", code)
    assert (run.stdout, run.stderr) == ("Hello, world x\n", "")


@pytest.mark.parametrize(("size", "message"), [(17 * 2**20, "at most 16 MiB"), (300 * 2**10, None)])
def test_a_serialized_function_has_a_size(project: Project, size: int, message: str | None) -> None:
    text = f"""
import modal
app = modal.App("x")
DATA = bytes({size})
@app.function(serialized=True)
@modal.fastapi_endpoint()
def f(): return len(DATA)
"""
    if message is None:
        assert "f: serialized=True sends 300 KiB" in project.manifest(text)["notices"][0]
    else:
        assert message in project.error(text)["message"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("stub.webhook(metod='POST')(len)", "TypeError: @stub.webhook got an unexpected keyword argument"),
        ("stub.function(cpu=-1)(f)", "pilotlight.exception.InvalidError: @stub.function of f: cpu must be"),
        ("stub.nothing", "KeyError: the stub has nothing named 'nothing'"),
    ],
)
def test_python_file_shows_the_users_lines_only(project: Project, call: str, error: str) -> None:
    project.write(
        "program.py", f"import modal\nstub = modal.Stub()\ndef f(): ...\ndef g():\n    {call}\ng()\n"
    )
    run = project.run("program.py")
    assert run.returncode == 1
    assert str(SDK_DIR / "pilotlight") not in run.stderr
    assert [line for line in run.stderr.splitlines() if line.startswith("  File")] == [
        f'  File "{project.folder}/program.py", line 6, in <module>',
        f'  File "{project.folder}/program.py", line 5, in g',
    ]
    assert error in run.stderr.splitlines()[-1]


def test_the_later_of_two_functions_of_a_name_wins_and_is_said(project: Project) -> None:
    found = project.manifest(
        "import modal\nstub = modal.Stub()\n@stub.webhook\ndef f(): ...\n"
        "@stub.webhook(method='PUT')\ndef f(): ..."
    )
    assert [function["web"]["method"] for function in found["functions"]] == ["PUT"]
    assert "Tag 'f' collision!" in found["notices"][0]


def test_a_web_decorator_alone_is_pointed_out(project: Project) -> None:
    found = project.manifest("import modal\nstub = modal.Stub()\n@modal.webhook\ndef f(): ...")
    assert found["functions"] == []
    assert found["notices"] == ["f: @modal.webhook alone declares no function: put @stub.function() above it"]
