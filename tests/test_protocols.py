"""What a search says of itself is read in one place, and refused where it says nothing that exists."""

import pytest
from studies import study

from scaling.identity import identity_of
from scaling.metrics.per_sample import Value
from scaling.search.random import Random
from scaling.search.smc import Smc
from scaling.traits import SearchTraits


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


def test_a_study_refuses_names_of_before(tmp_path):
    with pytest.raises(ValueError, match="Study's argument 'keep' is called 'retention' by now"):
        study(tmp_path, keep="winners")
    judge = type("Mine", (), {"probe": 0.5})()
    with pytest.raises(ValueError, match="verifier a has a class attribute 'probe', which is called 'probe_sigma'"):
        study(tmp_path, scorers={"a": judge})
    with pytest.raises(ValueError, match="metric a has a class attribute 'reads', which is called 'feature' by now"):
        study(tmp_path, metrics={"a": type("Mine", (), {"reads": "pixels.features"})()})


def test_a_metrics_identity_keeps_the_name_that_its_parameter_began_with():
    assert identity_of(Value(feature="a.b")) == {"name": "scaling.metrics.per_sample.Value", "reads": "a.b"}
