"""Configuration: each mistake one line with the near keys, file names verbatim, help, schemas; mostly in this process,
and through the real programs where start-up matters."""

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from fst import launch
from fst.config import commandline, groups, infer, schema
from fst.config import compose as configuration
from fst.config.compose import compose
from fst.config.help import LONG, WIDTH, choices, training
from fst.errors import UserError
from fst.methods.method import build
from fst.sweep import run

ROOT = Path(__file__).parent.parent

# Names that people's files have, and names that break grammars.
NAMES = [
    "my photo.jpg", "a,b.jpg", "it's.jpg", 'say "hi".jpg', "a=b.jpg", "[draft].jpg", "(1).jpg", "{x}.jpg", 
    "${HOME}.jpg",
    "back\\slash.jpg", "ends\\", "\\'.jpg", "\\${x}.jpg", "写真 – été.jpg", "100%.jpg", "#1.jpg", "~x.jpg", "a: b.jpg",
    "*.jpg", "null.jpg", "1e5", "true", "tab\there.jpg", "!x&y;z|.jpg", "'quoted'", "$(id).jpg", "- a.jpg", "@x",
    "a,b'.jpg",
]  # fmt: skip


def refusal(*arguments: str) -> str:
    """What train.py says of arguments that it refuses before it does anything."""
    with pytest.raises(UserError) as error:
        launch.launch(lambda config, **_: pytest.fail("it ran"), list(arguments))
    text = str(error.value)
    assert "\n" not in text and "Hydra" not in text and "full_key" not in text, text
    return text


