"""Several styles in one network (Dumoulin, Shlens and Kudlur 2017, "A learned representation for artistic style").

All convolutions are shared; a style is the scale and the shift of each channel after each normalisation, its style
vector. A style vector comes from the network's table of styles, from a mixture of them, or from a predictor that reads
a painting (Ghiasi et al. 2017). With one, the network *folds* into the plain network that it was made from.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.errors import UserError, near
from fst.networks.network import Network
from fst.networks.predictor import Predictor


class ConditionalNorm(nn.Module):
    """Instance normalisation with a scale and a shift for each picture, (N, C), which `styled` sets."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.scale: Tensor | None = None
        self.shift: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = self.scale.to(x.dtype), self.shift.to(x.dtype)
        if len(scale) == 1:
            return F.instance_norm(x, weight=scale[0], bias=shift[0])
        return torch.addcmul(shift[:, :, None, None], F.instance_norm(x), scale[:, :, None, None])


class Conditional(Network):
    """A network of many styles, made from a plain one with instance normalisation.

    Args:
        styles: the names of its styles; training sets them to the paintings of the run.
        predictor: width of the predictor that reads a style from any painting; 0: none.
        settings: of the plain network.

    Attributes:
        names: of its styles, in the order of the table.
        table: (styles, V): a style vector each: the scales and the shifts of the first normalisation, then of the next.
        predictor: reads a style vector from a painting's Gram matrices; None: it knows the styles of its table alone.
    """

    plain_class: type[Network]

    def __init__(self, styles: Sequence[str], predictor: int, **settings: object) -> None:
        super().__init__()
        if len(set(styles)) < len(styles):
            raise UserError(f"network.styles names a style twice: {', '.join(styles)}")
        self.names, self.settings = list(styles), settings
        trunk = self.plain_class(**settings)
        self.multiple, self.smallest, self.full_resolution = trunk.multiple, trunk.smallest, trunk.full_resolution
        for parent in list(trunk.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.InstanceNorm2d):
                    setattr(parent, name, ConditionalNorm(child.num_features))
        if outside := [name for name in trunk.state_dict() if not name.startswith("layers.")]:
            raise UserError(
                f"{self.plain_class.__name__} has weights outside its layers, which styles do not share: {outside}"
            )
        self.layers = trunk.layers
        object.__setattr__(self, "_trunk", trunk)  # not registered: its layers are this network's already
        widths = [norm.num_features for norm in self._norms()]
        neutral = torch.tensor([value for width in widths for value in [1.0] * width + [0.0] * width])
        # Filled, not computed: to compute on the meta device, where files are checked, imports torch's compiler.
        self.table = nn.Parameter(torch.empty(len(self.names), len(neutral)))
        with torch.no_grad():
            self.table.copy_(neutral)
        self.predictor = Predictor(neutral, predictor) if predictor else None

    def before(self, image: Tensor) -> Tensor:
        return self._trunk.before(image)

    def after(self, features: Tensor) -> Tensor:
        return self._trunk.after(features)

    def forward(self, image: Tensor, vectors: Tensor) -> Tensor:
        """Stylize (N, 3, H, W) in [0, 1] of any size by style vectors (N, V), or (1, V) for all."""
        with self.styled(vectors):
            return super().forward(image)

    @contextlib.contextmanager
    def styled(self, vectors: Tensor) -> Iterator[None]:
        """Have every normalisation use style vectors (N, V)."""
        norms = self._norms()
        for norm, scale, shift in _shared_out(vectors, norms):
            norm.scale, norm.shift = scale, shift
        try:
            yield
        finally:
            for norm in norms:
                norm.scale = norm.shift = None

    def _norms(self) -> list[ConditionalNorm]:
        return [module for module in self.layers.modules() if isinstance(module, ConditionalNorm)]

    def vector(self, shares: Mapping[str, float]) -> Tensor:
        """The style vector (1, V) of a mixture of its styles; shares are normalised."""
        for name in shares:
            if name not in self.names:
                raise UserError(f"unknown style '{name}'{near(name, self.names)}")
        total = sum(shares.values())
        if total <= 0 or min(shares.values()) < 0:
            raise UserError(f"shares of styles must be 0 or more, and not all 0: {dict(shares)}")
        rows = [self.names.index(name) for name in shares]
        weights = torch.tensor([share / total for share in shares.values()], device=self.table.device)
        return (weights[:, None] * self.table[rows]).sum(0, keepdim=True)

    def for_style(self, shares: Mapping[str, float]) -> Network:
        """The plain network of a style or a mixture, as {"gogh": 0.7, "hokusai": 0.3}."""
        return self.folded(self.vector(shares))

    @torch.no_grad()
    def folded(self, vector: Tensor) -> Network:
        """The plain network of a style vector (1, V), in evaluation mode."""
        plain = self.plain_class(**self.settings)
        norms = [module for module in plain.modules() if isinstance(module, nn.InstanceNorm2d)]
        for norm, scale, shift in _shared_out(vector[0], norms):
            norm.weight.copy_(scale)
            norm.bias.copy_(shift)
        plain.load_state_dict(self.layers.state_dict(prefix="layers."), strict=False)
        return plain.eval().requires_grad_(False)


def _shared_out(vectors: Tensor, norms: Sequence[nn.Module]) -> Iterator[tuple[nn.Module, Tensor, Tensor]]:
    """Every normalisation with its scale and its shift, of style vectors (..., V)."""
    parts = vectors.split([norm.num_features for norm in norms for _ in range(2)], dim=-1)
    return zip(norms, parts[::2], parts[1::2], strict=True)
