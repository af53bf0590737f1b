"""The command line, `pilotlight` in place of `modal`."""

from __future__ import annotations

from dataclasses import replace

from ..table import Area, Row, notice, refused, works

_IT = "crates/pilotlight/tests/it"
_SERVE = "e2e/test_seed.py::test_served_by_the_command"
_DEPLOY = "e2e/test_seed.py::test_deployed"


def _works(name: str, *tests: str) -> Row:
    return works(f"pilotlight {name}", *tests)


def _noted(name: str, words: str, line: str) -> Row:
    """Accepted without effect, which the command says at once."""
    row = notice(f"pilotlight {name}", words, f"pilotlight {line}")
    return replace(row, how="command", error="1")


def _refused(name: str, words: str, *lines: str) -> Row:
    snippet = "\n".join(f"pilotlight {line}" for line in lines)
    return refused(name, "2", words, snippet, how="command")


def _verbs(names: str, words: str) -> Row:
    """Verbs of Modal's that are not here."""
    verbs = names.split(", ")
    return _refused(", ".join(f"pilotlight {verb}" for verb in verbs), words, *verbs)


def _options(command: str, line: str, *options: str) -> Row:
    """Options of Modal's that a command does not have."""
    lines = [f"{line} {option} x" for option in options]
    names = ", ".join(f"pilotlight {command} {option}" for option in options)
    return _refused(names, "…unexpected argument '--…", *lines)


COMMAND = Area(
    "The command line",
    "",
    (
        _works(
            "app, pilotlight --help", f"{_IT}/reference.rs::the_committed_reference_is_what_the_help_says"
        ),
        _works("serve", _SERVE),
        _works("serve --timeout", "e2e/test_cli.py::test_serve_ends_by_itself"),
        _works("serve --name, pilotlight serve --timestamps", "e2e/test_commands.py::test_serve"),
        _works("deploy", _DEPLOY),
        _works("deploy --name", _DEPLOY),
        _works("deploy --stream-logs, pilotlight deploy --timestamps", "e2e/test_commands.py::test_deploy"),
        _works("run", "e2e/test_cli.py::test_run_of_an_entrypoint"),
        _works(
            "run --name, pilotlight run --write-result, pilotlight run --timestamps, pilotlight run --quiet",
            "e2e/test_commands.py::test_run",
        ),
        _works("app list", "e2e/test_server.py::test_list_logs_and_stop"),
        _works("app list --json", "e2e/test_cli.py::test_app_deploy_of_2022"),
        _works("app logs", "e2e/test_server.py::test_list_logs_and_stop"),
        _works(
            "app logs --tail, pilotlight app logs --since, pilotlight app logs --timestamps, "
            "pilotlight app logs --until, pilotlight app logs --search, pilotlight app logs --function, "
            "pilotlight app logs --container, pilotlight app logs --source, "
            "pilotlight app logs --show-container-id",
            "e2e/test_cli.py::test_logs",
        ),
        _works("app logs --follow", "e2e/test_server.py::test_list_logs_and_stop"),
        _works("app stop", "e2e/test_server.py::test_list_logs_and_stop"),
        *(
            _works(
                f"app scale{option}",
                "e2e/test_scaling.py::test_the_command_says_what_it_did_and_what_is_missing",
            )
            for option in (
                "",
                " --min-containers",
                " --max-containers",
                " --buffer-containers",
                " --scaledown-window",
            )
        ),
        _works("app stop --yes", "e2e/test_cli.py::test_app_deploy_of_2022"),
        _works(
            "app deploy, pilotlight app deploy --name, pilotlight app run, pilotlight app run "
            "--function-name",
            "e2e/test_cli.py::test_app_deploy_of_2022",
            f"{_IT}/main.rs::old_spellings_mean_the_new_ones",
        ),
        _works(
            "serve FILE::NAME, pilotlight serve FILE:NAME, pilotlight serve -m PACKAGE.MODULE",
            "e2e/test_cli.py::test_a_module_and_a_variable",
        ),
        _works(
            "serve -m, pilotlight deploy -m, pilotlight run -m",
            "e2e/test_cli.py::test_a_module_and_a_variable",
        ),
        _noted(
            "serve --env",
            "warning: `--env dev` has no effect: there is one environment here…",
            "serve nothing.py --env dev",
        ),
        _noted(
            "deploy --env",
            "warning: `--env dev` has no effect: there is one environment here…",
            "deploy nothing.py --env dev",
        ),
        _noted(
            "run --env",
            "warning: `--env dev` has no effect: there is one environment here…",
            "run --env dev nothing.py",
        ),
        _noted(
            "deploy --tag",
            "warning: `--tag` has no effect: versions are numbered…",
            "deploy nothing.py --tag v1",
        ),
        _noted(
            "deploy --strategy",
            "warning: `--strategy recreate` has no effect: the old version goes on until the new one is "
            "ready…",
            "deploy nothing.py --strategy recreate",
        ),
        _noted(
            "run --detach, pilotlight app run --detach",
            "warning: `--detach` has no effect: the app ends with the command; `pilotlight deploy` makes one "
            "that stays…",
            "run --detach nothing.py",
        ),
        _noted(
            "run --interactive",
            "warning: `--interactive` has no effect: containers have no terminal…",
            "run --interactive nothing.py",
        ),
        _options("app list", "app list", "--limit"),
        _options(
            "app logs",
            "app logs x",
            *"--function-call --show-function-id --show-function-call-id".split(),
        ),
        _verbs(
            "shell, app shell",
            "error: there is no `pilotlight …shell`: a shell in a container is not built yet\n"
            "hint: put what you want to try into a web endpoint and `pilotlight serve` it; `pilotlight app "
            "logs` shows what containers print",
        ),
        _verbs(
            "app history, app rollback, app rollover",
            "error: there is no `pilotlight app …`: older versions cannot be brought back yet\n"
            "hint: check out the older program and `pilotlight deploy` it again",
        ),
        _verbs(
            "app info, app stats, container, function",
            "error: there is no `pilotlight …`: it is not built yet\n"
            "hint: `pilotlight app list` shows functions, URLs and containers",
        ),
        _verbs(
            "dashboard, app dashboard",
            "error: there is no `pilotlight …dashboard`: there is no dashboard\n"
            "hint: `pilotlight app list` shows what runs",
        ),
        _verbs(
            "secret",
            "error: there is no `pilotlight secret`: named secrets are not built yet\n"
            "hint: give the values in the program: `modal.Secret.from_dict`, `from_dotenv` or "
            "`from_local_environ`",
        ),
        _verbs(
            "volume, nfs",
            "error: there is no `pilotlight …`: volumes are not built yet, and what containers write is gone "
            "with them\nhint: files to read go along with `Image.add_local_dir` or `modal.Mount`",
        ),
        _verbs(
            "dict, queue",
            "error: there is no `pilotlight …`: objects that outlive an app are not built yet\n"
            "hint: keep the data in a service of your own, reached by its URL",
        ),
        _verbs(
            "token, profile, setup, workspace, billing",
            "error: there is no `pilotlight …`: there is no account, the server is this machine\n"
            "hint: `pilotlight server start` starts it",
        ),
        _verbs(
            "env, environment",
            "error: there is no `pilotlight …`: there is one environment here\n"
            "hint: give apps names of their own with `--name`",
        ),
        _verbs(
            "config",
            "error: there is no `pilotlight config`: settings are environment variables here\n"
            "hint: docs/reference/cli.md lists them; `pilotlight --help` names the exit codes",
        ),
        _works(
            "image, pilotlight image build, pilotlight image build -m, pilotlight image build --python, "
            "pilotlight image build --json",
            "e2e/test_images.py::test_images_are_built_listed_and_removed_without_a_server",
        ),
        _works("image logs", "e2e/test_images.py::test_what_steps_printed_is_kept_also_of_one_that_failed"),
        _verbs(
            "image names, image pull",
            "error: there is no `pilotlight …`: images have no names and are on this machine alone\n"
            "hint: `pilotlight image list` shows them",
        ),
        _verbs(
            "curl",
            "error: there is no `pilotlight curl`: endpoints are open on this machine\n"
            "hint: use `curl` with the URL of `pilotlight app list`",
        ),
        _verbs(
            "endpoint, launch, skills, changelog",
            "error: there is no `pilotlight …`: it is not built\nhint: `pilotlight --help` lists what is",
        ),
    ),
    "command",
)

