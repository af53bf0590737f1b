"""A stand-in for channels of conda packages on loopback: `repodata.json`, and packages of the tests' own."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import platform
import re
import tarfile
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from images import debian_python, split_python, zstd

SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}[platform.machine()]
# The prefix that a package was built for, which an installer replaces by its own.
PLACEHOLDER = "/tmp/a-placeholder-as-long-as-those-of-real-packages-are-for-binaries-to-be-patched-in-place"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Tells nobody what it was asked."""

    def log_message(self, format: str, *arguments: object) -> None: ...


@dataclass
class Channels:
    """Channels below one folder, served at `alias`."""

    folder: Path
    #: The version of the Python that there is: `3.11`.
    python: str = ""
    indexes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def __enter__(self) -> Channels:
        handler = functools.partial(Quiet, directory=self.folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def alias(self) -> str:
        """As `CONDA_CHANNEL_ALIAS` names it."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def add(
        self,
        name: str,
        version: str,
        files: dict[str, bytes],
        *depends: str,
        channel: str = "conda-forge",
        noarch: bool = True,
        packed: str = ".conda",
        timestamp: int = 1_600_000_000_000,
    ) -> None:
        """Puts a package into a channel. A file with the placeholder in it is a text to be patched."""
        kind = "noarch" if noarch else SUBDIR
        index = {
            "name": name,
            "version": version,
            "build": "0",
            "build_number": 0,
            "depends": list(depends),
            "subdir": kind,
            "timestamp": timestamp,
            **({"noarch": "python"} if noarch else {}),
        }
        content = pack(index, files, packed)
        folder = self.folder / channel / kind
        folder.mkdir(parents=True, exist_ok=True)
        file = f"{name}-{version}-0{packed}"
        (folder / file).write_bytes(content)
        record = {**index, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        record["md5"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        for subdir in (SUBDIR, "noarch"):
            empty = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}, "repodata_version": 1}
            known = self.indexes.setdefault((channel, subdir), empty)
            if subdir == kind:
                known["packages.conda" if packed == ".conda" else "packages"][file] = record
            to = self.folder / channel / subdir
            to.mkdir(parents=True, exist_ok=True)
            (to / "repodata.json").write_text(json.dumps(known))

    def add_module(self, name: str, version: str, *depends: str, **options: Any) -> None:
        """A pure package with one module, which tells its version and where it was installed."""
        info = f"site-packages/{name}-{version}.dist-info/"
        files = {
            f"site-packages/{name}.py": f"VERSION = {version!r}\nPREFIX = {PLACEHOLDER!r}\n".encode(),
            info + "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            info + "INSTALLER": b"conda\n",
            info + "RECORD": b"",
        }
        self.add(name, version, files, "python", *depends, **options)

    def add_python(self, whole: bytes) -> None:
        """This machine's Debian Python, of `small_python`, as a package for its platform."""
        version = debian_python()
        short = ".".join(version.split(".")[:2])
        files: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(split_python(whole)[1])) as tar:
            for info in tar:
                name = info.name.partition("/")[2]
                # Debian's own word that nobody else may install anything.
                if info.isreg() and not name.endswith("/EXTERNALLY-MANAGED"):
                    content = tar.extractfile(info)
                    files[name] = content.read() if content else b""
        for name in ("bin/python", "bin/python3"):
            files[name] = files[f"bin/python{short}"]
        # Debian's Python installs elsewhere than others do, and looks for packages there.
        library = f"lib/python{short}"
        scheme = files[f"{library}/sysconfig.py"].replace(b"= 'posix_local'\n", b"= 'posix_prefix'\n")
        files[f"{library}/sysconfig.py"] = scheme
        place = f"import site, sys\nsite.addsitedir(sys.prefix + '/{library}/site-packages')\n"
        files[f"{library}/sitecustomize.py"] = place.encode()
        self.add("python", version, files, noarch=False, packed=".tar.bz2")
        self.python = short


def pack(index: dict[str, Any], files: dict[str, bytes], packed: str) -> bytes:
    """A package: one archive of old, or since 2019 a zip of two."""
    paths: list[dict[str, Any]] = []
    for name, content in files.items():
        sums = {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
        text = {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
        patched = text if PLACEHOLDER.encode() in content else {}
        paths.append({"_path": name, "path_type": "hardlink", **sums, **patched})
    info = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "info/about.json": b"{}",
    }
    if index.get("noarch"):
        link = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        info["info/link.json"] = json.dumps(link).encode()
    if packed == ".tar.bz2":
        return archive({**info, **files}, "w:bz2")
    whole = io.BytesIO()
    base = f"{index['name']}-{index['version']}-0"
    with zipfile.ZipFile(whole, "w") as made:
        made.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        for part, parts in (("info", info), ("pkg", files)):
            made.writestr(f"{part}-{base}.tar.zst", zstd(archive(parts, "w")))
    return whole.getvalue()


def archive(files: dict[str, bytes], mode: Any) -> bytes:
    """A tar archive; what is in `bin` can be run."""
    text = io.BytesIO()
    options = {"compresslevel": 1} if mode == "w:bz2" else {}
    with tarfile.open(fileobj=text, mode=mode, format=tarfile.PAX_FORMAT, **options) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755 if re.match("bin/", name) else 0o644
            tar.addfile(info, io.BytesIO(content))
    return text.getvalue()
