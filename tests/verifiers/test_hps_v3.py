"""HPSv3 in the authors' format, on a small random Qwen2-VL, against a computation by transformers' parts alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from scaling.protocols import Condition
from scaling.verifiers.hps_v3 import HPSv3

WORDS = [
    "<pad>", "<unk>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>", "user", "assistant", "how", "good", "is", "a", "red", "cat", "dog", "?", "mark", "END",
]  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|> <|image_pad|> <|vision_end|> {% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %} <|im_end|> {% endfor %}<|im_start|> assistant "
)
QUESTION = '''
import torch  # never run
INSTRUCTION = """
how good is {text_prompt} ?
"""
prompt_with_special_token = """ mark <|Reward|> END """
raise SystemExit
'''
CONDITIONS = [Condition(prompt="a red cat"), Condition(prompt="a dog")]
Files = dict[str, str]


def processor(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessor, Qwen2VLProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", additional_special_tokens=WORDS[2:8]
    )  # fmt: skip
    parts = Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor()
    Qwen2VLProcessor(*parts, chat_template=TEMPLATE).save_pretrained(folder)


def network() -> Any:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(WORDS) + 12, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "bos_token_id": 0, "eos_token_id": 0,
            "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        },
        vision_config={"embed_dim": 32, "depth": 2, "num_heads": 2, "hidden_size": 64, "mlp_ratio": 1},
        image_token_id=WORDS.index("<|image_pad|>"), video_token_id=WORDS.index("<|video_pad|>"),
        vision_start_token_id=WORDS.index("<|vision_start|>"), vision_end_token_id=WORDS.index("<|vision_end|>"),
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    return Qwen2VLForConditionalGeneration(config).eval()


def of_old(name: str) -> str:
    """The names of transformers 4.45, which the published file has."""
    return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    path = tmp_path_factory.mktemp("hps_v3")
    base = path / "base"
    processor(base)
    model = network()
    model.config.save_pretrained(base)
    model.resize_token_embeddings(len(WORDS) + 1)  # as the authors do: the reward token is the last word
    state = {of_old(name): value.clone().contiguous() for name, value in model.state_dict().items()}
    for place, low, high in ((0, 64, 1024), (3, 1024, 16), (5, 16, 2)):
        state[f"rm_head.{place}.weight"] = torch.randn(high, low) / low**0.5
        state[f"rm_head.{place}.bias"] = 0.1 * torch.randn(high)
    save_file(state, path / "HPSv3.safetensors")
    (path / "data_collator_qwen.py").write_text(QUESTION)
    question = str(path / "data_collator_qwen.py")
    return {"path": str(path / "HPSv3.safetensors"), "base": str(base), "question": question}


def built(files: Files, **others: str) -> HPSv3:
    return HPSv3(**{**files, **others}, dtype="float32", device="cpu")


def expected(files: Files, image: Tensor, prompt: str) -> Tensor:
    """Mean and spread by hand: patches, the two networks one after the other, plain positions, the head."""
    from PIL import Image
    from torchvision.transforms.functional import to_pil_image
    from transformers import AutoProcessor

    saved = load_file(files["path"])
    model = network()
    model.resize_token_embeddings(len(WORDS) + 1)
    model.load_state_dict({name: saved[of_old(name)] for name in model.state_dict()})
    picture = to_pil_image(image).resize((448, 448), Image.Resampling.BICUBIC)  # 256 * 28 * 28 pixels
    patches = AutoProcessor.from_pretrained(files["base"]).image_processor(images=[picture], return_tensors="pt")
    looked = model.model.visual(patches.pixel_values, patches.image_grid_thw).pooler_output
    asked = f"how good is {prompt} ? mark".split()
    pads = ["<|image_pad|>"] * 256
    words = ["<|im_start|>", "user", "<|vision_start|>", *pads, "<|vision_end|>", *asked]
    x = model.get_input_embeddings().weight[[WORDS.index(word) for word in words] + [len(WORDS)]].clone()
    x[3 : 3 + 256] = looked
    positions = torch.arange(len(x)).expand(3, 1, -1)
    with torch.no_grad():
        hidden = model.model.language_model(inputs_embeds=x[None], position_ids=positions).last_hidden_state[0, -1]
    for place in (0, 3, 5):
        hidden = F.linear(hidden, saved[f"rm_head.{place}.weight"], saved[f"rm_head.{place}.bias"])
        hidden = hidden if place == 5 else hidden.relu()
    return hidden


def images(side: int = 448) -> Tensor:
    return torch.randint(0, 256, (2, 3, side, side), generator=torch.Generator().manual_seed(0)).float() / 255


@pytest.mark.parametrize("side", [448, 64])
def test_the_mean_of_the_mark(files: Files, side: int) -> None:
    judge = built(files)
    wanted = torch.stack([expected(files, *pair) for pair in zip(images(side), ("a red cat", "a dog"), strict=True)])
    scores = judge(images(side), CONDITIONS)
    torch.testing.assert_close(scores, wanted[:, 0], atol=1e-4, rtol=1e-4)
    assert abs(float(scores[0] - scores[1])) > 1e-3
    swapped = judge(images(side).flip(0), CONDITIONS[::-1])
    assert torch.equal(swapped.flip(0), scores)
    spread = judge.mark(_pil(images(side)[0]), "a red cat")[1]
    torch.testing.assert_close(spread, wanted[0, 1], atol=1e-4, rtol=1e-4)


def test_the_names_of_now_are_read_too(files: Files, tmp_path: Path) -> None:
    state = load_file(files["path"])
    renamed = {
        name.replace("model.", "model.language_model.", 1) if name.startswith("model.")
        else f"model.{name}" if name.startswith("visual.") else name: value
        for name, value in state.items()
    }  # fmt: skip
    save_file(renamed, tmp_path / "now.safetensors")
    now = built(files, path=str(tmp_path / "now.safetensors"))
    assert torch.equal(now(images(), CONDITIONS), built(files)(images(), CONDITIONS))


@pytest.mark.parametrize("lacking", ["rm_head.3.weight", "visual.blocks.0.attn.qkv.weight", "model.norm.weight"])
def test_a_weight_that_lacks_is_named_with_its_file(files: Files, tmp_path: Path, lacking: str) -> None:
    state = load_file(files["path"])
    del state[lacking]
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(ValueError, match=rf"cut\.safetensors lacks .*{lacking.split('.')[-2]}"):
        built(files, path=str(tmp_path / "cut.safetensors"))


def test_a_question_that_is_not_the_authors_is_refused(files: Files, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"question=\S*nowhere\.py is no file: curl -LO https://\S*/data_collator_qwen\.py"
    ):
        built(files, question=str(tmp_path / "nowhere.py"))
    (tmp_path / "other.py").write_text('INSTRUCTION = "{text_prompt}"\n')
    with pytest.raises(ValueError, match=r"other\.py gives no text the name prompt_with_special_token"):
        built(files, question=str(tmp_path / "other.py"))
    (tmp_path / "other.py").write_text('INSTRUCTION = "{text_prompt}"\nprompt_with_special_token = "mark"\n')
    with pytest.raises(ValueError, match=r"has <\|Reward\|> 0 times"):
        built(files, question=str(tmp_path / "other.py"))


def test_the_identity_holds_the_question_and_the_weights(files: Files, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(QUESTION.replace("how good", "is"))
    judge, other = built(files).identity(), built(files, question=str(tmp_path / "other.py")).identity()
    assert {name for name in judge if judge[name] != other[name]} == {"question"}
    assert set(judge) == {"class", "question", "base", "weights", "dtype"}


def _pil(image: Tensor) -> Any:
    from torchvision.transforms.functional import to_pil_image

    return to_pil_image(image)
