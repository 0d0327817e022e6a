"""VQAScore and local grading by a small random LLaVA in transformers' format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from judge_server import judge_server

from scaling.protocols import Condition
from scaling.verifiers.llm_grader import LLMGrader
from scaling.verifiers.local_vlm import LocalVLM
from scaling.verifiers.vqa_score import VQAScore

WORDS = ["<pad>", "<unk>", "<image>", "Yes", "No", "a", "red", "cat", "is", "this", "?", "USER"]
TEMPLATE = (
    "{% for m in messages %}USER {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    path = tmp_path_factory.mktemp("llava")
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", additional_special_tokens=["<image>"]
    )
    size = {"height": 16, "width": 16}
    pictures = CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False)
    processor = LlavaProcessor(
        pictures, fast, patch_size=8, vision_feature_select_strategy="default", chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )  # fmt: skip
    processor.save_pretrained(path)
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=16, patch_size=8, **shape),
        text_config=LlamaConfig(vocab_size=len(WORDS), bos_token_id=0, eos_token_id=0, **shape),
        image_token_index=2,
    )
    LlavaForConditionalGeneration(config).save_pretrained(path)
    return path


def expected_logits(folder: Path, image: torch.Tensor, text: str) -> torch.Tensor:
    """The first token's logits by transformers alone."""
    from torchvision.transforms.functional import to_pil_image
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    network = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    inputs = AutoProcessor.from_pretrained(folder)(
        images=to_pil_image(image), text=f"USER <image> {text}", return_tensors="pt"
    )  # fmt: skip
    with torch.no_grad():
        return network(**inputs).logits[0, -1]


def test_log_odds_and_probability(folder: Path) -> None:
    images = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float() / 255
    conditions = [Condition(prompt="a red cat"), Condition(prompt="a cat")]
    vlm = LocalVLM(path=str(folder), dtype="float32", device="cpu")
    question = "is this {} ?"
    logits = [
        expected_logits(folder, image, question.format(condition.prompt))
        for image, condition in zip(images, conditions, strict=True)
    ]
    p = torch.stack(logits).double().softmax(1)[:, WORDS.index("Yes")]
    scores = VQAScore(vlm=vlm, question=question, scale="probability")(images, conditions)
    torch.testing.assert_close(scores.double(), p, atol=1e-5, rtol=1e-4)
    odds = VQAScore(vlm=vlm, question=question)(images, conditions)
    torch.testing.assert_close(odds.double(), (p / (1 - p)).log(), atol=1e-4, rtol=1e-4)
    assert abs(float(scores[0] - scores[1])) > 0


def test_an_answer_that_the_model_has_no_token_for(folder: Path) -> None:
    vlm = LocalVLM(path=str(folder), dtype="float32", device="cpu")
    with pytest.raises(ValueError, match="none of the answers 'Maybe'"):
        VQAScore(vlm=vlm, answer="Maybe")
    with pytest.raises(ValueError, match="no {} for the prompt"):
        VQAScore(vlm=vlm, question="is this good ?")


def test_a_local_grader_is_read_as_strictly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = LocalVLM(path=str(folder), dtype="float32", device="cpu")
    grader = LLMGrader(judge=vlm, instruction="this {prompt}", aspects=["style"], max_tokens=4)
    image, condition = torch.zeros(1, 3, 16, 16), [Condition(prompt="a cat")]
    with pytest.raises(ValueError, match="no JSON"):  # a random model babbles
        grader(image, condition)
    monkeypatch.setattr(vlm, "generate", lambda image, text, tokens: '{"style": 2, "overall": 7}')
    assert grader(image, condition).tolist() == [7.0]


def test_a_missing_weight_names_the_folder(folder: Path, tmp_path: Path) -> None:
    from shutil import copytree

    from safetensors.torch import load_file, save_file

    broken = copytree(folder, tmp_path / "vlm")
    state = load_file(broken / "model.safetensors")
    name = next(key for key in state if key.endswith("q_proj.weight"))
    del state[name]
    save_file(state, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"vlm lacks .*q_proj\.weight"):
        LocalVLM(path=str(broken), device="cpu")


def test_an_endpoints_log_probabilities(tmp_path: Path) -> None:
    from math import log

    from scaling.verifiers.endpoint import Endpoint

    images, conditions = torch.zeros(1, 3, 16, 16), [Condition(prompt="a cat")]
    with judge_server() as server:
        server.alternatives = [{"token": "Yes", "logprob": log(0.7)}, {"token": "No", "logprob": log(0.25)}]
        endpoint = Endpoint(url=server.url, model="m", store=str(tmp_path / "answers.sqlite"), max_tokens=1)
        assert float(VQAScore(vlm=endpoint, scale="probability")(images, conditions)) == pytest.approx(0.7)
        assert float(VQAScore(vlm=endpoint)(images, conditions)) == pytest.approx(log(0.7 / 0.3), abs=1e-6)
        assert server.bodies[0]["top_logprobs"] == 20
        bound = VQAScore(vlm=endpoint, answer="Maybe", scale="probability")(images, conditions)
        assert float(bound) == pytest.approx(min(0.25, 1 - 0.95), abs=1e-6)  # not listed: at most what is left