@pytest.fixture(scope="module")
def default() -> DictConfig:
    return compose([])


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("styl=gogh", "there is no setting 'styl', did you mean 'style'"),
        ("Style=gogh", "did you mean 'style'"),
        ("loss.style_wieght=1", "there is no setting 'loss.style_wieght', did you mean 'loss.style_weight'"),
        ("style_weight=1", "did you mean 'loss.style_weight'"),
        ("batch_size=2", "did you mean 'data.batch_size'"),
        ("steps=100", "did you mean 'trainer.max_steps'"),
        ("loss.max_steps=1", "did you mean 'trainer.max_steps'"),
        ("loss.style=1", "did you mean 'loss.style_weight'"),
        ("lr=0.1", "did you mean 'method.learning_rate'"),
        ("trainer.lr=0.1", "did you mean 'method.learning_rate'"),
        ("network.widht=8", "did you mean 'network.widths'"),
        ("method.lerning_rate=1", "did you mean 'method.learning_rate'"),
        ("experiments=quickstart", "did you mean 'experiment'"),
        ("loss/pooling=max", "there is no setting 'loss/pooling'"),
        ("style@x=gogh", "there is no setting 'style@x'"),
        ("style.image.x=1", "style.image"),
        ("style=gog", "no style is called 'gog', did you mean 'gogh'"),
        ("network=johnsn", "did you mean 'johnson'"),
        ("loss=vgg18", "did you mean 'vgg16'"),
        ("data=imagenet", "did you mean 'imagenet_sample'"),
        ("trainer=quantum", "choose from auto, cpu, ddp, gpu"),
        ("experiment=quikstart", "did you mean 'quickstart'"),
        ("experiment=null", "experiment=null is no choice; choose from"),
        ("style=", "choose from boccioni, cezanne, custom"),
        ("style=null", "choose from boccioni, cezanne, custom"),
        (f"style={__file__}", f"write style=custom style.image={__file__}"),
        ("loss=[vgg16,vgg16_relu3]", "is no choice, did you mean 'vgg16_relu3'"),
        ("logger=0", "logger=0 is no choice; choose from"),
        ("data=True", "data=True is no choice; choose from"),
        ("loss={a:1}", "choose from vgg16, vgg16_relu3, vgg16_small"),
        ("network.name=realtime", "write network=realtime"),
        ("gogh", "write style=gogh"),
        ("realtime", "write network=realtime"),
        ("loss.style_weight", "write loss.style_weight=VALUE"),
        ("nonsense", "write key=value"),
        ("", "write key=value"),
        ("=5", "write key=value"),
        ("~style", "cannot be removed"),
        ("~loss.style_weight=1e5", "cannot be removed"),
        ("+style=gogh", "without the +"),
        ("++loss.style_weight=1", "without the +"),
        ("loss.style_weight=abc", "loss.style_weight is 'abc', but it must be a number"),
        ("loss.style_weight=", "loss.style_weight is '', but it must be a number"),
        ("loss.style_weight=[1]", "must be a number"),
        ("loss.style_weight=null", "loss.style_weight is 'None', but it must be a number, as 1e5, or auto"),
        ("trainer.max_steps=1e3", "trainer.max_steps is '1000.0', but it must be a whole number, in digits"),
        ("data.flip=perhaps", "data.flip is 'perhaps', but it must be true or false"),
        ("loss.style_layers=relu1_2", "must be a list: write it in brackets"),
        ("loss.style_scales=[1,x]", "loss.style_scales[1] is 'x', but it must be a number"),
        ("loss.tv_weight=${nothing}", "refers to 'nothing', which is no setting"),
        ("loss.style_layers=[relu1_2", "cannot read 'loss.style_layers=[relu1_2'"),
        ("loss.style_weight=1=2", "cannot read"),
        ("a b=5", "cannot read"),
        ("style=gogh,hokusai", "add -m"),
        ("loss.style_weight=1,2", "add -m"),
        ("loss.tv_weight=range(1,3)", "add -m"),
        ("--multirn", "did you mean '--multirun'"),
        ("--style=gogh", "a setting has no dashes before it, write style=gogh"),
        ("resume=", "resume= is empty: name a run, or leave it out"),
        ("rerun=", "rerun= is empty: name a run, or leave it out"),
        (f"hydra.run.dir={__file__}", f"hydra.run.dir={__file__} is a file: name a folder"),
        ("-x", "there is no option '-x'"),
        ("--cfg", "expected one argument"),
        ("--cfg=jobs", "invalid choice: 'jobs'"),
        ("--resolve", "there is no option '--resolve'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_cure(argument, said) -> None:
    assert said in refusal(argument)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("loss.style_weight=-1", "loss.style_weight is -1, but it must be at least 0"),
        ("loss.content_weight=nan", "loss.content_weight is nan"),
        ("loss.tv_weight=inf", "loss.tv_weight is inf, but it must be finite"),
        ("loss.style_weight=-inf", "loss.style_weight is -inf"),
        ("loss.style_weight=0 loss.content_weight=0", "nothing would be learnt"),
        ("loss.style_layers=[relu9_9]", "unknown layer 'relu9_9' of vgg16"),
        ("loss.content_layers=[relu2_3]", "did you mean 'relu"),
        ("loss.style_layers=[conv1_1]", "unknown layer 'conv1_1'"),
        ("loss.style_layers=[]", "at least one entry"),
        ("loss.style_layers=[relu1_1,relu1_1]", "each once"),
        ("loss.style_scales=[1,1]", "each once"),
        ("loss.style_scales=[0]", "fractions"),
        ("loss.style_scales=[2]", "fractions"),
        ("loss.style_scales=[nan]", "fractions"),
        ("loss.style_layer_weights=[1]", "1 numbers for 4"),
        ("loss.style_layer_weights=[1,1,1,-1]", "at least 0"),
        ("loss.style_layer_weights=[1,1,1,nan]", "nan"),
        ("loss.architecture=vgg15", "did you mean 'vgg1"),
        ("loss.pooling=mean", "choose from avg, max"),
        ("loss.weights=IMAGENET", "neither a file nor weights of vgg16"),
        ("loss.weights=none.pth", "weights file none.pth does not exist"),
        ("data.batch_size=0", "data.batch_size is 0, but it must be at least 1"),
        ("data.size=15", "data.size is 15 pixels, but relu4_3 needs at least 16"),
        ("style.size=8", "style.size is 8, but it must lie between 16"),
        ("data.scale=[1]", "data.scale is a range"),
        ("data.scale=[1.5,1]", "data.scale is a range"),
        ("data.scale=[0.9,1]", "data.scale is a range"),
        ("data.scale=[1,inf]", "data.scale is a range"),
        ("data.scale=[1,nan]", "data.scale is a range"),
        ("data.workers=-1", "at least 0"),
        ("trainer.max_steps=0", "at least 1"),
        ("trainer.precision=fp32", "choose from"),
        ("trainer.accelerator=gppu", "did you mean 'gpu'"),
        ("trainer.strategy=dpp", "did you mean 'ddp'"),
        ("trainer.devices=many", "a number of devices"),
        ("trainer.devices=0", "a number of devices"),
        ("trainer.devices='²'", "a number of devices"),
        ("method.learning_rate=0", "above 0"),
        ("method.learning_rate=inf", "finite"),
        ("trainer.gradient_clip_val=-1", "above 0"),
        ("method.schedule=cosin", "did you mean 'cosine'"),
        ("network.depths=[-1]", "network.depths"),
        ("network.norm=layer", "network.norm is 'layer'; choose from batch, instance"),
        ("logger.mode=onlin", "did you mean 'online'"),
        ("logger.preview_count=-1", "at least 0"),
        ("seed=-1", "seed"),
        ("seed=4294967296", "between 0 and 4294967295"),
        ("compile=maybe", "choose from auto, false, true"),
        ("content=none.jpg", "there is no file none.jpg"),
        ("content=/", "content: / is a folder, not a file"),
        ("loss.style_layer_weights=[0,0,0,0]", "are all 0: leave the style out by loss.style_weight=0"),
        ("logger.preview_images=[none.jpg]", "there is no file none.jpg"),
        ("data.root=/nowhere", "there is no folder /nowhere"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_refused(default, arguments, said) -> None:
    config = default.copy()
    for argument in arguments.split(" "):  # set on one composed config: composing takes a hundred times longer
        override = OverridesParser.create().parse_override(argument)
        OmegaConf.update(config, override.get_key_element(), override.value())
    with pytest.raises(UserError) as error:
        build(schema.check(config).method).check(schema.check(config))
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("data.size=15 loss=vgg16_relu3 loss.style_scales=[1,0.5]", "relu3_3 needs at least 16"),
        ("data=folder", "data.root=DIR"),
        ("method=adapt network=johnson", "no setting 'network.widths' with this choice of network, only with"),
        ("data.val_images=1000000", "data.val_images is 1e+06, but it must lie between 1 and 1000: they are kept"),
        ("style=custom", "style=custom needs a picture: style.image=FILE"),
        ("style.image=none.jpg", "there is no file none.jpg"),
        ("-m style=gogh,goh", "no style is called 'goh'"),
        ("method=gatys method.init_from=gogh", "there is no setting 'method.init_from' with this choice of method"),
        ("style=gogh -m loss.style_weight=1e4,1e5,-1", "loss.style_weight is -1"),
        ("-m loss.style_weight=1,2 data.size=64,96,3", "data.size is 3"),
        ("-m style=gogh,hokusai network=johnson,jonson", "no network is called 'jonson'"),
        ("-m rerun=runs/a,runs/b", "rerun= takes one run"),
        ("data.size=24", "data.size=24 less method.margin=8 at both edges is 8 pixels, but relu4_3 needs at least 16"),
        ("content=~nobody-of-that-name/photo.jpg", "there is no file ~nobody-of-that-name/photo.jpg"),
        (f"logger.preview_images=[{','.join(['photo.jpg'] * 40)}]", "there is no file photo.jpg"),
    ],
)
def test_a_combination_is_refused(arguments, said) -> None:
    assert said in refusal(*arguments.split(" "))


