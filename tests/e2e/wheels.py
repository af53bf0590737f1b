"""Python packages that the tests make themselves: wheels, and sources with a backend of their own."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

# A PEP 517 backend that needs nothing: it makes a wheel of what it says, and of how it was asked.
BACKEND = """
import json
import zipfile

NAME, VERSION, REQUIRES = {name!r}, {version!r}, {requires!r}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    file = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    info = f"{{NAME}}-{{VERSION}}.dist-info/"
    lines = ["Metadata-Version: 2.1", f"Name: {{NAME}}", f"Version: {{VERSION}}"]
    lines += [f"Requires-Dist: {{one}}" for one in REQUIRES]
    with zipfile.ZipFile(f"{{directory}}/{{file}}", "w") as made:
        made.writestr(f"{{NAME}}.py", f"FROM = 'source'\\nSETTINGS = {{config_settings or {{}}!r}}\\n")
        made.writestr(info + "METADATA", "\\n".join(lines) + "\\n")
        made.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        made.writestr(info + "RECORD", "")
    return file
"""

PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def wheel(folder: Path, name: str, version: str, *requires: str) -> str:
    """Writes a wheel with one module; `sha256:…` of it."""
    info = f"{name}-{version}.dist-info/"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr(f"{name}.py", "FROM = 'wheel'\n")
        made.writestr(info + "METADATA", "\n".join(lines) + "\n")
        made.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(info + "RECORD", "")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}-{version}-py3-none-any.whl").write_bytes(packed.getvalue())
    return "sha256:" + hashlib.sha256(packed.getvalue()).hexdigest()


def tree(name: str, version: str, *requires: str) -> dict[str, str]:
    """The files of a project that needs nothing to be built."""
    return {
        "pyproject.toml": PROJECT,
        "backend.py": BACKEND.format(name=name, version=version, requires=list(requires)),
    }


def source(folder: Path, name: str, version: str, *requires: str) -> None:
    """Writes a source distribution."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{version}"
    with tarfile.open(folder / f"{stem}.tar.gz", "w:gz") as made:
        told = {
            **tree(name, version, *requires),
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        }
        for path, text in told.items():
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size = len(text.encode())
            made.addfile(entry, io.BytesIO(text.encode()))


def index(folder: Path, links: Path) -> None:
    """An index of what is in `links`, by files alone: PEP 503 with pages called index.html."""
    for file in links.iterdir():
        page = folder / file.name.partition("-")[0] / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        with page.open("a") as text:
            text.write(f'<a href="../../{links.name}/{file.name}">{file.name}</a>\n')
