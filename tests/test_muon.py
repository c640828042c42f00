"""The optimiser against its definition: singular values by SVD, Adam by torch's own."""

import pytest
import torch
from torch import nn

from fst.methods.muon import MuonAdam, orthogonal


def matrices(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 12, 12)])
def test_orthogonal_keeps_directions_and_evens_singular_values(shape) -> None:
    given = matrices(*shape)
    found = orthogonal(given)
    assert found.shape == given.shape
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    polar = left @ right  # the nearest orthogonal matrix
    singular = torch.linalg.svdvals(found)
    large = values > 0.05 * values.amax(1, keepdim=True)  # what is nearly nothing takes more iterations to grow
    assert singular[large].min() > 0.6 and singular.max() < 1.3
    for mine, exact in zip(found, polar, strict=True):
        assert torch.nn.functional.cosine_similarity(mine.flatten(), exact.flatten(), dim=0) > 0.97


def test_a_kernels_step_is_as_long_as_the_rate_says() -> None:
    """A constant gradient: each step moves along the gradient's polar factor by muon_lr, whatever its size."""
    kernel = nn.Parameter(torch.zeros(6, 4, 3, 3))
    gradient = 1e-4 * matrices(6, 4, 3, 3)
    optimizer = MuonAdam([kernel], muon_lr=0.01, lr=1.0)
    for _ in range(3):
        kernel.grad = gradient.clone()
        optimizer.step()
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    moved = -kernel.detach().flatten(1)
    assert torch.nn.functional.cosine_similarity(moved.flatten(), (left @ right).flatten(), dim=0) > 0.97
    assert torch.linalg.svdvals(moved).mean().item() == pytest.approx(0.03, rel=0.15)


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (12, 3, 1, 1)])
def test_a_kernel_is_stepped_as_torchs_muon_steps_the_matrix(shape) -> None:
    """Which computes in bf16. Gradients that turn show momentum and look-ahead; the second kernel is a tall matrix."""
    kernel = nn.Parameter(matrices(*shape))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    optimizer, reference = MuonAdam([kernel], muon_lr=0.1, lr=1.0), torch.optim.Muon([matrix], 0.1, weight_decay=0)
    for step in range(6):
        kernel.grad = matrices(*shape, seed=step)
        matrix.grad = kernel.grad.flatten(1)
        before = kernel.detach().flatten(1).clone(), matrix.detach().clone()
        optimizer.step()
        reference.step()
        moved = kernel.detach().flatten(1) - before[0], matrix.detach() - before[1]
        assert (moved[0] - moved[1]).norm() < 0.05 * moved[1].norm()


def test_what_is_no_kernel_is_stepped_as_torchs_adam_steps() -> None:
    ours, theirs = (nn.Parameter(matrices(5, seed=1)) for _ in range(2))
    optimizer, reference = MuonAdam([ours], muon_lr=1.0, lr=0.02), torch.optim.Adam([theirs], 0.02)
    for step in range(10):
        for parameter in (ours, theirs):
            parameter.grad = matrices(5, seed=step) * (1 + step)
        optimizer.step()
        reference.step()
    assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-8)


def test_a_resumed_optimiser_goes_on_bit_for_bit() -> None:
    def fresh() -> tuple[list[nn.Parameter], MuonAdam]:
        parameters = [nn.Parameter(matrices(4, 2, 3, 3)), nn.Parameter(matrices(4, seed=2))]
        return parameters, MuonAdam(parameters, muon_lr=0.01, lr=0.02)

    def train(parameters: list[nn.Parameter], optimizer: MuonAdam, steps: range) -> None:
        for step in steps:
            for parameter in parameters:
                parameter.grad = torch.sin(parameter.detach() * (step + 1))
            optimizer.step()

    whole, optimizer = fresh()
    train(whole, optimizer, range(8))
    first, optimizer = fresh()
    train(first, optimizer, range(3))
    saved = optimizer.state_dict()
    second, optimizer = fresh()
    for mine, theirs in zip(second, first, strict=True):
        mine.data.copy_(theirs.data)
    optimizer.load_state_dict(saved)
    train(second, optimizer, range(3, 8))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(second, whole, strict=True))
