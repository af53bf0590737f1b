"""What is declared and checked, and told in a notice: storage, coordination, schedules, GPUs."""

from __future__ import annotations

from ..table import Area, Row, notice, refused, works

_LATER = " is not built yet in this version of pilotlight"
_DECLARED = " is accepted but not built yet: using it raises modal.exception.NotBuiltError"
_NONE = (
    "there is no {kind} {how} 'x': this version of pilotlight does not have such objects yet, so that "
    "none can "
    "be deployed"
)
_FUNCTION = "@app.function()\n"


def _declared(name: str, shown: str, call: str) -> Row:
    return notice(name, shown + _DECLARED, f"x = {call}\n{_FUNCTION}")


def _references(kind: str) -> tuple[Row, ...]:
    """The ways to refer to an object that is kept."""
    missing = _NONE.format(kind=kind, how="named")
    more = ", version=…, create_options=…" if kind == "Volume" else ""
    return (
        _declared(
            f"{kind}.from_name(name, tag=…, app_name=…, create_if_missing=…{more})",
            f"{kind}.from_name('x')",
            f"modal.{kind}.from_name('x', create_if_missing=True)",
        ),
        _declared(f"{kind}.persisted(label)", f"{kind}.persisted('x')", f"modal.{kind}.persisted('x')"),
        refused(f"{kind}.lookup", "NotFoundError", missing, f"modal.{kind}.lookup('x')"),
        refused(f"{kind}.from_app", "NotFoundError", missing, f"modal.{kind}.from_app('x')"),
        refused(
            f"{kind}.from_id",
            "NotFoundError",
            _NONE.format(kind=kind, how="with the id"),
            f"modal.{kind}.from_id('x')",
        ),
    )


def _new(kind: str, parameters: str = "", persists: bool = True) -> tuple[Row, ...]:
    """The ways to declare a new object, as in 2022 and 2023."""
    rows = [
        _declared(f"modal.{kind}{parameters}", f"{kind}()", f"modal.{kind}()"),
        _declared(f"{kind}.new", f"{kind}()", f"modal.{kind}.new()"),
    ]
    if persists:
        rows.append(
            _declared(f"{kind}.persist(label)", f"{kind}.persist('x')", f"modal.{kind}().persist('x')")
        )
    return tuple(rows)


def _used(kind: str, *calls: str) -> Row:
    """What a declared object refuses when it is used."""
    members = [call.partition("(")[0] for call in calls]
    lines = "\n".join(
        f"try:\n    x.{call}\nexcept NotBuiltError as error:\n"
        f"    assert str(error) == '{kind}.{member}{_LATER}', error\nelse:\n    raise "
        f"AssertionError('{member}')"
        for call, member in zip(calls, members)
    )
    names = ", ".join(f"{kind}.{member}" for member in members)
    ending = f"x.{calls[-1]}"
    return refused(
        names,
        "NotBuiltError",
        f"{kind}.…{_LATER}",
        f"x = modal.{kind}.from_name('x')\n{lines}\n{ending}",
        how="script",
    )


def _static(kind: str, call: str) -> Row:
    member = call.partition("(")[0]
    return refused(f"{kind}.{member}", "NotBuiltError", f"{kind}.{member}{_LATER}", f"modal.{kind}.{call}")


def _objects(kind: str) -> Row:
    return refused(
        f"{kind}.objects", "NotBuiltError", f"{kind}.objects.list{_LATER}", f"modal.{kind}.objects.list()"
    )


def _asked(name: str, keyword: str, value: str, body: str = "") -> Row:
    """A value of a keyword that has no effect yet."""
    words = f"f: {keyword}= is accepted but not built yet, and has no effect"
    return notice(name, words, f"@stub.function({keyword}={value})\n{body}".rstrip("\n"))


OBJECTS = Area(
    "Storage and coordination",
    "Declaring one is accepted, so that endpoints are served; using one is refused.",
    (
        *_references("Object"),
        *_new("Object"),
        *_references("Dict"),
        *_new("Dict", "(data=…)"),
        _used(
            "Dict",
            *"get('k') contains('k') len() update(a=1) put('k',1) pop('k') keys() values() items() "
            "clear()".split(),
            "info()",
        ),
        _static("Dict", "ephemeral()"),
        _objects("Dict"),
        *_references("Queue"),
        *_new("Queue"),
        _used("Queue", *"get() get_many(1) put(1) put_many([1]) len() iterate() clear()".split()),
        _static("Queue", "ephemeral()"),
        _objects("Queue"),
        *_references("Volume"),
        *_new("Volume"),
        _used(
            "Volume",
            *"commit() reload() iterdir('/') listdir('/') read_file('a') "
            "read_file_into_fileobj('a',None)".split(),
            *"remove_file('a') copy_files(['a'],'b') batch_upload() info()".split(),
        ),
        _static("Volume", "ephemeral()"),
        _static("Volume", "rename('a', 'b')"),
        _objects("Volume"),
        _declared(
            "Volume.read_only, Volume.with_mount_options(read_only=…, sub_path=…)",
            "Volume.from_name('x')…",
            "modal.Volume.from_name('x').read_only()",
        ),
        *_references("SharedVolume"),
        *_new("SharedVolume", "(cloud_provider=…)"),
        _used(
            "SharedVolume",
            *"write_file('a',None) read_file('a') listdir('/') iterdir('/') remove_file('a')".split(),
            *"add_local_file('a') add_local_dir('a')".split(),
        ),
        *_references("NetworkFileSystem"),
        *_new("NetworkFileSystem", "(cloud_provider=…)"),
        _objects("NetworkFileSystem"),
        _static("NetworkFileSystem", "ephemeral()"),
        *_references("Proxy"),
        _declared(
            "modal.CloudBucketMount(bucket_name, bucket_endpoint_url, key_prefix, secret, "
            "oidc_auth_role_arn, read_only, requester_pays, force_path_style)",
            "CloudBucketMount('b')",
            "modal.CloudBucketMount('b')",
        ),
        _declared("modal.S3Mount", "CloudBucketMount('b')", "modal.S3Mount('b')"),
    ),
)

ASKED = Area(
    "Schedules, retries, limits, GPUs",
    "Their values are checked; functions are served without them.",
    (
        _asked(
            "modal.Cron(cron_string, timezone)",
            "schedule",
            "modal.Cron('0 9 * * mon', 'UTC')",
            "def f(): ...",
        ),
        _asked(
            "modal.Period(years, months, weeks, days, hours, minutes, seconds)",
            "schedule",
            "modal.Period(1, 1, 1, 1, 1, 1, 1.5)",
            "def f(): ...",
        ),
        _asked(
            "modal.Retries(max_retries=…, backoff_coefficient=…, initial_delay=…, max_delay=…)",
            "retries",
            "modal.Retries(max_retries=1, backoff_coefficient=2.0, initial_delay=1.0, max_delay=60.0)",
        ),
        works(
            "modal.RateLimit(per_second=…, per_minute=…)",
            sees="@stub.webhook(rate_limit=modal.RateLimit(per_minute=90))",
            expect="f['rate_limit'] == {'requests': 90, 'seconds': 60}",
        ),
        *(
            _asked(f"modal.gpu.{name}(count=…)", "gpu", f"modal.gpu.{name}(count=2)")
            for name in ("T4", "L4", "L40S", "A10G", "A100", "H100", "Any")
        ),
        _asked("modal.gpu.A100(memory=…, size=…)", "gpu", "modal.gpu.A100(memory=40)"),
    ),
)
