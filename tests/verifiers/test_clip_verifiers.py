"""Verifiers on CLIP-like networks against their formulas, computed by the libraries' own paths."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_encoders import tiny_open_clip
from tiny_pipelines import clip_tokenizer

from scaling.loading.encoders import CLIP_MEAN, CLIP_STD, OpenClip
from scaling.notices import take_notices
from scaling.protocols import Condition
from scaling.verifiers.aesthetic import Aesthetic
from scaling.verifiers.clip_score import ClipScore
from scaling.verifiers.ensemble import Ensemble
from scaling.verifiers.hps_v2 import HPSv2
from scaling.verifiers.pickscore import PickScore
from scaling.verifiers.siglip import SigLip

PROMPTS = ["a red cat", "two small dogs, photo", "a red cat"]
CONDITIONS = [Condition(prompt=prompt, copy=i) for i, prompt in enumerate(PROMPTS)]
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def images(size: int = 32) -> torch.Tensor:
    """Whole numbers of 255, so that a PIL image holds them exactly."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, size, size), generator=generator).float() / 255


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> OpenClip:
    return OpenClip(path=str(tiny_open_clip(tmp_path_factory.mktemp("clip"))), device="cpu")


def cosines(folder: Path, prefix: str) -> torch.Tensor:
    """By open_clip alone: its transform on PIL images, its tokenizer, its normalized features."""
    import open_clip
    from torchvision.transforms.functional import to_pil_image

    network, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    network.eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")([prefix + prompt for prompt in PROMPTS])
    pixels = torch.stack([transform(to_pil_image(image)) for image in images()])
    with torch.no_grad():
        seen, said = network.encode_image(pixels, normalize=True), network.encode_text(tokens, normalize=True)
    return (seen * said).sum(dim=1)


@pytest.mark.parametrize(("scale", "factor", "prefix"), [("paper", 2.5, "A photo depicts "), ("torchmetrics", 100, "")])
def test_clip_score(clip: OpenClip, scale: Any, factor: float, prefix: str) -> None:
    scores = ClipScore(encoder=clip, scale=scale, prefix=prefix)(images(), CONDITIONS)
    expected = cosines(clip.folder, prefix)
    torch.testing.assert_close(scores, factor * expected.clamp(min=0), atol=1e-4, rtol=1e-5)
    raw = ClipScore(encoder=clip, scale="cosine", prefix=prefix)(images(), CONDITIONS)
    torch.testing.assert_close(raw, expected, atol=1e-5, rtol=0)


def test_a_prompt_is_embedded_once(clip: OpenClip, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    texts = clip.texts
    monkeypatch.setattr(clip, "texts", lambda prompts: (asked.extend(prompts), texts(prompts))[1])
    verifier = ClipScore(encoder=clip)
    for _ in range(3):
        verifier(images(), CONDITIONS)
    assert asked == ["A photo depicts a red cat", "A photo depicts two small dogs, photo"]
    with pytest.raises(ValueError, match="condition 7"):
        verifier(images(), [Condition(class_label=7)] * 3)


@pytest.mark.parametrize("again", [False, True])
def test_a_prompt_that_is_cut_is_counted_also_when_it_is_known(clip: OpenClip, again: bool) -> None:
    verifier, most = ClipScore(encoder=clip, prefix=""), [Condition(prompt=" ".join(["cat"] * n)) for n in (75, 76, 90)]
    for _ in range(1 + again):
        take_notices()
        verifier(images(), most)
    assert take_notices() == ["2 prompts were cut: CLIPScore reads 77 tokens, and they have more"]
    Ensemble(members={"clip": verifier}, calibration={"clip": [0.0, 1.0]}).notice_cut_prompts(most)
    assert take_notices() == ["2 prompts were cut: CLIPScore reads 77 tokens, and they have more"]


def head_state(width: int = 16) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = [width, 1024, 128, 64, 16, 1]
    state = {}
    for place, (low, high) in zip((0, 2, 4, 6, 7), itertools.pairwise(sizes), strict=True):
        state[f"layers.{place}.weight"] = torch.randn(high, low, generator=generator) / low**0.5
        state[f"layers.{place}.bias"] = torch.randn(high, generator=generator)
    return state


def test_aesthetic(clip: OpenClip, tmp_path: Path) -> None:
    state = head_state()
    torch.save(state, tmp_path / "head.pth")
    verifier = Aesthetic(encoder=clip, head=str(tmp_path / "head.pth"))
    features = clip(images())
    values = features / features.norm(dim=1, keepdim=True)
    for place in (0, 2, 4, 6, 7):
        values = values @ state[f"layers.{place}.weight"].T + state[f"layers.{place}.bias"]
    torch.testing.assert_close(verifier(images(), CONDITIONS), values[:, 0], atol=1e-5, rtol=1e-5)
    assert verifier.identity()["head"]


def test_bad_heads_name_the_file(clip: OpenClip, tmp_path: Path) -> None:
    file = tmp_path / "head.pth"
    state = head_state()
    broken = {
        "lacks layers.4.bias": {name: value for name, value in state.items() if name != "layers.4.bias"},
        "layers.0.weight is .1024, 24., where .1024, 16. is needed": head_state(24),
        "layers.7.weight holds values that are not finite": state | {"layers.7.weight": torch.full((1, 16), torch.nan)},
    }
    for message, content in broken.items():
        torch.save(content, file)
        with pytest.raises(ValueError, match=f"head.pth.*{message}"):
            Aesthetic(encoder=clip, head=str(file))
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"cannot read the weights in .*head\.pth: it is no checkpoint"):
        Aesthetic(encoder=clip, head=str(file))


