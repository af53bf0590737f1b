"""Keywords of the function decorators: `Stub`'s of 2022 to 2025, and `App`'s of today."""

from __future__ import annotations

from ..table import Area, Row, notice, refused, works

_NO_EFFECT = "f: NAME= is accepted but not built yet, and has no effect"


def _common(prefix: str) -> tuple[Row, ...]:
    """Rows of the keywords that both eras have, with the same meaning."""
    return (
        works(
            f"{prefix}(image=…)",
            "e2e/test_container.py::test_an_image_has_its_packages_and_variables",
            sees=f"{prefix}(image=modal.Image.debian_slim('3.11'))",
            expect="image['base']['python_version'] == '3.11'",
        ),
        works(
            f"{prefix}(secrets=…)",
            "e2e/test_secrets.py::test_a_served_secret_is_in_the_container_alone",
            sees=f"{prefix}(secrets=[modal.Secret({{'A': '1', 'B': '1'}}), modal.Secret({{'B': '2'}})])",
            expect="f['env'] == {'A': '1', 'B': '2'}",
        ),
        works(
            f"{prefix}(cpu=…)",
            "crates/sandbox/tests/it/limits.rs::half_a_processor_is_half_a_processor",
            sees=f"{prefix}(cpu=(0.5, 2))",
            expect="f['cpu'] == 2",
        ),
        works(
            f"{prefix}(memory=…)",
            "crates/sandbox/tests/it/limits.rs::too_much_memory_is_an_out_of_memory_kill",
            sees=f"{prefix}(memory=512)",
            expect="f['memory'] == 512",
        ),
        works(
            f"{prefix}(ephemeral_disk=…)",
            "crates/sandbox/tests/it/limits.rs::"
            "a_disk_of_its_own_is_full_for_its_owner_alone_and_gone_with_it",
            sees=f"{prefix}(ephemeral_disk=1024)",
            expect="f['ephemeral_disk'] == 1024",
        ),
        works(
            f"{prefix}(timeout=…)",
            ""
            "crates/gateway/tests/it/errors.rs::a_silent_function_is_504_after_its_timeout_and_not_used_again",
            sees=f"{prefix}(timeout=9)",
            expect="f['timeout'] == 9",
        ),
        works(
            f"{prefix}(total_timeout=…)",
            "crates/gateway/tests/it/errors.rs::"
            "a_request_that_takes_too_long_in_all_is_504_and_its_container_is_not_used_again",
            "e2e/test_limits.py::test_a_total_ends_what_never_falls_silent",
            sees=f"{prefix}(total_timeout=9)",
            expect="f['total_timeout'] == 9",
        ),
        works(
            f"{prefix}(startup_timeout=…)",
            "e2e/test_pool.py::test_a_start_that_takes_too_long_is_told_in_the_log",
            sees=f"{prefix}(startup_timeout=7)",
            expect="f['startup_timeout'] == 7",
        ),
        works(
            f"{prefix}(min_containers=…)",
            "e2e/test_pool.py::test_keep_warm_keeps_that_many",
            sees=f"{prefix}(min_containers=2)",
            expect="f['min_containers'] == 2",
        ),
        works(
            f"{prefix}(max_containers=…)",
            "e2e/test_pool.py::test_concurrent_requests_start_more_containers_up_to_the_limit",
            sees=f"{prefix}(max_containers=2)",
            expect="f['max_containers'] == 2",
        ),
        works(
            f"{prefix}(buffer_containers=…)",
            "e2e/test_pool.py::test_spare_containers_are_there_while_a_request_is_at_work",
            sees=f"{prefix}(buffer_containers=2)",
            expect="f['buffer_containers'] == 2",
        ),
        works(
            f"{prefix}(max_inputs=…)",
            "e2e/test_pool.py::test_a_container_for_a_single_use_is_gone_after_it",
            sees=f"{prefix}(max_inputs=1)",
            expect="f['single_use'] is True",
        ),
        works(
            f"{prefix}(scaledown_window=…)",
            "e2e/test_pool.py::test_the_first_request_starts_a_container_and_idling_ends_it",
            sees=f"{prefix}(scaledown_window=7)",
            expect="f['scaledown_window'] == 7",
        ),
        works(f"{prefix}(name=…)", sees=f"{prefix}(name='other')", expect="f['name'] == 'other'"),
        works(
            f"{prefix}(is_generator=…)",
            does=f"{prefix}(is_generator=True)\ndef g():\n    yield 1\nassert g.is_generator",
        ),
        works(
            f"{prefix}(block_network=…)",
            "e2e/test_classes.py::test_a_blocked_network_reaches_nothing",
            sees=f"{prefix}(block_network=True)",
            expect="f['block_network'] is True",
        ),
        works(
            f"{prefix}(enable_memory_snapshot=…)",
            "e2e/test_snapshots.py::test_snap_hooks_run_once_for_all_containers",
            "e2e/test_snapshots.py::test_no_snapshot_imports_in_each_container",
            sees=f"{prefix}(enable_memory_snapshot=True)",
            expect="f['snapshot'] is True",
        ),
        works(
            f"{prefix}(include_source=…)",
            "e2e/test_classes.py::test_only_the_source_that_was_added_is_there",
            sees=f"{prefix}(include_source=True)",
            expect="'/root/program.py' in [file['remote'] for file in m['files']]",
        ),
        works(
            f"{prefix}(rate_limit=…)",
            "e2e/test_pool.py::test_an_endpoint_that_is_asked_too_often_answers_429",
            sees=f"{prefix}(rate_limit=modal.RateLimit(per_second=5))",
            expect="f['rate_limit'] == {'requests': 5, 'seconds': 1}",
        ),
        *(
            notice(
                f"{prefix}({keyword}=…)", _NO_EFFECT.replace("NAME", keyword), f"{prefix}({keyword}={value})"
            )
            for keyword, value in _LATER.items()
        ),
    )


