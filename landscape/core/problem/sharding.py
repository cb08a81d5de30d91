"""Sharding: one problem over several processes, each with its share of the data.

Each process (a rank) sums over its own examples; the sums are added over all ranks and then divided by the
number of all examples, so that shares of any size, also empty ones, are exact. Afterwards every rank holds
the same bits, so that an algorithm on top goes the same way on each without knowing of the others.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from landscape.core.data.batches import Batch
from landscape.errors import InputError, LandscapeError, reason

__all__ = ["RankLostError", "Ranks", "Sharding", "Share"]

T = TypeVar("T")

_PATIENCE = timedelta(days=7)  # the others wait while the first rank plans; a dead rank is noticed at once


class RankLostError(LandscapeError):
    """Another process of the group ended or cannot be reached."""


@dataclass(frozen=True)
class Share:
    """What one process holds of the data.

    Attributes:
        batches: Its micro-batches, on the device; consecutive ones of all.
        start: How many examples come before them.
        examples: Number N of examples of all processes.
        first: The first micro-batch of all, on the device.
    """

    batches: list[Batch]
    start: int
    examples: int
    first: Batch


class Sharding:
    """One process with all the data. `Ranks` is for several.

    Attributes:
        rank: Number of this process.
        ranks: Number of processes.
    """

    rank = 0
    ranks = 1

    def home(self, device: torch.device) -> torch.device:
        """Where data is kept before it is shared out."""
        return device

    def take_share(self, batches: Sequence[Batch], device: torch.device) -> Share:
        """This process's share of the batches."""
        return Share(list(batches), 0, sum(b.size for b in batches), batches[0])

    @contextmanager
    def summing(self, *sums: Tensor) -> Iterator[None]:
        """Within it, add this process's part to each tensor; afterwards they hold the sums over all.

        Raises:
            LandscapeError: If this failed in another process.
        """
        yield

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within it, an error in one process is raised in all, which else would wait for it forever.

        Raises:
            LandscapeError: If another process failed; what it said.
        """
        yield


class Ranks(Sharding):
    """The processes of the default group of `torch.distributed`, as torchrun starts them.

    All make the same problem from the same data, and call the same functions in the same order.

    Raises:
        InputError: If there is no such group.

    Example:
        >>> sharding = Ranks.join("cuda")                              # doctest: +SKIP
        >>> problem = Problem(model, loss, data, sharding=sharding)    # doctest: +SKIP
        >>> found = landscape.spectrum(problem)                        # doctest: +SKIP
        >>> if sharding.rank == 0: landscape.save(found, "spectrum.h5")  # doctest: +SKIP
    """

    def __init__(self) -> None:
        if not dist.is_initialized():
            raise InputError("there is no group of processes; start with torchrun and use Ranks.join().")
        self.rank = dist.get_rank()
        self.ranks = dist.get_world_size()
        self._known: BaseException | None = None  # the error that all ranks know of

    @classmethod
    def join(cls) -> Ranks:
        """Join the group that the environment describes (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT).

        Sums of CPU tensors go over gloo, those of GPU tensors over NCCL.

        Raises:
            InputError: If the environment describes none, or the group does not come together.
        """
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            try:
                dist.init_process_group(backend, timeout=_PATIENCE)
            except (ValueError, RuntimeError) as error:
                raise InputError(f"the processes cannot form a group: {_line(error)}.") from error
            atexit.register(_leave)
        return cls()

    def home(self, device: torch.device) -> torch.device:
        """The CPU: only this rank's share goes to the device."""
        return torch.device("cpu")

    def device(self, name: str | None) -> str | None:
        """This rank's device: of ``cuda``, the one with the number that torchrun gives in LOCAL_RANK."""
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" else name

    def take_share(self, batches: Sequence[Batch], device: torch.device) -> Share:
        """Consecutive whole batches, about as many examples for each rank; none if there are too few.

        Batches stay whole, so that batch statistics and losses that are batch means keep their meaning.
        """
        examples = sum(b.size for b in batches)
        own: list[Batch] = []
        start = seen = 0
        for batch in batches:
            # Its middle decides, so that every batch has one owner and shares are consecutive.
            middle = seen + batch.size / 2
            owner = int(middle * self.ranks / examples)
            if owner == self.rank:
                own.append(batch.to(device))
            elif owner < self.rank:
                start += batch.size
            seen += batch.size
        return Share(own, start, examples, batches[0].to(device))

    def share(self, value: T) -> T:
        """The value that rank 0 gives, on every rank.

        Raises:
            RankLostError: If another process ended.
        """
        box = [value]
        with _reaching():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    @contextmanager
    def summing(self, *sums: Tensor) -> Iterator[None]:
        """See `Sharding.summing`. A tensor must be contiguous and the same in shape on every rank."""
        with self.together():
            yield
        with _reaching():
            for tensor in sums:
                dist.all_reduce(tensor)

    @contextmanager
    def together(self) -> Iterator[None]:
        """See `Sharding.together`."""
        try:
            yield
        except (Exception, SystemExit) as error:
            # An error that all ranks were told of, raised again by an enclosing `together`, is not compared
            # once more: the others are past that point.
            if error is not self._known and not isinstance(error, RankLostError):
                self._compare(error)
            raise
        self._compare(None)

    def _compare(self, error: BaseException | None) -> None:
        """Tell the others whether this rank failed; raise if another did and this one did not."""
        # One small sum each time; the sentences are exchanged only if some rank failed.
        failed = torch.tensor([int(error is not None)])
        said: list[str | None] = [None] * self.ranks
        with _reaching():
            dist.all_reduce(failed)
            if not failed:
                return
            dist.all_gather_object(said, error if error is None else _sentence(error))
        if error is None:
            rank, text = next((rank, text) for rank, text in enumerate(said) if text is not None)
            error = self._known = LandscapeError(f"rank {rank} of {self.ranks} failed: {text}")
            raise error
        self._known = error


_lost: list[RuntimeError] = []
"""Kept for ever: gloo at times aborts the process when what a broken operation holds is taken apart."""


@contextmanager
def _reaching() -> Iterator[None]:
    """Say it in one sentence when another process cannot be reached."""
    try:
        yield
    except RuntimeError as error:
        _lost.append(error)
        raise RankLostError(
            f"another process of the group ended or cannot be reached ({_line(error)}); start them again:"
            " what is done is kept."
        ) from error


def _sentence(error: BaseException) -> str:
    return _line(error) if isinstance(error, LandscapeError) else reason(error)


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")


def _leave() -> None:
    if dist.is_initialized() and not _lost:
        dist.destroy_process_group()
