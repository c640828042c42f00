"""The loss terms, a file each; `fst.losses.term` states their contract."""

import importlib
import pkgutil

from fst.losses.term import TERMS

for _file in sorted(pkgutil.iter_modules(__path__), key=lambda file: file.name):
    importlib.import_module(f"{__name__}.{_file.name}")

__all__ = ["TERMS"]
