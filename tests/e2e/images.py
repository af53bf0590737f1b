"""A real registry on loopback, and images for it that the tests make themselves: tar archives, JSON."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import os
import platform
import re
import socket
import subprocess
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(content: bytes) -> str:
    """As registries name a content."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass
class Registry:
    """Debian's `docker-registry`, with its contents in a directory of its own."""

    directory: Path
    htpasswd: Path | None = None
    port: int = field(default=0, init=False)

    def __enter__(self) -> Registry:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.directory / "contents")}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        if self.htpasswd:
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(self.htpasswd)}}
        file = self.directory / "registry.yml"
        # YAML takes JSON.
        file.write_text(json.dumps(config))
        with (self.directory / "registry.log").open("wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(file)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                assert self.process.poll() is None, (self.directory / "registry.log").read_text()
                assert time.monotonic() < deadline, "the registry does not listen"

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    @property
    def host(self) -> str:
        """How references name it."""
        return f"127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str]]:
        """One request; the status and the headers of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}

    def push(self, repository: str, tag: str, image: Image, **headers: str) -> str:
        """Brings an image there; the reference that names it."""
        for content in [image.config, *image.blobs]:
            status, answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/", **headers)
            assert status == 202, status
            place = re.sub(r"^https?://[^/]+", "", answer["location"])
            joint = "&" if "?" in place else "?"
            status, _ = self.ask("PUT", f"{place}{joint}digest={digest(content)}", content, **headers)
            assert status == 201, status
        kind = {"content_type": MANIFEST}
        status, _ = self.ask("PUT", f"/v2/{repository}/manifests/{tag}", image.manifest, **kind, **headers)
        assert status == 201, status
        return f"{self.host}/{repository}:{tag}"

    def blob(self, content: bytes) -> Path:
        """Where the registry keeps a content."""
        name = digest(content).removeprefix("sha256:")
        return self.directory / f"contents/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"


def login(name: str, password: str) -> dict[str, str]:
    """The headers of who may push."""
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@dataclass
class Image:
    """What is pushed. Each layer is an archive, and may be packed."""

    layers: list[bytes]
    settings: dict[str, Any] = field(default_factory=dict)
    packing: str = "+gzip"
    architecture: str = ARCHITECTURE

    def __post_init__(self) -> None:
        pack = {"+gzip": lambda text: gzip.compress(text, 1, mtime=0), "+zstd": zstd, "": bytes}
        self.blobs = [pack[self.packing](layer) for layer in self.layers]
        rootfs = {"type": "layers", "diff_ids": [digest(layer) for layer in self.layers]}
        config = {"architecture": self.architecture, "os": "linux", "config": self.settings, "rootfs": rootfs}
        self.config = json.dumps(config).encode()

    @property
    def manifest(self) -> bytes:
        """The document that names the others."""
        layers = [described(LAYER + self.packing, blob) for blob in self.blobs]
        config = described("application/vnd.oci.image.config.v1+json", self.config)
        whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        return json.dumps(whole).encode()


def described(kind: str, content: bytes) -> dict[str, Any]:
    """A descriptor."""
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}


def zstd(text: bytes) -> bytes:
    """Packed by the program of that name."""
    return subprocess.run(["zstd", "-q", "-1", "-c"], input=text, capture_output=True, check=True).stdout


def archive(*entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A layer of these entries."""
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info, content = entry if isinstance(entry, tuple) else (entry, b"")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return text.getvalue()


def file(name: str, content: str = "", mode: int = 0o644, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A file of an archive."""
    info = tarfile.TarInfo(name)
    info.mode = mode
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content.encode()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Another entry: `tarfile.SYMTYPE` and its like."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o755
    return info


def debian_python() -> str:
    """The version of this machine's Debian Python: `3.11.2`."""
    command = ["/usr/bin/python3", "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def small_python() -> bytes:
    """A layer with this machine's Debian Python, a shell and what the two need: some 40 MB."""
    programs = ["/usr/bin/python3", "/bin/sh", "/bin/cp", "/bin/cat", "/usr/bin/env"]
    paths: set[Path] = set()
    real = Path("/usr/bin/python3").resolve()
    library = Path("/usr/lib") / real.name
    for folder, folders, names in os.walk(library):
        skipped = {"test", "idlelib", "lib2to3", "tkinter", "__pycache__", "ensurepip", "pydoc_data"}
        folders[:] = [name for name in folders if name not in skipped]
        paths.update(Path(folder) / name for name in names)
    # What compiled packages are linked to.
    for name in ["gcc_s", "rt", "m", "dl", "pthread", "util"]:
        paths.update(Path("/usr/lib").glob(f"*-linux-gnu/lib{name}.so.*"))
    extensions = [str(path) for path in paths if path.suffix == ".so"]
    for program in [*programs, *extensions]:
        paths.add(Path(program))
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        paths.update(Path(found) for found in re.findall(r"(/\S+) \(0x", listed))
    # Links are followed to their ends, and each of them is there.
    for path in list(paths):
        while path.is_symlink():
            path = path.parent / os.readlink(path)
            paths.add(path)
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ["bin", "lib", "lib64"]:
            tar.addfile(entry(name, tarfile.SYMTYPE, f"usr/{name}"))
        seen: set[str] = set()
        for path in sorted(paths):
            # A merged /usr: the same file by one name.
            name = os.path.normpath(path)
            name = re.sub(r"^/(bin|lib|lib64)/", r"/usr/\1/", name)
            if name in seen or not path.exists():
                continue
            seen.add(name)
            info = tar.gettarinfo(str(path), name.lstrip("/"))
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            if info.islnk():
                info.type, info.linkname = tarfile.REGTYPE, ""
                info.size = path.stat().st_size
            with path.open("rb") if info.isreg() else io.BytesIO() as content:
                tar.addfile(info, content)
        tar.addfile(*_with_size(file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")))
        tar.addfile(*_with_size(file("etc/group", "root:x:0:\n")))
    return text.getvalue()


def split_python(whole: bytes) -> tuple[bytes, bytes]:
    """A layer of `small_python` without its Python, and that Python as python-build-standalone packs them."""
    rest, alone = io.BytesIO(), io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(whole)) as tar,
        tarfile.open(fileobj=rest, mode="w", format=tarfile.PAX_FORMAT) as base,
        tarfile.open(fileobj=alone, mode="w:gz", format=tarfile.PAX_FORMAT) as python,
    ):
        for info in tar:
            # As uv wants it: links of Debian's into /etc are not what such a Python has.
            if info.issym() and info.linkname.startswith("/") and "python" in info.name:
                continue
            content = tar.extractfile(info) if info.isreg() else None
            if re.match(r"usr/(bin/python3|lib/python3)", info.name):
                info.name = info.name.replace("usr", "python", 1)
                python.addfile(info, content)
            else:
                base.addfile(info, content)
    return rest.getvalue(), alone.getvalue()


def _with_size(made: tuple[tarfile.TarInfo, bytes]) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info, content = made
    info.size = len(content)
    return info, io.BytesIO(content)
