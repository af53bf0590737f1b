"""Environment variables."""

from __future__ import annotations

from ..table import Area, works

#: Settings of the hosted service and its client: there is nothing here that they could set.
UNREAD = (
    "TOKEN_ID TOKEN_SECRET SERVER_URL LOGLEVEL LOGS_TIMEOUT IMAGE_BUILDER_VERSION "
    "LOG_FORMAT LOG_PATTERN TRACEBACK MAX_THROTTLE_WAIT IGNORE_CACHE BUILD_VALIDATION "
    "PAYLOAD_FORMAT "
    "DISABLE_API_PROXY SANDBOX_V2 SANDBOX_CHANNEL_IDLE_TIMEOUT VOLUME_BLOCK_READ_TIMEOUT DEFAULT_CLOUD "
    "ASYNC_WARNINGS "
    "HEARTBEAT_INTERVAL TASK_SECRET REGION CLOUD_PROVIDER IDENTITY_TOKEN"
)

SETTINGS = Area(
    "Environment variables",
    "`PILOTLIGHT_` in place of `MODAL_` goes first. Told by `modal.config.config` at most, since nothing "
    "here answers to them: " + ", ".join(f"`MODAL_{name}`" for name in UNREAD.split()) + ".",
    (
        works("MODAL_SERVE_TIMEOUT", "sdk/test_launch.py::test_serve_with_a_timeout"),
        works("MODAL_AUTOMOUNT", "sdk/test_discover.py::test_without_automount_only_the_program_travels"),
        works("MODAL_IMAGE_PYTHON_VERSION", "sdk/test_image.py::test_python_version_of_the_environment"),
        works("MODAL_FORCE_BUILD", "sdk/test_image.py::test_a_forced_build_begins_with_its_step"),
        works("MODAL_CONFIG_PATH", "sdk/test_config.py::test_another_file_and_none"),
        works(
            "MODAL_PROFILE, MODAL_ENV",
            "sdk/test_config.py::test_the_active_profile_unless_another_is_named",
        ),
        works("MODAL_DEV_SUFFIX", "e2e/test_urls.py::test_a_suffix_keeps_sessions_apart"),
        works(
            "MODAL_IS_REMOTE, MODAL_TASK_ID, MODAL_IMAGE_ID, MODAL_ENVIRONMENT",
            "e2e/test_classes.py::test_the_container_is_told_what_it_is",
        ),
    ),
    "variable",
)
