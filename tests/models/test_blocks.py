"""A network is compiled by its blocks: one of a kind, whatever their number."""

import pytest
import torch
from torch._dynamo.utils import counters

from scaling.models.blocks import compile_blocks
from scaling.models.dit import build

ARCHITECTURE = {
    "num_attention_heads": 2, "attention_head_dim": 8, "in_channels": 4, "out_channels": 4, "sample_size": 8,
    "patch_size": 2, "num_embeds_ada_norm": 5,
}  # fmt: skip


@pytest.mark.slow
def test_depth_costs_no_compilation():
    x, t, labels = torch.randn(3, 4, 8, 8), torch.full((3,), 500.0), torch.arange(3)
    made = []
    for layers in (3, 6):
        torch._dynamo.reset()
        torch.manual_seed(0)
        network = build(ARCHITECTURE | {"num_layers": layers}).eval()
        before = counters["stats"]["unique_graphs"]
        with torch.inference_mode():
            eager = network(x, timestep=t, class_labels=labels)
            compile_blocks(network)
            torch.testing.assert_close(network(x, timestep=t, class_labels=labels), eager, atol=1e-5, rtol=0)
        made.append(counters["stats"]["unique_graphs"] - before)
    assert made[0] == made[1] > 0


def test_a_network_without_blocks_is_named():
    with pytest.raises(ValueError, match="Linear has no transformer_blocks"):
        compile_blocks(torch.nn.Linear(2, 2))