OWN = Area(
    "Commands and options of pilotlight's own",
    "",
    (
        _works("server", "e2e/test_server.py::test_status_start_and_stop_say_what_is"),
        _works(
            "server start, pilotlight server stop, pilotlight server status",
            "e2e/test_server.py::test_status_start_and_stop_say_what_is",
        ),
        _works("--state-dir", "e2e/test_commands.py::test_another_state_directory_is_another_server"),
        _works("--quiet", "e2e/test_commands.py::test_run"),
        _works("--version", f"{_IT}/main.rs::version"),
        _works("serve --no-reload", "e2e/test_cli.py::test_a_module_and_a_variable"),
        _works("serve --take-over", "e2e/test_urls.py::test_a_session_takes_over_when_it_is_told_to"),
        _works("serve --dev-suffix", "e2e/test_urls.py::test_a_suffix_keeps_sessions_apart"),
        _works("deploy --no-verify", "e2e/test_commands.py::test_deploy"),
        _works(
            "serve --python, pilotlight deploy --python, pilotlight run --python",
            "e2e/test_seed.py::test_served_by_running_the_file",
        ),
        _works(
            "image list, pilotlight image list --json, pilotlight image rm",
            "e2e/test_images.py::test_images_are_built_listed_and_removed_without_a_server",
        ),
        _works(
            "image prune, pilotlight image prune --yes",
            "e2e/test_images.py::test_an_image_is_in_use_for_as_long_as_an_app_may_start_containers",
        ),
        _works(
            "image prune --keep",
            "e2e/test_images.py::test_images_are_built_listed_and_removed_without_a_server",
        ),
        _works("image prune --downloads", "e2e/test_images.py::test_downloads_are_told_of_and_removed_apart"),
        _works("doctor", "e2e/test_doctor.py::test_on_a_machine_that_serves_nothing_is_missing"),
        _works("doctor --json", "e2e/test_doctor.py::test_json_has_the_facts_and_the_findings"),
        _works(
            "serve --isolation, pilotlight run --isolation",
            "e2e/test_process.py::test_it_is_said_loudly_and_is_so",
        ),
        _works(
            "server --isolation, pilotlight server start --isolation, pilotlight deploy --isolation",
            "e2e/test_process.py::test_a_deployment_survives_its_server",
        ),
    ),
    "command",
)
