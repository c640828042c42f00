"""The house's floors: a room imports from rooms below it alone, and no imports go in a circle, inside a room either."""

from __future__ import annotations

import ast
from pathlib import Path

FST = Path(__file__).parent.parent / "fst"

# Lowest first; rooms on one floor do not import from each other, but for those that are named below.
FLOORS = (
    ("errors", "files", "system", "values"),
    ("images", "store", "stylefile", "runfolder", "networks", "losses"),
    ("config",),
    ("data", "tracking", "stylize", "sweep", "compare"),
    ("media",),
    ("methods",),
    ("evaluate",),
    ("launch",),
)
SIDEWAYS = {  # from a room to one on its own floor
    ("files", "errors"),
    ("values", "errors"),
    ("stylefile", "networks"),
    ("losses", "store"),
}


def modules() -> dict[str, Path]:
    found = {}
    for file in FST.rglob("*.py"):
        parts = file.relative_to(FST.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(file: Path, known: dict[str, Path], *, top: bool = False) -> set[str]:
    """The modules of fst that a file imports, wherever in it or at its top; not those for annotations alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = set()
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fst":
            for name in node.names:
                full = f"{node.module}.{name.name}"
                found.add(full if full in known else node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name in known}
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_a_room_imports_from_rooms_below_it_alone() -> None:
    known = modules()
    level = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    assert {room(module) for module in known} - {"", "styles"} <= set(level), "a room without a floor"
    wrong = []
    for module, file in known.items():
        for other in imports(file, known):
            mine, theirs = room(module), room(other)
            if not mine or not theirs or mine == theirs or (mine, theirs) in SIDEWAYS:
                continue
            if level[theirs] >= level[mine]:
                wrong.append(f"{module} imports {other}")
    assert not wrong, "\n".join(sorted(wrong))


def test_no_imports_go_in_a_circle() -> None:
    """Those at a file's top: what is imported when it is needed cannot be in one."""
    known = modules()
    graph = {module: imports(file, known, top=True) & set(known) for module, file in known.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_experiments_import_what_there_is() -> None:
    """Most of them run for hours, and none in a test."""
    known, missing = modules(), []
    for file in (FST.parent / "experiments").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fst":
                there = names(known[node.module]) if node.module in known else set()
                wanted = [name.name for name in node.names if f"{node.module}.{name.name}" not in known]
                missing += [f"{file}: {node.module}.{name}" for name in wanted if name not in there]
    assert not missing, "\n".join(missing)


def names(file: Path) -> set[str]:
    """What a module defines or imports at its top."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                found.add(inner.id)
            elif isinstance(inner, ast.alias):
                found.add(inner.asname or inner.name)
    return found


def test_no_two_files_have_one_name_and_none_shadows_a_package() -> None:
    names = [file.stem for file in FST.rglob("*.py") if file.stem not in ("__init__", "__main__")]
    twins = {name for name in names if names.count(name) > 1}
    assert not twins - ALLOWED_TWINS, sorted(twins)
    assert not {"torch", "onnx", "openvino", "numpy", "cv2", "av", "wandb"} & set(names)


# The same job in two rooms: the entry that runs a room's work, and its configuration.
ALLOWED_TWINS = {"run"}
