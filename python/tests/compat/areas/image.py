"""The builders of `Image`, of all eras."""

from __future__ import annotations

from ..table import Area, Row, notice, refused, works

_LATER = " is not built yet in this version of pilotlight"
_BASE = "modal.Image.debian_slim()"


def _function(chain: str) -> str:
    return f"@app.function(image={chain})"


def _step(name: str, call: str, expect: str, *tests: str) -> Row:
    return works(name, *tests, sees=_function(f"{_BASE}.{call}"), expect=expect)


def _later(name: str, call: str, static: bool = False) -> Row:
    method = name.partition("(")[0].partition(".")[2]
    chain = f"modal.Image.{call}" if static else f"{_BASE}.{call}"
    return refused(name.partition("(")[0], "NotBuiltError", f"f: Image.{method}…" + _LATER, _function(chain))


def _ignored(name: str, call: str, static: bool = False) -> Row:
    """A keyword that changes nothing here."""
    method, _, keyword = name.partition(".")[2].rstrip(")").partition("(")
    chain = f"modal.Image.{call}" if static else f"{_BASE}.{call}"
    words = f"f: Image.{method}({keyword}) is accepted but not built yet, and has no effect"
    return notice(name, words, _function(chain))


_PIP = (
    "[{'kind': 'pip_install', 'packages': ['a', 'b'], 'find_links': 'f', 'index_url': 'i', "
    "'extra_index_url': 'e', 'pre': True, 'options': []}]"
)
# Both methods are one step of the server's.
_PROVEN = "e2e/test_packages.py::test_each_option_of_pip_does_what_it_says"
_OPTIONS = "find_links='f', index_url='i', extra_index_url='e', pre=True"

_CONDA = "e2e/test_conda.py::test_conda_packages_are_installed_and_pips_on_top"

_REGISTRY = "tag, secret, setup_dockerfile_commands, setup_commands"

