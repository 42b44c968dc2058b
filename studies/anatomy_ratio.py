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

Expected: about 25 minutes on 2 cores. Not measured yet in this form. With scans of 4 s, 16 epochs
and batch 64 it took 1 h 1 min (2026-11-20, 2 cores of an AMD EPYC beside other work). Macro-F1 over
13 anatomies of a ridge probe, means of seeds 0, 1, 2; on machine C and in the first trimester the
probe was trained there (transfer). Intervals, and what the table says, are in the README:

                        home    machine C   first trimester
    untrained           0.398   0.412       0.266
    ratio 0 (SimCLR)    0.595   0.565       0.443
    coarse, ratio 0.3   0.624   0.530       0.385
    coarse, ratio 1     0.638   0.541       0.411
    fine, ratio 0.3     0.621   0.570       0.414
    fine, ratio 1       0.656   0.549       0.433
"""

from awcl.study.space import Study
from studies.paper import BASE, HOME, PHANTOM

RATIOS = [0, 0.3, 1]
ALL_RATIOS = [0, 0.1, 0.3, 0.5, 0.8, 1]


def study() -> Study:
    return Study(
        name="anatomy_ratio",
        phantom=PHANTOM,
        base=BASE,
        axes={
            "anatomy.ratio": RATIOS,
            "anatomy.granularity": ["coarse", "fine"],
            "pretrain.batch": [BASE.pretrain.batch],  # 64, 128
            "data.sampler": ["uniform"],  # partners
        },
        seeds=[0, 1, 2],
        proxy_level="coarse",
        proxy_where=HOME,
        tasks=[{"task": "planes", "where": HOME}, "cross_planes", "cross_segmentation"],
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