@pytest.mark.parametrize(
    "arguments",
    [
        "trainer.devices=2 trainer.strategy=ddp loss.style_layer_weights=[1,0,2,3]",
        "trainer.devices=[0,1] trainer=gpu loss.tv_weight=1e-3 data.scale=[1,1] trainer.gradient_clip_val=1",
        "loss.style_layers=[relu1_1,relu5_4] data.size=32 loss.architecture=vgg19 loss.weights=IMAGENET1K_V1",
        "data=folder data.root=. network=realtime compile=true data.workers=0 loss.style_weight=0",
    ],
)
def test_what_is_right_is_accepted(arguments) -> None:
    schema.check(compose(arguments.split(" ")))


def test_composing_and_checking_import_no_torch() -> None:
    code = "import sys; from fst.config.compose import compose; from fst.config.schema import check;"
    code += "check(compose([]));"
    code += "import fst.config.help, fst.config.infer;"
    code += "print({'torch', 'wandb', 'cv2', 'pytorch_lightning'} & set(sys.modules));"
    code += "from fst.launch import checked; checked(['network.depths=[0,1,3]']);"  # builds, without memory
    code += "print({'wandb', 'cv2', 'pytorch_lightning'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["set()", "set()"], ran.stderr


@pytest.mark.parametrize(
    ("program", "argument", "said"),
    [
        ("train", "loss.style_wieght=1", "did you mean 'loss.style_weight'"),
        ("train", "style=goh", "did you mean 'gogh'"),
        ("train", "data.batch_size=0", "data.batch_size is 0"),
        ("infer", "sorce=x", "did you mean 'source'"),
        ("infer", "size=big", "size is 'big', but it must be a whole number"),
    ],
)
def test_the_programs_answer_at_once_from_any_folder(tmp_path, program, argument, said) -> None:
    """One line on stderr, status 1, no run folder, without torch (which -X importtime would list)."""
    command = [sys.executable, "-X", "importtime", ROOT / f"{program}.py", argument]
    before = os.times()
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    seconds = sum(os.times()[2:4]) - sum(before[2:4])
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    lines = [line for line in ran.stderr.splitlines() if not line.startswith("import time:")]
    assert ran.returncode == 1 and ran.stdout == ""
    assert len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0]
    assert "omegaconf" in imported and not imported & {"torch", "numpy.linalg", "cv2", "pytorch_lightning", "wandb"}
    assert not list(tmp_path.iterdir())
    assert seconds < 3, "processor time: about 1 s on an idle machine"


