from collections import Counter
from itertools import islice

import pytest

from scaling.conditions.class_labels import ClassLabels, class_names


@pytest.mark.parametrize("order", ["random", "balanced"])
def test_a_larger_count_only_appends(order):
    small, large = ClassLabels(1000, order=order), ClassLabels(50_000, order=order)
    assert list(small) == list(islice(large, 1000))
    assert small.identity() == large.identity()
    assert len(large) == sum(1 for _ in large) == 50_000


@pytest.mark.parametrize("order", ["random", "balanced"])
def test_copies_number_equal_labels_from_zero(order):
    conditions = list(ClassLabels(500, classes=10, order=order))
    for label in range(10):
        copies = [c.copy for c in conditions if c.class_label == label]
        assert copies == list(range(len(copies)))
    assert len({c.key for c in conditions}) == 500


def test_random_labels_are_uniform_and_not_balanced():
    counts = Counter(c.class_label for c in ClassLabels(50_000))
    chi_squared = sum((counts[label] - 50) ** 2 / 50 for label in range(1000))
    assert 999 - 5 * 45 < chi_squared < 999 + 5 * 45  # mean 999, standard deviation 44.7


def test_balanced_deals_every_class_before_any_again():
    labels = [c.class_label for c in ClassLabels(30, classes=10, order="balanced")]
    rounds = [labels[i : i + 10] for i in range(0, 30, 10)]
    assert all(sorted(r) == list(range(10)) for r in rounds)
    assert rounds[0] != rounds[1]


def test_seeds_and_orders_differ():
    streams = [
        ClassLabels(100, seed=0),
        ClassLabels(100, seed=1),
        ClassLabels(100, order="balanced"),
    ]
    assert len({tuple(c.class_label for c in s) for s in streams}) == 3


def test_subsets_by_id_and_name_are_the_same():
    by_name = ClassLabels(50, classes=10, subset=["Ankle boot", "dress"])
    assert list(by_name) == list(ClassLabels(50, classes=10, subset=[9, 3]))
    assert {c.class_label for c in by_name} == {9, 3}
    assert by_name.identity() == ClassLabels(50, classes=10, subset=[9, 3]).identity()


def test_names_that_differ_in_case_alone_are_told_apart():
    assert ClassLabels(1, subset=["cardigan"]).ids == (474,)
    assert ClassLabels(1, subset=["Cardigan"]).ids == (264,)
    assert ClassLabels(1, subset=["Cardigan", "cardigan"]).ids == (264, 474)


@pytest.mark.parametrize("alone", ["dress", 3])
def test_a_subset_of_one_need_not_be_a_list(alone):
    assert ClassLabels(5, classes=10, subset=alone).ids == (3,)


def test_imagenet_names():
    names = class_names(1000)
    assert len(set(names)) == 1000
    assert (names[0], names[207], names[999]) == (
        "tench",
        "golden retriever",
        "toilet tissue",
    )
    assert {c.class_label for c in ClassLabels(20, subset=["Golden Retriever"])} == {207}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, "at least 1"),
        ({"count": "abc"}, "conditions.count='abc' must be a whole number"),
        ({"count": 1, "seed": 0.5}, "conditions.seed=0.5 must be a whole number"),
        ({"count": 1, "order": "sorted"}, "'sorted' is none of random, balanced"),
        ({"count": 1, "subset": []}, "at least one"),
        ({"count": 1, "classes": 10, "subset": [True]}, "True is neither the id of a class nor its name"),
        ({"count": 1, "subset": ["CARDIGAN"]}, r"'Cardigan' \(class 264\) or 'cardigan' \(class 474\)"),
        ({"count": 1, "classes": 10, "subset": ["sneakers"]}, "'sneaker'"),
        ({"count": 1, "classes": 10, "subset": [10]}, "0 to 9"),
        ({"count": 1, "classes": 10, "subset": [3, "dress"]}, "once"),
        ({"count": 1, "classes": 12, "subset": ["dress"]}, "12 classes"),
    ],
)
def test_wrong_arguments_name_the_nearest(wrong, message):
    with pytest.raises(ValueError, match=message):
        ClassLabels(**wrong)
