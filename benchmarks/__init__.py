"""How fast, and beside what: `make bench`, or `python -m benchmarks`.

    python -m benchmarks                  every row but the long ones: RESULTS.md and results.json
    python -m benchmarks --long           only the long ones, added to what is there
    python -m benchmarks --only loss      one file of rows, likewise
    python -m benchmarks --smoke          tiny sizes: does everything still run? writes nothing

A file of `rows/` measures one subject: its `measure(run)` yields a `harness.Row` for each line of
the table. `rows.FILES` lists them, with the seconds that each may take.

Every file runs in a process of its own, so that none meets the threads, memory or caches of
another. Within it ours and the peer take turns (`harness.race`), and what is told is the ratio of
the two within a turn: the machine may be slow or busy, it is so for both.

Peers live in an environment of their own, made by `make bench-peers` (requirements.txt here); a row
without its peer says so, and the rest runs.

How the cost of a study grows with its trials and its cards: `python -m benchmarks.scaling`
(scaling/), whose figures are in cluster/SCALING.md.

What needs a card is a command of its own, `python -m benchmarks.gpu` (gpu.py, on_card/): GPU.md and
gpu.json. Its figures are not yet measured.
"""
