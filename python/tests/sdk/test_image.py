"""Images are immutable chains; secrets and mounts say what goes into a container."""

from __future__ import annotations

import base64
import json
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modal
import pytest
from modal import Image
from modal.exception import InvalidError, NotBuiltError, NotFoundError
from pilotlight import _files


def steps(image: modal.Image) -> list[dict[str, Any]]:
    return image._manifest()["steps"]


def remotes(*mounts: modal.Mount) -> list[str]:
    return [file.remote for mount in mounts for file in mount._files()]


def pip(*packages: str, **options: object) -> dict[str, object]:
    defaults = {"find_links": None, "index_url": None, "extra_index_url": None, "pre": False, "options": []}
    return {"kind": "pip_install", "packages": list(packages), **defaults, **options}


def test_each_method_returns_a_new_image() -> None:
    base = modal.Image.debian_slim()
    longer = base.pip_install("boto3").apt_install(["git"], "curl").run_commands("a", ["b"])
    assert steps(base) == []
    assert steps(longer.env({"A": "b"}).workdir("/x")) == [
        pip("boto3"),
        {"kind": "apt_install", "packages": ["git", "curl"]},
        {"kind": "run_commands", "commands": ["a", "b"]},
        {"kind": "env", "vars": {"A": "b"}},
        {"kind": "workdir", "path": "/x"},
    ]