IMAGE = Area(
    "Images",
    "What is not built yet is refused where a function uses it; the chain itself is accepted. Images of "
    "conda packages are tested against a local stand-in for a channel, never against conda-forge.",
    (
        refused(
            "modal.Image",
            "InvalidError",
            "Image() builds nothing: begin with modal.Image.debian_slim() and add steps, such as "
            '.pip_install("boto3")',
            "modal.Image()",
        ),
        works(
            "Image.debian_slim(python_version)",
            "e2e/test_container.py::test_a_true_debian_where_mmdebstrap_is",
            sees=_function("modal.Image.debian_slim('3.11.4')"),
            expect="image['base'] == {'kind': 'debian_slim', 'python_version': '3.11'}",
        ),
        works(
            "Image.debian_slim(force_build=…)",
            "sdk/test_image.py::test_a_forced_build_begins_with_its_step",
            sees=_function("modal.Image.debian_slim(force_build=True).apt_install('curl')"),
            expect="image['force_build'] == 0",
        ),
        _step(
            "Image.pip_install(packages, find_links=…, index_url=…, extra_index_url=…, pre=…)",
            f"pip_install('a', ['b'], {_OPTIONS})",
            f"steps == {_PIP}",
            "e2e/test_container.py::test_an_image_has_its_packages_and_variables",
            _PROVEN,
        ),
        _step(
            "Image.pip_install(extra_options=…)",
            "pip_install('a', extra_options='--pre')",
            "steps[0]['pre'] is True",
            _PROVEN,
        ),
        _step(
            "Image.uv_pip_install(packages, find_links=…, index_url=…, extra_index_url=…, pre=…)",
            f"uv_pip_install('a', ['b'], {_OPTIONS})",
            f"steps == {_PIP}",
            _PROVEN,
        ),
        _step(
            "Image.uv_pip_install(extra_options=…)",
            "uv_pip_install('a', extra_options='--pre')",
            "steps[0]['pre'] is True",
            _PROVEN,
        ),
        works("Image.uv_pip_install(requirements=…)", "compat/test_image_files.py::test_requirements"),
        _ignored("Image.uv_pip_install(uv_version=…)", "uv_pip_install('a', uv_version='0.9')"),
        works(
            "Image.pip_install_from_requirements(requirements_txt, find_links=…, index_url=…, "
            "extra_index_url=…, pre=…, extra_options=…)",
            "sdk/test_image.py::test_requirements_files",
            "compat/test_image_files.py::test_requirements",
            "e2e/test_packages.py::test_hashes_of_a_requirements_file_are_verified",
        ),
        works(
            "Image.pip_install_from_pyproject(pyproject_toml, optional_dependencies=…, find_links=…, "
            "index_url=…, extra_index_url=…, pre=…, extra_options=…)",
            "sdk/test_image.py::test_pyproject_files",
            "compat/test_image_files.py::test_pyproject",
        ),
        _step(
            "Image.apt_install(packages)",
            "apt_install('curl', ['git'])",
            "steps == [{'kind': 'apt_install', 'packages': ['curl', 'git']}]",
        ),
        _step(
            "Image.run_commands(commands)",
            "run_commands('a', ['b'])",
            "steps == [{'kind': 'run_commands', 'commands': ['a', 'b']}]",
        ),
        _step("Image.env(vars)", "env({'A': 'b'})", "steps == [{'kind': 'env', 'vars': {'A': 'b'}}]"),
        _step(
            "Image.workdir(path)",
            "workdir('/srv').workdir('x')",
            "steps[-1] == {'kind': 'workdir', 'path': '/srv/x'}",
        ),
        _step("Image.cmd(cmd)", "cmd(['python'])", "steps == []"),
        _step(
            "Image.add_local_file(local_path, remote_path, copy=…)",
            "add_local_file('program.py', '/data/', copy=True)",
            "'/data/program.py' in [file['remote'] for file in m['files']]",
            "e2e/test_files.py::test_local_files_of_an_image_of_today",
        ),
        _step(
            "Image.add_local_dir(local_path, remote_path, copy=…, ignore=…)",
            "add_local_dir('.', '/data', copy=True, ignore=['*.txt'])",
            "'/data/program.py' in [file['remote'] for file in m['files']]",
            "e2e/test_files.py::test_local_files_of_an_image_of_today",
            "compat/test_image_files.py::test_ignored_files_stay",
        ),
        _step(
            "Image.add_local_python_source(modules, copy=…, ignore=…)",
            "add_local_python_source('compat', ignore=['*.md'])",
            "'/root/compat/table.py' in [file['remote'] for file in m['files']]",
            "e2e/test_files.py::test_local_files_of_an_image_of_today",
        ),
        _step(
            "Image.copy(mount, remote_path), Image.copy_mount(mount, remote_path)",
            "NAME(modal.Mount('/a', local_file='program.py'), '/b')",
            "'/b/a/program.py' in [file['remote'] for file in m['files']]",
        ),
        _step(
            "Image.copy_local_file(local_path, remote_path)",
            "copy_local_file('program.py', '/a/')",
            "'/a/program.py' in [file['remote'] for file in m['files']]",
        ),
        _step(
            "Image.copy_local_dir(local_path, remote_path, ignore=…)",
            "copy_local_dir('.', '/a')",
            "'/a/program.py' in [file['remote'] for file in m['files']]",
        ),
        works(
            "Image.imports, Image.run_inside",
            "sdk/test_image.py::test_imports_may_fail_here_and_in_containers_of_other_images",
            does="with modal.Image.debian_slim().NAME():\n    import there_is_no_such_module",
        ),
        _step(
            "Image.pipe(func)",
            "pipe(lambda image, name: image.apt_install(name), 'curl')",
            "steps == [{'kind': 'apt_install', 'packages': ['curl']}]",
        ),
        notice(
            "Image.persist(label)",
            "f: Image.persist(label=…) is accepted but not built yet, and has no effect",
            _function(f"{_BASE}.persist('x')"),
        ),
        works(
            "Image.*(force_build=…)",
            "e2e/test_build_steps.py::test_a_forced_build_is_made_anew_by_each_command",
            sees=_function(f"{_BASE}.apt_install('curl', force_build=True)"),
            expect="image['force_build'] == 0",
        ),
        notice(
            "Image.*(gpu=…)",
            "f: Image.apt_install(gpu=…) is accepted but not built yet, and has no effect",
            _function(f"{_BASE}.apt_install('curl', gpu='T4')"),
        ),
        _step(
            "Image.*(env=…, secrets=…)",
            "apt_install('curl', env={'A': 'b'}, secrets=[modal.Secret({'C': 'd'})])",
            "steps == [{'kind': 'with', 'env': {'A': 'b'}, 'secrets': {'C': 'd'}, "
            "'step': {'kind': 'apt_install', 'packages': ['curl']}}]",
            "e2e/test_build_steps.py::test_a_step_has_its_own_variables_and_no_layer_keeps_a_secret",
        ),
        refused(
            "Image.run_commands(volumes=…)",
            "NotBuiltError",
            "f: Image.run_commands(volumes=…)" + _LATER,
            _function(f"{_BASE}.run_commands('a', volumes={{'/d': modal.Volume.from_name('v')}})"),
        ),
        *(
            works(
                f"Image.{method}(python_version, force_build=…)",
                _CONDA,
                "sdk/test_image.py::test_packages_of_conda_of_both_eras",
                sees=_function(f"modal.Image.{method}('3.10')"),
                expect="image['base'] == {'kind': 'conda', 'python_version': '3.10'}",
            )
            for method in ("conda", "micromamba")
        ),
        *(
            works(
                f"Image.{method}({parameters})",
                "e2e/test_registry.py::test_an_image_is_built_on_one_of_a_registry",
                "sdk/test_image.py::test_an_image_of_a_registry_and_who_asks_for_it",
                "sdk/test_image.py::test_setup_lines_come_first_and_a_login_may_be_missing",
                sees=_function(f"modal.Image.{method}('x', setup_dockerfile_commands=['RUN a'])"),
                expect="image['base'] == {'kind': 'registry', 'reference': 'x', 'add_python': None}",
            )
            for method, parameters in (
                ("from_registry", _REGISTRY),
                ("from_dockerhub", "tag, setup_dockerfile_commands, setup_commands"),
                ("from_aws_ecr", _REGISTRY),
                ("from_gcp_artifact_registry", _REGISTRY),
            )
        ),
        works(
            "Image.from_registry(add_python), Image.from_aws_ecr(add_python), "
            "Image.from_gcp_artifact_registry(add_python), Image.from_dockerfile(add_python)",
            "e2e/test_registry.py::test_a_python_is_put_into_an_image_that_has_none",
            "e2e/test_registry.py::test_a_python_that_an_image_has_is_not_added",
            sees=_function("modal.Image.from_registry('x', add_python='3.12')"),
            expect="image['base']['add_python'] == '3.12'",
        ),
        works(
            "Image.from_dockerfile(path, context_mount, context_dir, ignore, build_args, registry_secret, "
            "secrets=…, env=…)",
            "e2e/test_registry.py::test_a_dockerfile_is_built_from_its_first_line_on",
            "sdk/test_image.py::test_a_dockerfile_is_a_base_and_the_first_step",
            sees=_function("modal.Image.from_dockerfile('program.py')"),
            expect="image['base'] == {'kind': 'dockerfile', 'add_python': None}",
        ),
        _later("Image.from_scratch(", "from_scratch()", True),
        _later("Image.from_id(", "from_id('im-1')", True),
        _later("Image.from_name(", "from_name('x')", True),
        works(
            "Image.run_function(raw_f, env=…, secret=…, secrets=…, mounts=…, args=…, kwargs=…, "
            "include_source=…)",
            "e2e/test_build_steps.py::test_a_function_is_run_while_the_image_is_built",
            "sdk/test_image.py::test_a_function_is_run_again_when_what_it_does_changes",
        ),
        notice(
            "Image.run_function(cpu=…, memory=…, cloud=…, region=…, timeout=…, gpu=…)",
            "f: Image.run_function(cpu=…) is accepted but not built yet, and has no effect",
            "def g(): ...\n" + _function(f"{_BASE}.run_function(g, cpu=2)"),
        ),
        refused(
            "Image.run_function(volumes=…, network_file_systems=…, shared_volumes=…)",
            "NotBuiltError",
            "f: Image.run_function(volumes=…)" + _LATER,
            "def g(): ...\n" + _function(f"{_BASE}.run_function(g, volumes={{'/v': 1}})"),
        ),
        *(
            works(
                f"Image.{method}(packages, channels=…)",
                _CONDA,
                sees=_function(f"modal.Image.micromamba().{method}('a', ['b=1'], channels=['c'])"),
                expect="steps == [{'kind': 'conda_install', 'packages': ['a', 'b=1'], 'channels': ['c'], "
                "'files': []}]",
            )
            for method in ("conda_install", "micromamba_install")
        ),
        works(
            "Image.conda_update_from_environment(environment_yml), Image.micromamba_install(spec_file=…)",
            "e2e/test_conda.py::test_an_environment_file_is_installed_with_pips_part",
            sees=_function("modal.Image.conda().conda_update_from_environment('program.py')"),
            expect="[file['remote'] for file in steps[0]['files']] == ['/program.py']",
        ),
        _step(
            "Image.pip_install_private_repos(repositories, git_user=…, secrets=…, find_links=…, index_url=…, "
            "extra_index_url=…, pre=…, extra_options=…)",
            "pip_install_private_repos('github.com/a/b@v1', git_user='u', extra_options='--pre', "
            "secrets=[modal.Secret({'GITHUB_TOKEN': 't'})])",
            "steps[0]['step']['packages'] == ['git+https://u@github.com/a/b@v1'] "
            "and steps[0]['step']['git'] is True and steps[0]['step']['pre'] is True",
            "e2e/test_packages.py::test_packages_of_private_repositories",
        ),
        works(
            "Image.poetry_install_from_file(poetry_pyproject_toml, poetry_lockfile=…, ignore_lockfile=…, "
            "with_=…, without=…, only=…, poetry_version=…)",
            "e2e/test_build_steps.py::test_a_poetry_project_is_installed",
            "sdk/test_image.py::test_a_projects_lock_files_go_along",
        ),
        _ignored(
            "Image.poetry_install_from_file(old_installer=…)",
            "poetry_install_from_file('program.py', ignore_lockfile=True, old_installer=True)",
        ),
        works(
            "Image.uv_sync(uv_project_dir=…, groups=…, extras=…, frozen=…, extra_options=…)",
            "e2e/test_build_steps.py::test_what_a_project_locks_is_installed",
            "sdk/test_image.py::test_a_projects_lock_files_go_along",
        ),
        notice(
            "Image.uv_sync(uv_version=…)",
            "f: Image.uv_sync(uv_version=…) is accepted but not built yet, and has no effect",
            "open('pyproject.toml', 'w').close()\n"
            + _function(f"{_BASE}.uv_sync(frozen=False, uv_version='0.9')"),
        ),
        _step(
            "Image.entrypoint(entrypoint_commands)",
            "entrypoint(['/enter.sh'])",
            "steps == [{'kind': 'entrypoint', 'command': ['/enter.sh']}]",
            "e2e/test_entrypoint.py::test_each_container_begins_with_the_entrypoint_and_build_steps_do_not",
            "e2e/test_entrypoint.py::test_an_entrypoint_can_be_taken_away",
        ),
        _step(
            "Image.dockerfile_commands(dockerfile_commands, context_files=…, context_mount=…, context_dir=…, "
            "ignore=…, build_args=…)",
            "dockerfile_commands('RUN true', ['COPY program.py /srv/'], build_args={'A': 'b'})",
            "steps[0]['commands'] == ['RUN true', 'COPY program.py /srv/'] "
            "and steps[0]['build_args'] == {'A': 'b'} "
            "and [file['remote'] for file in steps[0]['context']] == ['program.py']",
            "e2e/test_build_steps.py::test_lines_of_a_dockerfile_are_built",
            "sdk/test_image.py::test_lines_of_a_dockerfile_bring_the_files_that_they_name",
        ),
        _step(
            "Image.extend",
            "extend(dockerfile_commands=['FROM base', 'RUN true'])",
            "steps[0]['commands'] == ['RUN true']",
            "sdk/test_image.py::test_the_forms_of_2022_are_lines_of_a_dockerfile",
        ),
        refused(
            "Image.extend(base_images=…, build_function=…)",
            "NotBuiltError",
            "f: Image.extend" + _LATER,
            _function(f"{_BASE}.extend(workspace_id='x')"),
        ),
        _step(
            "Image.shell(shell_commands)",
            "shell(['/bin/bash', '-c'])",
            "steps == [{'kind': 'shell', 'command': ['/bin/bash', '-c']}]",
            "e2e/test_build_steps.py::test_lines_of_a_dockerfile_are_built",
        ),
        *(
            refused(
                f"Image.{method}",
                "NotBuiltError",
                f"Image.{method}" + _LATER,
                f"modal.Image.debian_slim().{call}",
            )
            for method, call in (
                ("build", "build()"),
                ("publish", "publish('x')"),
                ("hydrate", "hydrate()"),
                ("logs", "logs()"),
            )
        ),
        works(
            "modal.DebianSlim(python_version)",
            sees=_function("modal.DebianSlim('3.11')"),
            expect="image['base'] == {'kind': 'debian_slim', 'python_version': '3.11'}",
        ),
        works(
            "modal.Conda",
            _CONDA,
            sees=_function("modal.Conda()"),
            expect="image['base'] == {'kind': 'conda', 'python_version': '3.9'}",
        ),
        works(
            "modal.DockerhubImage(tag, setup_commands)",
            "sdk/test_image.py::test_an_image_of_a_registry_and_who_asks_for_it",
            sees=_function("modal.DockerhubImage('x', ['a'])"),
            expect="image['base'] == {'kind': 'registry', 'reference': 'x', 'add_python': None}",
        ),
        works(
            "modal.DockerfileImage(path)",
            "sdk/test_image.py::test_a_dockerfile_is_a_base_and_the_first_step",
            sees=_function("modal.DockerfileImage('program.py')"),
            expect="image['base'] == {'kind': 'dockerfile', 'add_python': None}",
        ),
    ),
)