def test_siglip_gives_the_logit(clip: OpenClip, tmp_path: Path) -> None:
    import open_clip
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    config = TINY | {"init_logit_bias": -4.0}
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    save_file(CLIP(**config).state_dict(), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    scores = SigLip(encoder=OpenClip(path=str(tmp_path), device="cpu"))(images(), CONDITIONS)
    network = open_clip.create_model(f"local-dir:{tmp_path}").eval()
    expected = cosines(tmp_path, "") * network.logit_scale.exp() + network.logit_bias
    torch.testing.assert_close(scores, expected.detach(), atol=1e-4, rtol=1e-5)
    with pytest.raises(ValueError, match="logit_bias"):
        SigLip(encoder=clip)


def test_hps_v2(tmp_path: Path) -> None:
    import open_clip

    (tmp_path / "tiny-hps.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path / "tiny-hps.json")
    torch.manual_seed(3)
    network = open_clip.create_model("tiny-hps").eval()
    file = tmp_path / "HPS.pt"
    torch.save({"state_dict": network.state_dict()}, file)
    scores = HPSv2(path=str(file), architecture="tiny-hps", device="cpu")(images(), CONDITIONS)
    pixels = (images() - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)
    with torch.no_grad():
        seen, said, _ = network(pixels, open_clip.get_tokenizer("tiny-hps")(PROMPTS))
    torch.testing.assert_close(scores, (seen @ said.T).diag(), atol=1e-5, rtol=0)
    torch.save({"state_dict": {k: v for k, v in network.state_dict().items() if k != "visual.proj"}}, file)
    with pytest.raises(ValueError, match=r"HPS\.pt lacks visual\.proj"):
        HPSv2(path=str(file), architecture="tiny-hps", device="cpu")


def tiny_clip_model(folder: Path) -> Any:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(4)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokenizer = clip_tokenizer()
    text = shape | {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1}
    config = CLIPConfig(text_config=text, vision_config=shape | {"image_size": 32, "patch_size": 8}, projection_dim=16)
    network = CLIPModel(config).eval()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder / "tokenizer")
    return network


def test_pickscore(tmp_path: Path) -> None:
    network = tiny_clip_model(tmp_path)
    verifier = PickScore(path=str(tmp_path), tokenizer=str(tmp_path / "tokenizer"), device="cpu")
    pixels = (images() - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)
    tokens = clip_tokenizer()(PROMPTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = network(pixel_values=pixels, **tokens).logits_per_image.diag()
    torch.testing.assert_close(verifier(images(), CONDITIONS), expected, atol=1e-4, rtol=1e-5)


def test_pickscore_weights_must_all_be_there(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tiny_clip_model(tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    for message, broken in {
        "visual_projection": {k: v for k, v in state.items() if k != "visual_projection.weight"},
        "not finite": state | {"visual_projection.weight": torch.full((16, 32), torch.nan)},
        "visual_projection.weight": state | {"visual_projection.weight": torch.zeros(16, 31)},
    }.items():
        save_file(broken, file, {"format": "pt"})
        with pytest.raises(ValueError, match=f"{tmp_path.name}.*{message}"):
            PickScore(path=str(tmp_path), tokenizer=str(tmp_path / "tokenizer"), device="cpu")


def test_gradients_reach_the_images(clip: OpenClip, tmp_path: Path) -> None:
    torch.save(head_state(), tmp_path / "head.pth")
    for verifier in (ClipScore(encoder=clip, scale="cosine"), Aesthetic(encoder=clip, head=str(tmp_path / "head.pth"))):
        with torch.inference_mode():
            verifier(images(), CONDITIONS)  # fills the cache of texts as the runner would
        pixels = images(40).requires_grad_()
        verifier(pixels, CONDITIONS).sum().backward()
        assert pixels.grad is not None
        assert pixels.grad.abs().sum() > 0
