"""Installs conda packages into the image's prefix. Run in a build step, by another Python than the image's own."""

import argparse
import asyncio
import datetime
import glob
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, "/tmp/conda")
import rattler
import rattler.exceptions
import yaml

PREFIX = "/opt/venv"
UV = "/opt/pilotlight/bin/uv"
CACHE = "/var/cache/uv/conda"
HISTORY = f"{PREFIX}/conda-meta/history"
# What pip is to install afterwards.
PIP = "/tmp/conda-pip.txt"
ALIAS = "https://conda.anaconda.org"
DEFAULT = "conda-forge"
# https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html#default-channels
DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
# Options that pip takes from a list of requirements, and which say where packages are.
PLACES = ("--index-url", "-i", "--extra-index-url", "--find-links", "-f", "--pre", "--trusted-host")


def fail(message):
    # Who asks a channel may stand in its URL.
    message = re.sub(r"//[^/\s@]+@", "//***@", message)
    print(re.sub(r"/t/[^/\s]+", "/t/***", message), file=sys.stderr)
    end(1)


def end(code):
    """Without a farewell: threads of the installer's own may still be at work."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def environment(path):
    """Channels, conda's packages and pip's of an environment file."""
    name = os.path.basename(path)
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except UnicodeDecodeError:
        fail(f"{name} is no text")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        fail(f"{name}{where}: {getattr(error, 'problem', None) or error}")
    if not isinstance(found, dict):
        fail(f"{name} is no conda environment: it has no `dependencies:`")
    channels, wanted = found.get("channels") or [], found.get("dependencies") or []
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        fail(f"{name}: `channels:` is a list of names and URLs, not {channels!r}")
    if not isinstance(wanted, list):
        fail(f"{name}: `dependencies:` is a list of packages, not {wanted!r}")
    specs, pips = [], []
    for entry in wanted:
        if isinstance(entry, str):
            specs.append(entry)
        elif isinstance(entry, dict) and list(entry) == ["pip"] and isinstance(entry["pip"], (list, type(None))):
            pips.extend(entry["pip"] or [])
        else:
            fail(f"{name}: a dependency is a string, or `pip:` with a list, not {entry!r}")
    for line in pips:
        if not isinstance(line, str) or not line.strip() or "\n" in line:
            fail(f"{name}: {line!r} is nothing that pip can install")
        if line.startswith("-") and line.replace("=", " ").split()[0] not in PLACES:
            fail(f"{name}: the option `{line}` below `pip:` is not taken: use pip_install_from_requirements")
        if line.startswith((".", "/", "file:")):
            fail(f"{name}: `{line}` below `pip:` is a path on your machine, which the build does not see")
    for key in sorted(map(str, set(found) - {"name", "prefix", "channels", "dependencies"})):
        print(f"{name}: `{key}:` has no effect here" + ("; use Image.env" if key == "variables" else ""))
    return channels, specs, pips


def sources(asked):
    """Channels in the order in which they are asked: those of the step, then those of the machine."""
    alias = os.environ.get("CONDA_CHANNEL_ALIAS") or ALIAS
    config = rattler.ChannelConfig(channel_alias=alias.rstrip("/") + "/", root_dir="/")
    own = (os.environ.get("CONDA_CHANNELS") or DEFAULT).replace(",", " ").split()
    names = []
    for name in [*asked, *([] if "nodefaults" in asked else own)]:
        names.extend(DEFAULTS if name == "defaults" else [name] if name != "nodefaults" else [])
    try:
        return [rattler.Channel(name, config) for name in dict.fromkeys(names)]
    except Exception as error:
        fail(f"{' '.join(names)}: {reason(error)}")


def parsed(spec, python):
    """A package as conda names it, such as `numpy=1.26` or `conda-forge::numpy>=1`."""
    try:
        found = rattler.MatchSpec(spec)
        name = found.name.normalized
    except Exception as error:
        fail(f"`{spec}` is no conda package: {reason(error)}")
    if name == "python" and found.version is not None:
        asked = re.fullmatch(r"[=~]*(\d+\.\d+)[\d.*]*", str(found.version))
        if asked and asked.group(1) != python:
            fail(
                f"`{spec}` asks for another Python than the image's {python}, which stays: "
                f'write micromamba(python_version="{asked.group(1)}")'
            )
    return name, found


def reason(error):
    """The words of an error and of its last cause."""
    words = [line.strip().partition("Caused by: ")[2] or line.strip() for line in str(error).splitlines()]
    words = [word for word in words if word] or [type(error).__name__]
    return words[0] if len(words) == 1 else f"{words[0]}: {words[-1]}"


def installed():
    """What conda has installed so far."""
    return [rattler.PrefixRecord.from_path(path) for path in sorted(glob.glob(f"{PREFIX}/conda-meta/*.json"))]


def history():
    """What earlier steps asked for, the latest first, as conda writes it down."""
    if not os.path.exists(HISTORY):
        return []
    with open(HISTORY) as file:
        asked = [line.partition("# update specs: ")[2] for line in file]
    return [spec for line in reversed(asked) if line for spec in json.loads(line)]


LISTED = """
import importlib.metadata, json, os, re
found = []
for one in importlib.metadata.distributions():
    if one.metadata["Name"]:
        found.append([re.sub("[-_.]+", "-", one.metadata["Name"]).lower(), os.path.realpath(str(one._path))])
