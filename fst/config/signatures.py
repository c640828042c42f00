"""Config schemas from constructors' signatures, read from the source: importing it would bring torch, in seconds.

A network, a loss term or a method is a class with the decorator `@register` in a file of its folder. Its constructor's
arguments, or a dataclass's fields, are its settings: annotations are plain types (int, float, bool, str, Sequence[...],
... | None), defaults are literals. So there is no second list of anything's settings. Only what stands in the class is
read, not what it inherits: what cannot be read is a UserError with file and line.
"""

import ast
import functools
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

from fst.errors import UserError
from fst.files import shown
from fst.values import snake_case

FST = Path(__file__).resolve().parents[1]
TYPES = {"int": int, "float": float, "bool": bool, "str": str, "Any": Any, "None": None, "Sequence": list, "list": list}


@dataclass(frozen=True)
class Contract:
    """What the registered classes of a folder have in common."""

    base: str  # the class that they are made from
    taken: str  # a setting that each has besides its constructor's arguments
    attribute: str | None = None  # of the class, that is read as well


CONTRACTS = {
    "networks": Contract("Network", taken="name"),
    "losses/terms": Contract("Term", taken="weight", attribute="default_weight"),
    "methods": Contract("Method", taken="name", attribute="changeable"),
}


@dataclass(frozen=True)
class Signature:
    """A registered class: its name in snake case, its help, its constructor's arguments, its contract's attribute."""

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
    """The registered classes in a folder of fst and the folders below, as "networks" or "methods", by name.

    A class whose settings cannot be read, or a file that is no Python, is a UserError with file and line.
    """
    found = {}
    for file in sorted([*(FST / folder).glob("*.py"), *(FST / folder).glob("*/*.py")]):
        module = ".".join(("fst", *file.relative_to(FST).with_suffix("").parts))
        try:
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and any(ast.unparse(d) == "register" for d in node.decorator_list):
                    signature = _signature(node, CONTRACTS[folder], module)
                    if signature.name in found:
                        raise _mistake(node, f"{found[signature.name].module} has a {node.name}: rename one of them")
                    found[signature.name] = signature
        except SyntaxError as error:
            raise UserError(f"{shown(file)}:{error.lineno}: {error.msg}") from None
    return found


def _signature(node: ast.ClassDef, contract: Contract, module: str) -> Signature:
    """What a class says of itself; SyntaxError, with the line, for what is not said so that it can be read."""
    constructor = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    attributes = {} if contract.attribute is None else _attribute(node, contract.attribute)
    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    if bases and contract.base not in bases:
        other = bases[0]
        if constructor is None:
            advice = f"write an __init__ of {node.name} with all its settings"
            raise _mistake(node, f"{node.name} inherits from {other}, whose settings are not read here: {advice}")
        if contract.attribute and not attributes:
            advice = f"write {contract.attribute} = ... in {node.name}"
            raise _mistake(node, f"{node.name} inherits from {other}, whose {contract.attribute} is not read: {advice}")
    pairs = _fields(node) if constructor is None else _pairs(constructor.args)
    arguments = {argument.arg: _setting(argument, default, contract.taken) for argument, default in pairs}
    name = snake_case(node.name)
    return Signature(name, (ast.get_docstring(node) or "").partition("\n")[0], arguments, attributes, module)


def _pairs(given: ast.arguments) -> list[tuple[ast.arg, ast.expr | None]]:
    """A constructor's arguments, but for the first, which is the object itself, each with its default."""
    named = [*given.posonlyargs, *given.args][1:]
    defaults = [None] * (len(named) - len(given.defaults)) + given.defaults
    return [*zip(named, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]


def _fields(node: ast.ClassDef) -> list[tuple[ast.arg, ast.expr | None]]:
    """A dataclass's fields, each with its default; another class has none."""
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return []
    annotated = [one for one in node.body if isinstance(one, ast.AnnAssign)]
    fields = [one for one in annotated if "ClassVar" not in ast.unparse(one.annotation)]
    return [(ast.copy_location(ast.arg(of.target.id, of.annotation), of), of.value) for of in fields]


def _setting(argument: ast.arg, default: ast.expr | None, taken: str) -> tuple[Any, Any]:
    """The type and the default of a constructor's argument."""
    name = argument.arg
    if name == taken:
        raise _mistake(argument, f"a setting {name} is there already: give the argument {name} another name")
    if argument.annotation is None:
        raise _mistake(argument, f"the argument {name} has no type: write one, as {name}: float = 1.0")
    if default is None:
        raise _mistake(argument, f"the argument {name} has no default: write one, as {name}: float = 1.0")
    kind, value = _type(argument), _literal(f"the default of {name}", default)
    if not _fits(kind, value):
        annotation = ast.unparse(argument.annotation)
        raise _mistake(argument, f"the default of {name}, {ast.unparse(default)}, is not of its type, {annotation}")
    return kind, value


def _attribute(node: ast.ClassDef, name: str) -> dict[str, Any]:
    """The attribute of that name and its value, if a class has it."""
    for statement in node.body:
        target = statement.target if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [None])[0]
        if isinstance(target, ast.Name) and target.id == name and statement.value is not None:
            return {name: _literal(name, statement.value)}
    return {}


def _literal(what: str, value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError):
        said = f"{what} is {ast.unparse(value)}, but only a plain value can be read: write the value itself, as 0.5"
        raise _mistake(value, said) from None


def _type(argument: ast.arg) -> Any:
    code = compile(ast.Expression(argument.annotation), "<annotation>", "eval")
    try:
        return eval(code, {"__builtins__": {}}, TYPES)
    except Exception:
        known = "int, float, bool, str or Sequence[...] of one, or one of these | None"
        text = ast.unparse(argument.annotation)
        raise _mistake(argument, f"the argument {argument.arg} is of type {text}: a setting is {known}") from None


def _fits(kind: Any, value: Any) -> bool:
    """Whether OmegaConf takes the default as one of the type."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        OmegaConf.structured(make_dataclass("Setting", [("value", kind, _default(value))]))
    except (OmegaConfBaseException, ValueError, TypeError):
        return False
    return True


def _default(value: Any) -> Any:
    return field(default_factory=lambda: list(value)) if isinstance(value, tuple | list) else value


def _mistake(node: ast.AST, said: str) -> SyntaxError:
    return SyntaxError(said, (None, node.lineno, None, None))
