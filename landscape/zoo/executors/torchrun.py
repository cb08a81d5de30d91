"""Ranks: the processes that torchrun starts carry out each task together, for one large model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from landscape._workers import follows, launched
from landscape.errors import LandscapeError, reason
from landscape.zoo.events import Event, Listener, Message
from landscape.zoo.executors.base import Executor, SerialExecutor
from landscape.zoo.loader import Loader
from landscape.zoo.runner import Runner
from landscape.zoo.task import Setup, Task

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.sharding import Ranks

__all__ = ["RanksExecutor", "follows", "launched", "over_ranks"]

R = TypeVar("R")


@dataclass(frozen=True)
class _Stop:
    """The first rank cannot go on, and why."""

    sentence: str


@dataclass(frozen=True)
class _End:
    """The run is over, with this outcome."""

    outcome: object


class RanksExecutor:
    """One task after the other, each by all ranks together; this process is the first of them.

    Every rank builds data and model and holds its share of the data; only this one plans, claims tasks,
    writes to the store and tells.

    Args:
        ranks: The processes; the others are in `over_ranks`.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def run(self, setup: Setup, tasks: Sequence[Task], emit: Listener) -> None:
        """Carry out all tasks; return when each is done or failed.

        Raises:
            RankLostError: If another rank ended; what is done is in the store.
        """
        if not tasks:
            return
        runner = _LeadingRunner(self._ranks.share(setup), self._ranks)
        with self._ranks.together():
            sizes = runner.loader.sizes()
        if len(sizes) < self._ranks.ranks:
            emit(
                Message(
                    f"only {len(sizes)} of {self._ranks.ranks} ranks have data, since batches stay whole: set"
                    f" batch_size to at most {max(1, sum(sizes) // self._ranks.ranks)}."
                )
            )

        def listen(event: Event) -> None:
            if runner.lost is not None:  # nothing can be computed any more, and nothing else is at fault
                raise runner.lost
            emit(event)

        SerialExecutor(runner).run(setup, tasks, listen)


class _LeadingRunner(Runner):
    """The runner of the first rank: what it computes, the others compute with it.

    Attributes:
        lost: The error that ended the group, once there is one.
    """

    def __init__(self, setup: Setup, ranks: Ranks) -> None:
        super().__init__(Loader(setup, ranks))
        self._others = ranks
        self.lost: LandscapeError | None = None

    def compute(
        self,
        task: Task,
        progress: Callable[[float], None],
        partial: Path | None = None,
        *,
        whole: bool = False,
    ) -> xr.Dataset:
        """See `Runner.compute`. Partial results are not kept, since all ranks must go the same way."""
        from landscape.core.problem.sharding import RankLostError

        try:
            with self._others.together():
                return super().compute(self._others.share(task), progress, whole=whole)
        except RankLostError as error:
            self.lost = error
            raise


def over_ranks(run: Callable[[Executor], R]) -> R:
    """Run on the first rank while the others follow; every rank returns what the first one does.

    Args:
        run: Plans and carries out with the given executor. Called on the first rank only.

    Raises:
        LandscapeError: On every rank, if ``run`` raises, or a rank is lost.
    """
    from landscape.core.problem.sharding import RankLostError, Ranks

    ranks = Ranks.join()
    if ranks.rank:
        outcome: R = _follow(ranks)  # type: ignore[assignment]
        return outcome
    try:
        outcome = run(RanksExecutor(ranks))
    except RankLostError:
        raise
    except Exception as error:
        sentence = str(error) if isinstance(error, LandscapeError) else reason(error)
        ranks.share(_Stop(sentence))
        raise
    ranks.share(_End(outcome))
    return outcome


def _follow(ranks: Ranks) -> object | None:
    """Do as the first rank says, to its end."""
    runner: Runner | None = None
    while True:
        message = ranks.share(None)
        if isinstance(message, Setup):
            runner = Runner(Loader(message, ranks))
            with suppress(Exception, SystemExit), ranks.together():  # the first rank meets it too, and tells
                runner.loader.sizes()
        elif isinstance(message, Task) and runner is not None:
            with suppress(Exception, SystemExit), ranks.together():
                runner.compute(message, lambda fraction: None)
        elif isinstance(message, _Stop):
            raise LandscapeError(message.sentence)
        elif isinstance(message, _End):
            return message.outcome
