"""Hamiltonian Monte Carlo over all weights of a small network, under a Gaussian prior."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Generator, Tensor, nn

from landscape.core.behaviour.posterior_samples import PosteriorSamples
from landscape.core.behaviour.predictive import Kind
from landscape.core.posterior.hamiltonian import Potential, steps_of, transition
from landscape.core.posterior.prior import GaussianPrior, PriorName
from landscape.core.problem.problem import Problem
from landscape.core.stats.r_hat import split_r_hat
from landscape.errors import InputError
from landscape.reference.training import checkpoints as files

__all__ = ["HMCResult", "hmc", "hmc_posterior"]

Array = NDArray[np.float64]
OnIteration = Callable[[int, int, float], None]

QUARTER = math.pi / 2
"""Trajectory length in prior standard deviations: a quarter of a period, after which what the data say
nothing about is drawn anew, independently of where it was."""

SAMPLES = 50

RATE = 0.5
"""Speed of the adaptation of the step."""

SAVE_EVERY_S = 5.0

SHOWN = ("on_iteration", "progress")
"""Options that decide no number."""


@dataclass(frozen=True)
class HMCResult:
    """A chain.

    Attributes:
        theta: Samples (S, P), of the problem's dtype; where the end of a trajectory was rejected, the sample
            before it once more.
        accept: Probability of acceptance (iterations,), those of the burn-in first.
        energy_error: Energy at the end of each trajectory less that at its start (iterations,); NaN where it
            diverged.
        potential: −ln of likelihood times prior, but for a constant, after each iteration (iterations,).
        burn_in: How many iterations come before the samples.
        step: Leapfrog step after the burn-in.
        steps: Leapfrog steps of a trajectory after the burn-in.
    """

    theta: Tensor
    accept: Array
    energy_error: Array
    potential: Array
    burn_in: int
    step: float
    steps: int

    def r_hat(self, function: Callable[[Tensor], Any], *others: HMCResult) -> Array:
        """R̂ of a function of the parameters over the halves of this chain and of others of its length.

        Args:
            function: θ (P,) ↦ numbers of any shape.
            others: Chains from other starts.
        """
        chains = [[np.asarray(function(row)) for row in one.theta] for one in (self, *others)]
        return split_r_hat(np.array(chains))


@torch.no_grad()
def hmc(
    problem: Problem,
    prior: GaussianPrior,
    *,
    samples: int = SAMPLES,
    burn_in: int = 25,
    length: float = QUARTER,
    jitter: float = 0.0,
    step: float = 0.03,
    target: float = 0.85,
    temperature: float = 1.0,
    seed: int = 0,
    most_steps: int = 200,
    start: Tensor | None = None,
    state: Path | str | None = None,
    on_iteration: OnIteration | None = None,
    progress: bool = False,
) -> HMCResult:
    """Draw parameters from their posterior by Hamiltonian Monte Carlo in whitened coordinates.

    Coordinates in which the prior is standard normal make one trajectory length right for every prior, and
    narrow directions of a prior cost no small step. During the burn-in the step follows the acceptance; it
    is then frozen, without which the chain would have no stationary distribution. An end that is rejected
    repeats the sample before it; the published code leaves rejected ends out of its average, which favours
    where ends are accepted.

    Args:
        problem: Its loss is −ln p of an example, and it has no weight decay.
        prior: Over the problem's parameters.
        samples: Iterations that are kept.
        burn_in: Iterations before them.
        length: Of a trajectory, in prior standard deviations.
        jitter: Each trajectory is longer or shorter by up to this share, drawn anew. Without, as published, a
            direction in which the posterior is Gaussian and half, a quarter, a sixth ... as wide as the
            prior is in resonance: every trajectory ends as far from the mean as it began.
        step: Largest leapfrog step, at first.
        target: Acceptance that the step is adapted to.
        temperature: τ of the likelihood, see `landscape.core.posterior.hamiltonian.Potential`.
        seed: Decides momenta and tests, iteration by iteration.
        most_steps: Most leapfrog steps of a trajectory, which is cut short there.
        start: θ (P,) to start from; by default, the problem's own.
        state: A file that the chain is kept in every few seconds; the same call goes on from there after it
            was killed, with the same bits on the CPU of one machine with one number of threads.
        on_iteration: Called after each iteration with (iterations done, iterations, acceptance).
        progress: Whether to show a bar with the time left.

    Raises:
        InputError: If a number is out of range, the problem does not suit (see
            `landscape.core.posterior.hamiltonian.Potential`), or the loss at the start is no number.

    Reference:
        Neal (2011), MCMC using Hamiltonian dynamics; Izmailov et al. (2021), Dangers of Bayesian model
        averaging under covariate shift, and What are Bayesian neural network posteriors really like?
    """
    _check(samples=samples, burn_in=burn_in, length=length, step=step, target=target, most_steps=most_steps)
    if not 0.0 <= jitter < 1.0:
        raise InputError(f"hmc: jitter is a share from 0 to below 1, not {jitter}.")
    potential = Potential(problem, prior, temperature)
    begin = prior.whiten((problem.theta if start is None else start).detach().to(problem.device))
    numbers = {"length": length, "jitter": jitter, "step": step, "target": target, "seed": seed}
    settings = {
        **numbers,
        "temperature": temperature,
        "burn_in": burn_in,
        "most_steps": most_steps,
        "loss": problem.loss_name,
    }
    content = [*problem.fingerprint(), prior.fingerprint, _digest(begin.cpu().numpy().tobytes())]
    identity = json.dumps({**settings, "samples": samples, "content": content}, sort_keys=True)
    run = _Run.read(None if state is None else Path(state), identity, begin, step)
    level = potential.at(run.v)
    if not math.isfinite(level.value):
        raise InputError(f"the loss at the start of the chain is {level.value}; start it elsewhere.")

    total = burn_in + samples
    with Progress(disable=not progress, transient=True) as bar:
        task = bar.add_task("HMC", total=total, completed=run.done)
        while run.done < total:
            generator = _seeded(seed, run.done)
            reach = length
            if jitter:
                reach *= 1.0 + jitter * (2.0 * float(torch.rand((), generator=generator)) - 1.0)
            steps, own = steps_of(reach, math.exp(run.log_step), most_steps)
            one = transition(potential, level, own, steps, generator)
            level, run.v = one.level, one.level.point
            if run.done < burn_in:
                run.log_step += RATE * (one.accept - target) / math.sqrt(1 + run.done / 10)
            else:
                run.theta.append(potential.theta(run.v).cpu())
            run.trace.append((one.accept, one.energy_error, level.value))
            run.save(last=run.done == total)
            bar.update(task, completed=run.done)
            if on_iteration is not None:
                on_iteration(run.done, total, one.accept)
    steps, own = steps_of(length, math.exp(run.log_step), most_steps)
    accept, error, value = np.array(run.trace, dtype=np.float64).T
    return HMCResult(torch.stack(run.theta), accept, error, value, burn_in, own, steps)


class _Run:
    """What a chain has come to, in memory and in its file."""

    def __init__(self, path: Path | None, identity: str, v: Tensor, log_step: float) -> None:
        self.path, self.identity = path, identity
        self.v, self.log_step = v, log_step
        self.theta: list[Tensor] = []
        self.trace: list[tuple[float, float, float]] = []
        self._saved = time.monotonic()

    @classmethod
    def read(cls, path: Path | None, identity: str, v: Tensor, step: float) -> _Run:
        """The run that the file holds, if it is this one's; else a new one."""
        run = cls(path, identity, v, math.log(step))
        found = None if path is None else files.load_state(path, v.device)
        if found is not None and found["identity"] == identity:
            run.v, run.log_step = found["v"], found["log_step"]
            run.theta, run.trace = list(found["theta"].cpu()), [tuple(row) for row in found["trace"].tolist()]
        return run

    @property
    def done(self) -> int:
        return len(self.trace)

    def save(self, last: bool) -> None:
        """Write the file, unless that was a moment ago; every iteration has a seed, so it may be any."""
        if self.path is None or not (last or time.monotonic() > self._saved + SAVE_EVERY_S):
            return
        self._saved = time.monotonic()
        theta = torch.stack(self.theta) if self.theta else torch.empty(0)
        trace = torch.tensor(self.trace, dtype=torch.float64)
        kept = {"identity": self.identity, "v": self.v, "log_step": self.log_step}
        files.save_state({**kept, "theta": theta, "trace": trace}, self.path)


