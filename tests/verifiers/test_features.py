import pytest
import torch
from tiny_encoders import tiny_dinov2, tiny_open_clip

from scaling.loading.encoders import Dino, OpenClip
from scaling.protocols import Condition
from scaling.verifiers.clip_zero_shot import ClipZeroShot
from scaling.verifiers.dino_linear import DinoLinear
from scaling.verifiers.self_supervised_features import SelfSupervisedFeatures

CONDITIONS = [Condition(class_label=label) for label in (2, 0, 1)]


def images(seed=0):
    return torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    return Dino(path=str(tiny_dinov2(tmp_path_factory.mktemp("dino"))), resize=60, crop=56, device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return OpenClip(path=str(tiny_open_clip(tmp_path_factory.mktemp("clip"))), device="cpu")


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    return OpenClip(path=str(tiny_open_clip(tmp_path_factory.mktemp("siglip"), siglip=True)), device="cpu")


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    path = tmp_path_factory.mktemp("head") / "linear4_head.pth"
    generator = torch.Generator().manual_seed(1)
    torch.save({"weight": torch.randn(3, 120, generator=generator), "bias": torch.randn(3, generator=generator)}, path)
    return str(path)


def test_dino_linear_is_the_authors_formula(dino, head):
    """Once more by hand, from the blocks of transformers' model."""
    hidden = dino.network(dino.preprocess(images()), output_hidden_states=True).hidden_states
    normed = [dino.network.layernorm(h) for h in hidden]
    features = torch.cat([*(normed[i][:, 0] for i in (3, 4, 5, 6)), normed[6][:, 1:].mean(dim=1)], dim=1)
    state = torch.load(head)
    logits = torch.nn.functional.linear(features, state["weight"], state["bias"])
    expected = torch.stack([logits[row, condition.class_label] for row, condition in enumerate(CONDITIONS)])
    scores = DinoLinear(encoder=dino, head=head)(images(), CONDITIONS)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)


def test_dino_linear_heads_that_are_missing_or_foreign_are_named(dino, head, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="curl -L --create-dirs"):
        DinoLinear(encoder=dino, head=str(tmp_path / "gone.pth"))
    torch.save({"weight": torch.zeros(3, 100), "bias": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="5 x 24"):
        DinoLinear(encoder=dino, head=str(tmp_path / "other.pth"))
    (tmp_path / "broken.pth").write_bytes(b"x")
    with pytest.raises(ValueError, match="no linear head"):
        DinoLinear(encoder=dino, head=str(tmp_path / "broken.pth"))


def test_clip_zero_shot_is_the_cosine_to_open_clips_own_classifier(clip, tmp_path):
    import open_clip

    names, templates = ["tench", "goldfish", "kite {bird}"], ["a photo of a {}.", "art of the {}.", "a {}"]
    theirs = open_clip.build_zero_shot_classifier(
        clip.network, open_clip.get_tokenizer("ViT-L-14"), names, [lambda c, t=t: t.replace("{}", c) for t in templates]
    )
    features = torch.nn.functional.normalize(clip(images()), dim=1)
    expected = (features @ theirs)[torch.arange(3), torch.tensor([2, 0, 1])]
    verifier = ClipZeroShot(encoder=clip, names=names, templates=templates, cache=str(tmp_path))
    torch.testing.assert_close(verifier(images(), CONDITIONS), expected)


def test_clip_columns_are_computed_once(clip, tmp_path, monkeypatch):
    options = {"encoder": clip, "names": ["a", "b"], "templates": ["{}"], "cache": str(tmp_path)}
    first = ClipZeroShot(**options)
    with monkeypatch.context() as patch:
        patch.setattr(clip, "texts", lambda prompts: pytest.fail("the columns were on disk"))
        assert torch.equal(ClipZeroShot(**options).columns, first.columns)
    other = ClipZeroShot(**options | {"templates": ["a {}"]})
    assert not torch.equal(other.columns, first.columns)
    assert other.identity() != first.identity()
    with pytest.raises(ValueError, match=r"no \{\}"):
        ClipZeroShot(**options | {"templates": ["a"]})


def test_clip_prompts_are_openais_80_on_1000_classes(clip, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(clip, "texts", lambda prompts: (asked.append(prompts), torch.ones(len(prompts), 16))[1])
    ClipZeroShot(encoder=clip, cache=str(tmp_path))
    assert (len(asked), len(asked[0]), len(set(asked[0]))) == (1000, 80, 80)
    assert "a bad photo of a tench." in asked[0]


@pytest.mark.parametrize("name", ["dino", "clip", "siglip"])
def test_self_supervised_is_the_cosine_of_features(name, request):
    encoder = request.getfixturevalue(name)
    verifier = SelfSupervisedFeatures(encoder=encoder)
    assert verifier.probe_sigma == 0.4
    a, b = encoder(images()).double(), encoder(images(1)).double()
    expected = (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))
    torch.testing.assert_close(verifier(images(), CONDITIONS, images(1)), expected.float())
    torch.testing.assert_close(verifier(images(), CONDITIONS, images()), torch.ones(3))


def test_self_supervised_needs_probes(dino, clip):
    with pytest.raises(ValueError, match=r"sigma 0\.4"):
        SelfSupervisedFeatures(encoder=dino)(images(), CONDITIONS)
    with pytest.raises(ValueError, match="between 0 and 1"):
        SelfSupervisedFeatures(encoder=dino, probe_sigma=1.5)
    identities = [
        SelfSupervisedFeatures(encoder=e, probe_sigma=p).identity() for e, p in ((dino, 0.4), (clip, 0.4), (dino, 0.3))
    ]
    assert all(a != b for i, a in enumerate(identities) for b in identities[:i])


def test_gradients_reach_the_images(dino, clip, head, tmp_path):
    verifiers = [
        DinoLinear(encoder=dino, head=head),
        ClipZeroShot(encoder=clip, names=["a", "b", "c"], templates=["{}"], cache=str(tmp_path)),
        SelfSupervisedFeatures(encoder=clip),
    ]
    for verifier in verifiers:
        assert verifier.differentiable
        x = images().requires_grad_()
        verifier(x, CONDITIONS, images(1)).sum().backward()
        assert x.grad.abs().sum() > 0
