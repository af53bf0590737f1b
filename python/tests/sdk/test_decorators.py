"""Every spelling of the decorators, both eras, gives the function specification it should."""

from __future__ import annotations

from typing import Any

import pytest
from sdk_project import Project

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
        "@stub.function()\n@modal.fastapi_endpoint()",
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
        f"f: {what}= is accepted but not built yet, and has no effect"
        for what in ("gpu", "retries", "wait_for_response")
    ]


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
            "min_containers (3) is more than max_containers (2)",
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
            "stub = modal.Stub()\n@stub.webhook(secrets=[modal.Secret.from_name('s')])\ndef f(): ...",
            "f: Secret.from_name('s') (use Secret.from_dict or Secret.from_dotenv) is not built yet",
        ),
        (
            "stub = modal.Stub()\n@stub.webhook(image=modal.Image.conda())\ndef f(): ...",
            "f: Image.conda is not built yet",
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


def test_concurrent_needs_sound_numbers() -> None:
    import modal

    with pytest.raises(TypeError, match="needs max_inputs="):
        modal.concurrent()
    with pytest.raises(
        modal.exception.InvalidError, match=r"target_inputs \(3\) is more than max_inputs \(2\)"
    ):
        modal.concurrent(max_inputs=2, target_inputs=3)


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