print(json.dumps(found))
"""


def make_room(names, before):
    """Takes away what pip has installed under a name that conda installs now: the step that is later wins."""
    python = f"{PREFIX}/bin/python"
    if not before or not os.path.exists(python):
        return
    owned = {os.path.realpath(f"{PREFIX}/{file}") for record in before for file in record.files}
    told = subprocess.run([python, "-I", "-c", LISTED], stdout=subprocess.PIPE, check=True).stdout
    wanted = {re.sub("[-_.]+", "-", name).lower() for name in names}
    gone = sorted({name for name, path in json.loads(told) if name in wanted and f"{path}/METADATA" not in owned})
    if gone:
        subprocess.run([UV, "pip", "uninstall", "--quiet", "--python", python, *gone], check=True)
        print("conda's in place of pip's:", *gone)


async def install(options, specs, channels):
    if not os.path.isdir(f"{PREFIX}/conda-meta") and os.path.exists(PREFIX):
        fail("this image has no conda: begin with Image.micromamba()")
    before = installed()
    python = rattler.MatchSpec(f"python {options.python}.*")
    wanted = dict(parsed(spec, options.python) for spec in specs)
    wanted.setdefault("python", python)
    # What an earlier step asked for stays, as far as this one does not ask otherwise.
    for spec in history():
        name, found = parsed(spec, options.python)
        wanted.setdefault(name, found)
    client = rattler.Client.from_config(rattler.Config.from_toml(f'tls-root-certs = "{roots()}"'))
    try:
        records = await rattler.solve(
            sources(channels),
            list(wanted.values()),
            gateway=rattler.Gateway(cache_dir=f"{CACHE}/repodata", client=client),
            locked_packages=before,
            constraints=[python],
            exclude_newer=moment(options.exclude_newer),
            virtual_packages=rattler.VirtualPackage.detect(overrides()),
        )
    except rattler.exceptions.SolverError as error:
        fail(f"{str(error).strip()}\n{asked_of(channels)}")
    except Exception as error:
        fail(f"a conda channel gave no packages: {reason(error)}\n{asked_of(channels)}")
    there = {(one.name.normalized, str(one.version), one.build) for one in before}
    new = [one for one in records if (one.name.normalized, str(one.version), one.build) not in there]
    make_room([one.name.normalized for one in new], before)
    for one in sorted(new, key=lambda one: one.name.normalized):
        print(f"+ {one.name.normalized} {one.version}")
    try:
        await rattler.install(
            records,
            target_prefix=PREFIX,
            cache_dir=f"{CACHE}/packages",
            execute_link_scripts=True,
            show_progress=False,
            client=client,
        )
    except Exception as error:
        fail(f"cannot install: {reason(error)}")
    with open(HISTORY, "a") as file:
        print(f"# update specs: {json.dumps(specs)}", file=file)


def moment(text):
    """When a day ends, as uv counts it, or the moment itself."""
    if not text:
        return None
    try:
        if "T" not in text:
            day = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
            return day + datetime.timedelta(days=1)
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        fail(f"PILOTLIGHT_EXCLUDE_NEWER: {text!r} is no day")


def roots():
    """The machine's certificates, where it has some."""
    return "system" if os.environ.get("SSL_CERT_FILE") else "webpki"


def overrides():
    """`CONDA_OVERRIDE_CUDA` and its like count."""
    return rattler.VirtualPackageOverrides.from_env()


def asked_of(channels):
    urls = ", ".join(source.base_url for source in sources(channels))
    return f"asked: {urls} (channels= and this machine's CONDA_CHANNELS and CONDA_CHANNEL_ALIAS say which)"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True)
    parser.add_argument("--file")
    parser.add_argument("--channel", action="append", default=[])
    parser.add_argument("--exclude-newer")
    parser.add_argument("specs", nargs="*")
    options = parser.parse_args()
    # This Python's own, and nobody's else.
    os.environ.pop("LD_LIBRARY_PATH", None)
    channels, specs, pips = (environment(options.file) if options.file else ([], [], []))
    names = [spec.partition("::")[0] for spec in options.specs if "::" in spec]
    asyncio.run(install(options, [*specs, *options.specs], [*options.channel, *channels, *names]))
    with open(PIP, "w") as file:
        print(*pips, sep="\n", file=file)
    library = f"{PREFIX}/lib/python{options.python}"
    subprocess.run([f"{PREFIX}/bin/python", "-I", "-m", "compileall", "-q", library], stdout=subprocess.DEVNULL)
    end(0)


main()
