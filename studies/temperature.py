"""At which temperature, and does it depend on the batch? SimCLR and AWCL, three seeds, full budget.

    awcl study run temperature                            # on the phantom of `paper`
    awcl study run temperature --frames clean.parquet     # on any frames

What it shows: a low temperature looks at the hardest negatives alone, of which a larger batch has
more; and a fine label takes those of its own class from among them. So the best temperature may
differ between SimCLR and AWCL, and between batches. The paper's own is 0.5, at a batch of 32.

The number of steps falls as the batch grows, at the same number of epochs and the same learning
rate: between batches it is epochs that are equal. Setting and home are those of studies/paper.py.

Measured (2026-11-22, 2 cores of an AMD EPYC, tests beside it): 80 min for 48 trials. Macro-F1 at
home, means of seeds 0, 1, 2. No temperature is clearly best, and at none is AWCL clearly above
SimCLR at the same batch; a batch of 128, which has a quarter of the steps, is mostly below one of
32. Intervals, and scores away from home: RESULTS.md.

                      0.05    0.1     0.2     0.5
    simclr, batch 32  0.563   0.533   0.535   0.571
    awcl,   batch 32  0.584   0.537   0.604   0.569
    simclr, batch 128 0.513   0.487   0.522   0.484
    awcl,   batch 128 0.495   0.529   0.535   0.505
"""

from awcl.study.space import Study
from studies.paper import BASE, HOME, PHANTOM


def study() -> Study:
    return Study(
        name="temperature",
        phantom=PHANTOM,
        base=BASE,
        arms={"simclr": {"pretrain.positives": "self"}, "awcl": {}},
        axes={"pretrain.temperature": [0.05, 0.1, 0.2, 0.5], "pretrain.batch": [32, 128]},
        seeds=[0, 1, 2],
        proxy_level="coarse",
        proxy_where=HOME,
        tasks=[{"task": "planes", "where": HOME}, "cross_planes"],
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
