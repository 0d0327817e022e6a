"""The blocks of a run, shared out by leases: take what is free, come back for what others compute, read theirs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.budget import Cost
from scaling.engine.batches import Batches
from scaling.engine.block_run import BlockRun
from scaling.engine.final_samples import final_samples
from scaling.engine.ladder import FittedSearch, Rung, rungs_of
from scaling.engine.loop import REDUCED, run_searches
from scaling.engine.retention import Retention
from scaling.engine.winners import distinct, pick
from scaling.journal.lease import Lease, LeaseLost, Leases
from scaling.journal.stream import Stream, blocks_of
from scaling.output import block_result as collect
from scaling.output.candidates import candidates_path, write_candidates
from scaling.output.samples import write_samples
from scaling.protocols import Condition, RankSelector
from scaling.runner.ledger import Account, Ledger, read_ledger
from scaling.runner.progress import Progress
from scaling.runner.study import Study
from scaling.stop import check_stop

PAUSE = (0.02, 2.0)  # seconds between looks at what others hold: at first, at last


@dataclass(frozen=True)
class Work:
    """What a run computes its blocks with."""

    study: Study
    batches: Batches
    journal: Path
    guiding: str
    retention: Retention
    leases: Leases
    searches: Sequence[FittedSearch]
    top: int  # how many rungs are climbed now
    selection: np.ndarray | None = None  # rows chosen by a selector over the whole set, [rungs, conditions]

    @property
    def streams(self) -> list[tuple[FittedSearch, Stream]]:
        """The searches that answer the rungs climbed now, with these rungs alone."""
        study = self.study
        climbed = [FittedSearch(s.search, tuple(r for r in s.rungs if r.index < self.top)) for s in self.searches]
        identities = [(s, study.identity(s.search, self.batches.batch_size)) for s in climbed if s.rungs]
        return [(fitted, Stream(self.journal, identity, study.block_size)) for fitted, identity in identities]

    @property
    def rungs(self) -> list[Rung]:
        return rungs_of(self.searches)[: self.top]

    def chosen(self, rung: int, first: int) -> np.ndarray | None:
        """The rows that were selected for a block's conditions, which begin at `first`."""
        if self.selection is None:
            return None
        return self.selection[rung, first : first + self.study.block_size]

    def part(self, number: int) -> Path:
        return self.study.folder / "blocks" / f"{number:05d}.npz"


@dataclass(frozen=True)
class Share:
    """One search's part of a block: its rungs, its stream, and what this process computes under the lease."""

    fitted: FittedSearch
    stream: Stream
    run: BlockRun
    ledger: Ledger  # of the block, one for all its shares


Make = Callable[[Work, int, list[Share], Progress], tuple[collect.Part, Cost]]


def run_blocks(work: Work) -> list[Path]:
    """Sees to it that every block of the run has its part, computed here or by another worker."""
    return visit(work, work.part, _part)


def visit(work: Work, path_of: Callable[[int], Path], make: Make) -> list[Path]:
    """Makes a file for every block under the leases of its streams, wherever no other worker does.

    A file that answers for fewer rungs is made anew, with what it cost added.
    """
    study, streams = work.study, work.streams
    left = dict(blocks_of(study.conditions, study.block_size))
    paths = [path_of(number) for number in left]
    pause, top = PAUSE[0], work.top
    title = study.run if study.order == "conditions" else f"{study.run}, rung {top}"
    nfe = sum(fitted.nfe for fitted, _ in streams)
    with Progress(title, len(study.conditions), study.progress, nfe) as progress:
        while left:
            before = len(left)
            for number, conditions in list(left.items()):
                path = path_of(number)
                there = rungs_in(path) >= top
                if there or _compute(work, streams, number, conditions, path, make, progress):
                    progress.block(len(left.pop(number)), _mean_score(path), not there)
            check_stop()
            pause = PAUSE[0] if len(left) < before else min(2 * pause, PAUSE[1], work.leases.patience / 10)
            if left and len(left) == before:
                folders = [stream.block_folder(number) for number in left for _, stream in streams]
                progress.waiting(work.leases.waiting_for(folders))
                time.sleep(pause)
    return paths


def rungs_in(path: Path) -> int:
    """For how many rungs of the ladder a block's file answers; 0 where there is none."""
    if not path.exists():
        return 0
    return 1 + int(collect.load(path, ["rung/index"])["rung/index"].max())


def spent(parts: Sequence[Path]) -> tuple[Cost, float, float]:
    """What all workers paid for the parts, the seconds that took them, and the highest memory of any (MB).

    Parts that are not there yet, or not for all rungs, count with what their ledgers say.
    """
    accounts = [read_ledger(path) or account_of(path) for path in parts]
    paid = sum((account.cost for account in accounts), Cost())
    return paid, sum(a.seconds for a in accounts), max((a.memory_mb for a in accounts), default=0.0)


