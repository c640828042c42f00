"""From flat settings, as `loss.style_weight` and `loss.style_layers`, to the criterion."""

import inspect

from fst.errors import UserError, near
from fst.losses.criterion import Criterion
from fst.losses.term import Term
from fst.losses.terms import TERMS
from fst.losses.vgg import VGGFeatures


def build_criterion(features: VGGFeatures, **settings: object) -> Criterion:
    """The criterion of `build_terms(**settings)` on features that reach every layer that the terms name."""
    return Criterion(features, build_terms(**settings))


def build_terms(**settings: object) -> dict[str, tuple[float, Term]]:
    """Weight and term of every registered term by name, from NAME_weight and NAME_ARGUMENT of each, or their defaults.

    Raises:
        UserError: an unknown setting, or a value that a term refuses.
    """
    terms = {}
    known = []
    for name, term in TERMS.items():
        arguments = {key: f"{name}_{key}" for key in inspect.signature(term).parameters}
        known += [f"{name}_weight", *arguments.values()]
        given = {key: settings[setting] for key, setting in arguments.items() if setting in settings}
        terms[name] = (settings.get(f"{name}_weight", term.default_weight), term(**given))
    for key in settings:
        if key not in known:
            raise UserError(f"the loss has no setting '{key}'{near(key, known)}")
    return terms
