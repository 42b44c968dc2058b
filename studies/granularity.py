"""Which anatomy: none, coarse, fine, both; three seeds, full budget.

    awcl study run granularity                            # on the phantom of `paper`
    awcl study run granularity --frames clean.parquet     # on any frames

What it shows: what a level of the taxonomy gives an encoder, and what it costs. Coarse positives
pull different planes of one organ together; how much of the difference is left can be read from
figures that are the same for all arms, whatever level they were trained at:

    planes-coarse, planes-fine   both levels of the labels
    diagnostics                  fine_within_coarse: among frames of one organ, are the nearest of
                                 other patients of the same plane? 0 by chance, 1 where none of the
                                 difference is lost; and the same of each organ. Beside it purity
                                 at both levels, among all frames, and a map (t-SNE) of 400 test
                                 frames, a second or two an encoder
    cross_segmentation           a task without anatomy labels, at home and away

`hierarchical` has both levels at equal weight; "anatomy.fine_weight" in an arm gives another.
Setting and home are those of studies/paper.py. On images whose labels know one level only, such as
the African ones, fine and coarse can hardly differ.

Measured (2026-11-21, 2 cores of an AMD EPYC, tests beside it): 30 min for 12 trials. Means of seeds
0, 1, 2; * is clear of `self`. Of the difference between planes of one organ coarse positives leave
clearly less than fine ones do (0.206, 0.244; without labels 0.226, from which neither is clear). A
probe for these planes does not mind (0.578, 0.537). Intervals, and what else was found: RESULTS.md.

                    macro-F1, coarse   macro-F1, fine   fine within coarse   Dice, first
                                                                             trimester, shift
    self            0.803              0.533            0.226                0.687
    coarse          0.840              0.578*           0.206                0.713*
    fine            0.827              0.537            0.244                0.710*
    hierarchical    0.848*             0.583            0.227                0.700
"""

from awcl.study.space import Study
from studies.paper import BASE, HOME, PHANTOM


def study() -> Study:
    return Study(
        name="granularity",
        phantom=PHANTOM,
        base=BASE,
        arms={
            "self": {"pretrain.positives": "self"},
            "coarse": {"anatomy.granularity": "coarse"},
            "fine": {"anatomy.granularity": "fine"},
            "hierarchical": {"pretrain.positives": "hierarchical"},
        },
        seeds=[0, 1, 2],
        proxy_level="coarse",
        proxy_where=HOME,
        tasks=[
            {"task": "planes", "name": "planes-coarse", "where": HOME, "level": "coarse"},
            {"task": "planes", "name": "planes-fine", "where": HOME, "level": "fine"},
            {"task": "diagnostics", "where": HOME, "map_frames": 400},
            "cross_segmentation",
        ],
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
