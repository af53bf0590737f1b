"""Keywords of the function decorators: `Stub`'s of 2022 to 2025, and `App`'s of today."""

from __future__ import annotations

from ..table import Area, notice, refused, works

NO_EFFECT = "f: NAME= is accepted but not built yet, and has no effect"

STUB = Area(
    "Keywords under Stub",
    "`@stub.webhook`, `@stub.asgi`, `@stub.wsgi` and `@stub.generator` take all of them too.",
    (
        works(
            "@stub.function(image=…)",
            sees="@stub.function(image=modal.Image.debian_slim('3.11'))",
            expect="image['base']['python_version'] == '3.11'",
        ),
        works(
            "@stub.function(secret=…)",
            sees="@stub.function(secret=modal.Secret({'A': '1'}), secrets=[modal.Secret({'A': '2'})])",
            expect="f['env'] == {'A': '2'}",
        ),
        works(
            "@stub.function(secrets=…)",
            sees="@stub.function(secrets=[modal.Secret({'A': '1'})])",
            expect="f['env'] == {'A': '1'}",
        ),
        works(
            "@stub.function(mounts=…)",
            sees="@stub.function(mounts=[modal.Mount('/data', local_file='program.py')])",
            expect="'/data/program.py' in [file['remote'] for file in m['files']]",
        ),
        works("@stub.function(cpu=…)", sees="@stub.function(cpu=0.5)", expect="f['cpu'] == 0.5"),
        works("@stub.function(memory=…)", sees="@stub.function(memory=512)", expect="f['memory'] == 512"),
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
        works("@stub.function(timeout=…)", sees="@stub.function(timeout=9)", expect="f['timeout'] == 9"),
        works(
            "@stub.function(keep_warm=…)",
            sees="@stub.function(keep_warm=True)",
            expect="f['min_containers'] == 2",
        ),
        works("@stub.function(name=…)", sees="@stub.function(name='other')", expect="f['name'] == 'other'"),
        works(
            "@stub.function(allow_concurrent_inputs=…)",
            sees="@stub.function(allow_concurrent_inputs=3)",
            expect="f['max_inputs'] == 3",
        ),
        works(
            "@stub.function(min_containers=…, max_containers=…)",
            sees="@stub.function(min_containers=1, max_containers=2)",
            expect="(f['min_containers'], f['max_containers']) == (1, 2)",
        ),
        works(
            "@stub.function(scaledown_window=…)",
            sees="@stub.function(scaledown_window=7)",
            expect="f['scaledown_window'] == 7",
        ),
        works(
            "@stub.function(startup_timeout=…)",
            sees="@stub.function(startup_timeout=7)",
            expect="f['startup_timeout'] == 7",
        ),
    ),
)

APP = Area(
    "Keywords under App",
    "",
    (
        works(
            "@app.function(image=…)",
            sees="@app.function(image=modal.Image.debian_slim('3.11'))",
            expect="image['base']['python_version'] == '3.11'",
        ),
        works(
            "@app.function(env=…)",
            sees="@app.function(env={'A': 'x', 'B': None}, secrets=[modal.Secret.from_dict({'A': 'y'})])",
            expect="f['env'] == {'A': 'x'}",
        ),
        notice(
            "@app.function(region=…)",
            "f: region= is accepted but not built yet, and has no effect",
            "@app.function(region='us')",
        ),
        refused(
            "@app.function(keep_warm=…)",
            "DeprecationError",
            "@app.function: keep_warm= is now min_containers=",
            "@app.function(keep_warm=1)",
        ),
    ),
)
