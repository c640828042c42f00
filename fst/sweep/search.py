"""hydra/sweeper=optuna: a search that goes on from its study, and says so when it must not."""

import warnings
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fst.errors import UserError
from fst.sweep.run import split

OPTUNA = (4, 9)
NOT_COMPARED = ("logger", "rerun", "trainer.accelerator", "trainer.devices", "content", "hydra")


def go_on(hydra: DictConfig, overrides: list[str], brought: list[str]) -> list[str]:
    """Overrides that leave to this search the trials of its study that earlier ones have not done.

    `brought` are the overrides that `rerun=` puts before those given: one that the study does not know, since it is
    older, is no difference. The plugin itself would make `hydra.sweeper.n_trials` more of them at each start. A study
    that is complete, was made with other settings, or cannot be opened is a UserError.
    """
    import optuna

    sweeper = hydra.sweeper
    if OmegaConf.is_list(sweeper.direction) and len(sweeper.direction) > 2:
        raise UserError("hydra.sweeper.direction has one or two entries: [minimize,minimize] is content and style loss")
    if tuple(int(part) for part in optuna.__version__.split(".")[:2]) < OPTUNA:
        raise UserError(
            f"optuna {optuna.__version__} is too old for hydra/sweeper=optuna: pip install 'optuna>=4.9,<5'"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", category=FutureWarning, message=".*(Distribution|optuna|consider_|suggest).*")
    study = _study(sweeper.storage, sweeper.study_name) if sweeper.storage is not None else None
    if study is None:
        return []
    trials = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    now = {key: override.get_value_element_as_str() for key, override in split([*brought, *overrides])[1].items()}
    was = trials[0].user_attrs if trials else now
    newer = split(brought)[1].keys() - was.keys() - split(overrides)[1].keys()
    for key in {**was, **now}:
        if key not in newer and not key.startswith(NOT_COMPARED) and was.get(key) != now.get(key):
            said = [f"{key}={of[key]}" if key in of else f"{key} left out" for of in (was, now)]
            raise UserError(
                f"the study {study.study_name} was made with {said[0]}, but this command has {said[1]}; "
                "set another hydra.sweeper.study_name to start a new one"
            )
    left = sweeper.n_trials - len(trials)
    if left <= 0:
        more = f"hydra.sweeper.n_trials={2 * len(trials)} adds to them"
        raise UserError(
            f"the study {study.study_name} has its {len(trials)} trials: {more}, another study_name starts anew"
        )
    print(f"study {study.study_name}: {len(trials)} of {sweeper.n_trials} trials are done, going on")
    return [f"hydra.sweeper.n_trials={left}"]


def _study(storage: str, name: str | None) -> Any:
    """The study, or None if there is none yet; the folder of its file is made."""
    import optuna
    import sqlalchemy

    try:
        file = sqlalchemy.engine.make_url(storage).database if storage.startswith("sqlite") else None
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, OSError) as error:
        raise UserError(f"the study {storage} cannot be opened: {str(error).splitlines()[0]}") from None