@pytest.mark.parametrize("argument", ["method.margin=-1", "method=gatys method.history=0"])
def test_a_methods_own_values_are_answered_without_torch(argument) -> None:
    code = "import sys; from fst.config.compose import compose; from fst.config.schema import check;"
    code += "from fst.methods.method import build\ntry: build(check(compose(sys.argv[1:])).method)\n"
    code += "except Exception as error: print(error, '|', {'torch', 'pytorch_lightning', 'wandb'} & set(sys.modules))"
    command = [sys.executable, "-c", code, *argument.split()]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "but it must be at least" in ran.stdout and ran.stdout.endswith("| set()\n"), ran.stdout + ran.stderr


def test_help_is_a_screen_that_names_every_choice() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "train.py", "--help"], cwd="/", capture_output=True, text=True, timeout=60
    )
    text = ran.stdout
    assert ran.returncode == 0 and ran.stderr == "" and text.strip() == training().strip()
    lines = text.splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= WIDTH == 110
    for group in groups.groups():
        assert f"{group}=" in lines, group
        listed = text.partition(f"\n{group}=\n")[2].partition("=\n")[0].replace(",", " ").split()
        for choice in groups.files(group):
            named = choice in listed if group in LONG else any(x.startswith(f"  {choice} ") for x in lines)
            assert named, f"{group}={choice}"


def test_help_shows_settings_that_exist() -> None:
    known = configuration.keys(compose([]))
    for word in training().split():
        key, equals, _ = word.strip("(),;:'").partition("=")
        if equals and key:
            assert key in known or key in groups.groups(), word


@pytest.mark.parametrize("group", groups.groups())
def test_every_choice_says_what_it_is(group) -> None:
    for name, comment in choices(group).items():
        assert len(comment) > 5, f"{group}/{name}.yaml has no comment on its first line"


@pytest.mark.parametrize("name", NAMES)
def test_file_names_arrive_as_the_shell_passed_them(name) -> None:
    of_networks = {"method.init_from"}
    for method, keys in (("feedforward", of_networks), ("gatys", commandline.FILE_KEYS - of_networks)):
        config = compose([f"method={method}", *(f"{key}={name}" for key in sorted(keys))])
        assert {key: OmegaConf.select(config, key) for key in keys} == dict.fromkeys(keys, name)