def hmc_posterior(
    members: Sequence[nn.Module],
    fit_data: tuple[Tensor, Tensor],
    *,
    variance: float,
    prior: PriorName = "isotropic",
    prior_options: Mapping[str, Any] | None = None,
    chains: int | None = None,
    folder: str = "",
    seed: int = 0,
    batch_size: int = 1024,
    **options: Any,
) -> PosteriorSamples:
    """The predictive of a manifest: samples of the posterior of a network, one chain from each member.

    Args:
        members: Networks of one architecture, with logits (N, C), or `GaussianHead` of a regression. Each is
            where a chain starts.
        fit_data: The inputs and targets that they were trained on; floating targets are those of a
            regression.
        variance: Prior variance of a parameter: one over the weight decay of the summed loss.
        prior: ``isotropic``, or ``empirical_covariance`` of the inputs for the weights of the first layer.
        prior_options: Others of `landscape.core.posterior.prior.GaussianPrior.empirical_covariance`.
        chains: How many of the members start one, the first of them; by default all.
        folder: Where the samples are kept as safetensors, in a file that is named after all that they depend
            on: the same call reads it, and one that was killed goes on. None are kept unless it is given.
        seed: Of the first chain; the others have the next ones.
        batch_size: Examples at a time.
        **options: Others of `hmc`.

    Raises:
        InputError: As `hmc`, or if there are not so many members, or they differ in what they are made of.
    """
    count = len(members) if chains is None else chains
    if not 1 <= count <= len(members):
        raise InputError(f"{count} chains start from as many members; there are {len(members)}.")
    regression = fit_data[1].is_floating_point()
    kind: Kind = "regression" if regression else "classification"
    loss = "gaussian_nll" if regression else "cross_entropy"
    # all of them, since a sample is a whole network: also those that a training has left alone
    problems = [
        Problem(member, loss, fit_data, parameters="*", batch_size=batch_size) for member in members[:count]
    ]
    spaces = {(problem.space.names, problem.space.shapes) for problem in problems}
    if len(spaces) > 1:
        raise InputError("chains run over one parameter space; the members have different parameters.")
    first = dict(members[0].named_buffers())
    for place, member in enumerate(members[1:count], start=2):
        own = dict(member.named_buffers())
        if own.keys() != first.keys() or not all(torch.equal(own[name], first[name]) for name in own):
            raise InputError(
                "samples share the buffers of one network, such as statistics of BatchNorm; those of member"
                f" {place} are not those of member 1: take chains = 1."
            )
    whole = GaussianPrior.named(prior, problems[0].space, fit_data[0], variance, prior_options)
    if not folder:
        thetas = _run_chains(problems, whole, seed, None, options)[0]
        return PosteriorSamples(members[0], thetas, kind, count)
    decisive = {name: value for name, value in options.items() if name not in SHOWN}
    facts = {"seed": seed, "options": decisive, "prior": whole.fingerprint, "kind": kind}
    identity = _as_json({**facts, "content": [list(problem.fingerprint()) for problem in problems]})
    digest = _digest(json.dumps(identity, sort_keys=True).encode())
    path = Path(folder) / f"hmc-{digest[:16]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    # two workers of a zoo may want it at once: the second one waits, and reads what the first has made
    with FileLock(path.with_name(f"{path.name}.lock")):
        if (files.read_notes(path) or {}).get("identity") == identity:
            rows = int(options.get("samples", SAMPLES)) * count
            empty = torch.zeros(rows, problems[0].size).to(problems[0].theta)
            stored = PosteriorSamples(members[0], empty, kind, count)
            files.load_weights(stored, path)
            return stored
        thetas, notes = _run_chains(problems, whole, seed, path, options)
        made = PosteriorSamples(members[0], thetas, kind, count)
        files.save_weights(made, path, {"identity": identity, "chains": notes})
        for number in range(count):
            _state(path, number).unlink(missing_ok=True)
    return made


