"""Which local files travel, in every way that programs are laid out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sdk_project import SDK_DIR, Project

APP = "import modal\napp = modal.App('x')\n"
FUNCTION = "@app.function({options})\n@modal.fastapi_endpoint()\ndef {name}(): ...\n"


def function(name: str = "f", options: str = "") -> str:
    return FUNCTION.format(name=name, options=options)


def remotes(found: dict[str, Any], function: str = "f") -> list[str]:
    mine = [file for file in found["files"] if function in file.get("functions", [function])]
    return sorted(file["remote"].removeprefix("/root/") for file in mine)


def modules(found: dict[str, Any]) -> dict[str, str]:
    return {function["name"]: function["module"] for function in found["functions"]}


def test_relative_imports_and_data_of_a_package(project: Project) -> None:
    for name in ("top/__init__.py", "top/inner/__init__.py", "top/templates/page.html", "top/lazy.py"):
        project.write(name)
    project.write("top/sibling.py", "value = 1\n")
    project.write("top/inner/main.py", APP + "from ..sibling import value\nfrom . import more\n" + function())
    project.write("top/inner/more.py")
    expected = [
        "top/__init__.py",
        "top/inner/__init__.py",
        "top/inner/main.py",
        "top/inner/more.py",
        "top/lazy.py",
        "top/sibling.py",
        "top/templates/page.html",
    ]
    for arguments in (["-m", "top.inner.main"], ["top/inner/main.py"], ["top.inner.main"]):
        found = project.discover(*arguments)
        assert (modules(found), remotes(found)) == ({"f": "top.inner.main"}, expected)


def test_a_relative_import_outside_a_package_says_what_to_do(project: Project) -> None:
    project.write("loose/part.py")
    project.write("loose/main.py", "from . import part\n")
    error = project.discover("loose/main.py")["error"]
    assert error["hint"] == (
        "loose/main.py is in no package: put an `__init__.py` into loose, or write `-m loose.main` in the "
        "folder above it"
    )
    assert "pilotlight" not in error["traceback"]


def test_a_package_with_a_main_and_an_init_that_is_the_program(project: Project) -> None:
    project.write("top/__init__.py")
    project.write("top/__main__.py", APP + function())
    assert modules(project.discover("-m", "top")) == {"f": "top.__main__"}
    project.write("other/__init__.py", APP + function())
    project.write("other/part.py")
    for arguments in (["-m", "other"], ["other/__init__.py"]):
        found = project.discover(*arguments)
        assert modules(found) == {"f": "other"}
        assert remotes(found) == ["other/__init__.py", "other/part.py"]


def test_several_files_share_one_app(project: Project) -> None:
    project.write("common.py", APP)
    project.write("one.py", "import modal\nfrom common import app\n" + function("f"))
    project.write("web/__init__.py")
    project.write("web/two.py", "import modal\nfrom common import app\n" + function("g"))
    project.write("main.py", "from common import app\nimport one, web.two\n")
    found = project.discover("main.py")
    assert modules(found) == {"f": "one", "g": "web.two"}
    everything = ["common.py", "main.py", "one.py", "web/__init__.py", "web/two.py"]
    assert remotes(found) == everything
    # What functions are in goes along without automount as well: a container imports it.
    found = project.discover("main.py", MODAL_AUTOMOUNT="0")
    assert remotes(found) == ["main.py", "one.py", "web/__init__.py", "web/two.py"]


def test_an_included_app_of_an_installed_package(project: Project, tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    (site / "shop" / "views").mkdir(parents=True)
    (site / "shop" / "__init__.py").write_text("")
    (site / "shop" / "views" / "page.html").write_text("")
    (site / "shop" / "api.py").write_text(APP + function("g"))
    (site / "plain.py").write_text("")
    project.write("main.py", APP + function() + "import plain, shop.api\napp.include(shop.api.app)\n")
    found = project.discover("main.py", PYTHONPATH=os.pathsep.join([str(SDK_DIR), str(site)]))
    assert modules(found) == {"f": "main", "g": "shop.api"}
    assert remotes(found) == ["main.py", "shop/__init__.py", "shop/api.py", "shop/views/page.html"]


def test_namespace_packages_and_modules_of_one_name(project: Project) -> None:
    for name in ("ns/a/util.py", "ns/b/util.py", "util.py"):
        project.write(name, f"NAME = {name!r}\n")
    text = "import util, ns.a.util, ns.b.util\nprint(util.NAME, ns.a.util.NAME, ns.b.util.NAME)\n"
    project.write("main.py", APP + text + function())
    found = project.discover("main.py")
    assert found["stdout"] == "util.py ns/a/util.py ns/b/util.py\n"
    assert remotes(found) == ["main.py", "ns/a/util.py", "ns/b/util.py", "util.py"]


def test_one_namespace_in_two_places(project: Project, tmp_path: Path) -> None:
    (tmp_path / "other" / "ns").mkdir(parents=True)
    (tmp_path / "other" / "ns" / "far.py").write_text("")
    project.write("ns/near.py")
    project.write("main.py", APP + "import ns.near, ns.far\n" + function())
    found = project.discover("main.py", PYTHONPATH=os.pathsep.join([str(SDK_DIR), str(tmp_path / "other")]))
    assert remotes(found) == ["main.py", "ns/far.py", "ns/near.py"]


def test_modules_of_the_working_directory(project: Project) -> None:
    project.write("lib.py", "NAME = 'lib'\n")
    project.write("src/main.py", APP + "import lib\nprint(lib.NAME)\n" + function())
    found = project.discover("src/main.py")
    assert (found["stdout"], remotes(found)) == ("lib\n", ["lib.py", "main.py"])


def test_a_program_behind_a_link_finds_its_modules(project: Project, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "part.py").write_text("")
    (real / "program.py").write_text(APP + "import part\n" + function())
    (project.folder / "link.py").symlink_to(real / "program.py")
    found = project.discover("link.py")
    assert (modules(found), remotes(found)) == ({"f": "link"}, ["link.py", "part.py"])
    assert str(real / "program.py") in found["watch"]


def test_a_file_outside_the_working_directory(project: Project, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "part.py").write_text("")
    (tmp_path / "away" / "main.py").write_text(APP + "import part\n" + function())
    assert remotes(project.discover("../away/main.py")) == ["main.py", "part.py"]


def test_each_function_has_its_own_mounts_and_may_have_no_source(project: Project) -> None:
    project.write("a/x.txt")
    project.write("b/x.txt")
    image = "modal.Image.debian_slim().add_local_dir('{}', '/data')"
    text = APP + "".join(
        [
            function("f", "image=" + image.format("a")),
            function("g", "include_source=False, image=" + image.format("b")),
        ]
    )
    found = project.manifest(text)
    assert remotes(found, "f") == ["/data/x.txt", "program.py"]
    assert remotes(found, "g") == ["/data/x.txt"]
    local = {file["functions"][0]: file["local"] for file in found["files"] if "data" in file["remote"]}
    assert {name: Path(path).parent.name for name, path in local.items()} == {"f": "a", "g": "b"}


def test_mounts_lie_over_the_programs_own_files(project: Project) -> None:
    project.write("helper.py", "local = True\n")
    project.write("other.py", "local = False\n")
    image = "modal.Image.debian_slim().add_local_file('other.py', '/root/helper.py')"
    found = project.manifest(APP + "import helper\n" + function("f", "image=" + image))
    (helper,) = [file for file in found["files"] if file["remote"] == "/root/helper.py"]
    assert helper["local"] == str(project.folder / "other.py")


def test_a_users_function_that_fails_shows_their_lines_only(project: Project) -> None:
    project.write("data/x.txt")
    error = project.error(
        """
        import modal

        def wanted(path):
            return 1 / 0

        stub = modal.Stub(mounts=[modal.Mount("/d", local_dir="data", condition=wanted)])

        @stub.webhook
        def f(): ...
        """
    )
    assert "ZeroDivisionError" in error["message"]
    frames = [line for line in error["traceback"].splitlines() if line.startswith("  File")]
    assert len(frames) == 1 and "in wanted" in frames[0]
