"""What each option of `pip_install` does, proven by what is installed, and private repositories."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
import wheels
from repositories import Repositories
from test_public import certificate
from tools import request

# Tells versions, and whether they came as wheels or were built, with which settings.
LOOK = """
import importlib, importlib.metadata, json
found = {}
for name in ("alpha", "beta", "lonely", "fastapi"):
    try:
        found[name] = [importlib.metadata.version(name)]
    except ImportError:
        continue
    if name != "fastapi":
        module = importlib.import_module(name)
        found[name] += [module.FROM] + [told for told in [getattr(module, "SETTINGS", None)] if told]
print(json.dumps(found))
"""

OPTIONS = """
    import modal

    app = modal.App()
    image = modal.Image.debian_slim().env({{"UV_FIND_LINKS": "/wheels", "UV_OFFLINE": "1"}})
    image = image.add_local_dir("wheels", "/wheels", copy=True).add_local_dir("more", "/more", copy=True)
    for packages, options in {steps!r}:
        image = image.pip_install(*packages, **options).run_commands("python /more/look.py >> /told")

    @app.function(image=image)
    @modal.asgi_app()
    def f():
        async def answer(scope, receive, send):
            if scope["type"] == "http":
                await send({{"type": "http.response.start", "status": 200, "headers": []}})
                await send({{"type": "http.response.body", "body": open("/told", "rb").read()}})
        return answer
