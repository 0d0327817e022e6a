"""What graders write, read as people read it."""

from __future__ import annotations

import pytest

from scaling.verifiers.answers import parse

MARKS = ("visual_quality", "overall")


@pytest.mark.parametrize(
    "said",
    [
        '{"visual_quality": 8, "overall": 7.5}',
        'Here you are:\n```json\n{"visual_quality": 8, "overall": 7.5}\n```',
        '{"visual_quality": "8", "overall": "7.5"}',
        '{"visual_quality": "8/10", "overall": "7,5 / 10"}',
        '{"visual_quality": "8 out of 10", "overall": "7.5 (good)"}',
        '<think>{"visual_quality": 1, "overall": 1}? No.</think>{"visual_quality": 8, "overall": 7.5}',
        'a thought that was not opened {"overall": 1}</think>\n{"visual_quality": 8, "overall": 7.5}',
        '{"visual_quality": 8, "overall": 7.5} Hope {this} helps',
        'First {"visual_quality": 2, "overall": 2}, after a second look {"visual_quality": 8, "overall": 7.5}}',
        '{"visual_quality": 8, "overall": 7.5,}',
        "{'visual_quality': 8, 'overall': 7.5}",
        '{"Visual Quality": 8, "OVERALL": 7.5, "reason": "sharp"}',
        '{"grades": {"visual-quality": 8, "overall": 7.5}}',
        '{"visual_quality": {"score": 8, "reason": "sharp"}, "overall": {"score": "7.5/10"}}',
    ],
)
def test_marks_are_found(said: str) -> None:
    assert parse(said, MARKS) == {"visual_quality": 8.0, "overall": 7.5}


@pytest.mark.parametrize("said", ["8", "8/10", "**8**", "Score: 8", "Overall: 8/10.", '{"overall": 8}'])
def test_a_single_mark_may_be_bare(said: str) -> None:
    assert parse(said, ("overall",)) == {"overall": 8.0}


@pytest.mark.parametrize(
    "said",
    [
        "",
        "I cannot rate this image.",
        "[1, 2]",
        "{}",
        '{"overall": true}',
        '{"overall": -1}',
        '{"overall": 11}',
        '{"overall": "80/100"}',
        '{"overall": "good"}',
        '{"overall": null}',
        '{"overall": NaN}',
        '{"score": 8}',
        "{" * 5000,
    ],
)
def test_what_is_no_mark_is_said(said: str) -> None:
    with pytest.raises(ValueError, match="grader's"):
        parse(said, ("overall",))
