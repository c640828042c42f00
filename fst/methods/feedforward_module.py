"""A network learns a style (Johnson, Alahi, Fei-Fei 2016, section 3), or several (Dumoulin, Shlens, Kudlur 2017)."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fst.data.noise import with_noise
from fst.data.order import STEPS, generator
from fst.errors import UserError
from fst.losses.criterion import Criterion, Losses
from fst.losses.style_target import StyleTarget
from fst.methods.muon import MuonAdam
from fst.networks import Network, framed
from fst.stylefile import CHECKPOINT_INFO, NETWORK_PREFIX, StyleInfo
from fst.stylize.framing import MARGIN
from fst.tracking.previews import Preview

if TYPE_CHECKING:
    from fst.methods.feedforward import Feedforward

OVERFLOWS = 50  # a loss in 16 bits is scaled down after some
SKIPPED = 0.01  # the share of steps without a finite gradient that is told
OVERFLOW_CAUSES = (
    "photos of one colour, method.learning_rate or loss.style_weight too high, a loss term of your own with a root or "
    "a division by 0"
)


@dataclass(frozen=True)
class Aim:
    """What pictures are to look like, and what paints them so."""

    style: StyleTarget  # one painting for all, or one a picture
    paint: Callable[[Tensor], Tensor]  # photos (N, 3, H, W) in [0, 1] to pictures


class FeedForwardStyleTransfer(pl.LightningModule):
    """Train a transform network so that its pictures have a photo's content and a painting's style.

    `steps` is the length of the whole run, for the schedule, and `info` what the style file will say.
    """

    def __init__(
        self,
        network: Network,
        criterion: Criterion,
        style: StyleTarget,
        settings: Feedforward,
        *,
        steps: int,
        info: StyleInfo,
    ) -> None:
        super().__init__()
        self.network, self.criterion, self.style = network, criterion, style
        self.settings, self.steps, self.info = settings, steps, info
        self.preview_photos: list[tuple[str, Tensor]] = []
        self.strict_loading = False  # the loss network is not in a checkpoint: it never changes
        self._paint = network.forward
        self._overflows = 0  # steps in a row
        self._steps = self._skipped = 0  # of this process; those whose gradient was not finite
        self._photo_losses: list[tuple[str, dict[str, float]]] = []
        self._untouched_style: dict[tuple[int, str], float] = {}

    def drawn(self, count: int) -> Aim:
        """What the next training step, on so many photos, aims at."""
        return Aim(self.style, self._paint)

    def aims(self) -> dict[str, Aim]:
        """Each style by its name, painted by the network as it is: what is validated and previewed."""
        return {self.info.name: Aim(self.style, self.network.forward)}

    def trained_networks(self) -> dict[str, Network]:
        """The networks to paint with, by style."""
        return {self.info.name: self.network}

    def compile_network(self) -> None:
        """Compile the network: the first step takes up to a minute longer, later ones less.

        Not the loss as well: its convolutions are the same library's, and what is left of it is slower compiled
        (experiments/speed).
        """
        self._paint = torch.compile(self.network.forward)

    def on_fit_start(self) -> None:
        self.style = self.style.to(self.device)

    def on_train_batch_start(self, photos: Tensor, index: int) -> None:
        """What a step draws depends on seed, step and process alone: a run that goes on draws what it would have."""
        place = self.global_step * self.trainer.world_size + self.global_rank
        torch.manual_seed(int(generator(self.info.training["seed"], STEPS, place).integers(2**63)))

    def training_step(self, photos: Tensor, index: int) -> Tensor:
        margin, room = self.settings.margin, self.criterion.room
        top, left = torch.randint(0, room + 1, (2,)).tolist() if room else (0, 0)
        height, width = photos.shape[-2:]
        seen = photos[..., top : height - room + top, left : width - room + left]
        inner = (..., slice(margin, seen.shape[-2] - margin), slice(margin, seen.shape[-1] - margin))
        aim = self.drawn(len(photos))
        painted = aim.paint(with_noise(seen, self.settings.noise))[inner]
        losses = self._compared(painted, seen[inner], aim, around=photos, place=(top + margin, left + margin))
        losses.check_finite(f"at step {self.global_step + 1}")
        logged = losses.named() | losses.parts
        self.log_dict({f"train/{name}": value.detach() for name, value in logged.items()}, sync_dist=True)
        return losses.total

    def validation_step(self, photos: Tensor, index: int) -> None:
        aims = self.aims()
        for photo, (style, aim) in itertools.product(photos.split(1), aims.items()):
            number = len(self._photo_losses) // len(aims)
            torch.manual_seed(number)  # the same draws at every validation: figures compare
            in_margin = Aim(aim.style, functools.partial(framed, aim.paint, margin=MARGIN))
            losses = self._compared(in_margin.paint(photo), photo, in_margin)
            losses.check_finite(f"in validation after step {self.global_step}")
            values = {name: value.item() for name, value in losses.named().items()}
            if "style_loss" in values:
                values["style_ratio"] = values["style_loss"] / self._style_of_untouched(photo, number, style, aim)
                values["style_loss"] /= 1.0 if aim.style.weights is None else aim.style.weights.item()
            self._photo_losses.append((style, values))

    def _compared(self, painted: Tensor, photos: Tensor, aim: Aim, **around: Any) -> Losses:
        content = self.criterion.content_target(photos)
        paint = _in_this_precision(aim.paint, self.device.type)  # the criterion computes in fp32
        return self.criterion(painted, content, aim.style, photos=photos, paint=paint, **around)

    def _style_of_untouched(self, photo: Tensor, number: int, style: str, aim: Aim) -> float:
        """The style loss of a held-out photo itself: what a network that changes nothing would have."""
        if (number, style) not in self._untouched_style:
            self._untouched_style[number, style] = self.criterion.style_loss(photo, aim.style).item()
        return max(self._untouched_style[number, style], 1e-12)

    def on_validation_epoch_end(self) -> None:
        rows, self._photo_losses = self._photo_losses, []
        if not rows:
            return
        columns = list(rows[0][1])
        means = {f"val/{name}": statistics.fmean(row[name] for _, row in rows) for name in columns}
        styles = dict.fromkeys(style for style, _ in rows)
        if len(styles) > 1:  # by style as well: val/style_loss@gogh
            for style, name in itertools.product(styles, columns):
                means[f"val/{name}@{style}"] = statistics.fmean(row[name] for of, row in rows if of == style)
        self.log_dict(means, sync_dist=True)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self.network.parameters())
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        settings = self.settings
        if settings.optimizer == "muon":
            return MuonAdam(parameters, muon_lr=settings.muon_learning_rate, lr=settings.learning_rate)
        # Not fused: that unscales a loss in 16 bits by itself, after the gradients were clipped.
        return torch.optim.Adam(parameters, settings.learning_rate)

    def _rate(self, step: int) -> float:
        """The learning rates' factor at a step: growing at first, then by the schedule."""
        warm = min(1.0, (step + 1) / self.settings.warmup_steps) if self.settings.warmup_steps else 1.0
        if self.settings.schedule == "constant":
            return warm
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip a step's gradient; a step whose gradient is not finite changes nothing.

        A photo's gradient is the larger the flatter the photo is: where there is nothing to normalise, each
        normalisation multiplies it by up to 300, until it overflows in a photo of one colour. Unclipped, a few
        such photos outweigh hundreds of others in the optimizer's averages (experiments/recipe).

        Raises:
            UserError: the gradients of OVERFLOWS steps in a row were not finite.
        """
        parameters = [one for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
        norm = torch.nn.utils.get_total_norm([one.grad for one in parameters])
        self._steps += 1
        if norm.isfinite():
            self._overflows = 0
            if gradient_clip_val is not None:
                torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)
            return
        optimizer.zero_grad()
        self._overflows += 1
        self._skipped += 1
        if self._overflows == OVERFLOWS:
            raise UserError(
                f"the gradients of {OVERFLOWS} steps in a row, up to step {self.global_step + 1}, were not finite; the "
                f"usual causes: {OVERFLOW_CAUSES}"
            )

    def on_train_end(self) -> None:
        """Say how many steps changed nothing, if more than 16 bits explain.

        Raises:
            UserError: no step's gradient was finite, so that nothing was learnt.
        """
        if self._skipped and self._skipped == self.global_step:
            raise UserError(
                f"no step's gradient was finite, so nothing was learnt; the usual causes: {OVERFLOW_CAUSES}"
            )
        if self._skipped > SKIPPED * self._steps and self.trainer.is_global_zero:
            print(f"{self._skipped} of {self._steps} steps changed nothing: their gradients were not finite")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        weights = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in weights.items() if name.startswith(NETWORK_PREFIX)}
        checkpoint[CHECKPOINT_INFO] = dataclasses.asdict(self.style_info())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        earlier = checkpoint[CHECKPOINT_INFO]["training"]  # with what its last validation measured
        kept = {key: earlier[key] for key in ("losses", "by_style") if key in earlier}
        self.info = dataclasses.replace(self.info, training=self.info.training | kept)

    def style_info(self) -> StyleInfo:
        """What a style file written now says: the run's description and its losses so far."""
        measured = self.info.training.get("losses", {}) | {
            name: float(value)
            for name, value in self.trainer.callback_metrics.items()
            if name.startswith("val/") and not name.endswith("_weighted") and "@" not in name
        }
        training = {**self.info.training, "steps": self.global_step, **({"losses": measured} if measured else {})}
        return dataclasses.replace(self.info, training=training)

    @torch.no_grad()
    def previews(self) -> list[Preview]:
        """The preview photos painted by the network as it is, each in every style."""
        training = self.network.training
        self.network.eval()
        aims, painted = self.aims(), []
        for (name, photo), (style, aim) in itertools.product(self.preview_photos, aims.items()):
            result = framed(aim.paint, photo[None].to(self.device), MARGIN)[0].float().cpu()
            painted.append(Preview(name if len(aims) == 1 else f"{name}-{style}", photo, result))
        self.network.train(training)
        return painted


