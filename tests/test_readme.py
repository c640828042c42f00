"""README's commands, settings, links and recipes are those of the code. Runs are composed and checked, none starts."""

import importlib
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_house
import test_recipes
from omegaconf import OmegaConf
from photos import make_photos
from PIL import Image

from fst.config import groups
from fst.config import infer as infer_config
from fst.config.compose import compose, known_keys
from fst.errors import UserError
from fst.launch import COMMAND, launch
from fst.values import leaves

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
# What the settings in a section's tables go with.
GOES_WITH = {"The baseline": ["method=gatys", "content=photo.jpg"]}
OF_INFER = ("Paint", "Films")
SETTING = re.compile(r"[a-z_]+([./][a-z_0-9]+)*=\S+")
NOT_OURS = ("pip", "uv", "source", "ssh", "wandb")  # programs of others


def sections() -> dict[str, str]:
    """The text of each section by its title."""
    parts = re.split(r"^## (.+)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands() -> list[list[str]]:
    """The words of every command: lines of indented blocks, and what stands between backticks."""
    text = re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE) if not line.startswith("train.py")]
    spans = re.findall(r"`([^`\n]+ [^`\n]+)`", text)
    first = ("python", *NOT_OURS)
    found = [shlex.split(line, comments=True) for line in [*lines, *spans] if line.split()[0] in first]
    return [words for words in found if len(words) > 2 and words[1] != "..."]