_LATER = {
    "gpu": "'T4'",
    "network_file_systems": "{'/data': modal.NetworkFileSystem.from_name('n')}",
    "volumes": "{'/data': modal.Volume.from_name('v')}",
    "proxy": "modal.Proxy.from_name('p')",
    "cloud": "'gcp'",
    "region": "'eu'",
    "i6pn": "True",
}
_LATER_STUB = {
    "retries": "3",
    "shared_volumes": "{'/data': modal.SharedVolume()}",
    "interactive": "True",
    "_allow_background_volume_commits": "True",
    "_experimental_boost": "True",
    "_experimental_scheduler": "True",
    "_experimental_scheduler_placement": "'x'",
    "_experimental_gpus": "['T4']",
    "_experimental_proxy_ip": "'x'",
    "_experimental_custom_scaling_factor": "0.5",
}
_LATER_APP = {
    "routing_region": "'eu'",
    "restrict_modal_access": "True",
    "experimental_options": "{'x': 'y'}",
    "_experimental_restrict_output": "True",
}
_INSTEAD = {
    "secret": "write secrets=[…]",
    "mounts": "write image.add_local_dir(…), add_local_file(…) or add_local_python_source(…)",
    "shared_volumes": "write volumes={…}",
    "interactive": "use `pilotlight run`",
    "checkpointing_enabled": "write enable_memory_snapshot=True",
}

