"""Device and precision are what the schedule asks for, or what the machine is fast with."""

import pytest
import torch
from pydantic import ValidationError

from stt_server.errors import BadOption
from training.precision import PLAIN, Numerics, choose_numerics
from training.recipe import Schedule

CUDA = torch.cuda.is_available()


def chosen(**keys: object) -> Numerics:
    return choose_numerics(Schedule.model_validate(keys))


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_precision_that_is_named_is_taken(name: str, dtype: torch.dtype) -> None:
    numerics = chosen(device="cpu", precision=name)
    assert (numerics.device.type, numerics.dtype) == ("cpu", dtype)
    with numerics.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize(("known", "dtype"), [({"avx512_bf16": True}, torch.bfloat16), ({}, torch.float32)])
def test_auto_is_bf16_where_the_processor_has_instructions_for_it(
    known: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, **known}, raising=False)
    assert chosen(device="cpu").dtype == dtype


def test_fp16_on_a_processor_is_refused() -> None:
    with pytest.raises(BadOption, match="fp16 needs a CUDA device; set schedule.precision to auto, bf16 or fp32"):
        chosen(device="cpu", precision="fp16")


@pytest.mark.skipif(CUDA, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_missed() -> None:
    with pytest.raises(BadOption, match="there is no CUDA device; set schedule.device to auto or cpu"):
        chosen(device="cuda")


@pytest.mark.skipif(CUDA, reason="there is a GPU")
def test_without_a_gpu_auto_is_the_processor() -> None:
    assert chosen().device == PLAIN.device


@pytest.mark.parametrize(("bf16", "name"), [(True, "bf16"), (False, "fp32")])
def test_bf16_is_still_read(bf16: bool, name: str) -> None:
    assert Schedule.model_validate({"bf16": bf16}).precision == name


def test_bf16_beside_precision_is_refused() -> None:
    with pytest.raises(ValidationError, match="keep `precision` alone"):
        Schedule.model_validate({"bf16": True, "precision": "fp32"})