def in_tables(section: str) -> Iterator[list[str]]:
    """Each run of settings between backticks in a section's tables."""
    rows = [line for line in sections()[section].splitlines() if line.startswith("|")]
    for span in re.findall(r"`([^`]+)`", " ".join(rows)):
        if all(SETTING.fullmatch(word) for word in span.split()):
            yield span.split()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with the files and the run that README names; runs are composed and checked, none started."""
    make_photos(tmp_path / "DIR", 2)
    for name in ("photo.jpg", "painting.jpg", "second.jpg", "mask.png", "first_mask.png"):
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FST_HOME", str(tmp_path / "store"))
    run = tmp_path / "runs/RUN_FOLDER"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/last.ckpt").touch()
    (run / "run.json").write_text('{"command": []}')
    OmegaConf.save(compose(["trainer.max_steps=6000"]), run / "config.yaml")
    (tmp_path / "RUN_FOLDER").symlink_to(run)
    (tmp_path / "SWEEP_FOLDER").mkdir()
    (tmp_path / "SWEEP_FOLDER" / COMMAND).write_text('{"overrides": ["seed=1,2"]}')
    for start in ("hydra._internal.hydra.Hydra.run", "fst.sweep.run.run"):  # of one checked run, of many
        monkeypatch.setattr(start, lambda *arguments, **settings: None)
    return tmp_path


def test_every_command_is_understood(here) -> None:
    seen = []
    for words in commands():
        seen.append(" ".join(words))
        try:
            check_command(words)
        except (UserError, SystemExit) as error:
            pytest.fail(f"{' '.join(words)}: {error}")
    assert sum(command.startswith("python train.py") for command in seen) >= 8
    assert sum(command.startswith("python infer.py") for command in seen) >= 8


def no_task(config: object) -> None:
    raise AssertionError("nothing is to be started")


def check_command(words: list[str]) -> None:
    program, *arguments = words
    if program == "uv" and arguments[0] == "run":
        program, arguments = "python", arguments[1:]
    if program == "pip" or arguments[0] == "sync":
        check_installing(arguments)
    elif program in NOT_OURS:
        assert all((ROOT / word).is_file() for word in arguments if word.startswith("experiments/"))
    elif arguments[0] == "train.py":
        if "--help" not in arguments:
            launch(no_task, arguments[1:])
    elif arguments[0] == "infer.py":
        if arguments[1] not in ("styles", "--help"):
            infer_config.compose(arguments[1:])
    elif arguments[0] == "-m":
        check_module(arguments[1])
    elif arguments[0] != "pytest":
        assert (ROOT / arguments[0]).is_file(), words


def check_installing(arguments: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"\[(\w+)\]|--extra (\w+)", " ".join(arguments)):
        assert "".join(extra) in project["optional-dependencies"]


def check_module(name: str) -> None:
    """`python -m NAME --help` says what it is for."""
    module = importlib.import_module(name)
    program = importlib.import_module(f"{name}.__main__") if hasattr(module, "__path__") else module
    try:
        program.main(["--help"])
    except SystemExit as ended:
        assert not ended.code
    except UserError as said:  # one without options says what it takes
        assert f"python -m {name}" in str(said)


@pytest.mark.parametrize("section", sections())
def test_settings_in_tables_are_understood(section, here) -> None:
    for words in in_tables(section):
        if section in OF_INFER:
            infer_config.compose(words)
        else:
            many = section == "Sweep" or any("," in word and "[" not in word for word in words)
            launch(no_task, [*(["-m"] if many else []), *GOES_WITH.get(section, []), *words])


def test_tables_are_read() -> None:
    """Without this the test above could be one that nothing fails."""
    found = {section: len(list(in_tables(section))) for section in sections()}
    assert found["Train"] > 10 and min(found[section] for section in ("Sweep", "Choosing settings", "Paint")) > 4, found


def test_settings_between_backticks_exist() -> None:
    known = {*known_keys(), *known_keys(("method=gatys",))}
    known |= {*dict(leaves(OmegaConf.to_container(OmegaConf.structured(infer_config.InferConfig))))}
    spans = [word for span in re.findall(r"`([^`\n]+)`", TEXT) for word in span.split()]
    named = {match[1] for word in spans if (match := re.fullmatch(r"([a-z_]+\.[a-z_]+)(=\S*)?", word))}
    settings = {key for key in named if key.partition(".")[0] in groups.groups() and not key.endswith(".safetensors")}
    new = {"loss.brightness_weight", "loss.brightness_power", "network.width"}  # of the recipes, or of another network
    assert len(settings) > 25
    assert settings - known - new == set()


def test_links_and_paths_exist() -> None:
    titles = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in sections()}
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert link[1:] in titles if link.startswith("#") else (ROOT / link).is_file(), link
    made = ("plain.py", "brightness.py", "mine.yaml", "NAME.py", "NAME.yaml")  # what the recipes make
    for path in re.findall(r"`((?:fst|conf|tests|experiments)/[^`\s]*)`", TEXT):
        there = ROOT / path
        assert (there.parent if there.name in made else there).exists(), path


def test_floors_are_those_of_the_house() -> None:
    said = re.search(r"rooms below it: (.*?) < experiments", sections()["Architecture"], re.DOTALL)[1]
    floors = [tuple(re.findall(r"\w+", floor)) for floor in said.replace(", train.py, infer.py", "").split("<")]
    assert floors == list(test_house.FLOORS)
    tree = sections()["Architecture"].partition("A room imports")[0]
    for room in itertools.chain.from_iterable(floors):
        assert re.search(rf"^ {{6}}.*\b{room}\b", tree, re.MULTILINE), room


def test_recipes_are_those_that_are_tested() -> None:
    code = re.findall(r"^```python\n(.*?)^```", sections()["Architecture"], re.DOTALL | re.MULTILINE)
    assert [block.strip() for block in code] == [test_recipes.NETWORK.strip(), test_recipes.TERM.strip()]
    data, style = re.findall(r"^```yaml\n(.*?)^```", sections()["Architecture"], re.DOTALL | re.MULTILINE)
    assert set(OmegaConf.create(data)) == set(OmegaConf.create(test_recipes.DATA))
    assert set(OmegaConf.create(style)) == set(OmegaConf.create(test_recipes.STYLE.replace("{painting}", "p.jpg")))
