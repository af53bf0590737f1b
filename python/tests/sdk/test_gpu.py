"""What `gpu=` takes: strings of both eras, lists, and the objects of `modal.gpu`."""

from __future__ import annotations

from typing import Any

import pytest
from modal import gpu
from pilotlight.exception import InvalidError


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, ()),
        (False, ()),
        ("t4", ("T4",)),
        ("A100-80GB", ("A100-80GB",)),
        ("a100-20g", ("A100-20G",)),
        ("any", ("ANY",)),
        ("H100:8", ("H100:8",)),
        ("h100!:2", ("H100!:2",)),
        (["H100", "a100:2"], ("H100", "A100:2")),
        (gpu.T4(), ("T4",)),
        (gpu.A10G(count=2), ("A10G:2",)),
        (gpu.A100(), ("A100",)),
        (gpu.A100(count=2, memory=40), ("A100-40GB:2",)),
        (gpu.A100(memory=20), ("A100-20G",)),
        (gpu.A100(size="80GB"), ("A100-80GB",)),
        ([gpu.Any(), gpu.L40S()], ("ANY", "L40S")),
    ],
)
def test_what_can_be(value: object, names: tuple[str, ...]) -> None:
    assert gpu.parse_gpu("f", value) == gpu.parse_gpu("f", value, "stub") == names


def test_true_is_for_stubs_only() -> None:
    assert gpu.parse_gpu("f", True, "stub") == ("ANY",)
    with pytest.raises(InvalidError, match="takes a string"):
        gpu.parse_gpu("f", True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("H1000", "no GPU 'H1000'; did you mean 'H100'"),
        ("zzzzz", "no GPU 'zzzzz': there are T4"),
        ("", "no GPU ''"),
        ("H100:0", "the count of a GPU"),
        ("H100:9", "the count of a GPU"),
        ("H100:", "the count of a GPU"),
        ("H100:x", "the count of a GPU"),
        (3, "takes a string"),
        (["H100", 3], "takes a string"),
        (gpu.T4, "takes a string"),
    ],
)
def test_what_cannot_be(value: object, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as error:
        gpu.parse_gpu("f", value)
    assert str(error.value).startswith("f: ")


@pytest.mark.parametrize(
    ("cls", "arguments", "said"),
    [
        (gpu.T4, {"count": 0}, "count must be"),
        (gpu.H100, {"count": 9}, "count must be"),
        (gpu.A10G, {"count": True}, "count must be"),
        (gpu.A100, {"memory": 30}, "memory=30"),
        (gpu.A100, {"size": "30GB"}, "size='30GB'"),
    ],
)
def test_objects_check_themselves(cls: Any, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        cls(**arguments)