def test_every_setting_that_names_files_is_taken_as_the_shell_passed_it() -> None:
    """By the words of their comments; other names of files are lists, or what Hydra chooses from."""
    named = {"content", "rerun", "resume", "data.root", "loss.weights", "style.image", "style.paintings"}
    assert named | {f"method.{key}" for key in ("content_mask", "init", "init_from")} == commandline.FILE_KEYS


@pytest.mark.parametrize("text", ["The Starry Night, 1889", "it's (mine)", "a = b", "[x]", "50 %: y", "${x}", "写真"])
def test_texts_arrive_as_the_shell_passed_them(text) -> None:
    config = compose([f"{key}={text}" for key in sorted(commandline.TEXT_KEYS)])
    assert {OmegaConf.select(config, key) for key in commandline.TEXT_KEYS} == {text}


def test_texts_quoted_for_hydra_and_none() -> None:
    style = compose(["style.title='a, b'", "style.artist=null"]).style
    assert (style.title, style.artist) == ("a, b", None)


def test_lists_of_files() -> None:
    def photos(value: str) -> list[str]:
        return list(compose([f"logger.preview_images={value}"]).logger.preview_images)

    assert photos("[a (1).jpg, it=b.jpg]") == ["a (1).jpg", "it=b.jpg"]
    assert photos("one photo.jpg") == ["one photo.jpg"]
    assert photos("['a,b.jpg',c.jpg]") == ["a,b.jpg", "c.jpg"]
    assert photos("[]") == []


def test_a_multirun_sweeps_over_files_with_commas_between(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one,two.jpg").touch()

    def values(argument: str) -> list[str]:
        _, overrides = commandline.arranged(["-m", argument])
        with initialize_config_dir(version_base="1.3", config_dir=str(groups.CONF)):
            parsed = OverridesParser.create().parse_overrides([o for [o] in run.combinations(overrides)])
        return [override.value() for override in parsed]

    assert values("content=my a.jpg,b (2).jpg") == ["my a.jpg", "b (2).jpg"]
    assert values("content=one,two.jpg") == ["one,two.jpg"], "a file of that very name exists"
    assert values("content='x,y.jpg',z.jpg") == ["x,y.jpg", "z.jpg"]
    assert values("method.init_from=null,a.safetensors") == [None, "a.safetensors"], "from nothing, and from a style"
    for name in NAMES:
        if "," not in name:
            [arrived] = values(f"content={name}")
            assert OmegaConf.create({"content": arrived}).content == name


def test_options_may_stand_anywhere() -> None:
    options, overrides = commandline.arranged(["style=gogh", "-m", "loss.style_weight=1", "--cfg", "job"])
    assert (options.cfg, options.multirun) == ("job", True) and overrides == ["style=gogh", "loss.style_weight=1"]


@pytest.mark.parametrize("name", NAMES)
def test_names_given_to_infer_arrive_as_the_shell_passed_them(name) -> None:
    found = infer.compose([f"source={name}", f"output={name}", f"style={name}", f"webcam.device={name}"])
    assert found.source == found.output == found.style == found.webcam.device == name


def test_an_empty_name_given_to_infer_is_none() -> None:
    found = infer.compose(["output=", "webcam.device=null", "source=a.jpg"])
    assert found.output is None and found.webcam.device is None and found.source == "a.jpg"


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("sorce=x", "did you mean 'source'"),
        ("webcam.widht=3", "did you mean 'webcam.width'"),
        ("strength=strong", "strength is 'strong', but it must be a number"),
        ("overwrite=perhaps", "overwrite is 'perhaps', but it must be true or false"),
        ("size=1e3", "must be a whole number"),
        ("backend=", "backend cannot be empty"),
        ("size=${x}", "size refers to 'x'"),
        ("size=[1", "cannot read 'size=[1'"),
        ("photo.jpg", "write key=value"),
        ("-m", "write key=value"),
    ],
)
def test_mistakes_for_infer(argument, said) -> None:
    with pytest.raises(UserError) as error:
        infer.compose([argument])
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_mistake_in_the_defaults_for_infer_is_one_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(infer, "FILE", tmp_path / "infer.yaml")
    for text, said in {"size: [1": "cannot read", "size: big": "must be a whole number"}.items():
        infer.FILE.write_text(text)
        with pytest.raises(UserError) as error:
            infer.compose([])
        assert said in str(error.value) and "\n" not in str(error.value)