def test_pip_install_takes_strings_lists_and_both() -> None:
    base = modal.Image.debian_slim()
    assert steps(base.pip_install(["a", "b"], "c", index_url="http://i", pre=True)) == [
        pip("a", "b", "c", index_url="http://i", pre=True)
    ]
    assert base.pip_install() is base
    assert base.pip_install([]) is base
    with pytest.raises(InvalidError, match="pip_install: packages must only contain strings, not 3"):
        base.pip_install("a", 3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'indx_url'"):
        base.pip_install("a", indx_url="x")
    assert steps(base.uv_pip_install("a")) == [pip("a")]


@pytest.mark.parametrize(("given", "expected"), [("3.11", "3.11"), ("3.9.15", "3.9"), (None, None)])
def test_python_versions(given: str | None, expected: str | None) -> None:
    base = modal.Image.debian_slim(given)._manifest()["base"]
    assert base == {"kind": "debian_slim", "python_version": expected}


def test_python_version_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_IMAGE_PYTHON_VERSION", "3.12")
    assert modal.Image.debian_slim()._manifest()["base"]["python_version"] == "3.12"


@pytest.mark.parametrize("version", [3.11, "2.7", "3", "latest"])
def test_other_versions_are_refused(version: object) -> None:
    with pytest.raises(InvalidError, match=r'a string such as "3\.11"'):
        modal.Image.debian_slim(version)  # pyright: ignore


def test_a_bare_image_is_refused() -> None:
    with pytest.raises(InvalidError, match="debian_slim"):
        modal.Image()


def test_what_is_not_built_is_refused_when_used_only() -> None:
    image = Image.from_id("im-1").dockerfile_commands("RUN x").pip_install("a")
    with pytest.raises(NotBuiltError, match=r"Image\.from_id is not built yet"):
        image._check_built()


@pytest.mark.parametrize(
    ("image", "login"),
    [
        (
            Image.from_registry("r/a", modal.Secret({"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": "p"})),
            "me",
        ),
        (Image.from_gcp_artifact_registry("r/a", modal.Secret({"SERVICE_ACCOUNT_JSON": "p"})), "_json_key"),
        (Image.from_aws_ecr("r/a"), None),
        (modal.DockerhubImage("r/a"), None),
    ],
)
def test_an_image_of_a_registry_and_who_asks_for_it(image: Image, login: str | None) -> None:
    image._check_built()
    base = image._manifest()["base"]
    found = base.pop("login", None)
    assert base == {"kind": "registry", "reference": "r/a", "add_python": None}
    assert found == (login and {"username": login, "password": "p"})


def test_a_dockerfile_is_a_base_and_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM r/a\nCOPY a.txt /\n")
    (tmp_path / "a.txt").write_text("a")
    secret = modal.Secret({"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": "p"})
    options: Any = {"context_dir": tmp_path, "build_args": {"A": "b"}, "registry_secret": secret}
    image = Image.from_dockerfile(tmp_path / "Dockerfile", env={"C": "d"}, **options)
    image._check_built()
    login = {"username": "me", "password": "p"}
    assert image._manifest()["base"] == {"kind": "dockerfile", "add_python": None, "login": login}
    (step,) = steps(image)
    assert (step["kind"], step["env"]) == ("with", {"C": "d"})
    assert step["step"]["commands"] == ["FROM r/a", "COPY a.txt /"]
    assert [file["remote"] for file in step["step"]["context"]] == ["a.txt"]
    with pytest.raises(NotFoundError, match="there is no file"):
        Image.from_dockerfile(tmp_path / "none")


def test_setup_lines_come_first_and_a_login_may_be_missing() -> None:
    image = Image.from_dockerhub("a", "ENV A=b", ["make x", "RUN y"], force_build=True, add_python="3.11")
    assert image._manifest()["base"]["add_python"] == "3.11"
    (step,) = image.run_commands()._manifest()["steps"]
    assert step["commands"] == ["ENV A=b", "RUN make x", "RUN y"]
    assert image._manifest()["force_build"] == 0
    for name, text in [("A", "no REGISTRY_USERNAME"), ("AWS_ACCESS_KEY_ID", "get-login-password")]:
        with pytest.raises(InvalidError, match=text):
            Image.from_aws_ecr("a", modal.Secret({name: "x"}))._manifest()
    with pytest.raises(InvalidError, match="add_python must be a string"):
        Image.from_registry("a", add_python="latest")


SECRET = modal.Secret({"GITHUB_TOKEN": "x"})
PLACE = "/models"


def download(name: str = "small") -> None:
    fetched(name)


def fetched(name: str) -> str:
    return f"{PLACE}/{name}"


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (Image.from_registry("a", volumes={"/v": 1}), "from_registry"),
        (Image.from_scratch(), "from_scratch"),
        (Image.from_id("im-1"), "from_id"),
        (Image.from_name("app", "tag"), "from_name"),
        (
            Image.debian_slim().run_function(download, volumes={"/v": 1}),
            r"run_function\(volumes=…\)",
        ),
        (Image.debian_slim().extend(workspace_id="x"), "extend"),
        (Image.debian_slim().run_commands("a", volumes={"/v": 1}), r"run_commands\(volumes=…\)"),
        (
            Image.debian_slim().pip_install("a", extra_options="--user --no-deps"),
            r"pip_install\(extra_options='--user'\)",
        ),
    ],
)
def test_each_later_base_and_step_names_itself(image: Image, named: str) -> None:
    with pytest.raises(NotBuiltError, match=rf"^Image\.{named} is not built yet"):
        image._check_built()


def test_a_forced_build_begins_with_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.debian_slim().pip_install("a").env({"A": "b"})
    assert "force_build" not in image._manifest()
    forced = image.apt_install("b", force_build=True, env={"C": "d"}).pip_install("c", force_build=True)
    assert forced._manifest()["force_build"] == 2
    # What has nothing to do makes nothing anew.
    assert "force_build" not in image.apt_install(force_build=True)._manifest()
    assert Image.debian_slim(force_build=True).pip_install("a")._manifest()["force_build"] == 0
    monkeypatch.setenv("MODAL_FORCE_BUILD", "1")
    assert image._manifest()["force_build"] == 0


