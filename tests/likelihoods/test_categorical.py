"""The categorical likelihood beside torch's own softmax, where it goes a few rows at a time and where it goes over bfloat16."""

import subprocess
import sys

import pytest
import torch

from vqvae.likelihoods import CategoricalConfig, categorical


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_value_and_slope_beside_log_softmax(
    dtype: torch.dtype, memory_format: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(categorical, "_ROWS", 7)
    generator = torch.Generator().manual_seed(0)
    parameters = (4 * torch.randn(3, 2 * 256, 4, 5, generator=generator)).to(dtype).contiguous(memory_format=memory_format)
    x = torch.randint(0, 256, (3, 2, 4, 5), dtype=torch.uint8, generator=generator)
    weights = torch.tensor([1.0, -2.0, 0.5])
    own, plain = parameters.clone().requires_grad_(), parameters.double().requires_grad_()
    log_prob = CategoricalConfig(channels=2).build().log_prob(own, x)
    expected = plain.unflatten(1, (2, 256)).log_softmax(2).gather(2, x.long().unsqueeze(2)).flatten(1).sum(1)
    assert log_prob.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(log_prob.double(), expected, rtol=1e-6, atol=1e-4)
    (log_prob * weights).sum().backward()
    (expected * weights).sum().backward()
    assert own.grad.dtype == dtype
    precision = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 2**-8}[dtype]
    torch.testing.assert_close(own.grad.double(), plain.grad, rtol=precision, atol=precision)


def test_logits_of_thousands_stay_finite() -> None:
    parameters = torch.full((1, 256, 1, 1), 3e4)
    parameters[0, 7] = -3e4
    levels = torch.tensor([7, 8], dtype=torch.uint8).view(2, 1, 1, 1)
    log_prob = CategoricalConfig(channels=1).build().log_prob(parameters.expand(2, -1, -1, -1), levels)
    torch.testing.assert_close(log_prob, torch.tensor([-6e4 - torch.tensor(255.0).log(), -torch.tensor(255.0).log()]))


SCRIPT = """
import torch
from vqvae.likelihoods import CategoricalConfig, categorical

categorical._ROWS = 4
nodes = []
def backend(graph, inputs):
    nodes.append(sum(len(part.graph.nodes) for part in graph.modules() if hasattr(part, "graph")))
    return graph

likelihood = CategoricalConfig(channels=3).build()
parameters, x = torch.randn(2, 768, 8, 8, requires_grad=True), torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
found = torch.compile(likelihood.log_prob, backend=backend, fullgraph=True)(parameters, x)
torch.testing.assert_close(found, likelihood.log_prob(parameters, x))
assert max(nodes) < 100, nodes
"""


def test_compiled_it_is_not_unrolled() -> None:
    # In a process of its own: the compiler cannot trace the shape checks that tests put around every function.
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
