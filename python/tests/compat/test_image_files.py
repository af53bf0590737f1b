"""What images and mounts take from local files."""

from __future__ import annotations

from pathlib import Path

import modal
import pytest

from .snippet import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.py", "a.txt", "inner/b.py", "inner/b.txt"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


def remotes(folder: Path, declaration: str) -> list[str]:
    """The places of the files below `/data` that discovery finds for a declaration."""
    outcome = run(declaration, "discover", folder, {})
    assert outcome.error == "", outcome.said
    return sorted(file["remote"] for file in outcome.manifest["files"] if file["remote"].startswith("/data/"))


def test_mounts(folder: Path) -> None:
    mount = "@stub.function(mounts=[modal.Mount('/data', local_dir='data'{})])"
    everything = ["/data/a.py", "/data/a.txt", "/data/inner/b.py", "/data/inner/b.txt"]
    assert remotes(folder, mount.format("")) == everything
    assert remotes(folder, mount.format(", recursive=False")) == everything[:2]
    assert remotes(folder, mount.format(", condition=lambda path: path.endswith('.txt')")) == everything[1::2]
    assert (
        remotes(folder, mount.format(f", condition=lambda path: path.startswith({str(folder)!r})"))
        == everything
    )


def test_ignored_files_stay(folder: Path) -> None:
    image = (
        "from modal.file_pattern_matcher import FilePatternMatcher\n"
        "@app.function(image=modal.Image.debian_slim().add_local_dir('data', '/data', ignore={}))"
    )
    assert remotes(folder, image.format("['**/*.txt']")) == ["/data/a.py", "/data/inner/b.py"]
    assert remotes(folder, image.format("lambda path: path.suffix == '.py'")) == [
        "/data/a.txt",
        "/data/inner/b.txt",
    ]
    assert remotes(folder, image.format("FilePatternMatcher('inner/**')")) == [
        "/data/a.py",
        "/data/a.txt",
    ]


def steps(image: modal.Image) -> list[dict[str, object]]:
    return image._manifest()["steps"]


def test_requirements(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("a\n-r more.txt\n")
    (tmp_path / "more.txt").write_text("--pre\nb==1\n")
    wanted = {"kind": "pip_install", "packages": ["a", "b==1"], "pre": True, "find_links": "f", "options": []}
    options = {"index_url": "i", "extra_index_url": "e"}
    image = modal.Image.debian_slim().pip_install_from_requirements(path, "f", **options)
    assert steps(image) == [{**wanted, **options}]
    image = modal.Image.debian_slim().uv_pip_install(requirements=[str(path)], find_links="f", **options)
    assert steps(image) == [{**wanted, **options}]
    image = modal.Image.debian_slim().pip_install_from_requirements(path, extra_options="--index-url i")
    assert steps(image)[0]["index_url"] == "i"


def test_pyproject(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        '[project]\nname = "x"\nversion = "1"\ndependencies = '
        '["a"]\n[project.optional-dependencies]\nmore = ["b"]\n'
    )
    image = modal.Image.debian_slim()
    assert steps(image.pip_install_from_pyproject(path))[0]["packages"] == ["a"]
    made = image.pip_install_from_pyproject(
        path, ["more"], find_links="f", index_url="i", extra_index_url="e", pre=True, extra_options="--pre"
    )
    assert steps(made) == [
        {"kind": "pip_install", "packages": ["a", "b"], "find_links": "f", "index_url": "i"}
        | {"extra_index_url": "e", "pre": True, "options": []}
    ]
