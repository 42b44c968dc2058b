"""How the cost of a study grows: cluster/SCALING.md, whose tables are what this measures.

    python -m benchmarks.scaling                  all subjects, twenty minutes on two cores
    python -m benchmarks.scaling --only network   one of them (`subjects.SUBJECTS`), likewise
    python -m benchmarks.scaling --smoke          tiny sizes, to see that all runs; writes nothing
    python -m benchmarks.scaling --write          measures nothing, writes the tables anew

Each subject runs in a process of its own. What it gave goes into cluster/scaling.json, with the
day, the machine, and how many of its cores other work used meanwhile; the tables of SCALING.md are
made from that and stand between marks in it (page.py). A test holds them equal.

Real and stub: overhead, writes and network are real. driver and tracking run a thousand trials, and
sixty, that train nothing (stub.py says what of them is real).
"""
