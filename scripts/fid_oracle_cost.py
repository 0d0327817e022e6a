"""What a commit of the FID oracle costs on this machine: random features, `--commits` commits at each candidate count.

python scripts/fid_oracle_cost.py --width 2048 --candidates 1 16 256 --commits 2
"""

from __future__ import annotations

import argparse
import time

import torch

from scaling.metrics.fid_oracle import RunningStatistics, commit
from scaling.metrics.reference import Reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 16, 256])
    parser.add_argument("--commits", type=int, default=2)
    parser.add_argument("--shortlist", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    generator = torch.Generator(args.device).manual_seed(0)

    def rows(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, args.width, generator=generator, device=args.device)

    real = rows(3 * args.width).double().cpu()
    reference = Reference(real.mean(0), real.T.cov(), len(real))
    factor = reference.factor.to(args.device)
    zero = torch.zeros(args.width, dtype=torch.float64, device=args.device)
    running = RunningStatistics(0.0, zero, zero.sum(), torch.zeros_like(factor)).add(rows(1024).double(), factor)
    for candidates in args.candidates:
        block = rows(args.batch, candidates)
        started, worked = time.perf_counter(), time.process_time()
        for _ in range(args.commits):
            commit(running, block, reference, args.shortlist)
        seconds, cpu = (time.perf_counter() - started) / args.commits, (time.process_time() - worked) / args.commits
        whole = f"191 commits {191 * seconds / 60:.0f} min ({191 * cpu / 60:.0f} min of CPU)"
        print(f"{candidates} candidates: a commit {seconds:.1f} s ({cpu:.1f} s of CPU), {whole}", flush=True)


if __name__ == "__main__":
    main()
