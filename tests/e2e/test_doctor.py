"""`pilotlight doctor`: what a machine has, what it lacks, and the command that gets it."""

from __future__ import annotations

import json
import os
import subprocess

from tools import Environment

#: An account that nobody has.
STRANGER = 0x6EEE0001


def test_on_a_machine_that_serves_nothing_is_missing(home: Environment) -> None:
    done = home.run("doctor")
    assert done.returncode == 0, done
    features = [line.split(":", 1)[0] for line in done.stdout.splitlines() if not line.startswith("    ")]
    for feature in ("kernel", "user namespaces", "cgroups", "nf_tables", "seccomp", "network"):
        assert any(feature in found for found in features), done.stdout
    assert "✗" not in done.stdout
    assert not (home.state / "pilotlight.db").exists()


def test_json_has_the_facts_and_the_findings(home: Environment) -> None:
    done = home.run("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["ok"] is True
    assert report["facts"]["user"] == os.geteuid()
    assert {finding["state"] for finding in report["findings"]} <= {"fine", "weaker"}


def test_what_is_missing_is_named_with_its_remedy(home: Environment) -> None:
    # A root whose capabilities were taken away, as a container's of another engine.
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin,-net_admin", str(home.binary), "doctor"],
        env=home.variables(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "✗ rights: this root is restricted: CAP_SYS_ADMIN, CAP_NET_ADMIN" in done.stdout
    assert "--privileged" in done.stdout and "error:" in done.stderr


def test_an_ordinary_user_is_told_what_to_install(home: Environment) -> None:
    alone = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
    done = subprocess.run(
        [*alone, str(home.binary), "doctor", "--json"],
        env=home.variables(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    findings = {finding["feature"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["subordinate ids"]["state"] == "weaker"
    assert "usermod --add-subuids" in findings["subordinate ids"]["remedy"]
    assert findings["idmapped mounts"]["state"] == "weaker"
