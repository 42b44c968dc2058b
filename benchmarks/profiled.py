"""Where the time of a training epoch goes, by operator: `python -m benchmarks.profiled`.

torch.profiler looks at an epoch of rows/epoch.py (resnet18, 112 px, 64 frames a batch) after one
that does not count. A share is of the time of the thread that trains: what an operator took itself,
without those that it called; what is not an operator is Python, the making of views above all.
"""

import argparse
import time

from torch.profiler import ProfilerActivity, profile

from benchmarks import material
from benchmarks.harness import scratch, threads
from benchmarks.rows.epoch import Silent, session_of

LINES = 12


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiled", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a tiny network on tiny frames")
    smoke = parser.parse_args().smoke
    size, batch = (32, 4) if smoke else (112, 64)
    with scratch() as folder:
        paths = material.files(folder / "images", -(-batch * 3 // 12) * 20)
        pack = material.pack(paths, size, folder / "packs")
        session = session_of(pack, size, batch, "test_resnet" if smoke else "resnet18")
        with threads(session.threads):
            session.train_epoch(Silent())
            with profile(activities=[ProfilerActivity.CPU]) as found:
                began = time.perf_counter()
                session.train_epoch(Silent())
                took = time.perf_counter() - began
    print(table(found, took))


def table(found: profile, took: float) -> str:
    """The operators that took most, and all others and Python together; took: seconds in all."""
    operators = sorted(found.key_averages(), key=lambda one: -one.self_cpu_time_total)
    lines = [f"{'share':>6}  {'calls':>6}  operator"]
    for one in operators[:LINES]:
        share = one.self_cpu_time_total / 1e6 / took
        lines.append(f"{share:6.1%}  {one.count:6}  {one.key}")
    others = sum(one.self_cpu_time_total for one in operators[LINES:]) / 1e6 / took
    known = sum(one.self_cpu_time_total for one in operators) / 1e6 / took
    lines.append(f"{others:6.1%}          all other operators")
    lines.append(f"{1 - known:6.1%}          outside of operators")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
