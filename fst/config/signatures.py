"""Config schemas from constructors' signatures, read from the source: importing it would bring torch, in seconds.

A network, a loss term or a method is a class with the decorator `@register` in a file of its folder. Its constructor's
arguments, or a dataclass's fields, are its settings: annotations are plain types (int, float, bool, str, Sequence[...],
... | None), defaults are literals. So there is no second list of anything's settings.
"""

import ast
import functools
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

from fst.values import snake_case

FST = Path(__file__).resolve().parents[1]
TYPES = {"int": int, "float": float, "bool": bool, "str": str, "Any": Any, "None": None, "Sequence": list, "list": list}
ATTRIBUTES = ("default_weight", "changeable")  # of a class, that are read as well


@dataclass(frozen=True)
class Signature:
    """A registered class: its name in snake case, its help, its constructor's arguments and its `ATTRIBUTES`."""

    name: str
    help: str
    arguments: dict[str, tuple[Any, Any]]  # name to type and default
    attributes: dict[str, Any]
    module: str  # where to import it from

    def fields(self, prefix: str = "") -> list[tuple]:
        """The arguments as `make_dataclass` takes them."""
        return [(f"{prefix}{name}", kind, _default(value)) for name, (kind, value) in self.arguments.items()]

    def schema(self) -> type:
        """A dataclass of the name and the arguments: the schema of a config group's choice."""
        title = f"{self.name.title().replace('_', '')}Config"
        return make_dataclass(title, [("name", str, self.name), *self.fields()])


@functools.cache
def registered(folder: str) -> dict[str, Signature]:
    """The registered classes in a folder of fst and the folders below, as "networks" or "methods", by name."""
    found = {}
    for file in sorted([*(FST / folder).glob("*.py"), *(FST / folder).glob("*/*.py")]):
        module = ".".join(("fst", *file.relative_to(FST).with_suffix("").parts))
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(ast.unparse(d) == "register" for d in node.decorator_list):
                signature = _signature(node, module)
                found[signature.name] = signature
    return found


def _signature(node: ast.ClassDef, module: str) -> Signature:
    constructor = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    pairs: list[tuple[ast.arg, Any]] = []
    if constructor is not None:
        given = constructor.args
        named = given.args[1:]
        pairs += zip(named[len(named) - len(given.defaults) :], given.defaults, strict=True)
        pairs += zip(given.kwonlyargs, given.kw_defaults, strict=True)
    elif any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        fields = [field for field in node.body if isinstance(field, ast.AnnAssign) and field.value is not None]
        pairs += [(ast.arg(field.target.id, field.annotation), field.value) for field in fields]
    arguments = {argument.arg: (_type(argument.annotation), ast.literal_eval(default)) for argument, default in pairs}
    attributes = {}
    for statement in node.body:
        target = statement.target if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [None])[0]
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Name) and target.id in ATTRIBUTES:
            attributes[target.id] = ast.literal_eval(value)
    name = snake_case(node.name)
    return Signature(name, (ast.get_docstring(node) or "").partition("\n")[0], arguments, attributes, module)


def _type(annotation: ast.expr) -> Any:
    return eval(compile(ast.Expression(annotation), "<annotation>", "eval"), {"__builtins__": {}}, TYPES)


def _default(value: Any) -> Any:
    return field(default_factory=lambda: list(value)) if isinstance(value, tuple | list) else value