def test_the_losss_settings_are_its_terms() -> None:
    """NAME_weight and NAME_ARGUMENT of each term, with the constructor's defaults, read without importing it."""
    import inspect

    from fst.losses.terms import TERMS

    defaults = OmegaConf.structured(schema.LossConfig)
    for name, term in TERMS.items():
        assert defaults[f"{name}_weight"] == term.default_weight
        for argument, parameter in inspect.signature(term).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD or parameter.kind is parameter.VAR_POSITIONAL:
                continue  # nn.Module's, of a term without arguments
            default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
            assert defaults[f"{name}_{argument}"] == default, (name, argument)


def test_every_group_file_fits_its_schema() -> None:
    for group in groups.groups():
        for choice in groups.files(group):
            config = compose([f"{group}={choice}"])
            if group != "experiment":
                preset = "defaults" in OmegaConf.load(groups.files(group)[choice])  # another choice, with other values
                name = OmegaConf.select(config, f"{group}.name")
                assert name in (choice, None) or group in ("loss", "trainer") or preset


@pytest.mark.parametrize(
    ("group", "lines", "said"),
    [
        (
            "style",
            f"image: {__file__}",
            "style.name needs a value, on the command line or as a line 'name: ...' of the chosen file in conf/style",
        ),
        (
            "data",
            "root: .",
            "data.name needs a value, on the command line or as a line 'name: ...' of the chosen file in conf/data",
        ),
        ("data", "name: mine", "data.name is 'mine'; choose from auto, coco, folder"),
        ("logger", "name: mine", "logger.name is 'mine'; choose from none, tensorboard, wandb"),
    ],
)
def test_a_mistake_in_a_file_of_ones_own_names_its_setting(tmp_path, monkeypatch, group, lines, said) -> None:
    shutil.copytree(groups.CONF, tmp_path / "conf")
    monkeypatch.setattr(groups, "CONF", tmp_path / "conf")
    (tmp_path / "conf" / group / "mine.yaml").write_text(f"# Mine\n{lines}\n")
    assert said in refusal(f"{group}=mine")


def test_paintings_say_where_they_come_from() -> None:
    """Title, artist, year, address at a commit, digest, licence: a download is checked."""
    for name in set(groups.files("style")) - {"custom"}:
        style = compose([f"style={name}"]).style
        assert style.title and style.artist and style.licence
        assert style.year is None or 1400 < style.year < 1930, name  # not known of every one
        assert len(style.sha256) == 64 and style.address.startswith("https://")
        assert any(len(part) == 40 for part in style.address.split("/")), "a commit, not a branch"


def test_an_experiment_beats_the_defaults_and_the_command_line_beats_both() -> None:
    plain, quick = compose([]), compose(["experiment=quickstart"])
    assert (quick.loss.architecture, plain.loss.architecture) == ("vgg16_small", "vgg16")
    assert quick.trainer.max_steps != plain.trainer.max_steps
    given = compose(["experiment=quickstart", "trainer.max_steps=7", "style=hokusai"])
    assert (given.trainer.max_steps, given.style.name) == (7, "hokusai")
    assert given.data.size == quick.data.size


def test_default_composition() -> None:
    config = compose([])
    assert (config.method.optimizer, config.data.batch_size, config.data.size) == ("muon", 1, 176)
    assert config.trainer.max_steps == 6000 and config.loss.style_weight == 1e5
    assert list(config.loss.style_layers) == ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
    assert list(config.loss.content_layers) == ["relu2_2"] and config.logger.name == "wandb"


def test_types_come_back_typed() -> None:
    config = OmegaConf.to_object(compose(["style.size=300", "loss.style_weight=1e4"]))
    assert dataclasses.is_dataclass(config) and isinstance(config.loss.style_weight, float)


def test_settings_are_composed_without_the_sweep_extra() -> None:
    code = "import sys; sys.modules['hydra_plugins'] = None; from fst.config.compose import compose; compose([])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_near_key_takes_no_time() -> None:
    start = time.process_time()
    refusal("loss.style_wieght=1")
    assert time.process_time() - start < 2
