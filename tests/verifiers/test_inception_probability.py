import pytest
import torch

from scaling.inception import inception_nodes
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
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    conditions = [Condition(class_label=0), Condition(class_label=388)]  # tench and giant panda: outputs 449 and 169
    logits = InceptionFeatures(path=weights, device="cpu")(images, conditions)["logits"]
    expected = logits.softmax(dim=1)[[0, 1], [449, 169]]
    scores = InceptionProbability(path=weights, device="cpu")(images, conditions)
    torch.testing.assert_close(scores, expected)
    log_odds = InceptionProbability(path=weights, log_odds=True, device="cpu")(images, conditions)
    torch.testing.assert_close(log_odds, torch.logit(expected), atol=1e-4, rtol=1e-4)


def test_nodes_are_imagenets_challenge_ids():
    nodes = inception_nodes()
    assert sorted(nodes.tolist()) == list(range(1, 1001))
    known = {0: 449, 1: 450, 278: 1, 212: 2, 250: 3, 193: 4, 388: 169, 543: 1000}  # tench ... kit fox ... dumbbell
    assert {label: int(nodes[label]) for label in known} == known


def test_options_are_in_the_identity(weights):
    plain, odds = (InceptionProbability(path=weights, log_odds=o, device="cpu") for o in (False, True))
    assert plain.identity() != odds.identity()
