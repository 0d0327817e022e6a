import pytest

from scaling.conditions.one import One
from scaling.protocols import Condition


def test_a_class_label_and_a_prompt():
    assert list(One(class_label=7)) == [Condition(class_label=7)]
    assert list(One(prompt="a red fox, asleep")) == [Condition(prompt="a red fox, asleep")]
    assert list(One(prompt="1984")) == [Condition(prompt="1984")]


def test_copies_have_their_own_noises():
    conditions = list(One(prompt="a", copies=3))
    assert len(One(prompt="a", copies=3)) == len(conditions) == len({c.key for c in conditions}) == 3
    assert One(prompt="a", copies=3).identity() == One(prompt="a").identity()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "not neither"),
        ({"class_label": 1, "prompt": "a"}, "not both"),
        ({"class_label": -1}, "conditions.class_label=-1 must be a whole number of at least 0"),
        ({"class_label": "abc"}, "conditions.class_label='abc' must be a whole number"),
        ({"class_label": True}, "conditions.class_label=True must be a whole number"),
        ({"class_label": 1, "copies": 0}, "conditions.copies=0 .* at least 1"),
        ({"class_label": 1, "copies": "abc"}, "conditions.copies='abc'"),
        ({"prompt": 1984}, """conditions.prompt=1984 was read as int, .* as conditions.prompt='"1984"'"""),
        ({"prompt": 1000.0}, "conditions.prompt=1000.0 was read as float, and a text is needed"),
        ({"prompt": True}, """conditions.prompt=True was read as bool, .* as conditions.prompt='"true"'"""),
        ({"prompt": ["a fox"]}, r"conditions.prompt=\['a fox'\] was read as list, and a text is needed"),
        ({"prompt": " "}, "conditions.prompt=' ' is empty"),
    ],
)
def test_wrong_arguments_are_one_line(wrong, message):
    with pytest.raises(ValueError, match=message) as caught:
        One(**wrong)
    assert "\n" not in str(caught.value)
