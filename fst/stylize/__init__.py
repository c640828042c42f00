"""A style file becomes frame -> frame: `Stylizer.load("gogh")(frame)`."""

from fst.stylize.stylizer import Stylizer

__all__ = ["Stylizer"]
