"""A criterion without a run, for tests."""

from fst.config.schema import LossConfig
from fst.losses.criterion import Criterion
from fst.losses.vgg import VGGFeatures
from fst.methods.parts import build_terms


def build_criterion(features: VGGFeatures, **settings: object) -> Criterion:
    """Of settings as `style_layers`, also such as no run may have, on features that reach every layer of the terms."""
    loss = LossConfig()
    assert settings.keys() <= vars(loss).keys()
    vars(loss).update(settings)
    return Criterion(features, build_terms(loss))
