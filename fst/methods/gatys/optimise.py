"""An image as the parameter of an optimiser: evaluations that are not paid for twice, L-BFGS within [0, 1], Adam."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fst.losses.criterion import Criterion, Losses
from fst.losses.style_target import StyleTarget

REMEMBERED = 3  # evaluations kept: a line search accepts the last one, seldom one before it
LINE_SEARCH = 25  # evaluations at most in one
LONG_SEARCH = 8  # more than this say that the direction was bad

Evaluate = Callable[[Tensor], tuple[Losses, Tensor]]  # the terms at an image, and the gradient of their total


@dataclass(frozen=True)
class Evaluation:
    """The loss terms at an image, and the gradient an optimiser is given there."""

    image: Tensor
    losses: Losses
    gradient: Tensor


class Objective:
    """The closure an optimiser calls: the total at the image, its gradient left in `image.grad`.

    `torch.optim.LBFGS` asks again, at the start of a step, for what its last line search ended with: the last few
    evaluations are remembered, so that an iteration costs one forward and one backward pass and not two.

    The image is kept in [0, 1] by projection, as Johnson et al. 2016 (section 4.1) keep their baseline: it is clipped
    where it is evaluated, and the gradient is zero where descent would lead outside.

    The total is the mean over pixels of something, so its gradient is tiny: multiplied by the number of values it is of
    order one, which the fixed thresholds inside L-BFGS presume.

    The image is (1, C, H, W); `evaluations` were made before, at other sizes or before a resumed run stopped.
    """

    def __init__(self, image: nn.Parameter, evaluate: Evaluate, evaluations: int = 0) -> None:
        self.image = image
        self.evaluations = evaluations
        self.scale = float(image.numel())
        self._evaluate = evaluate
        self._known: deque[Evaluation] = deque(maxlen=REMEMBERED)

    def __call__(self) -> Tensor:
        found = self.current()
        self.image.grad = found.gradient.clone()
        return found.losses.total.detach() * self.scale

    def known(self) -> Evaluation | None:
        """The evaluation at the image as it is, if it is remembered."""
        return next((known for known in self._known if torch.equal(known.image, self.image.data)), None)

    def current(self) -> Evaluation:
        """The evaluation at the image as it is, remembered or made; UserError for a loss that is not finite."""
        self.image.data.clamp_(0, 1)
        if (known := self.known()) is not None:
            return known
        losses, gradient = self._evaluate(self.image)
        losses.check_finite(f"after {self.evaluations} evaluations")
        self.evaluations += 1
        image = self.image.detach().clone()
        leads_outside = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
        gradient = gradient.masked_fill(leads_outside, 0).mul_(self.scale).contiguous()  # L-BFGS flattens it
        self._known.append(Evaluation(image, losses, gradient))
        return self._known[-1]


def evaluator(criterion: Criterion, content: dict[str, Tensor], style: StyleTarget, **more: Tensor | None) -> Evaluate:
    """How to evaluate a criterion against a content and a style target; an image of one channel is taken as grey.

    `more` is what else `fst.losses.term.Step` has: the photo, masks of regions.
    """

    def evaluate(image: Tensor) -> tuple[Losses, Tensor]:
        with torch.enable_grad():
            leaf = image.detach().requires_grad_()
            losses = criterion(leaf.expand(-1, 3, -1, -1), content, style, **more)
            (gradient,) = torch.autograd.grad(losses.total, leaf)
        return losses.detached(), gradient

    return evaluate


def optimizer(
    image: nn.Parameter, name: str, *, learning_rate: float, history: int, line_search: bool = True
) -> torch.optim.Optimizer:
    """L-BFGS, one iteration a step, line search for the strong Wolfe conditions ("lbfgs"); or "adam".

    The learning rate is Adam's; L-BFGS remembers `history` steps, each as large as two images. Without a line search
    an iteration is one evaluation, of the whole step.
    """
    if name == "adam":
        return torch.optim.Adam([image], learning_rate, betas=(0.9, 0.99))
    return torch.optim.LBFGS(
        [image],
        max_iter=1,
        max_eval=1 + LINE_SEARCH,  # its default would be 1: no line search
        history_size=history,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe" if line_search else None,
    )


def step(stepper: torch.optim.Optimizer, objective: Objective) -> Evaluation:
    """One iteration; returns where it ended (L-BFGS) or began (Adam, which does not look where it goes).

    Where a line search finds no way down, or only after long search, the projection or rounding has misled L-BFGS's
    memory: it is dropped and the next step starts over with the steepest descent.
    """
    optimizer = getattr(stepper, "optimizer", stepper)  # Lightning wraps it
    before, spent = objective.current(), objective.evaluations
    stepper.step(objective)
    if not isinstance(optimizer, torch.optim.LBFGS):
        return before
    after = objective.current()
    misled = not after.losses.total < before.losses.total or objective.evaluations - spent > LONG_SEARCH
    if misled and optimizer.param_groups[0]["line_search_fn"]:
        optimizer.state.clear()
    return after


def minimise(
    objective: Objective, iterations: int, *, name: str = "lbfgs", history: int = 100, line_search: bool = True
) -> Iterator[Evaluation]:
    """Iterate from the image as it is, without a trainer: yields the start and then each iteration's end."""
    stepper = optimizer(objective.image, name, learning_rate=0.02, history=history, line_search=line_search)
    yield objective.current()
    for _ in range(iterations):
        yield step(stepper, objective)
