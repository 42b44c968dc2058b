"""The same labels with and without contrast: AWCL, SupCon and cross-entropy, level by level.

    awcl study run rivals                            # on the phantom of `paper`
    awcl study run rivals --frames clean.parquet     # on any frames

What it shows: whether what AWCL gains over SimCLR is the labels' or the method's. At each level of
the taxonomy three arms read the same labels: AWCL, which has the unlabelled frames as well; SupCon,
the same loss on the labelled ones alone; and cross-entropy on these. studies/paper.py compares at
the fine level; but where some labels are known at the coarse level only, what reads these reads
more, and is to be held against a rival that does, too. The report lists the labels that each arm
used.

Setting, home and tasks are those of studies/paper.py.

Measured (2026-11-22, 2 cores of an AMD EPYC, other work beside it): 54 min for 21 trials. Macro-F1
at home and Dice in the shift to the first trimester, means of three seeds; * clearly above SimCLR.
What AWCL gains over SimCLR the labels gain, and cross-entropy gains most. Intervals: RESULTS.md.

                         home      first trimester
    simclr               0.559     0.687
    awcl_coarse          0.577     0.709*
    supcon_coarse        0.609     0.717*
    supervised_coarse    0.618     0.728*
    awcl_fine            0.580     0.712*
    supcon_fine          0.580     0.724*
    supervised_fine      0.681*    0.713*
"""

from awcl.study.space import Study
from studies.paper import SETTING

METHODS = {
    "awcl": {"pretrain.positives": "anatomy"},
    "supcon": {"pretrain.method": "supcon"},
    "supervised": {"pretrain.method": "supervised"},
}


def study() -> Study:
    return Study(
        name="rivals",
        arms={
            "simclr": {"pretrain.positives": "self"},
            **{
                f"{name}_{level}": {**method, "anatomy.granularity": level}
                for level in ("coarse", "fine")
                for name, method in METHODS.items()
            },
        },
        **SETTING,
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
