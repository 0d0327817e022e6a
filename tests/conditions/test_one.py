import pytest

from scaling.conditions.one import One
from scaling.protocols import Condition


def test_a_class_label_and_a_prompt():
    assert list(One(class_label=7)) == [Condition(class_label=7)]
    assert list(One(prompt="a red fox, asleep")) == [Condition(prompt="a red fox, asleep")]


def test_copies_have_their_own_noises():
    conditions = list(One(prompt="a", copies=3))
    assert len(One(prompt="a", copies=3)) == len(conditions) == len({c.key for c in conditions}) == 3
    assert One(prompt="a", copies=3).identity() == One(prompt="a").identity()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"class_label": 1, "prompt": "a"},
        {"class_label": -1},
        {"class_label": 1, "copies": 0},
    ],
)
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(ValueError, match="conditions"):
        One(**wrong)
