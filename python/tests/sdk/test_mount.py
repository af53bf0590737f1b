"""Mounts: which local files go into a container, and where."""

from __future__ import annotations

from pathlib import Path

import modal
import pytest
from modal.exception import InvalidError, NotBuiltError, NotFoundError
from pilotlight.file_pattern_matcher import FilePatternMatcher
from sdk_project import Project


def remotes(*mounts: modal.Mount) -> list[str]:
    return sorted(file.remote for mount in mounts for file in mount._files())


def test_mounts(tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "__pycache__").mkdir()
    for name in ("a.txt", "sub/b.txt", "__pycache__/c.pyc"):
        (tmp_path / "d" / name).write_text("x")
    folder = tmp_path / "d"
    found = [file.remote for file in modal.Mount("/data", local_dir=folder)._files()]
    assert found == ["/data/a.txt", "/data/sub/b.txt"]
    flat = modal.Mount.from_local_dir(folder, recursive=False).add_local_file(folder / "a.txt", "x/y.txt")
    assert [file.remote for file in flat._files()] == ["/root/d/a.txt", "/root/x/y.txt"]
    only = modal.Mount("rel", local_dir=folder, condition=lambda path: path.endswith("b.txt"))
    assert [file.remote for file in only._files()] == ["/root/rel/sub/b.txt"]
    with pytest.raises(InvalidError, match="exactly one of"):
        modal.Mount("/x", local_dir=folder, local_file=folder / "a.txt")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        modal.Mount("/x", local_dir="nowhere")
    with pytest.raises(NotADirectoryError, match=r"a\.txt"):
        modal.Mount("/x", local_dir=folder / "a.txt")
    with pytest.raises(IsADirectoryError, match="use local_dir="):
        modal.Mount("/x", local_file=folder)
    with pytest.raises(InvalidError, match="not neither"):
        modal.Mount("/x")
    with pytest.raises(InvalidError, match="condition= takes a function"):
        modal.Mount("/x", local_dir=folder, condition="*.py")  # pyright: ignore
    with pytest.raises(NotBuiltError, match=r"Mount\.from_name\('m'\)"):
        remotes(modal.Mount.from_name("m"))
    one = modal.Mount("/x", local_file=folder / "a.txt", condition=lambda path: False)
    assert remotes(one, modal.Mount("x", local_file=folder / "a.txt").persist("n")) == ["/root/x/a.txt"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    folder, other = tmp_path / "d", tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "b.txt").write_text("b")
    folder.mkdir()
    (folder / "a.txt").symlink_to(other / "sub" / "b.txt")
    (folder / "link").symlink_to(other)
    (folder / "up").symlink_to(tmp_path)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    (other / "back").symlink_to(folder)
    found = remotes(modal.Mount("/d", local_dir=folder))
    assert {"/d/a.txt", "/d/link/sub/b.txt"} <= set(found)
    assert not any("back/link" in path or "broken" in path for path in found)


def test_virtual_environments_stay_here(tmp_path: Path) -> None:
    (tmp_path / "env" / "lib").mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    (tmp_path / "env" / "lib" / "x.py").write_text("")
    (tmp_path / "a.py").write_text("")
    assert remotes(modal.Mount("/d", local_dir=tmp_path)) == ["/d/a.py"]


@pytest.mark.parametrize(
    ("patterns", "meant", "others"),
    [
        (["*.py"], ["a.py"], ["d/a.py", "a.txt"]),
        (["**/*.py"], ["a.py", "d/e/a.py"], ["a.txt"]),
        (["d"], ["d", "d/a.py", "d/e/f"], ["e/d", "dd"]),
        (["/d/"], ["d/a.py"], ["e/d"]),
        (["**/d"], ["x/y/d/z"], ["x/y/dd"]),
        (["d/**"], ["d/a", "d/e/f"], ["a"]),
        (["d/*/f"], ["d/e/f"], ["d/f", "d/e/e/f"]),
        (["a?.[tx]*"], ["ab.txt"], ["a.txt", "ab.py"]),
        (["*", "!*.py", "b.py"], ["a.txt", "b.py"], ["a.py"]),
        (["  ", "a b"], ["a b"], ["a"]),
    ],
)
def test_patterns_are_those_of_dockerignore(patterns: list[str], meant: list[str], others: list[str]) -> None:
    matcher = FilePatternMatcher(*patterns)
    assert [matcher(Path(path)) for path in meant + others] == [True] * len(meant) + [False] * len(others)
    assert [(~matcher)(path) for path in meant] == [False] * len(meant)