STUB = Area(
    "Keywords under Stub",
    "`@stub.webhook`, `@stub.asgi`, `@stub.wsgi`, `@stub.generator` and `@stub.cls` take them as well.",
    (
        *_common("@stub.function"),
        works(
            "@stub.function(secret=…)",
            sees="@stub.function(secret=modal.Secret({'A': '1'}), secrets=[modal.Secret({'A': '2'})])",
            expect="f['env'] == {'A': '2'}",
        ),
        works(
            "@stub.function(mounts=…)",
            "e2e/test_files.py::test_mounts_and_settings_of_2022",
            sees="@stub.function(mounts=[modal.Mount('/data', local_file='program.py')])",
            expect="'/data/program.py' in [file['remote'] for file in m['files']]",
        ),
        works(
            "@stub.function(concurrency_limit=…)",
            sees="@stub.function(concurrency_limit=5)",
            expect="f['max_containers'] == 5",
        ),
        works(
            "@stub.function(container_idle_timeout=…)",
            sees="@stub.function(container_idle_timeout=7)",
            expect="f['scaledown_window'] == 7",
        ),
        works(
            "@stub.function(_experimental_buffer_containers=…)",
            sees="@stub.function(_experimental_buffer_containers=2)",
            expect="f['buffer_containers'] == 2",
        ),
        works(
            "@stub.function(checkpointing_enabled=…)",
            "e2e/test_snapshots.py::test_a_class_of_2023_is_made_before_the_fork_and_entered_after_it",
            sees="@stub.function(checkpointing_enabled=True)",
            expect="f['snapshot'] is True",
        ),
        works(
            "@stub.function(keep_warm=…)",
            sees="@stub.function(keep_warm=True)",
            expect="f['min_containers'] == 2",
        ),
        works(
            "@stub.function(allow_concurrent_inputs=…)",
            "e2e/test_pool.py::test_several_inputs_share_a_container_when_allowed",
            sees="@stub.function(allow_concurrent_inputs=3)",
            expect="f['max_inputs'] == 3",
        ),
        works(
            "@stub.function(serialized=…)",
            "sdk/test_decorators.py::test_serialized_functions_are_sent_by_value_without_what_they_ask_for",
            "e2e/test_classes.py::test_a_serialized_function_needs_no_import",
        ),
        works(
            "@stub.function(allow_cross_region_volumes=…)",
            sees="@stub.function(allow_cross_region_volumes=True)",
            expect="f['name'] == 'f'",
        ),
        notice(
            "@stub.function(schedule=…)",
            _NO_EFFECT.replace("NAME", "schedule"),
            "@stub.function(schedule=modal.Period(days=1))\ndef f(): ...",
        ),
        *(
            notice(
                f"@stub.function({keyword}=…)",
                _NO_EFFECT.replace("NAME", keyword),
                f"@stub.function({keyword}={value})",
            )
            for keyword, value in _LATER_STUB.items()
        ),
    ),
)

APP = Area(
    "Keywords under App",
    "`@app.cls` takes them as well, but for `schedule`, `name` and `is_generator`.",
    (
        *_common("@app.function"),
        works(
            "@app.function(env=…)",
            sees="@app.function(env={'A': 'x', 'B': None}, secrets=[modal.Secret.from_dict({'A': 'y'})])",
            expect="f['env'] == {'A': 'x'}",
        ),
        works(
            "@app.function(serialized=…)",
            "sdk/test_decorators.py::test_serialized_functions_are_sent_by_value_without_what_they_ask_for",
            "e2e/test_classes.py::test_a_serialized_function_needs_no_import",
        ),
        works(
            "@app.function(single_use_containers=…)",
            "e2e/test_pool.py::test_a_container_for_a_single_use_is_gone_after_it",
            sees="@app.function(single_use_containers=True)",
            expect="f['single_use'] is True",
        ),
        works(
            "@app.function(nonpreemptible=…)",
            sees="@app.function(nonpreemptible=True)",
            expect="f['name'] == 'f'",
        ),
        notice(
            "@app.function(schedule=…)",
            _NO_EFFECT.replace("NAME", "schedule"),
            "@app.function(schedule=modal.Period(days=1))\ndef f(): ...",
        ),
        refused(
            "@app.function(retries=…)",
            "InvalidError",
            "f: retries= is not for web endpoints, whose clients try again: drop it",
            "@app.function(retries=3)",
        ),
        *(
            notice(
                f"@app.function({keyword}=…)",
                _NO_EFFECT.replace("NAME", keyword),
                f"@app.function({keyword}={value})",
            )
            for keyword, value in _LATER_APP.items()
        ),
        *(
            refused(
                f"@app.function({keyword}=…)",
                "DeprecationError",
                f"@app.function: {keyword}= is now {today}",
                f"@app.function({keyword}=1)",
            )
            for keyword, today in {
                "keep_warm": "min_containers=",
                "concurrency_limit": "max_containers=",
                "container_idle_timeout": "scaledown_window=",
                "allow_concurrent_inputs": "the @modal.concurrent(max_inputs=…) decorator",
            }.items()
        ),
        *(
            refused(
                f"@app.function({keyword}=…)",
                "TypeError",
                f"@app.function got an unexpected keyword argument '{keyword}'; {instead} instead",
                f"@app.function({keyword}=1)",
            )
            for keyword, instead in _INSTEAD.items()
        ),
    ),
)
