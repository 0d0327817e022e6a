"""Questions: a prompt is right where every answer is yes, and no two questions look alike."""

from __future__ import annotations

import numpy as np
import torch

from scaling.shapes.grammar import CATEGORIES, draw, parse
from scaling.shapes.judge import satisfies
from scaling.shapes.questions import MOST, WORDS, ask, questions
from scaling.shapes.reader import Reader
from scaling.shapes.scenes import compose


def test_a_prompt_is_right_where_every_answer_is_yes() -> None:
    generator = np.random.default_rng(0)
    prompts = [draw(CATEGORIES[i % 5], generator) for i in range(400)]
    for prompt in prompts:
        scene = compose(prompt, generator)
        assert all(question.answer(scene) for question in questions(prompt))
        for other in prompts[:40]:
            assert all(question.answer(scene) for question in questions(other)) == satisfies(scene, other)


def test_different_questions_have_different_words() -> None:
    generator = np.random.default_rng(1)
    asked = {q for i in range(2000) for q in questions(draw(CATEGORIES[i % 5], generator))}
    alike: dict[tuple[float, ...], set[object]] = {}
    for question in asked:
        named = question.relation and (tuple(phrase.kind for phrase in question.phrases), question.relation)
        alike.setdefault(tuple(question.words().tolist()), set()).add(named or question)
    assert all(len(same) == 1 for same in alike.values())
    assert len(alike) > 200


def test_places_without_a_question_are_masked() -> None:
    words, mask = ask([parse("a ring"), parse("a red ring left of a cross")])
    assert words.shape == (2, MOST, WORDS)
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert words[0, 2:].abs().sum() == 0


def test_the_reader_answers_each_question_alone() -> None:
    torch.manual_seed(0)
    reader, images = Reader(width=16, depth=1, heads=2, hidden=16).eval(), torch.rand(3, 3, 24, 24)
    words, _ = ask([parse("a ring"), parse("two red squares"), parse("a cross above a triangle")])
    together = reader(images, words)
    assert together.shape == (3, MOST)
    torch.testing.assert_close(reader(images[1:2], words[1:2, 1:2]), together[1:2, 1:2])
