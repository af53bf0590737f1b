"""Mistakes, and what is said about each."""

from __future__ import annotations

from ..table import Area, Row, refused

_CONTAINER = {"PILOTLIGHT_IS_REMOTE": "1"}
_NEEDS = " needs parentheses: write "
_LATER = " is not built yet in this version of pilotlight"


def _invalid(name: str, words: str, snippet: str, how: str = "discover", **environment: str) -> Row:
    return refused(name, "InvalidError", words, snippet, how=how, environment=environment)


MISUSE = Area(
    "Mistakes",
    "What the user sees begins with the file and line of their own program, and shows none of our frames.",
    (
        *(
            _invalid(
                f"{call} in a container",
                f'{call} was called in a container: put it under if __name__ == "__main__": {call}',
                call.replace("()", "().__enter__()") if "run" in call and "forever" not in call else call,
                "script",
                PILOTLIGHT_IS_REMOTE="1",
            )
            for call in ("stub.run()", "stub.serve()", "app.run()", "app.serve()")
        ),
        _invalid(
            "stub.deploy() in a container",
            'stub.deploy() was called in a container: put it under if __name__ == "__main__": stub.deploy()',
            "stub.deploy('x')",
            "script",
            PILOTLIGHT_IS_REMOTE="1",
        ),
        *(
            _invalid(
                f"{call} while the file is imported",
                f"{call} was called while the file was being imported: put it under if __name__ == "
                f'"__main__": {call}',
                call.replace("run()", "run().__enter__()"),
            )
            for call in ("stub.run()", "stub.serve()", "stub.deploy()", "app.run()", "app.deploy()")
        ),
        _invalid(
            "stub.serve() inside with stub.run():",
            "stub.serve() was called inside `with stub.run():`, where the app ap-1 runs already: serve "
            "it outside of "
            "that block, or drop the block",
            "from pilotlight._running import State\nstub._state = State('ap-1', {}, None)\nstub.serve()",
            "script",
        ),
        _invalid(
            "deploying a Stub without a name",
            'deploying needs a name: write stub.deploy("my-app"), or modal.Stub("my-app")',
            "stub = modal.Stub()\nstub.deploy()",
            "script",
        ),
        _invalid(
            "deploying an App without a name",
            'deploying needs a name: write app.deploy(name="my-app"), or modal.App("my-app")',
            "app = modal.App()\napp.deploy()",
            "script",
        ),
        _invalid(
            "a bad name of an app",
            "'my app' cannot be the name of an app: use 1 to 64 letters, digits, dashes, underscores, dots",
            "modal.App('my app')",
        ),
        _invalid(
            "a bad name to deploy under",
            "'my app' cannot be the name of an app: use 1 to 64 letters, digits, dashes, underscores, dots",
            "stub.deploy('my app')",
            "script",
        ),
        _invalid(
            "a bad label",
            "@modal.webhook: the label 'No_Label' cannot be part of a host name: at most 63 lower-case "
            "letters, digits "
            "and inner dashes, and not digits alone",
            "@stub.webhook(label='No_Label')",
        ),
        _invalid(
            "a label twice",
            "g: the label 'x' is that of f already: give each endpoint its own",
            "@stub.webhook(label='x')\ndef f(): ...\n@stub.webhook(label='x')\ndef g(): ...\n",
        ),
        _invalid(
            "a bad custom domain",
            "@modal.asgi_app: 'https://a.example' in custom_domains= is not a host name: write it as "
            '"api.example.com" or "*.example.com", without scheme, port and path',
            "@app.function()\n@modal.asgi_app(custom_domains=['https://a.example'])",
        ),
        refused(
            "a function inside a function",
            "LocalFunctionError",
            "f is defined inside another function, so the container cannot import it: move it to the "
            "top of the "
            "module, or give it serialized=True",
            "def g():\n    @stub.webhook\n    def f(): ...\ng()",
        ),
        refused(
            "a keyword with a slip of the fingers",
            "TypeError",
            "@stub.webhook got an unexpected keyword argument 'metod'; did you mean 'method'?",
            "@stub.webhook(metod='POST')",
        ),
        refused(
            "the same in a call of a method",
            "TypeError",
            "Stub.serve got an unexpected keyword argument 'timout'; did you mean 'timeout'?",
            "stub.serve(timout=3)",
        ),
        refused(
            "the same where an App is made",
            "TypeError",
            "App got an unexpected keyword argument 'imge'; did you mean 'image'?",
            "app = modal.App('x', imge=1)",
        ),
        refused(
            "a slip of the fingers in a decorator's name",
            "KeyError",
            "the stub has nothing named 'webook'; did you mean 'webhook'?",
            "@stub.webook",
        ),
        refused(
            "the same in the package's name",
            "AttributeError",
            "module 'pilotlight' has no attribute 'Ap'; did you mean 'App'?",
            "app = modal.Ap('x')",
        ),
        refused(
            "a decorator of Stub on an App",
            "AttributeError",
            "'App' object has no attribute 'webhook'; under App it is @app.function() and "
            "@modal.fastapi_endpoint() under it",
            "@app.webhook",
        ),
        refused(
            "a web keyword on the function",
            "TypeError",
            "@app.function got an unexpected keyword argument 'label'; label= belongs to the web "
            "decorator under it",
            "@app.function(label='x')",
        ),
        _invalid(
            "@app.function without parentheses",
            f"@app.function{_NEEDS}@app.function()",
            "@app.function\ndef f(): ...",
        ),
        _invalid("@app.cls without parentheses", f"@app.cls{_NEEDS}@app.cls()", "@app.cls\nclass C: ..."),
        _invalid(
            "@app.local_entrypoint without parentheses",
            f"@app.local_entrypoint{_NEEDS}@app.local_entrypoint()",
            "@app.local_entrypoint\ndef f(): ...",
        ),
        *(
            _invalid(
                f"@modal.{name} without parentheses",
                f"@modal.{name}{_NEEDS}@modal.{name}(…)",
                f"@app.function()\n@modal.{name}\ndef f(): ...",
            )
            for name in ("fastapi_endpoint", "asgi_app", "wsgi_app", "concurrent", "enter", "method")
        ),
        refused(
            "@modal.concurrent without max_inputs",
            "TypeError",
            "@modal.concurrent needs max_inputs=, such as @modal.concurrent(max_inputs=10)",
            "modal.concurrent()",
        ),
        _invalid(
            "target_inputs over max_inputs",
            "@modal.concurrent: target_inputs (3) is more than max_inputs (2)",
            "modal.concurrent(max_inputs=2, target_inputs=3)",
        ),
        _invalid(
            "a web decorator above @app.function()",
            "f: @modal.fastapi_endpoint stands above the function decorator; put it directly under "
            "@app.function() (or "
            "@stub.function())",
            "@modal.fastapi_endpoint()\n@app.function()\ndef f(): ...",
        ),
        _invalid(
            "two web decorators",
            "f: both @modal.asgi_app and @modal.fastapi_endpoint; a function has one web decorator: keep one",
            "@app.function()\n@modal.fastapi_endpoint()\n@modal.asgi_app()\ndef f(): ...",
        ),
        _invalid(
            "a web decorator on a class",
            "@modal.asgi_app is for functions and methods; C is a class",
            "@modal.asgi_app()\nclass C: ...",
        ),
        _invalid(
            "a web decorator with @modal.enter()",
            "f: @modal.enter and @modal.fastapi_endpoint exclude each other: keep one, or make two functions",
            "@app.cls()\nclass C:\n    @modal.enter()\n    @modal.fastapi_endpoint()\n    def f(self): ...",
        ),
        refused(
            "@app.function on a class",
            "TypeError",
            "@app.function is for functions; C is a class: use @app.cls()",
            "@app.function()\nclass C: ...",
        ),
        _invalid(
            "@app.function on a method",
            "C.f: @app.function is not for methods: put @app.cls() on C, and @modal.method() or a web "
            "decorator on the "
            "method",
            "class C:\n    @app.function()\n    def f(self): ...",
        ),
        refused(
            "@app.cls on a function",
            "TypeError",
            "@app.cls is for classes; f is none: use @app.function()",
            "@app.cls()\ndef f(): ...",
        ),
        _invalid(
            "a class with __init__",
            "C: a class with @app.cls() has no __init__ of its own: set up in a method with …",
            "@app.cls()\nclass C:\n    def __init__(self): ...\n    @modal.fastapi_endpoint()\n    def "
            "f(self): ...",
        ),
        _invalid(
            "enter(snap=True) without snapshots",
            "C.f: @modal.enter(snap=True) needs @app.cls(enable_memory_snapshot=True)",
            "@app.cls()\nclass C:\n    @modal.enter(snap=True)\n    def f(self): ...\n    @modal.asgi_app()\n"
            "    def g(self): ...",
        ),
        _invalid(
            "a generator as a handler",
            "f: a web endpoint cannot be a generator; to stream, return a StreamingResponse of fastapi",
            "@stub.webhook\ndef f():\n    yield 1",
        ),
        _invalid(
            "an async factory",
            "f: @modal.asgi_app is for a plain `def` that returns the application: drop `async`",
            "@app.function()\n@modal.asgi_app()\nasync def f(): ...",
        ),
        _invalid(
            "a factory with parameters",
            "f: @modal.asgi_app is for a function without parameters: nobody could give them",
            "@app.function()\n@modal.asgi_app()\ndef f(x=1): ...",
        ),
        _invalid(
            "an unknown method",
            "@modal.webhook: method must be one of GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS, not 'FETCH'",
            "@stub.webhook(method='FETCH')",
        ),
        _invalid(
            "a port that is none",
            "@modal.web_server: port must be a whole number from 1 to 65535, not 0",
            "modal.web_server(0)",
        ),
        _invalid(
            "a schedule for a function with arguments",
            "f: a function with a schedule is called without arguments, and x has no default: give it "
            "one, or drop "
            "schedule=",
            "@stub.function(schedule=modal.Period(days=1))\ndef f(x): ...",
        ),
        _invalid(
            "a schedule for an endpoint",
            "f: schedule= is not for web endpoints: put it on a function of its own",
            "@app.function(schedule=modal.Period(days=1))\n@modal.fastapi_endpoint()\ndef f(): ...",
        ),
        _invalid(
            "retries of a wrong type",
            "@stub.function of f: retries must be a whole number from 0 to 10 or modal.Retries(…), not 'x'",
            "@stub.function(retries='x')",
        ),
        _invalid(
            "too many retries",
            "@stub.function of f: retries must be from 0 to 10, not 11",
            "@stub.function(retries=11)",
        ),
        _invalid(
            "a GPU that there is not",
            "@stub.function of f: there is no GPU 'H1000'; did you mean 'H100'?",
            "@stub.function(gpu='H1000')",
        ),
        _invalid(
            "a GPU of a wrong type",
            '@app.function of f: gpu= takes a string such as "A100" or "H100:2", not 3',
            "@app.function(gpu=3)",
        ),
        _invalid(
            "image= that is none",
            "@stub.webhook of f: expected modal.Image object for image=, not 'debian'",
            "@stub.webhook(image='debian')",
        ),
        _invalid(
            "secrets= that are none",
            "@stub.webhook of f: expected modal.Secret objects in secrets=, not 'x'",
            "@stub.webhook(secrets=['x'])",
        ),
        _invalid(
            "volumes= that is no dict",
            '@app.function of f: volumes= takes a dict of paths: volumes={"/data": …}, not 3',
            "@app.function(volumes=3)",
        ),
        _invalid(
            "a bad path of a volume",
            "@stub.function of f: shared_volumes=: nothing can be mounted at '/tmp'; choose a folder below /",
            "@stub.function(shared_volumes={'/tmp': modal.SharedVolume()})",
        ),
        _invalid(
            "a package that is no string",
            "pip_install: packages must only contain strings, not 3",
            "modal.Image.debian_slim().pip_install(3)",
        ),
        _invalid(
            "a build step after local files",
            "Image.run_commands comes after Image.add_local_file, whose files are put in place when a "
            "container starts: move add_local_file to the end, or give it copy=True",
            "modal.Image.debian_slim().add_local_file('program.py', '/x').run_commands('true')",
        ),
        _invalid(
            "Mount with two sources or none",
            "Mount needs exactly one of local_dir= and local_file=, not neither",
            "modal.Mount('/x')",
        ),
        refused(
            "Mount of a folder that is not there",
            "FileNotFoundError",
            "local_dir …/nothing does not exist",
            "modal.Mount('/x', local_dir='nothing')",
        ),
        refused(
            "Mount of a file as a folder",
            "NotADirectoryError",
            "local_dir …/program.py is not a directory",
            "modal.Mount('/x', local_dir='program.py')",
        ),
        refused(
            "a package that cannot be mounted",
            "NotFoundError",
            "create_package_mounts: there is no module 'nothing_here' here to mount",
            "modal.create_package_mounts(['nothing_here'])",
        ),
        refused(
            "Secret.from_dotenv without a file",
            "NotFoundError",
            "Secret.from_dotenv: there is no file …/.env…",
            "modal.Secret.from_dotenv()",
        ),
        _invalid(
            "Secret.from_local_environ of what is not set",
            "Secret.from_local_environ: not set here: NO_SUCH",
            "modal.Secret.from_local_environ(['NO_SUCH'])",
        ),
        _invalid(
            "a secret's value that is no string",
            "Secret: the value of A is a int; variables hold strings",
            "modal.Secret({'A': 1})",
        ),
        _invalid(
            "too few containers at most",
            "@stub.function of f: keep_warm (3) is more than concurrency_limit (2)",
            "@stub.function(keep_warm=3, concurrency_limit=2)",
        ),
        _invalid(
            "scaledown_window out of range",
            "@app.function of f: scaledown_window must be a number from 2 to 3600, not 1",
            "@app.function(scaledown_window=1)",
        ),
        _invalid(
            "timeout=None",
            "@app.function of f: timeout must be a number of seconds from 1 to 86400, not None",
            "@app.function(timeout=None)",
        ),
        _invalid(
            "negative cpu",
            "@stub.function of f: cpu must be a number from 0 to 1024, not -1",
            "@stub.function(cpu=-1)",
        ),
        refused(
            "two stubs in one file",
            "Failure",
            "program.py has several Apps or Stubs…",
            "a = modal.Stub()\nb = modal.Stub()",
        ),
        refused("no stub in the file", "Failure", "program.py has no App or Stub …", "x = 1"),
        refused(
            "calling a function of an App",
            "TypeError",
            "the function f is not called directly: f.local(…) runs it in this process",
            "@app.function()\ndef f(): ...\nf()",
        ),
        _invalid(
            "remote() of an endpoint",
            "f.remote(…): f is a web endpoint and has its URL while the app is served (`pilotlight "
            "serve`): send a "
            "request there, or run it in this process with f.local(…)",
            "@app.function()\n@modal.fastapi_endpoint()\ndef f(): ...\nf.remote()",
        ),
        refused(
            "submit",
            "DeprecationError",
            "f.submit(…) is now f.spawn(…)",
            "@stub.function\ndef f(): ...\nf.submit()",
        ),
    ),
    "free",
)
