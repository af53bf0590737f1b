"""Images are immutable chains; secrets and mounts say what goes into a container."""

from __future__ import annotations

from pathlib import Path

import modal
import pytest
from modal.exception import InvalidError, NotBuiltError, NotFoundError
from sdk_project import Project


def steps(image: modal.Image) -> list[dict[str, object]]:
    return image._manifest()["steps"]


def pip(*packages: str, **options: object) -> dict[str, object]:
    defaults = {"find_links": None, "index_url": None, "extra_index_url": None, "pre": False}
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
    image = modal.Image.from_registry("python:3.11").dockerfile_commands("RUN x").pip_install("a")
    with pytest.raises(NotBuiltError, match=r"Image\.from_registry is not built yet"):
        image._check_built()


def test_requirements_files(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("boto3==1.0  # pinned\n\n# comment\n--extra-index-url http://e\n")
    (tmp_path / "requirements.txt").write_text("-r base.txt\n--pre\nflask>=2; \\\n  python_version>'3'\n")
    image = modal.Image.debian_slim().pip_install_from_requirements(tmp_path / "requirements.txt")
    expected = pip("boto3==1.0", "flask>=2;    python_version>'3'", extra_index_url="http://e", pre=True)
    assert steps(image) == [expected]
    assert image._watch == (str(tmp_path / "requirements.txt"), str(tmp_path / "base.txt"))
    with pytest.raises(NotFoundError, match=r"nowhere\.txt"):
        modal.Image.debian_slim().pip_install_from_requirements("nowhere.txt")
    (tmp_path / "editable.txt").write_text("a\n-e .\n")
    with pytest.raises(InvalidError, match=r"editable\.txt:2: the option -e"):
        modal.Image.debian_slim().pip_install_from_requirements(tmp_path / "editable.txt")


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