"""


@pytest.fixture
def made(tmp_path: Path) -> dict[str, str]:
    """alpha 1, 2 and 4rc1 as wheels, which it gives the digests of, 3 as a source; beta elsewhere; lonely."""
    links, more = tmp_path / "wheels", tmp_path / "more"
    digests = {version: wheels.wheel(links, "alpha", version) for version in ("1.0", "2.0", "4.0rc1")}
    wheels.source(links, "alpha", "3.0")
    wheels.wheel(links, "lonely", "1.0", "not-to-be-had")
    for version in ("1.0", "2.0"):
        wheels.wheel(more / "links", "beta", version)
    wheels.index(more / "simple", more / "links")
    (more / "look.py").write_text(LOOK)
    return digests


def test_each_option_of_pip_does_what_it_says(program, serve, made) -> None:
    red = "--reinstall --no-build-isolation -C colour=red --no-build-isolation-package alpha"
    best = "-U -i file:///more/simple --index-strategy first-index"
    newest, first, second = ["3.0", "source"], ["1.0", "wheel"], ["2.0", "wheel"]
    steps: list[tuple[list[str], dict[str, object], dict[str, object]]] = [
        (["alpha"], {}, {"alpha": newest}),
        (["alpha"], {"extra_options": red}, {"alpha": [*newest, {"colour": "red"}]}),
        (["alpha<2"], {"extra_options": "--strict --no-sources"}, {"alpha": first}),
        (["alpha"], {}, {"alpha": first}),
        (["alpha"], {"extra_options": "-U --only-binary=:all:"}, {"alpha": second}),
        (
            ["alpha"],
            {"pre": True, "extra_options": "--upgrade-package alpha"},
            {"alpha": ["4.0rc1", "wheel"]},
        ),
        (["alpha"], {"extra_options": "--upgrade --resolution lowest --no-build"}, {"alpha": first}),
        (["alpha"], {"extra_options": "--upgrade --no-binary alpha"}, {"alpha": newest}),
        (
            ["alpha"],
            {"extra_options": "--upgrade --prerelease allow --torch-backend cpu"},
            {"alpha": ["4.0rc1", "wheel"]},
        ),
        (["lonely"], {"extra_options": "--no-deps"}, {"lonely": first}),
        (["beta==1.0"], {"find_links": "/more/links"}, {"beta": first}),
        (["beta"], {"index_url": "file:///more/simple", "extra_options": "--upgrade"}, {"beta": second}),
        (["beta<2"], {"extra_index_url": "file:///more/simple"}, {"beta": first}),
        (
            ["beta"],
            {"extra_options": f"{best} --reinstall-package beta"},
            {"beta": second},
        ),
        (["alpha<2"], {"extra_options": "--exact"}, {"alpha": first, "fastapi": None}),
    ]
    command = serve(program(OPTIONS.format(steps=[step[:2] for step in steps])))
    told = [json.loads(line) for line in request(command.url()).text.splitlines()]
    for (packages, options, expected), found in zip(steps, told, strict=True):
        for name, what in expected.items():
            assert found.get(name) == what, (packages, options, found)
    assert told[-1] == {"alpha": first}
    assert command.interrupt() == 0


HASHED = """
    import importlib.metadata

    import modal

    app = modal.App()
    image = modal.Image.debian_slim().env({"UV_FIND_LINKS": "/wheels", "UV_OFFLINE": "1"})
    image = image.add_local_dir("wheels", "/wheels", copy=True)
    image = image.pip_install_from_requirements("requirements.txt")

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        return importlib.metadata.version("alpha")
"""


def test_hashes_of_a_requirements_file_are_verified(program, serve, home, made, tmp_path) -> None:
    listed, path = tmp_path / "requirements.txt", program(HASHED)
    other = "sha256:" + "0" * 64
    refused = [
        (f"alpha==1.0 --hash={other}", "Hash mismatch for `alpha==1.0`"),
        (f"alpha==1.0 --hash={made['1.0']}\nlonely==1.0", "all requirements must have a hash"),
        (f"lonely==1.0 --hash={other}", "not-to-be-had"),
        ("--require-hashes\nalpha==1.0", "all requirements must have a hash"),
    ]
    for text, told in refused:
        listed.write_text(text)
        failed = home.run("serve", str(path))
        assert failed.returncode == 1
        assert told in failed.stderr, failed.stderr
    listed.write_text(
        f"--require-hashes\nalpha==1.0 \\\n    --hash={other} \\\n    --hash={made['1.0']}  # kept\n"
    )
    command = serve(path)
    assert request(command.url()).json() == "1.0"
    assert "pip install alpha==1.0" in command.output and "--hash" not in command.output
    assert command.interrupt() == 0


TOKEN = "token-4711-of-nobody-else"

PRIVATE = """
    import importlib.metadata

    import modal

    app = modal.App()
    image = modal.Image.debian_slim().pip_install_private_repos(
        {repositories},
        git_user="me",
        secrets=[modal.Secret.from_local_environ(["GITHUB_TOKEN", "GITLAB_TOKEN"])],
    )

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        return [importlib.metadata.version("alpha"), importlib.metadata.version("beta")]
"""


def files_since(state: Path, before: set[Path]) -> list[Path]:
    """What a build left, its caches apart from what git keeps there."""
    found = (path for path in state.rglob("*") if path not in before)
    return [path for path in found if path.is_file() and not path.is_symlink()]


def test_packages_of_private_repositories(program, serve, home, tmp_path) -> None:
    hosts = ("github.com", "gitlab.com", "evil.test", "api.github.com")
    chain, key = certificate(tmp_path, *hosts)
    trusted = tmp_path / "trusted.pem"
    usual = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
    trusted.write_bytes(usual.read_bytes() + chain.read_bytes())
    passwords = {"github.com": f"me:{TOKEN}-hub", "gitlab.com": f"me:{TOKEN}-lab"}
    with Repositories(tmp_path / "repositories", (chain, key), passwords) as repositories:
        repositories.add("a/alpha", wheels.tree("alpha", "1.0"), "v1")
        repositories.add("group/sub/beta", wheels.tree("beta", "2.0"), "v2")
        repositories.add("a/greedy", wheels.tree("greedy", "1.0", "x @ git+https://me@evil.test/a/x"), "v1")
        settings = {**repositories.settings, "SSL_CERT_FILE": str(trusted)}
        tokens = {"GITHUB_TOKEN": f"{TOKEN}-hub", "GITLAB_TOKEN": f"{TOKEN}-lab"}
        for name, given, told in [
            ("github.com/a/alpha", {**tokens, "GITHUB_TOKEN": f"{TOKEN}-wrong"}, "Authentication failed"),
            ("github.com/a/greedy", tokens, "evil.test"),
        ]:
            path = program(PRIVATE.format(repositories=repr(name)))
            failed = home.run("serve", str(path), **settings, **given)
            assert failed.returncode == 1
            assert told in failed.stderr and TOKEN not in failed.stderr + failed.stdout, failed.stderr
        before = set(home.state.rglob("*"))
        path = program(PRIVATE.format(repositories="'github.com/a/alpha@v1', 'gitlab.com/group/sub/beta'"))
        command = serve(path, **settings, **tokens)
        assert request(command.url()).json() == ["1.0", "2.0"]
        assert command.interrupt() == 0
        assert TOKEN not in command.output
        for path in files_since(home.state, before):
            assert TOKEN.encode() not in path.read_bytes(), path
        # Each host was told its own token, and no other host any.
        encoded = {host: base64.b64encode(word.encode()).decode() for host, word in passwords.items()}
        for host, sent in repositories.sent:
            assert all(word not in sent for other, word in encoded.items() if other != host), host
        assert {host for host, sent in repositories.sent if sent.endswith(encoded.get(host, "none"))} == set(
            passwords
        )
