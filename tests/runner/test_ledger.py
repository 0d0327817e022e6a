"""What was paid is known, whatever was killed: cost.json and status say what was really computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from studies import mixture, study

import scaling
from scaling.budget import Budget
from scaling.protocols import Search
from scaling.runner.ledger import ledger_path, read_ledger
from scaling.search.random import Random
from scaling.search.zero_order import ZeroOrder
from scaling.tools.status import statuses

STEPS = 4


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


class Counted:
    """The mixture, and the rows that it was really asked for; dies within a batch of `STEPS` calls."""

    def __init__(self) -> None:
        self._inner, self.rows, self.calls, self.left = mixture(), 0, 0, -1

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def __call__(self, x: torch.Tensor, *rest: object) -> object:
        self.calls += 1
        self.rows += len(x)
        self.left -= self.calls % STEPS == 0
        if self.left == 0:
            self.left = -1
            raise Crash
        return self._inner(x, *rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["conditions", "budget"])
@pytest.mark.parametrize("search", [Random(), ZeroOrder()], ids=lambda s: type(s).__name__)
def test_five_kills_later_the_cost_holds_the_batches_that_were_cut_short(
    tmp_path: Path, search: Search, order: str
) -> None:
    denoiser = Counted()
    run = study(
        tmp_path,
        denoiser=denoiser,
        names={"model": "gaussianmixture"},
        search=search,
        order=order,
        budget=Budget(nfes_per_iter=STEPS, candidates=[1, 2, 4, 8]),
    )
    (tmp_path / "study" / "run").mkdir(parents=True)
    (tmp_path / "study" / "run" / "config.yaml").touch()
    for moment in (1, 2, 3, 2, 2):
        denoiser.left = moment
        with pytest.raises(Crash):
            scaling.run(run)
        (status,) = statuses(tmp_path / "study", look=0)
        assert (status.nfe > 0) == (denoiser.rows > 0)
    folder = scaling.run(run)
    paid = json.loads((folder / "cost.json").read_text())["paid"]
    assert paid["forwards"] == denoiser.rows
    (status,) = statuses(tmp_path / "study", look=0)
    assert status.nfe == paid["nfe"]
    assert not list((folder / "blocks").glob("*.paid"))


def test_a_ledger_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    part = tmp_path / "00000.npz"
    assert read_ledger(part) is None
    for damage in (b"", b"[1]", b"\x00" * 512, b'{"nfe": 3'):
        ledger_path(part).write_bytes(damage)
        assert read_ledger(part) is None
