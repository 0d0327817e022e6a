import pytest
import torch

from scaling.loading.inception import inception_nodes
from scaling.metrics.inception import InceptionFeatures
from scaling.protocols import Condition
from scaling.verifiers.inception import InceptionProbability


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random InceptionV3 weights in torch-fidelity's file format."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr(module, "load_state_dict_from_url", lambda url, progress: {})
        torch.save(module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).state_dict(), path)
    return str(path)


def test_the_probability_is_that_of_the_metrics_network(weights):
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    panda = [Condition(class_label=388)]  # output 169
    expected = InceptionFeatures(path=weights, device="cpu")(images, panda)["logits"].softmax(dim=1)[:, 169]
    verifier = InceptionProbability(path=weights, device="cpu")
    torch.testing.assert_close(verifier(images, panda), expected)
    assert verifier.identity()["log_odds"] is False


def test_log_odds_do_not_saturate(weights, monkeypatch):
    verifier = InceptionProbability(path=weights, log_odds=True, device="cpu")
    logits = torch.zeros(3, 1008)
    logits[:, 449] = torch.tensor([1.0, 40.0, 50.0])
    monkeypatch.setattr(verifier, "inception", lambda images: (None, logits))
    conditions = [Condition(class_label=0)] * 3
    scores = verifier(torch.zeros(3, 3, 32, 32), conditions)
    others = torch.tensor(1007.0).log()
    torch.testing.assert_close(scores, logits[:, 449] - others)
    monkeypatch.setattr(verifier, "log_odds", False)
    torch.testing.assert_close(verifier(torch.zeros(3, 3, 32, 32), conditions), logits.softmax(dim=1)[:, 449])


def test_nodes_are_imagenets_challenge_ids():
    nodes = inception_nodes()
    assert sorted(nodes.tolist()) == list(range(1, 1001))
    known = {0: 449, 1: 450, 278: 1, 212: 2, 250: 3, 193: 4, 388: 169, 543: 1000}  # tench ... kit fox ... dumbbell
    assert {label: int(nodes[label]) for label in known} == known
