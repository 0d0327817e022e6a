"""BLIP-VQA by a small random model, against transformers' own generation of the answer's first token."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from scaling.loading.encoders import CLIP_MEAN, CLIP_STD
from scaling.metrics.blip_vqa import BlipVqa, noun_phrases
from scaling.metrics.per_sample import Value
from scaling.protocols import Condition

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "yes", "no", "a", "green", "bench", "blue", "bowl", "?"]
BEGIN = len(WORDS)  # [DEC], and [ENC] after it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertTokenizer, BlipConfig, BlipForQuestionAnswering

    path = tmp_path_factory.mktemp("blip")
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = shape | {"vocab_size": BEGIN + 2, "encoder_hidden_size": 32, "bos_token_id": BEGIN}
    torch.manual_seed(0)
    config = BlipConfig(text_config=text, vision_config=shape | {"image_size": 16, "patch_size": 8})
    network = BlipForQuestionAnswering(config)
    for parameter in network.parameters():  # far enough from 0 for answers to differ
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    network.save_pretrained(path)
    BertTokenizer({word: i for i, word in enumerate(WORDS)}).save_pretrained(path)
    return path


def yes(folder: Path, image: torch.Tensor, question: str) -> float:
    """P(yes) / (P(yes) + P(no)) from the scores that generation reports."""
    from transformers import BlipForQuestionAnswering

    network = BlipForQuestionAnswering.from_pretrained(folder).eval()
    pixels = (image - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)
    ids = [BEGIN + 1, *(WORDS.index(word) for word in question.replace("?", " ?").split()), WORDS.index("[SEP]")]
    out = network.generate(
        input_ids=torch.tensor([ids]), pixel_values=pixels[None], attention_mask=torch.ones(1, len(ids)).long(),
        max_new_tokens=1, do_sample=False, return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    p = out.logits[0][0].softmax(0)
    return float(p[WORDS.index("yes")] / (p[WORDS.index("yes")] + p[WORDS.index("no")]))


def test_is_the_product_over_noun_phrases(folder: Path) -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    conditions = [Condition(prompt="a green bench and a blue bowl"), Condition(prompt="a bowl")]
    judge = BlipVqa(path=str(folder), device="cpu")
    values = judge(images, conditions)["probability"]
    asked = [["a green bench?", "a blue bowl?"], ["a bowl?"]]
    expected = [math.prod(yes(folder, image, q) for q in qs) for image, qs in zip(images, asked, strict=True)]
    torch.testing.assert_close(values[:, 0], torch.tensor(expected), atol=1e-5, rtol=1e-4)
    assert torch.equal(Value("blip_vqa.probability")(values, torch.tensor([-1, -1])), values[:, 0])
    assert abs(expected[1] - 0.5) > 1e-3
    mine = [Condition(prompt="a bowl", metadata={"file": "shape_val"}), Condition(prompt="a bowl")]
    by_category = judge(images, mine)
    assert by_category["shape"][0] == by_category["probability"][0]
    assert by_category["shape"][1].isnan() and by_category["color"].isnan().all()


def test_noun_phrases() -> None:
    assert noun_phrases("a green bench and a blue bowl") == ["a green bench", "a blue bowl"]
    assert noun_phrases("The big elephant is on the left of a wooden box.") == [
        "The big elephant", "the left", "a wooden box",
    ]  # fmt: skip
    assert noun_phrases("a bandana, an island") == ["a bandana", "an island"]  # no cut inside a word


def test_given_phrases_come_first_and_eight_count(folder: Path) -> None:
    judge = BlipVqa(path=str(folder), device="cpu")
    given = Condition(prompt="a bowl", metadata={"noun_phrases": ["a blue bowl"]})
    assert judge.questions(given) == ["a blue bowl"]
    assert len(judge.questions(Condition(prompt=", ".join(["a bowl"] * 12)))) == 8
    with pytest.raises(ValueError, match="condition 3"):
        judge.questions(Condition(class_label=3))


def test_spacy_is_asked_for_by_name(folder: Path) -> None:
    with pytest.raises(ValueError, match="'nltk' is none of rules, spacy"):
        BlipVqa(path=str(folder), phrases="nltk", device="cpu")  # type: ignore[arg-type]
