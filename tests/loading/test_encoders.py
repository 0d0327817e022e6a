import numpy as np
import pytest
import torch
from PIL import Image
from tiny_encoders import tiny_dinov2, tiny_open_clip, tiny_timm_dinov2
from torchvision.transforms import v2

from scaling.loading.encoders import IMAGENET_MEAN, IMAGENET_STD, Dino, OpenClip, Preprocess


def pictures(n: int, height: int, width: int) -> torch.Tensor:
    """Smooth random images in [0, 1], whole multiples of 1/255."""
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth * 255).round() / 255


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 64), (64, 45), (20, 33)])
@pytest.mark.parametrize(("resize", "crop"), [(36, 32), (32, 32), (None, 32)])
def test_preprocess_is_torchvisions(height, width, resize, crop):
    images = pictures(2, height, width)
    size = (crop, crop) if resize is None else resize
    bicubic = v2.InterpolationMode.BICUBIC
    steps = [v2.Resize(size, bicubic, antialias=True), v2.CenterCrop(crop), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    torch.testing.assert_close(Preprocess(crop, resize)(images), v2.Compose(steps)(images), atol=1e-5, rtol=0)


def test_preprocess_is_pils_to_a_gray_level():
    images = pictures(1, 50, 40)
    pil = Image.fromarray((images[0] * 255).round().byte().permute(1, 2, 0).numpy())
    theirs = v2.CenterCrop(32)(v2.Resize(36, v2.InterpolationMode.BICUBIC)(pil))
    expected = torch.from_numpy(np.array(theirs)).permute(2, 0, 1).float() / 255
    ours = Preprocess(32, 36, mean=(0.0,) * 3, std=(1.0,) * 3)(images)[0]
    assert (ours - expected).abs().max() < 1.5 / 255  # PIL rounds after each of its two passes


@pytest.fixture(scope="module")
def transformers_folder(tmp_path_factory):
    return tiny_dinov2(tmp_path_factory.mktemp("dinov2"))


@pytest.fixture(scope="module")
def timm_folder(tmp_path_factory):
    return tiny_timm_dinov2(tmp_path_factory.mktemp("timm"))


def test_dino_of_transformers(transformers_folder):
    from transformers import Dinov2Model

    images = pictures(3, 64, 64)
    model = Dinov2Model.from_pretrained(transformers_folder).eval()
    with torch.no_grad():
        expected = model(Preprocess(56, 60)(images)).pooler_output  # the class token after the norm
    dino = Dino(path=str(transformers_folder), resize=60, crop=56, device="cpu")
    torch.testing.assert_close(dino(images), expected)
    assert [tuple(tokens.shape) for tokens in dino.layers(images, 4)] == [(3, 17, 24)] * 4


def test_dino_of_timm(timm_folder):
    from timm import create_model

    images = pictures(3, 64, 64)
    model = create_model(f"local-dir:{timm_folder}", pretrained=True).eval()
    with torch.no_grad():
        tokens = model.forward_features(Preprocess(56, 60)(images))
    dino = Dino(path=str(timm_folder), resize=60, crop=56, device="cpu")
    torch.testing.assert_close(dino.layers(images, 2)[-1], tokens)
    torch.testing.assert_close(dino(images), tokens[:, 0])


@pytest.mark.parametrize("crop", [28, 56])
def test_both_formats_take_other_sizes_than_they_were_trained_at(transformers_folder, timm_folder, crop):
    for folder in (transformers_folder, timm_folder):
        dino = Dino(path=str(folder), resize=crop, crop=crop, device="cpu")
        assert dino.layers(pictures(2, 64, 64), 1)[0].shape == (2, 1 + (crop // 14) ** 2, 24)


@pytest.mark.parametrize("siglip", [False, True])
def test_open_clip_is_its_own_transform_and_image_tower(tmp_path, siglip):
    import open_clip

    folder = tiny_open_clip(tmp_path, siglip)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    images = pictures(2, 40, 48)
    pils = [Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()) for image in images]
    pixels = torch.stack([transform(pil) for pil in pils])
    clip = OpenClip(path=str(folder), device="cpu")
    assert (clip.preprocess(images) - pixels).abs().max() < 1.5 / 255 / min(clip.preprocess.std)
    with torch.no_grad():
        expected = model.eval().encode_image(clip.preprocess(images))
    torch.testing.assert_close(clip(images), expected)


def test_encoders_are_told_apart_and_wrong_ones_named(transformers_folder, timm_folder, tmp_path):
    options = [{"path": str(transformers_folder)}, {"path": str(timm_folder)}, {"path": str(timm_folder), "crop": 56}]
    identities = [Dino(device="cpu", **o).identity() for o in options]
    assert all(a != b for i, a in enumerate(identities) for b in identities[:i])
    with pytest.raises(ValueError, match="int8"):
        Dino(path=str(timm_folder), dtype="int8", device="cpu")
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ValueError, match="neither timm's nor transformers'"):
        Dino(path=str(tmp_path))
