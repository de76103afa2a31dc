"""Trials suggested by Optuna (optional package): near what did well so far."""

from typing import Any

import optuna

from fashion.tuning.domains import Choice, Given
from fashion.tuning.overrides import Values, convert
from fashion.tuning.records import Trial
from fashion.tuning.space import Dimension, Space


class OptunaSuggestions:
    """Suggests settings and is told scores; what a resumed sweep has recorded is told first."""

    def __init__(self, space: Space, seed: int, past: list[Trial]):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space
        # Trials that run at the same time are kept apart; the seed moves on with what was suggested before.
        sampler = optuna.samplers.TPESampler(seed=seed + len(past), constant_liar=True)
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        self.open: dict[int, optuna.trial.Trial] = {}
        for trial in past:
            self.study.enqueue_trial(trial.record.values)
            self.suggest(trial.record.number)
            if trial.record.done:
                self.tell(trial.record.number, trial.best.score if trial.best else None)

    def suggest(self, number: int) -> Values:
        asked = self.open[number] = self.study.ask()

        def pick(dimension: Dimension, domain: Given) -> Any:
            name = dimension.name
            if isinstance(domain, Choice):
                return asked.suggest_categorical(name, domain.values)
            low, high = domain.ends()
            if domain.whole:
                return asked.suggest_int(name, int(low), int(high))
            return convert(name, asked.suggest_float(name, low, high, log=domain.log))

        return self.space.assign(pick)

    def tell(self, number: int, score: float | None) -> None:
        """The best score of a trial; None where it has none."""
        if (asked := self.open.pop(number, None)) is not None:
            failed = score is None
            self.study.tell(asked, score, state=optuna.trial.TrialState.FAIL if failed else None)
