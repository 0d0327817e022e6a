"""What a search says of itself is read in one place, and refused where it says nothing that exists."""

import pytest

from scaling.protocols import SearchTraits
from scaling.search.random import Random
from scaling.search.smc import Smc


def plain(space):
    yield


def test_a_plain_generator_reads_everything_and_promises_nothing():
    traits = SearchTraits.of(plain)
    assert traits == SearchTraits(False, None, frozenset({"x", "x0", "gradient"}), frozenset(), True)


def test_a_search_and_its_class_say_the_same():
    assert SearchTraits.of(Random()) == SearchTraits.of(Random) == SearchTraits(open_loop=True, reads=frozenset())
    assert SearchTraits.of(Smc).size_parameter == "particles"


@pytest.mark.parametrize(
    ("old", "new"), [("scales", "size_parameter"), ("needs", "requires"), ("resolve", "resolve_winner")]
)
def test_a_name_of_before_is_an_error_that_says_the_new_one(old, new):
    kind = type("Mine", (), {old: True})
    with pytest.raises(ValueError, match=f"search Mine has a class attribute '{old}', which is called '{new}'"):
        SearchTraits.of(kind())


def test_a_word_that_means_nothing_is_refused():
    with pytest.raises(
        ValueError, match="requires names 'gradients'; valid: calibrated, gradient, guidance, stochastic"
    ):
        SearchTraits.of(type("Mine", (), {"requires": frozenset({"gradients"})}))
