"""The web decorators of all eras."""

from __future__ import annotations

from ..table import Area, Row, refused, works

_TODAY = "@app.function()\n"
_ERA = "@stub.function()\n"
_CLOSED = (
    "@modal.NAME: requires_proxy_auth=True is not built yet, and without the check everyone could use the "
    "endpoint: drop it, or keep the endpoint on loopback behind a proxy that checks"
)


def _app(decorator: str, kind: str, test: str) -> tuple[Row, ...]:
    return (
        works(
            f"@modal.{decorator}(label=…)",
            test,
            sees=f"{_TODAY}@modal.{decorator}(label='a-b')",
            expect=f"f['web'] == {{'kind': '{kind}'}} and f['label'] == 'a-b'",
        ),
        _domains(decorator, _TODAY),
        _auth(decorator, _TODAY),
        _waits(f"@modal.{decorator}", _ERA),
    )


def _domains(decorator: str, above: str) -> Row:
    return works(
        f"@modal.{decorator}(custom_domains=…)",
        "e2e/test_urls.py::test_a_custom_domain_is_answered_on_every_port",
        sees=f"{above}@modal.{decorator}(custom_domains=['API.example.com', '*.example.com'])",
        expect="f['custom_domains'] == ['api.example.com', '*.example.com']",
    )


def _auth(decorator: str, above: str, port: str = "") -> Row:
    return refused(
        f"@modal.{decorator}(requires_proxy_auth=…)",
        "InvalidError",
        _CLOSED.replace("NAME", decorator),
        f"{above}@modal.{decorator}({port}requires_proxy_auth=True)",
    )


def _waits(decorator: str, above: str = "") -> Row:
    return works(
        f"{decorator}(wait_for_response=…)",
        "e2e/test_later.py::test_an_answer_that_nobody_waits_for_is_at_the_result_url",
        sees=f"{above}{decorator}(wait_for_response=False)",
        expect="f['wait_for_response'] is False",
    )


def _stub(decorator: str, kind: str, test: str) -> tuple[Row, ...]:
    raw_f = "raw_f" if decorator == "webhook" else f"{decorator}_app"
    return (
        works(
            f"@stub.{decorator}({raw_f}, label=…)",
            test,
            sees=f"@stub.{decorator}(label='a-b')",
            expect=f"f['web']['kind'] == '{kind}' and f['label'] == 'a-b'",
        ),
        _waits(f"@stub.{decorator}"),
        works(
            f"@modal.{decorator}(raw_f, label=…)",
            "e2e/test_seed.py::test_the_seeds_own_wording",
            sees=f"@stub.function\n@modal.{decorator}(label='a-b')",
            expect=f"f['web']['kind'] == '{kind}' and f['label'] == 'a-b'",
        ),
        _waits(f"@modal.{decorator}", "@stub.function\n"),
    )


WEB = Area(
    "Web decorators",
    "",
    (
        works(
            "@stub.webhook(method=…)",
            sees="@stub.webhook(method='post')",
            expect="f['web'] == {'kind': 'endpoint', 'method': 'POST', 'docs': True, 'cors': True}",
        ),
        works(
            "@modal.webhook(method=…)",
            sees="@stub.function\n@modal.webhook(method='PUT')",
            expect="f['web']['method'] == 'PUT'",
        ),
        *_stub("webhook", "endpoint", "e2e/test_seed.py::test_served_by_the_command"),
        *_stub("asgi", "asgi", "runner/test_seed.py::test_fastapi_app"),
        *_stub("wsgi", "wsgi", "runner/test_seed.py::test_flask_app"),
        works(
            "@stub.web_endpoint(method=…, label=…)",
            sees="@stub.function\n@stub.web_endpoint(method='POST', label='a-b')",
            expect="f['web']['method'] == 'POST' and f['label'] == 'a-b'",
        ),
        works(
            "@stub.asgi_app(label=…), @stub.wsgi_app(label=…)",
            sees="@stub.function\n@stub.NAME(label='a-b')",
            expect="f['web'] == {'kind': 'NAME'[:4]} and f['label'] == 'a-b'",
        ),
        *(
            _waits(f"@stub.{decorator}", "@stub.function\n")
            for decorator in ("web_endpoint", "asgi_app", "wsgi_app")
        ),
        works(
            "@modal.web_endpoint(method=…, label=…, docs=…)",
            sees=f"{_ERA}@modal.web_endpoint('POST', label='a-b', docs=False)",
            expect="f['web'] == {'kind': 'endpoint', 'method': 'POST', 'docs': False, 'cors': True} "
            "and f['label'] == 'a-b'",
        ),
        _domains("web_endpoint", _ERA),
        _auth("web_endpoint", _ERA),
        _waits("@modal.web_endpoint", _ERA),
        works(
            "@modal.fastapi_endpoint(method=…, label=…, docs=…)",
            "runner/test_endpoint.py::test_docs_are_served_if_asked_for",
            "e2e/test_seed.py::test_a_program_of_today",
            sees=f"{_TODAY}@modal.fastapi_endpoint(method='post', label='a-b', docs=True)",
            expect="f['web'] == {'kind': 'endpoint', 'method': 'POST', 'docs': True, 'cors': True} "
            "and f['label'] == 'a-b'",
        ),
        _domains("fastapi_endpoint", _TODAY),
        _auth("fastapi_endpoint", _TODAY),
        *_app("asgi_app", "asgi", "runner/test_apps.py::test_asgi"),
        *_app("wsgi_app", "wsgi", "runner/test_apps.py::test_wsgi"),
        works(
            "@modal.web_server(port, startup_timeout=…, label=…, custom_domains=…)",
            "e2e/test_web_server.py::test_a_server_of_the_users_own_is_served",
            "e2e/test_web_server.py::test_a_server_that_does_not_come_is_told",
            sees=f"{_TODAY}@modal.web_server(8000, startup_timeout=9, label='x', "
            "custom_domains=['a.example'])",
            expect="f['web'] == {'kind': 'web_server', 'port': 8000, 'startup_timeout': 9.0} "
            "and f['label'] == 'x' and f['custom_domains'] == ['a.example']",
        ),
        _auth("web_server", _TODAY, "8000, "),
        works(
            "@modal.concurrent(max_inputs=…)",
            "runner/test_endpoint.py::test_as_many_sync_handlers_run_at_once_as_the_function_takes",
            sees=f"{_TODAY}@modal.concurrent(max_inputs=10)\n@modal.fastapi_endpoint()",
            expect="f['max_inputs'] == 10",
        ),
        works(
            "@modal.concurrent(target_inputs=…)",
            "e2e/test_pool.py::test_above_the_target_another_container_takes_the_next_request",
            sees=f"{_TODAY}@modal.concurrent(max_inputs=10, target_inputs=8)\n@modal.fastapi_endpoint()",
            expect="(f['max_inputs'], f['target_inputs']) == (10, 8)",
        ),
    ),
)