def account_of(path: Path) -> Account:
    """What a block's file says that it cost; nothing where there is none."""
    if not path.exists():
        return Account()
    names = [field.name for field in dataclasses.fields(Cost)]
    part = collect.load(path, [*(f"paid/{name}" for name in names), "seconds", "memory_mb"])
    cost = Cost(**{name: int(part[f"paid/{name}"]) for name in names})
    return Account(cost, float(part["seconds"]), float(part["memory_mb"]))


def reduced(streams: Sequence[tuple[FittedSearch, Stream]], parts: Sequence[Path]) -> bool:
    """Whether any answer of the streams came from a smaller batch than their identity says."""
    if any((stream.folder / "halved.json").exists() for _, stream in streams):  # of before blocks noted it themselves
        return True
    for path in parts:
        with np.load(path) as file:
            if REDUCED in file.files and file[REDUCED]:
                return True
    return False


def _compute(
    work: Work,
    streams: Sequence[tuple[FittedSearch, Stream]],
    number: int,
    conditions: list[Condition],
    path: Path,
    make: Make,
    progress: Progress,
) -> bool:
    """Makes a block's file under the leases of its streams; False while another process holds one of them."""
    try:
        with ExitStack() as held:
            leases: list[Lease] = []
            for _, stream in streams:
                lease = work.leases.take(stream.block_folder(number))
                if lease is None:
                    return False
                leases.append(held.enter_context(lease))
            known = rungs_in(path)
            if known >= work.top:  # another worker of this run was quicker
                return True
            ledger = Ledger(path, account_of(path))
            shares = _shares(work, streams, number, conditions, leases, ledger)
            part, cost = make(work, number, shares, progress)
            part[REDUCED] = np.array(any(REDUCED in share.run.table.columns for share in shares))
            collect.save(path, part | _columns(ledger.total(cost)))
            ledger.close()
            return True
    except LeaseLost:
        return False


def _shares(
    work: Work,
    streams: Sequence[tuple[FittedSearch, Stream]],
    number: int,
    conditions: list[Condition],
    leases: Sequence[Lease],
    ledger: Ledger,
) -> list[Share]:
    """What the searches of a block are computed with; its conditions are encoded once for all."""
    encoded = work.batches.encode(conditions, number * work.study.block_size)
    spaces = [work.study.space(condition) for condition in conditions]
    return [
        Share(
            fitted,
            stream,
            BlockRun(
                search=fitted.search,
                spaces=spaces,
                table=stream.block(number, conditions, lease),
                batches=work.batches,
                encoded=encoded,
                guide=work.guiding,
                nfe=fitted.nfe,
                retention=work.retention,
            ),
            ledger,
        )
        for (fitted, stream), lease in zip(streams, leases, strict=True)
    ]


def _columns(account: Account) -> collect.Part:
    """An account as it stands in a block's file."""
    paid = {f"paid/{name}": np.array(value) for name, value in dataclasses.asdict(account.cost).items()}
    return paid | {"seconds": np.array(account.seconds), "memory_mb": np.array(account.memory_mb)}


def _part(work: Work, number: int, shares: list[Share], progress: Progress) -> tuple[collect.Part, Cost]:
    """The winners of every rung with all that metrics read of them."""
    study, first = work.study, number * work.study.block_size
    known = rungs_in(work.part(number))
    ranks = study.selector if isinstance(study.selector, RankSelector) else None
    results, cost = [], Cost()
    for share in shares:
        run = share.run
        cost += computed(share, progress, cost)
        rungs = [pick(run, rung, work.chosen(rung.index, first), ranks) for rung in share.fitted.rungs]
        finals = final_samples(run, distinct(rungs), study.budget.final)
        results.append(collect.collect(run, finals, rungs, study.per_sample))
        sized = run.traits.size_parameter is not None
        write_candidates(candidates_path(study.folder, number, share.fitted.rungs[0].nfe if sized else None), run)
        fresh = [winners for winners in rungs if winners.rung.index >= known]
        share.ledger.note(cost + finals.cost)
        cost += finals.cost + write_samples(study.folder, run, finals, fresh, study.samples)
    return collect.join(results), cost


def computed(share: Share, progress: Progress, before: Cost) -> Cost:
    """Runs the searches of a block to their end; what that cost, on top of what other shares did `before`."""
    cost = Cost()
    for answers in run_searches(share.run):
        cost += answers.cost
        share.ledger.note(before + cost)
        progress.rows(answers.cost.rows, answers.cost.nfe)
    return cost


def _mean_score(path: Path) -> float:
    """Of the incumbents at the last rung; NaN where the file is not about winners."""
    with np.load(path) as file:
        if "rung/score" not in file.files:
            return float("nan")
    scores = collect.load(path, ["rung/index", "rung/score"])
    return float(scores["rung/score"][scores["rung/index"] == scores["rung/index"].max()].mean())