def test_harmless_keywords_are_noticed_and_change_nothing() -> None:
    image = Image.debian_slim().pip_install("a", gpu="T4").apt_install("b")
    image._check_built()
    assert image._ignored == ("Image.pip_install(gpu=…)",)
    assert Image.debian_slim().cmd(["a"]).shell(["/bin/sh", "-c"])._unbuilt == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.pip_install("a", "--pre"), r"'--pre' is an option of pip.*extra_options='--pre'"),
        (lambda i: i.pip_install("./mine"), "a path on this machine.*add_local_python_source"),
        (lambda i: i.pip_install(" "), "an empty string is no package"),
        (lambda i: i.pip_install("a", extra_options=["-q"]), "extra_options must be a string"),
        (lambda i: i.apt_install("a", "-y"), "'-y' is an option, not a package"),
        (lambda i: i.apt_install([["a"]]), "apt_install: packages must only contain strings, not"),
        (lambda i: i.run_commands(1), "run_commands: commands must only contain strings, not 1"),
        (
            lambda i: i.run_commands("a", secrets=["x"]),
            r"expected modal\.Secret objects in secrets=, not 'x'",
        ),
        (lambda i: i.run_commands("a", secrets=SECRET), r"secrets= takes a list: secrets=\[…\]"),
        (lambda i: i.env({"A": 1}), "'A': names and values of variables must be strings"),
        (lambda i: i.env("A=1"), "variables are given as a dict of strings"),
        (lambda i: i.entrypoint("python"), "entrypoint_commands takes a list of strings, not 'python'"),
        (lambda i: i.cmd([1]), "cmd must only contain strings"),
        (lambda i: i.pip_install_private_repos("github.com/a/b", git_user="u"), "secrets= is missing"),
        (
            lambda i: i.pip_install_private_repos("gitlab.com/a/b", git_user="u", secrets=[SECRET]),
            r"gitlab\.com/a/b needs a secret with GITLAB_TOKEN",
        ),
        (
            lambda i: i.pip_install_private_repos("a/b", git_user="u", secrets=[SECRET]),
            "'a/b' is no repository: write github",
        ),
        (lambda i: i.run_function(3), "takes a plain, undecorated function, not 3"),
        (lambda i: i.pipe(lambda image: None), "returned None, not an Image"),
        (lambda i: i.add_local_file(__file__, "x"), "remote_path must be absolute, not 'x'"),
        (lambda i: i.add_local_dir(".", "/x", ignore="*.py"), "ignore= takes a list of patterns"),
        (lambda i: i.add_local_python_source(3), "modules must only contain strings, not 3"),
        (lambda i: i.copy("x"), r"takes a modal\.Mount, not 'x'"),
        (lambda i: Image.conda("3.11"), "must be one of 3.7, 3.8, 3.9, 3.10, not '3.11'"),
        (lambda i: Image.from_registry(1), "tag must be a string"),  # pyright: ignore
    ],
)
def test_misuse(call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        call(Image.debian_slim())


def test_unknown_keywords_are_type_errors() -> None:
    base = Image.debian_slim()
    for call in (lambda: base.extend(dockerfile="x"), lambda: Image.from_registry("a", dockerfile="x")):
        with pytest.raises(TypeError, match="unexpected keyword argument 'dockerfile'"):
            call()


def test_forms_of_2022() -> None:
    base: Any = Image.debian_slim("3.11")
    image = base.pip_install(packages=["a"]).apt_install(packages=["b"]).run_commands(commands=["c"])
    assert steps(image) == steps(base.pip_install("a").apt_install("b").run_commands("c"))


def test_options_of_pip_are_understood_where_there_is_a_keyword() -> None:
    options = "--pre -i http://i --extra-index-url=http://e -f http://f --no-cache-dir"
    image = Image.debian_slim().pip_install("a", extra_options=options)
    image._check_built()
    assert steps(image) == [
        pip("a", index_url="http://i", extra_index_url="http://e", find_links="http://f", pre=True)
    ]
    with pytest.raises(NotBuiltError, match="pip_install with two values of index_url"):
        Image.debian_slim().pip_install("a", index_url="x", extra_options="-i y")._check_built()


def test_options_that_uv_has_are_handed_on() -> None:
    options = "--no-deps -U --no-binary :all: --only-binary=numpy --force-reinstall"
    (step,) = steps(Image.debian_slim().pip_install("a", extra_options=options))
    assert step["options"] == [
        "--no-deps",
        "--upgrade",
        "--no-binary=:all:",
        "--only-binary=numpy",
        "--reinstall",
    ]


def test_a_date_keeps_newer_packages_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_EXCLUDE_NEWER", "2022-11-30")
    (step,) = steps(Image.debian_slim().pip_install("a", extra_options="--no-deps"))
    assert step["options"] == ["--no-deps", "--exclude-newer=2022-11-30"]
    (step,) = steps(Image.micromamba().micromamba_install("a"))
    assert step["exclude_newer"] == "2022-11-30"
    monkeypatch.setenv("PILOTLIGHT_EXCLUDE_NEWER", "last year")
    with pytest.raises(InvalidError, match="a date such as 2022-11-30, not 'last year'"):
        Image.debian_slim().pip_install("a")


def test_a_projects_lock_files_go_along(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "uv.lock", "poetry.lock"):
        (tmp_path / name).write_text(name)
    base = Image.debian_slim()

    def only(image: Image) -> dict[str, Any]:
        (step,) = steps(image)
        return {**step, "files": [file["remote"] for file in step["files"]]}

    synced = base.uv_sync(tmp_path, groups=["g"], extras=["e"], extra_options="--no-dev --no-group x")
    assert only(synced) == {
        "kind": "uv_sync",
        "files": ["/pyproject.toml", "/uv.lock"],
        "groups": ["g"],
        "extras": ["e"],
        "frozen": True,
        "options": ["--no-dev", "--no-group=x"],
    }
    poetry = base.poetry_install_from_file(tmp_path / "pyproject.toml", with_=["g"], poetry_version="1.8.3")
    assert only(poetry) == {
        "kind": "poetry_install",
        "files": ["/pyproject.toml", "/poetry.lock"],
        "with": ["g"],
        "without": [],
        "only": [],
        "version": "1.8.3",
    }
    loose = base.poetry_install_from_file(tmp_path / "pyproject.toml", ignore_lockfile=True)
    assert only(loose)["files"] == ["/pyproject.toml"]
    (tmp_path / "uv.lock").unlink()
    assert only(base.uv_sync(tmp_path, frozen=False))["files"] == ["/pyproject.toml"]
    with pytest.raises(NotFoundError, match=r"uv\.lock; run `uv lock`, or write frozen=False"):
        base.uv_sync(tmp_path)


def test_local_files_come_last_unless_they_are_copied(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    mounted = Image.debian_slim().add_local_file(tmp_path / "a.txt", "/data/")
    with pytest.raises(InvalidError, match=r"pip_install comes after Image\.add_local_file.*copy=True"):
        mounted.pip_install("a")
    for call in (lambda: mounted.env({"A": "b"}), lambda: mounted.add_local_dir(tmp_path, "/x", copy=True)):
        with pytest.raises(InvalidError, match="move add_local_file to the end"):
            call()
    assert mounted.pip_install() is mounted
    mounted.add_local_dir(tmp_path, "/x")._check_built()

    copied = Image.debian_slim().add_local_dir(tmp_path, "/data", copy=True)
    copied.env({"A": "b"}).workdir("/data")._check_built()
    assert remotes(*copied._mounts) == ["/data/a.txt"]


def test_files_that_were_copied_are_part_of_the_image_for_a_step_behind_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    image = Image.debian_slim().add_local_dir(tmp_path, "/data", copy=True).run_commands("cat /data/a.txt")
    image = image.add_local_file(tmp_path / "a.txt", "/late.txt")
    copy, run = steps(image)
    assert copy["kind"] == "copy_files" and run["kind"] == "run_commands"
    assert [(file["remote"], file["local"]) for file in copy["files"]] == [
        ("/data/a.txt", str(tmp_path / "a.txt"))
    ]
    assert remotes(*image._mounts) == ["/late.txt"] and remotes(*image._built_of()) == ["/data/a.txt"]


def test_a_steps_variables_are_its_own() -> None:
    image = (
        Image.debian_slim().pip_install("a").run_commands("b", env={"A": "1", "B": None}, secrets=[SECRET])
    )
    assert steps(image)[1] == {
        "kind": "with",
        "env": {"A": "1"},
        "secrets": {"GITHUB_TOKEN": "x"},
        "step": {"kind": "run_commands", "commands": ["b"]},
    }
    # A method that adds nothing gives its variables to nobody.
    assert len(steps(Image.debian_slim().pip_install("a").run_commands(env={"A": "1"}))) == 1
    stored = Image.debian_slim().run_commands("b", secrets=[modal.Secret.from_name("s")])
    with pytest.raises(NotBuiltError, match=r"Secret\.from_name"):
        steps(stored)


def test_lines_of_a_dockerfile_bring_the_files_that_they_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("app.py", "conf/a.toml", "conf/b.md", "other.txt", "secret.key"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("*.key\n**/*.md\n")
    monkeypatch.chdir(tmp_path)

    def context(*lines: str, **options: Any) -> list[str]:
        (step,) = steps(Image.debian_slim().dockerfile_commands(*lines, **options))
        assert step["commands"] == list(lines)
        return [file["remote"] for file in step["context"]]

    assert context("RUN x") == []
    assert context("COPY app.py conf /srv/") == ["app.py", "conf/a.toml"]
    assert context("RUN x", "copy --chmod=755 \\\n  # why\n ./app.p? /srv") == ["app.py"]
    assert context('COPY ["secret.key", "/x"]') == []
    assert context("COPY $WHAT /srv", "COPY --from=o /x /y") == [
        ".dockerignore",
        "app.py",
        "other.txt",
        "conf/a.toml",
    ]
    assert context("COPY . /srv", ignore=["conf"]) == [".dockerignore", "app.py", "other.txt", "secret.key"]
    assert context("COPY x /srv", context_files={"x": "app.py"}) == ["x"]
    mount = modal.Mount(local_dir="conf", remote_dir="/")
    assert sorted(context("COPY a.toml /srv", context_mount=mount)) == ["a.toml", "b.md"]
    assert context("ADD b.md /srv", context_dir="conf") == ["b.md"]


def test_a_link_copies_nothing_from_outside_of_the_build_context(tmp_path: Path) -> None:
    (tmp_path / "id_rsa").write_text("key")
    folder = tmp_path / "cloned"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/app.py").write_text("app")
    (folder / "inside.py").symlink_to("sub/app.py")
    base = Image.debian_slim()

    def context(line: str, **options: Any) -> list[str]:
        (step,) = steps(base.dockerfile_commands(line, context_dir=folder, **options))
        return [file["remote"] for file in step["context"]]

    assert context("COPY . /srv") == ["inside.py", "sub/app.py"]
    (folder / "notes.txt").symlink_to("../id_rsa")
    (folder / "folder").symlink_to(tmp_path)
    for line in ("COPY . /srv", "COPY notes.txt /srv", "COPY folder/* /srv", "COPY $X /srv"):
        with pytest.raises(InvalidError, match="is a link that leads out of the build context, to "):
            context(line)
    assert context("COPY sub /srv") == ["sub/app.py"]
    assert context("COPY . /srv", ignore=["notes.txt", "folder"]) == ["inside.py", "sub/app.py"]


def test_the_forms_of_2022_are_lines_of_a_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    old = Image.debian_slim().dockerfile_commands(["RUN a"], {"/b": str(tmp_path / "a")}, [SECRET], None)  # pyright: ignore
    (step,) = steps(old)
    assert step["secrets"] == {"GITHUB_TOKEN": "x"}
    assert [file["remote"] for file in step["step"]["context"]] == ["b"]
    extended = Image.debian_slim().extend(dockerfile_commands=["FROM base", "RUN a"])
    assert [(step["kind"], step["commands"]) for step in steps(extended)] == [
        ("dockerfile_commands", ["RUN a"])
    ]


def test_a_function_is_run_again_when_what_it_does_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only(**options: Any) -> dict[str, Any]:
        (step,) = Image.debian_slim().run_function(download, **options)._manifest()["steps"]
        return step

    first = only(args=("large",))
    assert (first["module"], first["qualname"], first["files"]) == (download.__module__, "download", [])
    assert pickle.loads(base64.b64decode(first["arguments"])) == (("large",), {})
    assert only(args=("large",)) == first and only()["arguments"] != first["arguments"]
    # A global of the function that it calls.
    monkeypatch.setattr(sys.modules[__name__], "PLACE", "/elsewhere")
    assert only(args=("large",))["source"] != first["source"]
    (tmp_path / "a.txt").write_text("a")
    files = only(mounts=[modal.Mount("/m", local_dir=tmp_path)])["files"]
    assert [file["remote"] for file in files] == ["/m/a.txt"]
    (step,) = steps(
        Image.debian_slim().run_function(download, secret=SECRET, secrets=[modal.Secret({"A": "b"})])
    )
    assert step["secrets"] == {"A": "b", "GITHUB_TOKEN": "x"}


def test_functions_that_no_build_can_run_are_refused() -> None:
    for function, said in [
        (lambda: None, "a function of a module"),
        (print, "a function of a module"),
        (lambda i: i, "a function of a module"),
    ]:
        with pytest.raises(InvalidError, match=said):
            Image.debian_slim().run_function(function)

    def inner() -> None: ...

    with pytest.raises(InvalidError, match="defined inside another function"):
        Image.debian_slim().run_function(inner)
    with pytest.raises(InvalidError, match="the arguments of download cannot be pickled"):
        Image.debian_slim().run_function(download, args=(lambda: None,))


def test_a_shell_is_for_the_commands_behind_it() -> None:
    image = Image.debian_slim().shell(["/bin/bash", "-c"]).run_commands("a")
    assert steps(image)[0] == {"kind": "shell", "command": ["/bin/bash", "-c"]}
    assert steps(Image.debian_slim().shell([]))[0]["command"] == ["/bin/sh", "-c"]


def test_copies_of_the_past_are_placed_as_a_build_does(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    base, mount = Image.debian_slim().workdir("/srv"), modal.Mount("/m", local_dir=tmp_path)
    for image, expected in [
        (base.copy_local_file(tmp_path / "a.txt"), "/srv/a.txt"),
        (base.copy_local_file(tmp_path / "a.txt", "/x/b.txt"), "/x/b.txt"),
        (base.copy_local_dir(tmp_path, "sub"), "/srv/sub/a.txt"),
        (base.copy(mount), "/srv/m/a.txt"),
        (Image.debian_slim().copy(mount), "/m/a.txt"),
        (base.copy_mount(mount, "/static"), "/static/m/a.txt"),
    ]:
        assert remotes(*image._mounts) == [expected]


def test_workdir_counts_from_the_one_before() -> None:
    image = Image.debian_slim().workdir("app").workdir("x/../y")
    assert [step["path"] for step in steps(image)] == ["/app", "/app/y"]


def test_identity_is_of_declarations_and_not_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.txt").write_text("boto3\n")

    def declared(folder: Path) -> Image:
        image = Image.debian_slim().pip_install_from_requirements(folder / "r.txt").pip_install("a")
        return image.add_local_dir(folder, "/data")

    here = declared(tmp_path)._identity()
    other = Image.debian_slim().pip_install("b")
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    assert declared(Path("/nowhere"))._identity() == here != other._identity()
    assert here.startswith(Image.debian_slim()._identity() + ".")


def test_imports_may_fail_here_and_in_containers_of_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Image.debian_slim()
    one, two = base.pip_install("one"), base.pip_install("two")
    with one.imports():
        raise ImportError
    with pytest.warns(UserWarning, match="an import failed here with ValueError"), one.run_inside():
        raise ValueError
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    monkeypatch.setenv("PILOTLIGHT_CONTEXT", json.dumps({"image": one.env({"A": "b"})._identity()}))
    with two.imports():
        raise ImportError
    for image in (one, base):
        with pytest.raises(ImportError), image.imports():
            raise ImportError
    monkeypatch.delenv("PILOTLIGHT_CONTEXT")
    with pytest.raises(ImportError), two.imports():
        raise ImportError


def test_chains_are_values() -> None:
    def more(image: Image, name: str) -> Image:
        return image.pip_install(name)

    base = Image.debian_slim()
    assert steps(base.pipe(more, "a").persist("n")) == [pip("a")]
    assert steps(base) == [] and base._ignored == ()
    for call in (base.build, base.hydrate, base.logs, lambda: base.publish("n")):
        with pytest.raises(NotBuiltError, match=r"^Image\."):
            call()


def test_packages_of_conda_of_both_eras(tmp_path: Path) -> None:
    (tmp_path / "e.yml").write_text("dependencies: [a]\n")
    base = Image.micromamba("3.11.4")
    assert base._manifest()["base"] == {"kind": "conda", "python_version": "3.11"}
    assert Image.conda("3.10")._manifest()["base"] == {"kind": "conda", "python_version": "3.10"}
    assert Image.conda()._manifest()["base"]["python_version"] == "3.9"
    assert Image.micromamba(force_build=True)._manifest()["force_build"] == 0
    named = {"kind": "conda_install", "packages": ["a", "b=1"], "channels": ["c"], "files": []}
    assert steps(base.micromamba_install("a", ["b=1"], channels=["c"])) == [named]
    assert steps(base.conda_install(["a", "b=1"], channels=["c"])) == [named]
    for image in [
        base.micromamba_install(spec_file=str(tmp_path / "e.yml")),
        base.conda_update_from_environment(tmp_path / "e.yml"),
    ]:
        (step,) = steps(image)
        assert (step["kind"], step["packages"], step["channels"]) == ("conda_install", [], [])
        assert [file["remote"] for file in step["files"]] == ["/e.yml"]
    secret = modal.Secret({"TOKEN": "t"})
    (step,) = steps(base.micromamba_install("a", secrets=[secret]))
    assert (step["kind"], step["secrets"], step["step"]["packages"]) == ("with", {"TOKEN": "t"}, ["a"])
    assert steps(base.micromamba_install()) == []


def test_what_is_wrong_about_packages_of_conda() -> None:
    base = Image.micromamba()
    for call, told in [
        (lambda: Image.debian_slim().conda_install("a"), "an image that begins with Image.micromamba()"),
        (lambda: base.micromamba_install("-c conda-forge a"), "no conda package and no channel"),
        (lambda: base.micromamba_install("a", channels=["-c"]), "no conda package and no channel"),
        (lambda: base.micromamba_install("a", channels="c"), "takes a list of strings"),
        (lambda: base.micromamba_install(""), "no conda package and no channel"),
        (lambda: Image.micromamba("3"), "micromamba: python_version must be a string such as"),
    ]:
        with pytest.raises(InvalidError, match=re.escape(told)):
            call()


def test_projects_whose_files_are_missing(tmp_path: Path) -> None:
    base = Image.debian_slim()
    (tmp_path / "pyproject.toml").write_text("")
    for call, name in [
        (lambda: base.poetry_install_from_file(tmp_path / "pyproject.toml"), "poetry.lock.*poetry lock"),
        (lambda: base.poetry_install_from_file(tmp_path / "x.toml"), "x.toml"),
        (lambda: base.uv_sync(tmp_path / "x"), "x/pyproject.toml"),
        (lambda: base.uv_pip_install(requirements=["nowhere.txt"]), "nowhere.txt"),
        (lambda: Image.from_dockerfile(tmp_path / "Dockerfile"), "Dockerfile"),
        (lambda: base.micromamba_install(spec_file="nowhere.yml"), "nowhere.yml"),
    ]:
        with pytest.raises(NotFoundError, match=f"there is no file .*{name}"):
            call()
    (tmp_path / "r.txt").write_text("b\n")
    assert steps(base.uv_pip_install("a", requirements=[str(tmp_path / "r.txt")])) == [pip("a", "b")]


def test_requirements_files(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("boto3==1.0  # pinned\n\n# comment\n--extra-index-url http://e\n")
    (tmp_path / "requirements.txt").write_text("-r base.txt\n--pre\nflask>=2; \\\n  python_version>'3'\n")
    image = modal.Image.debian_slim().pip_install_from_requirements(tmp_path / "requirements.txt")
    expected = pip("boto3==1.0", "flask>=2;    python_version>'3'", extra_index_url="http://e", pre=True)
    assert steps(image) == [expected]
    assert _files.noted()[-2:] == [str(tmp_path / "requirements.txt"), str(tmp_path / "base.txt")]
    with pytest.raises(NotFoundError, match=r"nowhere\.txt"):
        modal.Image.debian_slim().pip_install_from_requirements("nowhere.txt")
    (tmp_path / "editable.txt").write_text("a\n-e .\n")
    with pytest.raises(InvalidError, match=r"editable\.txt:2: the option -e"):
        modal.Image.debian_slim().pip_install_from_requirements(tmp_path / "editable.txt")


def test_hashes_of_requirements_files(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("a==1 \\\n    --hash=sha256:0 \\\n    --hash sha256:1  # one\nb\n")
    base = modal.Image.debian_slim()
    assert steps(base.pip_install_from_requirements(path)) == [
        pip("a==1 --hash=sha256:0 --hash=sha256:1", "b")
    ]
    path.write_text("--require-hashes\na\n")
    expected = [{**pip("a"), "options": ["--require-hashes"]}]
    assert steps(base.pip_install_from_requirements(path)) == expected
    assert steps(base.pip_install_from_requirements(path, extra_options="--require-hashes")) == expected


def test_private_repositories() -> None:
    given = {"git_user": "u", "secrets": [SECRET], "pre": True}
    base = modal.Image.debian_slim()
    image = base.pip_install_private_repos("github.com/a/b@v1", **given)
    assert image._steps[-1]["step"] == {**pip("git+https://u@github.com/a/b@v1", pre=True), "git": True}
    assert base.pip_install_private_repos(**given)._steps == ()
    with pytest.raises(InvalidError, match="git_user='a b' is no name of a user"):
        base.pip_install_private_repos("github.com/a/b", git_user="a b", secrets=[SECRET])


def test_pyproject_files(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\ndependencies = ["a"]\n[project.optional-dependencies]\nweb = ["b"]\n')
    base = modal.Image.debian_slim()
    assert steps(base.pip_install_from_pyproject(path)) == [pip("a")]
    assert steps(base.pip_install_from_pyproject(path, ["web"])) == [pip("a", "b")]
    with pytest.raises(InvalidError, match=r"no optional dependencies 'x' \(it has: web\)"):
        base.pip_install_from_pyproject(path, ["x"])


def test_local_files_are_not_needed_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_IS_REMOTE", "1")
    modal.Image.debian_slim().pip_install_from_requirements("nowhere.txt").add_local_file("no", "/x")
    modal.Mount("/x", local_dir="nowhere")
    modal.Secret.from_local_environ(["NOT_SET_ANYWHERE"])
    assert not modal.is_local()


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert modal.Secret.from_dict({"A": "x", "B": None})._variables() == {"A": "x"}
    assert "hidden" not in repr(modal.Secret({"A": "hidden"}))
    with pytest.raises(InvalidError, match="the value of A is a int"):
        modal.Secret({"A": 1})  # pyright: ignore
    (tmp_path / ".env").write_text("# c\nA=1\nexport B='two words' \nC=x # comment\n")
    assert modal.Secret.from_dotenv(tmp_path)._variables() == {"A": "1", "B": "two words", "C": "x"}
    monkeypatch.setenv("SET_HERE", "1")
    assert modal.Secret.from_local_environ(["SET_HERE"])._variables() == {"SET_HERE": "1"}
    with pytest.raises(InvalidError, match="not set here: NOT_SET"):
        modal.Secret.from_local_environ(["NOT_SET"])
