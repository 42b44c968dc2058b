"""How much anatomy: the anatomy ratio as a curve, at both granularities, three seeds, full budget.

    awcl study run anatomy_ratio                            # on the phantom of `paper`
    awcl study run anatomy_ratio --frames clean.parquet     # on any frames

What it shows: whether a larger share of labels gives a better encoder, and finer labels a better
one than coarse ones, at home and away from it. Ratio 0 is SimCLR, and the common origin of both
curves. Setting, home and tasks are those of studies/paper.py.

With a tenth of the labels an anchor meets hardly a partner in a batch of 32, so a curve may measure
the luck of batches. Batch and sampler are therefore axes too, with one value each at first.

For two cores RATIOS has the ends of the curve and one point between: 15 trials. A study may grow:
put ALL_RATIOS in its place, or a further batch or sampler, and run it again; what is done stays.

Measured (2026-11-21, 2 cores of an AMD EPYC): 32 min 6 s. Macro-F1 over 13 anatomies of a probe
that was trained where it is judged; Dice of a decoder that was trained at home; means of seeds 0,
1, 2. In the last column all but coarse at 0.3 are clear of SimCLR, and nothing is in the others.
Intervals, all other scores and what the table says: RESULTS.md.

                        home    machine C   first trimester   Dice, first trimester, shift
    ratio 0 (SimCLR)    0.533   0.553       0.366             0.687
    coarse, ratio 0.3   0.581   0.549       0.369             0.703
    coarse, ratio 1     0.578   0.569       0.387             0.713
    fine, ratio 0.3     0.552   0.588       0.358             0.700
    fine, ratio 1       0.537   0.562       0.413             0.710
"""

from awcl.study.space import Study
from studies.paper import BASE, SETTING

RATIOS = [0, 0.3, 1]
ALL_RATIOS = [0, 0.1, 0.3, 0.5, 0.8, 1]


def study() -> Study:
    return Study(
        name="anatomy_ratio",
        axes={
            "anatomy.ratio": RATIOS,
            "anatomy.granularity": ["coarse", "fine"],
            "pretrain.batch": [BASE.pretrain.batch],  # 64, 128
            "data.sampler": ["uniform"],  # partners
        },
        **SETTING,
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
