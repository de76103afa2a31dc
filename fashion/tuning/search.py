"""Where Tune gets its trials from: first those that an earlier command left open, then new ones."""

from collections.abc import Callable
from typing import Any, Protocol

from ray.tune.search import Searcher

from fashion.tuning.overrides import Values
from fashion.tuning.plan import SweepPlan
from fashion.tuning.records import Trial


class Suggestions(Protocol):
    """A search that looks at results."""

    def suggest(self, number: int) -> Values: ...

    def tell(self, number: int, score: float | None) -> None: ...


class _Drawn:
    """A search that does not."""

    def __init__(self, plan: SweepPlan):
        self.plan = plan

    def suggest(self, number: int) -> Values:
        return self.plan.draw(number)

    def tell(self, number: int, score: float | None) -> None:
        pass


def suggestions(plan: SweepPlan, past: list[Trial]) -> Suggestions:
    if plan.settings.search.name != "optuna":
        return _Drawn(plan)
    from fashion.tuning.optuna_search import OptunaSuggestions  # an optional package

    return OptunaSuggestions(plan.space, plan.settings.search.seed, past)


def open_trials(plan: SweepPlan, past: list[Trial]) -> dict[int, Values]:
    """Trials begun and not done, by number; of a population its newest generation."""
    return {t.record.number: t.record.values for t in past if not t.record.done}


class Planned(Searcher):
    """Trial numbers and settings for Tune, one at a time."""

    def __init__(self, plan: SweepPlan, past: list[Trial], source: Suggestions, over: Callable[[], bool]):
        super().__init__(metric="score", mode="max")
        self.source, self.last, self.over = source, plan.trials, over
        self.left = open_trials(plan, past)
        self.next = max((t.record.number for t in past), default=-1) + 1
        self.numbers: dict[str, int] = {}
        self.best: dict[int, float] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> dict | str:  # type: ignore[override]  # Ray documents FINISHED, not its type
        if self.over():
            return Searcher.FINISHED
        if self.left:
            number = min(self.left)
            values = self.left.pop(number)
        elif self.next < self.last:
            number, self.next = self.next, self.next + 1
            values = self.source.suggest(number)
        else:
            return Searcher.FINISHED
        self.numbers[trial_id] = number
        return {"trial": {"number": number, "values": values}}

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        number = self.numbers[trial_id]
        self.best[number] = max(result["score"], self.best.get(number, result["score"]))

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        number = self.numbers[trial_id]
        if result and "score" in result:
            self.on_trial_result(trial_id, result)
        self.source.tell(number, self.best.get(number))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the trials' own files say all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as nothing is saved."""