class ManyStyles(FeedForwardStyleTransfer):
    """As for one style, but each photo of a batch is painted in a style of its own; styles take turns.

    Its network is a `fst.networks.conditional.Conditional`, its style has as many paintings as the network's table.
    """

    def drawn(self, count: int) -> Aim:
        return self._aim(self._paint, *self.turn(count, self.global_step * count))

    def turn(self, count: int, before: int) -> tuple[Tensor, StyleTarget]:
        """Style vectors (N, V) and targets of the styles whose turn it is, after so many a process."""
        first = before * self.trainer.world_size + count * self.global_rank
        places = torch.arange(first, first + count, device=self.device) % len(self.network.names)
        return self.network.table[places], self.style[places]

    def aims(self) -> dict[str, Aim]:
        table, paint = self.network.table, self.network.forward
        return {
            name: self._aim(paint, table[place : place + 1], self.style[place])
            for place, name in enumerate(self.network.names)
        }

    def trained_networks(self) -> dict[str, Network]:
        return {name: self.network.for_style({name: 1.0}) for name in self.network.names}

    def style_info(self) -> StyleInfo:
        """With the losses of each style."""
        info = super().style_info()
        if "losses" in info.training:
            figures = {name: self._figures(name) for name in self.network.names}
            if any(figures.values()):
                info.training["by_style"] = figures
        return info

    def _figures(self, name: str) -> dict[str, float]:
        """Content and style loss before their weights, and the objective, on held-out photos."""
        at = f"@{name}" if len(self.network.names) > 1 else ""
        keys = {"content": f"val/content_loss{at}", "style": f"val/style_loss{at}", "total": f"val/loss{at}"}
        metrics = self.trainer.callback_metrics
        return {figure: float(metrics[key]) for figure, key in keys.items() if key in metrics}

    @staticmethod
    def _aim(paint: Callable[..., Tensor], vectors: Tensor, style: StyleTarget) -> Aim:
        return Aim(style, lambda photos: paint(photos, vectors))


def _in_this_precision(paint: Callable[[Tensor], Tensor], device: str) -> Callable[[Tensor], Tensor]:
    """The same, in the precision of autocast here wherever it is called."""
    precision = {"dtype": torch.get_autocast_dtype(device), "enabled": torch.is_autocast_enabled(device)}

    def painted(photos: Tensor) -> Tensor:
        with torch.autocast(device, **precision):
            return paint(photos)

    return painted
