"""The small CLIP as a verifier, against open_clip's own functions on the same folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.loading.weights_file import weights_folder
from scaling.protocols import Condition, Verifier
from scaling.shapes.grammar import parse
from scaling.shapes.scenes import compose, render
from scaling.verifiers.shapes_clip import ShapesClip

PROMPTS = ["a red ring", "two blue squares", "a green cross and a yellow triangle", "three purple rings"]
CONDITIONS = [Condition(prompt=prompt) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def verifier() -> ShapesClip:
    return ShapesClip(device="cpu")


def images(seed: int = 0) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([render(compose(parse(prompt), generator)) for prompt in PROMPTS]))


def test_it_is_open_clips_cosine(verifier: Verifier) -> None:
    import open_clip

    name = f"local-dir:{weights_folder() / 'shapes_clip'}"
    network, _, _ = open_clip.create_model_and_transforms(name)
    words = open_clip.get_tokenizer(name)(PROMPTS)
    with torch.no_grad():
        image = network.eval().encode_image(images() * 2 - 1, normalize=True)
        text = network.encode_text(words, normalize=True)
    expected = 2.5 * (image * text).sum(dim=1)
    torch.testing.assert_close(verifier(images(), CONDITIONS), expected, atol=1e-5, rtol=1e-5)


def test_the_right_prompt_scores_best(verifier: Verifier) -> None:
    for i, prompt in enumerate(PROMPTS):
        scores = verifier(images(seed=i), [Condition(prompt=prompt)] * len(PROMPTS))
        assert scores.argmax() == i


def test_the_gradient_reaches_images_also_after_inference(verifier: ShapesClip) -> None:
    fresh, pixels = ShapesClip(device="cpu"), images().requires_grad_()
    with torch.inference_mode():
        fresh(images(), CONDITIONS)
    fresh(pixels, CONDITIONS).sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.abs().sum() > 0


def test_a_prompt_is_encoded_once(verifier: ShapesClip, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    fresh = ShapesClip(device="cpu")
    texts = fresh.encoder.texts
    monkeypatch.setattr(fresh.encoder, "texts", lambda prompts: (seen.extend(prompts), texts(prompts))[1])
    for _ in range(3):
        fresh(images(), CONDITIONS[:2] * 2)
    assert seen == PROMPTS[:2]


def test_errors_name_the_word(verifier: Verifier) -> None:
    with pytest.raises(ValueError, match="'square'"):
        verifier(images()[:1], [Condition(prompt="a sqare")])


def test_identity_is_the_weights(verifier: Verifier) -> None:
    assert verifier.identity() == ShapesClip(device="cpu").identity()
    assert len(verifier.identity()["weights"]) == 64
