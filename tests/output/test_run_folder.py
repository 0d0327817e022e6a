"""Where a run's folder lies among all outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaling.output.run_folder import outputs_of


@pytest.mark.parametrize("name", ["study", "paper/tab01", "a/b/c"])
def test_outputs_are_above_all_parts_of_a_studys_name(tmp_path: Path, name: str) -> None:
    assert outputs_of(tmp_path / name / "run", name) == tmp_path.resolve()


def test_a_run_that_lies_too_high_is_said() -> None:
    with pytest.raises(ValueError, match="lies in no folder of a study paper/tab01"):
        outputs_of(Path("/run"), "paper/tab01")
