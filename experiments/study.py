"""Train, judge and report the studies of experiments/, each an entry with a study.yaml.

python experiments/study.py                         the studies, and how far each is
python experiments/study.py NAME                    all three: run judge report
python experiments/study.py NAME list               its arms, and the command of each
python experiments/study.py NAME run                train the arms that have no finished run in runs/studies/NAME/ARM
python experiments/study.py NAME judge              measure all finished arms alike: results.json and figure.jpg
python experiments/study.py NAME report             the table, into README.md too, and plot.png, from results.json

arms=a,b     only these are trained (any number of processes may train one study: each takes what is free)
runs=DIR     runs and results there instead of runs/studies and experiments/NAME; with it KEY=VALUE overrides every
             arm, for a check of the whole in a minute: runs=/tmp/check trainer.max_steps=4 data.size=64
photos=DIR   photos that no run saw (default: photos/ of the store)
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from studies import definition, training

from fst.errors import UserError, near, one_line_errors

VERBS = ("list", "run", "judge", "report")


def main(arguments: list[str]) -> None:
    words = [word for word in arguments if "=" not in word]
    settings = dict(word.split("=", 1) for word in arguments if "=" in word)
    if {"-h", "--help"} & set(words):
        print(__doc__.strip())
    elif not words:
        overview()
    else:
        one(words[0], words[1:], settings)


def one(name: str, verbs: list[str], settings: dict[str, str]) -> None:
    """Run, judge or report one study."""
    study = definition.load(name)
    for verb in verbs:
        if verb not in VERBS:
            raise UserError(f"'{verb}' is nothing to do with a study{near(verb, list(VERBS))}")
    elsewhere = settings.pop("runs", None)
    runs, out = (Path(elsewhere), Path(elsewhere, study.name)) if elsewhere else (definition.RUNS, study.folder)
    arms = study.chosen([arm for arm in settings.pop("arms", "").split(",") if arm])
    photos = settings.pop("photos", None)
    more = tuple(f"{key}={value}" for key, value in settings.items())
    if more and not elsewhere:
        raise UserError(f"{more[0]} would change every arm of {name}: name a folder for such runs with runs=DIR")
    verbs = verbs or ["run", "judge", "report"]
    if "list" in verbs:
        listing(study, arms, runs, more)
    failed = training.train(study, arms, runs, more) if "run" in verbs else []
    if "judge" in verbs:
        from studies import judging

        judging.judge(study, runs, out, more, photos and Path(photos))
    if "report" in verbs:
        from studies import reporting

        reporting.report(study, out)
    if failed:
        raise UserError(f"{len(failed)} of {len(arms)} arms failed: {', '.join(failed)}")


def overview() -> None:
    """Each study with its question and how many of its arms are finished."""
    for name in definition.names():
        study = definition.load(name)
        done = sum(stage(study, arm, definition.RUNS, ()) == training.FINISHED for arm in study.arms.values())
        print(f"{name:<16} {done:>2}/{len(study.arms):<2} arms finished   {study.file.question}")


def listing(study: definition.Study, arms: list[definition.Arm], runs: Path, more: tuple[str, ...]) -> None:
    """Each arm with its state and the command that trains it."""
    for arm in arms:
        print(f"{arm.name:<24} {stage(study, arm, runs, more)}")
        print(f"  python {shlex.join(training.command(arm, runs, more))}")


def stage(study: definition.Study, arm: definition.Arm, runs: Path, more: tuple[str, ...]) -> str:
    """absent, begun, finished, or what is wrong."""
    try:
        arm = training.complete(study, arm, runs, more)
        return training.state(arm, definition.config_of(arm, more), runs)
    except UserError as error:
        return str(error)


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
