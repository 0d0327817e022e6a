"""Checkpoints as people have them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from scaling.loading.checkpoints import read_state, refuse_not_finite

STATE = {"a.weight": torch.arange(4.0), "a.bias": torch.ones(1)}
OTHER = {name: value + 1 for name, value in STATE.items()}


def renamed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE},
        {"ema": STATE, "model": OTHER, "args": Namespace(lr=1.0, out=Path("x"))},
        {"model": {"state_dict": STATE}},
        renamed("module."),
        renamed("_orig_mod."),
        {"ema": renamed("module._orig_mod.")},
        renamed("_orig_mod.module."),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_weights_are_found(tmp_path: Path, content: Any, zipped: bool) -> None:
    file = tmp_path / "weights.pt"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    found = read_state(file)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], value) for name, value in STATE.items())


class Own:
    """What a training script pickles without a thought."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><title>404</title>", "is a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        (b"PK\x03\x04 and no more", "cut or damaged"),
        (b"anything else", "weights.pt"),
        ([torch.ones(1)], "holds a list"),
        ({"epoch": 3}, "holds no tensors; it has epoch"),
        ({"model": STATE, "args": Own()}, "could run code"),
    ],
)
def test_what_is_no_checkpoint_is_said_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    file = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(ValueError, match=message) as error:
        read_state(file)
    assert "weights.pt" in str(error.value)
    assert "\n" not in str(error.value)
    assert "weights_only=False" not in str(error.value)


def test_a_cut_file_and_an_empty_safetensors_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save(STATE, file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"weights\.pt: it is cut or damaged"):
        read_state(file)
    other = tmp_path / "weights.safetensors"
    other.write_bytes(b"")
    with pytest.raises(ValueError, match=r"weights\.safetensors is empty"):
        read_state(other)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    refuse_not_finite(STATE, tmp_path)
    with pytest.raises(ValueError, match=r"a\.bias holds values that are not finite"):
        refuse_not_finite(STATE | {"a.bias": torch.tensor([torch.nan])}, tmp_path / "nan.pt")
