"""The judges of the embedded models: what they score, and that they share nothing."""

from __future__ import annotations

import pytest
import torch

from scaling.metrics.evaluator import Evaluator
from scaling.protocols import Condition, Features, Verifier
from scaling.verifiers.classifier import Classifier
from scaling.verifiers.control import Control
from scaling.verifiers.oracle import Oracle
from scaling.verifiers.self_supervised import SelfSupervised

CONDITIONS = [Condition(class_label=i) for i in (0, 3, 9, 5)]


def images(n: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed)).expand(-1, 3, -1, -1)


@pytest.fixture(params=["classifier", "oracle", "self_supervised", "control"])
def verifier(request: pytest.FixtureRequest) -> Verifier:
    if request.param == "control":
        return Control()
    return {"classifier": Classifier, "oracle": Oracle, "self_supervised": SelfSupervised}[request.param](device="cpu")


def test_scores_are_a_row_each_finite_and_repeatable(verifier: Verifier) -> None:
    first = verifier(images(), CONDITIONS, images(seed=1))
    assert first.shape == (4,)
    assert torch.isfinite(first).all()
    assert torch.equal(first, verifier(images(), CONDITIONS, images(seed=1)))
    swapped = verifier(images().flip(0), CONDITIONS[::-1], images(seed=1).flip(0))
    torch.testing.assert_close(first, swapped.flip(0), atol=1e-4, rtol=1e-4)


def test_the_gradient_is_as_declared(verifier: Verifier) -> None:
    inputs, probes = images().clone().requires_grad_(), images(seed=1)
    if not verifier.differentiable:
        return
    verifier(inputs, CONDITIONS, probes).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.abs().sum() > 0


def test_the_classifier_gives_the_raw_logit() -> None:
    verifier = Classifier(device="cpu")
    logits = verifier.network(images())
    assert torch.equal(verifier(images(), CONDITIONS), logits[torch.arange(4), torch.tensor([0, 3, 9, 5])])


def test_the_oracle_gives_the_evaluators_log_odds() -> None:
    logits = Evaluator(device="cpu")(images(), CONDITIONS)["logits"].double()
    p = logits.softmax(dim=1)[torch.arange(4), torch.tensor([0, 3, 9, 5])]
    odds = p.log() - (1 - p).log()
    torch.testing.assert_close(Oracle(device="cpu")(images(), CONDITIONS).double(), odds, atol=1e-4, rtol=1e-4)


def test_self_supervision_is_one_where_nothing_changed_and_needs_probes() -> None:
    verifier = SelfSupervised(device="cpu")
    assert verifier.probe_sigma == 0.4
    torch.testing.assert_close(verifier(images(), CONDITIONS, images()), torch.ones(4))
    assert (verifier(images(), CONDITIONS, torch.zeros(4, 3, 28, 28)) < 0.999).all()
    with pytest.raises(ValueError, match=r"sigma 0\.4"):
        verifier(images(), CONDITIONS)
    with pytest.raises(ValueError, match="probe_sigma=1"):
        SelfSupervised(probe_sigma=1.0, device="cpu")


def test_the_control_is_uniform_continuous_and_knows_no_other_verifier() -> None:
    many = torch.rand(600, 1, 28, 28, generator=torch.Generator().manual_seed(3)).expand(-1, 3, -1, -1)
    labels = [Condition(class_label=i % 10) for i in range(600)]
    scores = Control()(many, labels)
    assert scores.min() >= -1
    assert scores.max() <= 1
    torch.testing.assert_close(torch.histc(scores, 4, -1, 1) / 600, torch.full((4,), 0.25), atol=0.08, rtol=0)
    torch.testing.assert_close(Control()(many + 1e-7, labels), scores, atol=1e-3, rtol=0)
    assert not torch.equal(Control(seed=1)(many, labels), scores)
    for other in (Classifier(device="cpu"), Oracle(device="cpu")):
        with torch.no_grad():
            assert torch.corrcoef(torch.stack((scores, other(many, labels))))[0, 1].abs() < 0.15


def test_the_evaluator_gives_features_and_logits() -> None:
    evaluator: Features = Evaluator(device="cpu")
    out = evaluator(images(), CONDITIONS)
    assert out["features"].shape == (4, 32)
    assert out["logits"].shape == (4, 10)


def test_judges_share_no_weights_and_no_architecture() -> None:
    judges = (Classifier(device="cpu"), Evaluator(device="cpu"), SelfSupervised(device="cpu"))
    identities = [judge.identity() for judge in judges]
    assert len({i["network"] for i in identities}) == 3
    assert len({i["weights"] for i in identities}) == 3
    assert Oracle(device="cpu").identity()["weights"] == identities[1]["weights"]


def test_other_images_and_other_files_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 32, 32\)"):
        Classifier(device="cpu")(torch.rand(1, 3, 32, 32), CONDITIONS[:1])
    with pytest.raises(ValueError, match="ConvNeXt"):
        Classifier(path="fashion_evaluator", device="cpu")
    with pytest.raises(ValueError, match="class label"):
        Classifier(device="cpu")(images(1), [Condition(prompt="a shoe")])