def test_patterns_from_a_file_from_a_list_and_functions(tmp_path: Path) -> None:
    (tmp_path / "ignore").write_text("# all of it\n\n*.log\n")
    assert FilePatternMatcher.from_file(tmp_path / "ignore")("a.log")
    for name in ("a.log", "a.txt", "d/b.log", "d/c.txt"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text("")
    base, data = modal.Image.debian_slim(), tmp_path / "data"
    for ignore, expected in [
        ([], ["/x/a.log", "/x/a.txt", "/x/d/b.log", "/x/d/c.txt"]),
        (["**/*.log", "d"], ["/x/a.txt"]),
        (lambda path: path.suffix == ".log" or path.parts[0] == "d", ["/x/a.txt"]),
        (~FilePatternMatcher("**/*.log"), ["/x/a.log", "/x/d/b.log"]),
    ]:
        assert remotes(*base.add_local_dir(data, "/x", ignore=ignore)._mounts) == expected


@pytest.fixture
def modules(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("pkg/__init__.py", "pkg/mod.py", "pkg/page.html", "pkg/.hidden/x.py", "single.py"):
        project.write(name)
    project.write("compiled/__init__.py")
    project.write("compiled/fast.cpython-311-x86_64-linux-gnu.so")
    monkeypatch.syspath_prepend(str(project.folder))
    return project


def test_package_mounts(modules: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert remotes(*modal.create_package_mounts(["pkg", "single"])) == [
        "/pkg/pkg/__init__.py",
        "/pkg/pkg/mod.py",
        "/pkg/pkg/page.html",
        "/pkg/single.py",
    ]
    with pytest.raises(NotFoundError, match=r"there is no module 'nowhere\.at\.all'"):
        modal.create_package_mounts(["nowhere.at.all"])
    with pytest.raises(InvalidError, match=r"compiled for this machine.*pip_install"):
        modal.create_package_mounts(["compiled"])
    with pytest.raises(InvalidError, match=r"takes a list: create_package_mounts\(\['pkg'\]\)"):
        modal.create_package_mounts("pkg")
    with pytest.raises(NotFoundError, match="'sys' has no file to mount"):
        modal.create_package_mounts(["sys"])
    monkeypatch.setenv("MODAL_IS_REMOTE", "1")
    assert modal.create_package_mounts(["nowhere"]) == []


@pytest.mark.usefixtures("modules")
def test_python_source_is_source_only_unless_told_otherwise() -> None:
    base = modal.Image.debian_slim()
    source = ["/root/pkg/.hidden/x.py", "/root/pkg/__init__.py", "/root/pkg/mod.py"]
    assert remotes(*base.add_local_python_source("pkg")._mounts) == source
    assert remotes(modal.Mount.from_local_python_packages("pkg")) == source
    every = base.add_local_python_source("pkg", "single", ignore=["mod.py", ".hidden"])
    assert remotes(*every._mounts) == ["/root/pkg/__init__.py", "/root/pkg/page.html", "/root/single.py"]
    assert remotes(modal.Mount.from_local_python_packages("pkg.mod", remote_dir="/x")) == ["/x/pkg/mod.py"]
    with pytest.raises(NotFoundError, match=r"^Image\.add_local_python_source: there is no module 'nowhere'"):
        base.add_local_python_source("nowhere")


def test_local_python_source(project: Project) -> None:
    project.write("pkg/__init__.py")
    project.write("pkg/mod.py")
    found = project.manifest(
        """
        import modal
        app = modal.App("x")
        image = modal.Image.debian_slim().add_local_python_source("pkg").add_local_dir("pkg", "/data")

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f(): ...
        """
    )
    assert sorted(file["remote"] for file in found["files"]) == [
        "/data/__init__.py",
        "/data/mod.py",
        "/root/pkg/__init__.py",
        "/root/pkg/mod.py",
        "/root/program.py",
    ]
