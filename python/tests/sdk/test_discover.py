"""Discovery: which file, which variable, which files travel; and what is said when it cannot be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sdk_project import REPOSITORY, SDK_DIR, Project, sdk_environment

APP = """
import modal
app = modal.App("x")

@app.function()
@modal.fastapi_endpoint()
def f(): ...
"""

SEED = REPOSITORY / "examples" / "seed"


@pytest.mark.parametrize(
    ("name", "web", "packages"),
    [
        ("hello", {"kind": "endpoint", "method": "GET", "docs": True, "cors": True}, []),
        ("item", {"kind": "endpoint", "method": "POST", "docs": True, "cors": True}, ["boto3"]),
        ("item_html", {"kind": "endpoint", "method": "POST", "docs": True, "cors": True}, ["boto3"]),
        ("fastapi_app", {"kind": "asgi"}, ["boto3"]),
        ("flask_app", {"kind": "wsgi"}, ["flask"]),
    ],
)
def test_the_seeds_programs(project: Project, name: str, web: object, packages: list[str]) -> None:
    path = SEED / f"{name}.py"
    found = project.discover(str(path))
    (function,) = found["functions"]
    assert (function["web"], function["module"]) == (web, name)
    steps = found["images"][function["image"]]["steps"]
    assert [step["packages"] for step in steps] == ([packages] if packages else [])
    assert (found["era"], found["app"]) == ("stub", {"name": None, "description": f"{name}.py"})
    assert found["files"] == [
        {"remote": f"/root/{name}.py", "local": str(path), "mode": path.stat().st_mode & 0o7777}
        | {"digest": None, "size": None}
    ]
    assert (found["watch"], found["notices"], found["stderr"]) == ([str(path)], [], "")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.py")), ids=lambda path: path.name)
def test_our_examples(project: Project, path: Path) -> None:
    found = project.discover(str(path))
    assert (found["era"], found["notices"]) == ("app", [])
    assert found["functions"][0]["web"]
    assert [file["remote"] for file in found["files"]] == [f"/root/{path.name}"]


def test_python_is_named_past_virtual_environments(project: Project) -> None:
    python = project.manifest(APP)["python"]
    assert python["base_prefix"] == sys.base_prefix
    assert os.path.realpath(python["executable"]) == os.path.realpath(sys.executable)
    assert python["version"].startswith(f"3.{sys.version_info[1]}.")


def test_the_programs_own_output_stays_its_own(project: Project) -> None:
    project.write("program.py", APP + "print('hi')\nimport sys\nprint('err', file=sys.stderr)\n")
    found = project.discover("program.py")
    assert (found["stdout"], found["stderr"]) == ("hi\n", "err\n")
    assert not (project.folder / "__pycache__").exists()


def test_main_block_does_not_run_and_arguments_are_the_scripts(project: Project) -> None:
    text = (
        APP + "import sys\nprint(sys.argv, __name__)\nif __name__ == '__main__':\n    raise SystemExit(1)\n"
    )
    project.write("program.py", text)
    found = project.discover("program.py", PILOTLIGHT_SCRIPT_ARGUMENTS='["--a", "b"]')
    assert found["stdout"] == "['program.py', '--a', 'b'] program\n"
    assert found["app"] == {"name": "x", "description": "program.py --a b"}


def test_threads_and_exit_handlers_of_the_program_do_not_hold_it(project: Project) -> None:
    text = "import atexit, threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    assert project.manifest(APP + text + "atexit.register(print, 'late')\n")["functions"]


# Which variable


@pytest.mark.parametrize("variable", ["stub", "app", "anything"])
def test_the_variable(project: Project, variable: str) -> None:
    text = f"import modal\n{variable} = modal.Stub()\n@{variable}.webhook\ndef f(): ...\n"
    assert project.manifest(text)["functions"][0]["name"] == "f"


def test_several_are_listed_and_one_can_be_named(project: Project) -> None:
    text = "import modal\none = modal.App('one')\ntwo = modal.App('two')\n"
    error = project.error(text)
    assert error["message"] == "program.py has several Apps or Stubs"
    assert error["hint"] == "name one: program.py::one, program.py::two"
    assert project.discover("program.py::two")["app"]["name"] == "two"
    assert project.discover("program.py", "--name", "one")["app"]["name"] == "one"
    error = project.discover("program.py::three")["error"]
    assert (error["kind"], error["message"]) == ("no_stub", "program.py has no App or Stub named three")
    assert error["hint"] == "name one: program.py::one, program.py::two"


def test_app_is_chosen_before_others_and_two_names_of_one_are_one(project: Project) -> None:
    assert project.manifest("import modal\napp = modal.App('a')\nb = modal.App('b')\n")["app"]["name"] == "a"
    assert project.manifest("import modal\nx = modal.App('a')\ny = x\n")["app"]["name"] == "a"
    error = project.error("import modal\napp = modal.App('a')\nstub = modal.Stub('b')\n")
    assert error["message"] == "program.py has several Apps or Stubs"


def test_no_stub_shows_what_to_write(project: Project) -> None:
    error = project.error("app = 3\n")
    assert (error["kind"], error["message"]) == ("no_stub", "program.py has no App or Stub (app is a int)")
    assert 'app = pilotlight.App("hello")' in error["hint"]


def test_a_stub_may_have_any_name(project: Project) -> None:
    found = project.manifest("import modal\nstub = modal.Stub('My App!')\n@stub.webhook\ndef f(): ...\n")
    assert found["app"]["name"] == "My App!"


# Which files


def remotes(found: dict[str, object]) -> list[str]:
    files = found["files"]
    assert isinstance(files, list)
    return sorted(file["remote"] for file in files)


def test_imported_local_modules_and_whole_packages_travel(project: Project) -> None:
    for name in (
        "helper.py",
        "unused.py",
        "pkg/__init__.py",
        "pkg/used.py",
        "pkg/sub/lazy.py",
        "ns/inner.py",
    ):
        project.write(name)
    project.write("pkg/template.html", "<html>")
    project.write("pkg/__pycache__/x.pyc")
    found = project.manifest(APP + "import helper, json, fastapi, pkg.used, ns.inner\n")
    assert remotes(found) == [
        "/root/helper.py",
        "/root/ns/inner.py",
        "/root/pkg/__init__.py",
        "/root/pkg/sub/lazy.py",
        "/root/pkg/template.html",
        "/root/pkg/used.py",
        "/root/program.py",
    ]
    assert str(project.folder / "pkg" / "template.html") in found["watch"]
    assert found["files"][0]["remote"] == "/root/program.py"


def test_without_automount_only_the_program_travels(project: Project) -> None:
    project.write("helper.py")
    project.write("program.py", APP + "import helper\n")
    assert remotes(project.discover("program.py", MODAL_AUTOMOUNT="0")) == ["/root/program.py"]


def test_a_file_in_packages_is_imported_by_its_dotted_name(project: Project) -> None:
    project.write("top/__init__.py")
    project.write("top/inner/__init__.py")
    project.write("top/sibling.py", "value = 1\n")
    project.write("top/inner/program.py", APP + "from ..sibling import value\n")
    for arguments in (["top/inner/program.py"], ["-m", "top.inner.program"]):
        found = project.discover(*arguments)
        assert found["functions"][0]["module"] == "top.inner.program"
        assert remotes(found) == [
            "/root/top/__init__.py",
            "/root/top/inner/__init__.py",
            "/root/top/inner/program.py",
            "/root/top/sibling.py",
        ]


def test_the_programs_folder_counts_and_not_the_working_directory(project: Project, tmp_path: Path) -> None:
    project.write("helper.py", "value = 'right'\n")
    (tmp_path / "helper.py").write_text("value = 'wrong'\n")
    path = project.write("program.py", APP + "import helper\nprint(helper.value)\n")
    found = project.discover(str(path), cwd=tmp_path)
    assert found["stdout"] == "right\n"


def test_modules_on_pythonpath_go_by_name_and_those_of_the_programs_own_path_by_place(
    project: Project, tmp_path: Path
) -> None:
    project.write("src/inside.py")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "outside.py").write_text("")
    path_line = "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'src'))\n"
    project.write("program.py", APP + path_line + "import inside, outside\n")
    python_path = os.pathsep.join([str(REPOSITORY / "python"), str(tmp_path / "lib")])
    found = project.discover("program.py", PYTHONPATH=python_path)
    assert remotes(found) == ["/root/outside.py", "/root/program.py", "/root/src/inside.py"]


def test_a_function_of_another_local_module(project: Project) -> None:
    project.write("shared.py", APP)
    found = project.manifest("from shared import app\n")
    assert (found["functions"][0]["module"], remotes(found)) == (
        "shared",
        ["/root/program.py", "/root/shared.py"],
    )


# The discovery environment


def test_the_discovery_environment_stands_behind_or_in_front(project: Project, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    (extra / "pydantic").mkdir(parents=True)
    (extra / "pydantic" / "__init__.py").write_text("VERSION = 'of its time'\n")
    (extra / "only_there.py").write_text("")
    project.write("program.py", APP + "import only_there, pydantic\nprint(pydantic.VERSION)\n")
    found = project.discover("program.py", PILOTLIGHT_DISCOVERY_PATH=str(extra))
    assert (found["stdout"] != "of its time\n", remotes(found)) == (True, ["/root/program.py"])
    environment = {"PILOTLIGHT_DISCOVERY_PATH": str(extra), "PILOTLIGHT_DISCOVERY_FRONT": "1"}
    found = project.discover("program.py", **environment)
    assert (found["stdout"], remotes(found)) == ("of its time\n", ["/root/program.py"])


def test_without_fastapi_the_users_older_packages_do_not_mix_with_ours(
    project: Project, tmp_path: Path
) -> None:
    extra, users = tmp_path / "extra", tmp_path / "users"
    for folder, text in ((extra, "NEW = True\n"), (users, "")):
        folder.mkdir()
        (folder / "typing_extensions.py").write_text(text)
    (extra / "fastapi.py").write_text("from typing_extensions import NEW\n")
    # Without site-packages there is no fastapi, as in a bare Python.
    project.write("program.py", APP + "import fastapi\nprint(fastapi.NEW)\n")
    run = project.run(
        "-S",
        "-m",
        "pilotlight._discover",
        "--output",
        str(tmp_path / "manifest.json"),
        "program.py",
        PYTHONPATH=f"{SDK_DIR}:{users}",
        PILOTLIGHT_DISCOVERY_PATH=str(extra),
    )
    assert (run.returncode, run.stdout) == (0, "True\n"), run.stderr


@pytest.mark.parametrize(
    ("text", "era"),
    [
        ("import modal\nstub = modal.Stub()\n", "stub"),
        ("from modal import Stub as S\n", "stub"),
        ("import modal as m\nx = m.Stub('a')\n", "stub"),
        ("import modal\napp = modal.App()\n", "app"),
        ("# modal.Stub() in a comment\n'''Stub'''\n", "app"),
        ("not python (", "app"),
        ("", "app"),
    ],
)
def test_the_era_is_told_without_importing(project: Project, text: str, era: str) -> None:
    project.write("program.py", text + ("raise SystemExit\n" if "(" not in text[-3:] else ""))
    run = project.run("-m", "pilotlight._discover", "--era", "program.py::x")
    assert (run.returncode, run.stdout, run.stderr) == (0, era + "\n", "")


# Mistakes


def test_a_syntax_error_has_its_place_and_a_caret(project: Project) -> None:
    error = project.error("import modal\n\ndef f(:\n    pass\n")
    assert error["kind"] == "syntax"
    assert error["message"] == "program.py:3: invalid syntax"
    assert "def f(:" in error["traceback"] and "^" in error["traceback"]
    assert error["files"] == [str(project.folder / "program.py")]


def test_a_syntax_error_in_an_imported_module_names_that_one(project: Project) -> None:
    helper = project.write("helper.py", "x = = 1\n")
    error = project.error(APP + "import helper\n")
    assert (error["kind"], error["message"]) == ("syntax", "helper.py:1: invalid syntax")
    assert error["files"] == [str(project.folder / "program.py"), str(helper)]


@pytest.mark.parametrize("data", [b"x = 1\0\n", b"# \xff\xfe\nx = '\xff'\n"])
def test_a_file_that_is_no_text(project: Project, data: bytes) -> None:
    (project.folder / "program.py").write_bytes(data)
    assert project.discover("program.py")["error"]["kind"] == "syntax"


def test_an_exception_shows_the_users_frames_only(project: Project) -> None:
    project.write("helper.py", "def boom():\n    raise ValueError('bad\\nthing')\n")
    error = project.error(APP + "import helper\n\nhelper.boom()\n")
    assert error["kind"] == "import"
    assert error["message"].startswith("program.py cannot be imported: ")
    assert error["traceback"].startswith("Traceback (most recent call last):\n  File ")
    assert [line.split('"')[1] for line in error["traceback"].splitlines() if line.startswith("  File")] == [
        str(project.folder / "program.py"),
        str(project.folder / "helper.py"),
    ]
    assert error["files"] == [str(project.folder / "program.py"), str(project.folder / "helper.py")]


def test_causes_are_shown_and_trimmed_too(project: Project) -> None:
    error = project.error(
        "try:\n    import nothing_there\nexcept ImportError as e:\n    raise RuntimeError('r') from e\n"
    )
    assert "No module named 'nothing_there'" in error["traceback"]
    assert "direct cause" in error["traceback"]
    assert "importlib" not in error["traceback"] and "pilotlight" not in error["traceback"]


def test_a_missing_package_says_where_to_install_or_import_it(project: Project) -> None:
    error = project.error(APP + "import nothing_there.inner\n")
    assert (
        error["message"]
        == "program.py cannot be imported: ModuleNotFoundError: No module named 'nothing_there'"
    )
    assert "install nothing_there here as well" in error["hint"]
    assert "import it in the function that uses it" in error["hint"]


@pytest.mark.parametrize(("call", "code"), [("sys.exit(3)", "3"), ("raise SystemExit('why')", "'why'")])
def test_a_program_that_exits(project: Project, call: str, code: str) -> None:
    error = project.error(f"import sys\n{call}\n")
    assert error["kind"] == "import"
    assert error["message"] == (f"program.py ends the process while it is being imported (exit code {code})")
    assert "__main__" in error["hint"]


def test_files_that_are_not_there(project: Project) -> None:
    project.write("hello.py")
    error = project.discover("helo.py")["error"]
    assert (error["kind"], error["message"]) == ("not_found", "there is no file helo.py")
    assert error["hint"] == "did you mean hello.py?"
    assert project.discover(".")["error"]["message"] == ". is a directory"
    assert project.discover("-m", "no.such")["error"]["message"] == "there is no module no.such"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("json.py", "json.py has the name of another module"),
        ("fastapi.py", "fastapi.py has the name of another module"),
        ("modal.py", "modal.py has the name of another module"),
        ("a.b.py", "its name has a dot in it"),
        ("program.txt", "program.txt is not a Python file"),
    ],
)
def test_files_that_cannot_be_imported_by_name(project: Project, name: str, message: str) -> None:
    error = project.error(APP, name)
    assert message in error["message"] and "name" in error["hint"]


@pytest.mark.parametrize("name", ["my-program.py", "test.py", "Program_2.py"])
def test_other_names_are_fine(project: Project, name: str) -> None:
    found = project.manifest(APP, name)
    assert found["functions"][0]["module"] == name[: -len(".py")]


def test_a_function_whose_name_was_taken_over(project: Project) -> None:
    text = "import modal\nstub = modal.Stub()\n@stub.webhook(name='a')\ndef f(): ...\n"
    text += "@stub.webhook\ndef f(): ...\n"
    assert "is not this function any more" in project.error(text)["message"]


# Somebody else's `modal`


def test_the_users_own_modal_is_diagnosed(project: Project) -> None:
    own = project.write("modal.py", "x = 1\n")
    error = project.error(APP)
    assert error["message"] == f"`import modal` finds {own}, your own file, and not pilotlight's modal"
    assert "rename that file" in error["hint"]


def test_the_users_own_modal_may_stay_beside_pilotlight(project: Project) -> None:
    project.write("modal.py", "x = 1\n")
    project.write("helper.py", "import modal\nassert modal.x == 1\n")
    found = project.manifest(APP.replace("modal", "pilotlight") + "import helper\n")
    assert remotes(found) == ["/root/helper.py", "/root/modal.py", "/root/program.py"]


def test_modals_installed_client_is_left_alone_and_named(project: Project, tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    (site / "modal").mkdir(parents=True)
    (site / "modal" / "__init__.py").write_text("raise RuntimeError('the real client')\n")
    (site / "modal-1.6.4.dist-info").mkdir()
    project.write("program.py", APP)
    for order in ([str(REPOSITORY / "python"), str(site)], [str(site), str(REPOSITORY / "python")]):
        found = project.discover("program.py", PYTHONPATH=os.pathsep.join(order))
        (notice,) = found["notices"]
        assert f"modal 1.6.4, installed in {site}, is not used and not changed" in notice
        assert "pip uninstall modal" in notice


def test_hiding_modals_client_is_said_on_import(project: Project, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "pilotlight").mkdir()
    for source in [REPOSITORY / "python" / "modal.py", *(REPOSITORY / "python" / "pilotlight").glob("*.py")]:
        (site / source.relative_to(REPOSITORY / "python")).write_text(source.read_text())
    (site / "modal_client-0.49.dist-info").mkdir()
    run = project.run("-c", "import modal; print(modal.App.__module__)", PYTHONPATH=str(site))
    assert run.stdout == "pilotlight.app\n"
    assert f"modal-client 0.49 is installed in {site} as well" in run.stderr
    assert "pip uninstall modal-client" in run.stderr
    assert project.run("-W", "error", "-c", "import pilotlight", PYTHONPATH=str(site)).stderr == ""


def test_an_installed_program_may_lie_beside_the_client(project: Project, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    (site / "modal").mkdir(parents=True)
    (site / "modal" / "__init__.py").write_text("raise RuntimeError('the real client')\n")
    (site / "modal-1.6.4.dist-info").mkdir()
    (site / "shop.py").write_text(APP)
    path = os.pathsep.join([str(REPOSITORY / "python"), str(site)])
    found = project.discover("-m", "shop", PYTHONPATH=path)
    assert "is not used and not changed" in found["notices"][0]


# What is watched


def test_files_that_declarations_read_are_watched_also_when_they_are_missing(project: Project) -> None:
    text = APP.replace('modal.App("x")', 'modal.App("x", secrets=[modal.Secret.from_dotenv()])')
    env, listed = str(project.folder / ".env"), str(project.folder / "requirements.txt")
    error = project.error(text)
    assert "there is no file" in error["message"] and env in error["files"]
    project.write(".env", "A=b\n")
    project.write("requirements.txt", "six\n")
    line = "modal.Image.debian_slim().pip_install_from_requirements('requirements.txt')\n"
    assert project.manifest(text + line)["watch"][-2:] == [env, listed]


def test_packages_mounts_and_links_are_watched_as_a_whole(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("x")
    for name in ("top/__init__.py", "top/page.html", "data/a.txt"):
        project.write(name)
    (project.folder / "data" / "link.txt").symlink_to(elsewhere)
    (project.folder / "empty").mkdir()
    project.write(
        "top/main.py",
        """
        import modal
        data, empty = modal.Mount("/data", local_dir="data"), modal.Mount("/e", local_dir="empty")
        stub = modal.Stub(mounts=[data, empty])
        @stub.webhook
        def f(): ...
        """,
    )
    found = project.discover("-m", "top.main")
    watched = {os.path.relpath(path, project.folder) for path in found["watch"]}
    assert {
        "top",
        "top/page.html",
        "data",
        "data/a.txt",
        "data/link.txt",
        "../elsewhere.txt",
        "empty",
    } <= watched
    assert "f: a mount of empty has no files" in found["notices"]


def test_the_manifest_goes_where_it_is_told_and_nowhere_else(project: Project) -> None:
    project.write("program.py", APP)
    reader, writer = os.pipe()
    run = subprocess.run(
        [sys.executable, "-m", "pilotlight._discover", "--output", f"/dev/fd/{writer}", "program.py"],
        cwd=project.folder,
        env=sdk_environment(TMPDIR="/nowhere"),
        pass_fds=[writer],
        check=False,
    )
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert (run.returncode, json.load(pipe)["functions"][0]["name"]) == (0, "f")
    assert [path.name for path in project.folder.iterdir()] == ["program.py"]
