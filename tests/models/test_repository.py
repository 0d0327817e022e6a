"""Repositories with other weights: in shards, with an index, or of some parts alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from tiny_families import save_family

from scaling.models.pipeline import Pipeline
from scaling.models.repository import Repository
from scaling.models.sd15 import SD15


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family("sd15", tmp_path_factory.mktemp("sd15"))


@pytest.fixture(scope="module")
def sharded(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fp16 alone, each network in several files."""
    folder = tmp_path_factory.mktemp("sharded")
    pipe = StableDiffusionPipeline.from_pretrained(plain, local_files_only=True)
    pipe.save_pretrained(folder, variant="fp16", max_shard_size="40KB")
    return folder


def weights(folder: Path, variant: str | None) -> list[torch.Tensor]:
    pipe = Repository(str(folder), variant).pipeline(None, torch.float32)
    return [weight for part in (pipe.unet, pipe.vae, pipe.text_encoder) for weight in part.parameters()]


def same(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return len(one) == len(two) > 0 and all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_shards_of_a_variant_bring_their_index(plain: Path, sharded: Path) -> None:
    for part, stem in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        assert (sharded / part / f"{stem}.safetensors.index.fp16.json").is_file()
        assert len(list((sharded / part).glob(f"{stem}.fp16-*-of-*.safetensors"))) > 1
    assert same(weights(sharded, "fp16"), weights(plain, None))
    for kind in (Pipeline, SD15):
        loaded = kind(path=str(sharded), variant="fp16", dtype="float32", device="cpu", prompt_cache=str(sharded / "p"))
        assert loaded.latent_shape == (4, 8, 8)


def test_parts_without_the_variant_are_taken_as_they_are(plain: Path, sharded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    shutil.copytree(plain, folder)
    shutil.rmtree(folder / "unet")
    shutil.copytree(sharded / "unet", folder / "unet")
    assert same(weights(folder, "fp16"), weights(plain, None))
    with pytest.raises(ValueError, match="fp16"):
        weights(plain, "fp16")
    with pytest.raises(ValueError, match="cannot be loaded by diffusers: OSError: .*no file named"):
        Repository(str(folder)).pipeline(None, torch.float32)


def test_what_is_unloaded_has_no_weights_whatever_its_constructor_makes(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kolors' text encoder makes its weights on the CPU: they would be taken for those of the file."""
    build = Repository.build

    def stubborn(repository: Repository, part: str) -> torch.nn.Module:
        with torch.device("cpu"):
            return build(repository, part)

    monkeypatch.setattr(Repository, "build", stubborn)
    pipe = Repository(str(plain)).pipeline(None, torch.float32, ["text_encoder"])
    assert all(held.is_meta for held in (*pipe.text_encoder.parameters(), *pipe.text_encoder.buffers()))


def test_a_class_that_diffusers_lacks_is_one_line(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(plain, folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "NoSuchPipeline"}))
    with pytest.raises(ValueError, match=r"other: diffusers [\d.]+ has no NoSuchPipeline"):
        Repository(str(folder)).pipeline(None, torch.float32)
    odd = index | {"unet": ["diffusers", "NoSuchNetwork"]}
    (folder / "model_index.json").write_text(json.dumps(odd))
    with pytest.raises(ValueError, match="NoSuchNetwork"):
        Repository(str(folder)).pipeline(None, torch.float32)
