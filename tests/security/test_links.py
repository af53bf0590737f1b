"""Symbolic links in a user's files or in an image lead nowhere outside.

A link is followed inside, where its target is the container's own; and on the host, where files are copied
into layers and mounts are made, none is followed out of its tree. One among the user's own files is followed
when the command line reads them, with the rights of who calls it, and arrives as a copy. Held by: what hangs
mounts into a container resolves every path below the container's root (RESOLVE_IN_ROOT), and what writes
layers writes each into a tree of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import textwrap
from pathlib import Path

import pytest
from conftest import place
from tools import request

APP = """
    import modal

    image = modal.Image.debian_slim().run_commands(
        "ln -s {outside} /leads-out",
        "ln -s ../../../../../../../../..{outside} /leads-up",
        "rm -rf /var/tmp && ln -s {outside} /var/tmp",
        "rm -rf /home && ln -s {outside} /home",
        "mkdir -p /made && ln -s {outside} /made/here",
        "ln -sf {outside}/secret /etc/attempt",
    )
    stub = modal.Stub("links")

    @stub.webhook(
        image=image,
        mounts=[modal.Mount.from_local_dir("{mounted}", remote_path="/home/user/files")],
    )
    def f():
        import os

        def get(path):
            try:
                return open(path).read()
            except OSError as error:
                return type(error).__name__

        names = "leads-out leads-up var/tmp home made/here"
        found = {{name: get(f"/{{name}}/secret") for name in names.split()}}
        found["etc"] = get("/etc/attempt")
        files = "/home/user/files"
        names = "plain.txt out up folder/secret"
        found["mounted"] = {{name: get(f"{{files}}/{{name}}") for name in names.split()}}
        found["made"] = [get("/proc/self/mountinfo").count("{outside}")]
        return found
"""


@pytest.fixture(scope="module")
def found(server):
    """What a container finds behind the links of its image and mounts, and where they point."""
    # A place that containers have none of.
    outside = Path(tempfile.mkdtemp(prefix="pl-outside-", dir="/srv"))
    outside.chmod(0o755)
    (outside / "secret").write_text("hush")
    mounted = place(server, "mounted")
    (mounted / "plain.txt").write_text("plain")
    (mounted / "out").symlink_to(outside / "secret")
    (mounted / "up").symlink_to(os.path.relpath(outside / "secret", mounted))
    (mounted / "folder").symlink_to(outside)
    file = place(server, "links") / "links.py"
    file.write_text(textwrap.dedent(APP.format(outside=outside, mounted=mounted)))
    url = server.deploy(file, "links")["f"]
    (outside / "secret").write_text("changed")
    answer = request(url)
    assert answer.status == 200, answer.text
    yield outside, answer.json()
    shutil.rmtree(outside)


def test_links_of_an_image_lead_nowhere(found, outside) -> None:
    folder, told = found
    code = f"""
        import os
        os.symlink("../../../../../../../../..{folder}", here + "/leads-up")
        result = open(here + "/leads-up/secret").read()
    """
    assert outside(code) == "changed"
    assert told["made"] == [0]
    names = ["leads-out", "leads-up", "var/tmp", "home", "made/here", "etc"]
    assert {name: told[name] for name in names} == dict.fromkeys(names, "FileNotFoundError")


def test_links_among_the_users_files_are_copies(found, outside) -> None:
    folder, told = found
    code = f"""
        import os
        os.symlink("{folder}/secret", here + "/link")
        result = open(here + "/link").read()
    """
    assert outside(code) == "changed"
    # As they were when they were deployed.
    assert told["mounted"] == {
        "plain.txt": "plain",
        "out": "hush",
        "up": "hush",
        "folder/secret": "hush",
    }


def test_nothing_was_made_where_the_links_point(found) -> None:
    folder, _ = found
    assert os.listdir(folder) == ["secret"]
    assert (folder / "secret").read_text() == "changed"
