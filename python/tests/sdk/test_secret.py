"""`Secret`: variables from a dict, the environment and `.env` files; nothing of them is shown."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import modal
import pytest
from pilotlight.exception import InvalidError, NotBuiltError, NotFoundError

ENV_FILE = r"""
# A comment.
PLAIN=value
 export EXPORTED = spaced out   # comment
HASH=a#b
EMPTY=
NO_VALUE
SINGLE='it\'s $HOME \n' # comment
DOUBLE="line\n\"two\" \\ \t."
LINES="first
second"
'QUOTED NAME'=x
EQUALS=a=b==
FROM_FILE=${PLAIN}-${MISSING:-otherwise}-${FROM_MACHINE}-${NOTHING}
PLAIN=later
DOLLAR=pa$$word
UNICODE=grün
"""


def test_dotenv_files_read_as_python_dotenv_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_MACHINE", "machine")
    (tmp_path / ".env").write_text(ENV_FILE, encoding="utf-8")
    assert modal.Secret.from_dotenv(tmp_path)._variables() == {
        "PLAIN": "later",
        "EXPORTED": "spaced out",
        "HASH": "a#b",
        "EMPTY": "",
        "SINGLE": "it's $HOME \\n",
        "DOUBLE": 'line\n"two" \\ \t.',
        "LINES": "first\nsecond",
        "QUOTED NAME": "x",
        "EQUALS": "a=b==",
        "FROM_FILE": "value-otherwise-machine-",
        "DOLLAR": "pa$$word",
        "UNICODE": "grün",
    }


@pytest.mark.parametrize("text", ["A=1\r\nB='2'\r\n", 'A=1\nB="2"', "\n\n A = 1 \n\tB=2\n# end"])
def test_dotenv_lines_end_as_they_may(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_bytes(text.encode())
    assert modal.Secret.from_dotenv(tmp_path)._variables() == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    "text", ["A=1\nB='never closed\n", 'A=1\nB="x" y\n', "A=1\n=x\n", "A=1\nsome words\n"]
)
def test_dotenv_errors_name_the_line_and_hide_it(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_text(text)
    with pytest.raises(InvalidError, match=r"/\.env:2: this line is not NAME=value") as error:
        modal.Secret.from_dotenv(tmp_path)
    assert not any(word in str(error.value) for word in ("never", '"x"', "words"))


def test_dotenv_is_searched_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    program = below / "program.py"
    program.write_text("X = 1\n")
    (tmp_path / ".env").write_text("A=top\n")
    (tmp_path / "a" / ".env.local").write_text("A=local\n")
    (tmp_path / "a" / "prod.env").write_text("A=prod\n")
    monkeypatch.chdir(below)
    found: list[tuple[tuple[Any, ...], dict[str, str], str]] = [
        ((), {}, "top"),
        ((str(program),), {}, "top"),
        ((below,), {"filename": ".env.local"}, "local"),
        ((), {"filename": "prod.env"}, "prod"),
        (("../prod.env",), {}, "prod"),
        ((tmp_path / "a" / ".env.local",), {}, "local"),
    ]
    for arguments, options, value in found:
        assert modal.Secret.from_dotenv(*arguments, **options)._variables() == {"A": value}
    with pytest.raises(NotFoundError, match=r"b/none\.env, nor one in a folder above it"):
        modal.Secret.from_dotenv(filename="none.env")


def test_local_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "1")
    assert modal.Secret.from_local_environ(["A"])._variables() == {"A": "1"}
    with pytest.raises(InvalidError, match="not set here: B, C"):
        modal.Secret.from_local_environ(["A", "B", "C"])
    with pytest.raises(InvalidError, match=r"takes a list of names: \['A'\]"):
        modal.Secret.from_local_environ("A")


def test_containers_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    assert modal.Secret.from_local_environ(["NOT_SET"])._variables() == {}
    assert modal.Secret.from_dotenv("/nowhere")._variables() == {}


def test_dicts_take_strings_and_none() -> None:
    assert modal.Secret()._variables() == modal.Secret.from_dict()._variables() == {}
    assert modal.Secret({"A": "b", "C": None}, "aws")._variables() == {"A": "b"}
    assert modal.Secret.from_dict({"A": "x" * 32_768})._variables() == {"A": "x" * 32_768}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"A": 1}, "the value of A is a int"),
        ({"A": ["hunter2"]}, "the value of A is a list"),
        ({"A": "hunter2" * 5000}, "the value of A has 35000 characters; the most is 32768"),
        ({"A" * 16_385: "hunter2"}, "has 16385 characters; the most is 16384"),
        ({"A": "hunter2\0"}, "zero byte"),
        ({"A=B": "hunter2"}, "'A=B' is not a name"),
        ({1: "hunter2"}, "1 is not a name"),
        ({"": "hunter2"}, "'' is not a name"),
        (["hunter2"], "takes a dict of strings, not a list"),
    ],
)
def test_what_cannot_be_is_refused_without_its_value(given: Any, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as error:
        modal.Secret.from_dict(given)
    assert "hunter2" not in str(error.value)


def test_values_are_neither_shown_nor_pickled() -> None:
    secret = modal.Secret({"PASSWORD": "hunter2"})
    assert repr(secret) == "Secret(PASSWORD)"
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert b"hunter2" not in pickle.dumps(secret)
    assert pickle.loads(pickle.dumps(secret))._variables() == {}


def test_named_secrets_are_declared_only() -> None:
    for secret in (
        modal.Secret.from_name("s"),
        modal.Secret.from_name(app_name="s"),
        modal.Secret.from_name("s", environment_name="main", required_keys=["A"]),
    ):
        assert repr(secret) == "Secret(Secret.from_name('s'))"
        with pytest.raises(NotBuiltError):
            secret._variables()
    assert "its variables are not set" in str(modal.Secret.from_name("s", "tag")._variables_or_notice())
    with pytest.raises(
        NotBuiltError, match=r"which must have A, is not built yet .*from_local_environ\(\['A'\]\)"
    ):
        modal.Secret.from_name("s", required_keys=["A"])._variables_or_notice()
    for bad in ("a b", "", 3):
        with pytest.raises(InvalidError, match="cannot be the name of a secret"):
            modal.Secret.from_name(bad)
    with pytest.raises(NotFoundError, match="no secret 's'"):
        modal.Secret.lookup("s")
    for use in (lambda: modal.Secret().update({}), lambda: modal.Secret().info(), modal.Secret.objects.list):
        with pytest.raises(NotBuiltError, match=r"^Secret\."):
            use()
