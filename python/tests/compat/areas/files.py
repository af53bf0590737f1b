"""Files and small secrets."""

from __future__ import annotations

from ..table import Area, notice, refused, works

_LATER = " is not built yet in this version of pilotlight"


def _mounted(mount: str, *remotes: str) -> dict[str, str]:
    found = "[file['remote'] for file in m['files'] if not file['remote'].startswith('/root/program')]"
    return {"sees": f"@stub.function(mounts=[{mount}])", "expect": f"{found} == {list(remotes)}"}


FILES = Area(
    "Files",
    "",
    (
        works(
            "modal.Mount(remote_dir, local_file=…)",
            "e2e/test_files.py::test_mounts_and_settings_of_2022",
            **_mounted("modal.Mount('/data', local_file='program.py')", "/data/program.py"),
        ),
        works(
            "modal.Mount(local_dir=…, condition=…, recursive=…)",
            "compat/test_image_files.py::test_mounts",
            **_mounted(
                "modal.Mount('/data', local_dir='.', condition=lambda p: p.endswith('.py'), recursive=False)",
                "/data/program.py",
            ),
        ),
        works(
            "Mount.add_local_dir(local_path, remote_path=…, condition=…, recursive=…), "
            "Mount.from_local_dir(local_path, remote_path=…, condition=…, recursive=…)",
            **_mounted("modal.Mount().add_local_dir('.', remote_path='/data')", "/data/program.py"),
        ),
        works(
            "Mount.add_local_file(local_path, remote_path), Mount.from_local_file(local_path, remote_path)",
            **_mounted("modal.Mount.from_local_file('program.py', '/data/x.py')", "/data/x.py"),
        ),
        works(
            "Mount.extend(mounts)",
            **_mounted(
                "modal.Mount().extend(modal.Mount.from_local_file('program.py', '/data/x.py'))", "/data/x.py"
            ),
        ),
        works(
            "Mount.from_local_python_packages(module_names, remote_dir=…, condition=…, ignore=…)",
            sees="@stub.function(mounts=[modal.Mount.from_local_python_packages('compat')])",
            expect="'/root/compat/table.py' in [file['remote'] for file in m['files']]",
        ),
        refused(
            "Mount.from_name",
            "NotBuiltError",
            "Mount.from_name('x')" + _LATER,
            "@stub.function(mounts=[modal.Mount.from_name('x')])",
        ),
        works(
            "Mount.persist",
            **_mounted("modal.Mount('/d', local_file='program.py').persist('x')", "/d/program.py"),
        ),
        works(
            "modal.create_package_mounts(module_names)",
            "e2e/test_files.py::test_mounts_and_settings_of_2022",
            sees="@stub.function(mounts=modal.create_package_mounts(['compat']))",
            expect="'/pkg/compat/table.py' in [file['remote'] for file in m['files']]",
        ),
        works(
            "modal.create_package_mount(module_name)",
            sees="@stub.function(mounts=[modal.create_package_mount('compat')])",
            expect="'/pkg/compat/table.py' in [file['remote'] for file in m['files']]",
        ),
        works(
            "modal.FilePatternMatcher(pattern), FilePatternMatcher.from_file(file_path), "
            "FilePatternMatcher.can_prune_directories",
            "sdk/test_mount.py::test_patterns_from_a_file_from_a_list_and_functions",
            does="from pathlib import Path\nmatcher = modal.FilePatternMatcher('*.py')\n"
            "assert matcher(Path('a.py')) and not matcher(Path('a.txt'))",
        ),
    ),
)

SECRETS = Area(
    "Secrets",
    "Their values reach the container's environment, and neither logs nor process lists nor disks in clear.",
    (
        works(
            "modal.Secret(env_dict)",
            sees="@stub.function(secret=modal.Secret({'A': 'b'}))",
            expect="f['env'] == {'A': 'b'}",
        ),
        works(
            "modal.Secret(template_type)", does="assert repr(modal.Secret({'A': 'b'}, 'aws')) == 'Secret(A)'"
        ),
        works(
            "Secret.from_dict(env_dict)",
            sees="@app.function(secrets=[modal.Secret.from_dict({'A': 'b', 'C': None})])",
            expect="f['env'] == {'A': 'b'}",
        ),
        works(
            "Secret.from_local_environ(env_keys)",
            sees="import os\nos.environ['A'] = 'b'\n"
            "@app.function(secrets=[modal.Secret.from_local_environ(['A'])])",
            expect="f['env'] == {'A': 'b'}",
        ),
        works(
            "Secret.from_dotenv(path, filename=…)",
            "e2e/test_files.py::test_mounts_and_settings_of_2022",
            sees="from pathlib import Path\nPath('my.env').write_text('A=b')\n"
            "@app.function(secrets=[modal.Secret.from_dotenv(filename='my.env', path='.')])",
            expect="f['env'] == {'A': 'b'}",
        ),
        notice(
            "Secret.from_name(name, tag, app_name=…)",
            "f: Secret.from_name('s') is accepted but not built yet: its variables are not set (use "
            "Secret.from_dotenv() or Secret.from_local_environ([…]))",
            "@app.function(secrets=[modal.Secret.from_name('s')])",
        ),
        refused(
            "Secret.from_name(required_keys=…)",
            "NotBuiltError",
            "f: Secret.from_name('s'), which must have A,…" + _LATER + "…",
            "@app.function(secrets=[modal.Secret.from_name('s', required_keys=['A'])])",
        ),
        refused(
            "Secret.lookup",
            "NotFoundError",
            "there is no secret 's': this version of pilotlight "
            "does not store secrets yet; use Secret.from_dotenv() or "
            "Secret.from_local_environ([…])",
            "modal.Secret.lookup('s')",
        ),
        works(
            "Secret.persist(label)", does="assert repr(modal.Secret({'A': 'b'}).persist('x')) == 'Secret(A)'"
        ),
        refused(
            "Secret.create_deployed",
            "NotBuiltError",
            "Secret.create_deployed" + _LATER,
            "modal.Secret.create_deployed('x', {})",
        ),
        refused("Secret.update", "NotBuiltError", "Secret.update" + _LATER, "modal.Secret({}).update({})"),
        refused("Secret.info", "NotBuiltError", "Secret.info" + _LATER, "modal.Secret({}).info()"),
        refused(
            "Secret.objects",
            "NotBuiltError",
            "Secret.objects.list" + _LATER,
            "modal.Secret.objects.list()",
        ),
    ),
)