def _run_chains(
    problems: Sequence[Problem],
    prior: GaussianPrior,
    seed: int,
    path: Path | None,
    options: Mapping[str, Any],
) -> tuple[Tensor, list[dict[str, float]]]:
    """The samples of a chain on each problem, one after the other, and what to remember of each chain."""
    results = []
    for number, problem in enumerate(problems):
        state = None if path is None else _state(path, number)
        results.append(hmc(problem, prior, seed=seed + number, state=state, **options))
    thetas = torch.cat([result.theta for result in results]).to(problems[0].theta)
    notes = [
        {"accept": float(r.accept[r.burn_in :].mean()), "step": r.step, "steps": r.steps} for r in results
    ]
    return thetas, notes


def _state(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}.resume")


def _seeded(seed: int, iteration: int) -> Generator:
    """The random numbers of an iteration: of the seed and of its number alone, so none need be stored."""
    entropy = int(np.random.SeedSequence((seed, iteration)).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(entropy % 2**63)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _as_json(facts: Mapping[str, Any]) -> Any:
    """The facts as they come back from a file, so that the two can be compared."""
    try:
        return json.loads(json.dumps(facts))
    except (TypeError, ValueError) as error:
        raise InputError(f"with a folder, options of a chain are what JSON can hold, but {error}.") from error


def _check(*, samples: int, burn_in: int, length: float, step: float, target: float, most_steps: int) -> None:
    least = {"samples": (samples, 1), "burn_in": (burn_in, 0), "most_steps": (most_steps, 1)}
    for name, (value, bound) in least.items():
        if value < bound:
            raise InputError(f"hmc: {name} must be at least {bound}, not {value}.")
    for name, number in {"length": length, "step": step}.items():
        if not 0.0 < number < math.inf:
            raise InputError(f"hmc: {name} must be positive and finite, not {number}.")
    if not 0.0 < target < 1.0:
        raise InputError(f"hmc: target is an acceptance between 0 and 1, not {target}.")
