"""Muon for the kernels of convolutions, Adam for the rest (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

A step moves each kernel, as a matrix (outputs × inputs·k·k), along the orthogonal matrix nearest to its momentum, so
that all directions are learnt at one rate. `torch.optim.Muon` takes matrices alone; Lightning's automatic optimisation
takes one optimiser: hence this one, with a group for each of the two rules.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, chosen by Jordan for its slope at zero
ITERATIONS = 5
MOMENTUM = 0.95  # of Muon, with Nesterov's look-ahead
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam


class MuonAdam(torch.optim.Optimizer):
    """Parameters with four dimensions by Muon, all others by Adam at the learning rate `lr`.

    `muon_lr` is the step length of kernels: the change of a kernel's singular values in one step.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, muon_lr: float, lr: float) -> None:
        parameters = list(parameters)
        kernels = [parameter for parameter in parameters if parameter.dim() == 4]
        others = [parameter for parameter in parameters if parameter.dim() != 4]
        adam = {"params": others, "lr": lr, "muon": False}
        muon = {"params": kernels, "lr": muon_lr, "muon": True}
        super().__init__([group for group in (adam, muon) if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the closure, where there is one, computes the gradients first."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            (self._muon if group["muon"] else self._adam)(group)
        return loss

    def _muon(self, group: dict[str, Any]) -> None:
        by_shape: dict[torch.Size, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape.setdefault(parameter.shape, []).append(parameter)
        for shape, parameters in by_shape.items():  # kernels of one shape at once: fewer, larger products
            steps = [self._momentum(parameter) for parameter in parameters]
            updates = orthogonal(torch.stack(steps)) * max(1.0, shape[0] / shape[1:].numel()) ** 0.5
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.add_(update.view(shape), alpha=-group["lr"])

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        gradient = parameter.grad.reshape(len(parameter), -1)
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        average = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(average, MOMENTUM)

    def _adam(self, group: dict[str, Any]) -> None:
        beta1, beta2 = BETAS
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
            state["step"] += 1
            mean = state["mean"].lerp_(parameter.grad, 1 - beta1)
            square = state["square"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
            scale = group["lr"] / (1 - beta1 ** state["step"])
            parameter.addcdiv_(mean, (square / (1 - beta2 ** state["step"])).sqrt_().add_(EPSILON), value=-scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """About the nearest orthogonal matrix of each of (N, rows, columns): singular values between 0.7 and 1.2.

    Newton and Schulz's iteration, X ← aX + b(XXᵀ)X + c(XXᵀ)²X, on the smaller of the two Gram matrices.
    """
    transposed = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if transposed else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-12)
    a, b, c = COEFFICIENTS
    gram = x @ x.transpose(1, 2)
    identity = torch.eye(gram.shape[1], device=gram.device, dtype=gram.dtype)
    product = identity.expand_as(gram)
    for _ in range(ITERATIONS):
        step = a * identity + b * gram + c * (gram @ gram)
        product = step @ product
        gram = step @ gram @ step
    x = product @ x
    return x.transpose(1, 2) if transposed else x
