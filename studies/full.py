"""What to run first on one's own frames: ratio x temperature x granularity, the best confirmed.

    awcl study run full --frames clean.parquet       # or without: the phantom of `paper`

Every combination is tried on one seed; ASHA on the proxy stops early what loses, but never SimCLR
(ratio 0). The best three with anatomy and the best SimCLR then run on all seeds, to the full
budget, and only these are to be compared: what was stopped had less training, and one seed tells
little. `awcl study propose full 8` appends more points, learnt from what ran to the end.

The proxy is at the coarse level, which any frames have. Setting and home are those of
studies/paper.py: change HOME there to what your own table calls home, and give the two tasks across
domains their `crossings`; else each machine, site and trimester of your frames is left out in turn,
and pre-training has seen it. Tasks that frames do not allow (no masks, say) are told, and not run.

Measured (2026-11-21, 2 cores of an AMD EPYC, tests beside it): 56 min for 21 trials on one seed and
8 more. The search took 132 of the grid's 252 epochs; 14 trials were stopped, among them one of
SimCLR, which had not been made the baseline yet. Means of seeds 0, 1, 2 of the best three by the
proxy at home, and of SimCLR; * is clearly worse than the third. What is best at home is not what
crosses best. Intervals, and what else was found: RESULTS.md.

                        proxy   macro-F1,   Dice, first trimester,   Dice, first trimester,
                                home        transfer                 shift
    0.1, 0.2, coarse    0.859   0.589       0.731                    0.689*
    0.1, 0.5, fine      0.860   0.552       0.704*                   0.697*
    1, 0.1, fine        0.854   0.537       0.735                    0.710
    0, 0.5, SimCLR      0.844   0.571       0.718*                   0.701
"""

from awcl.study.space import EarlyStopping, Study
from studies.paper import SETTING


def study() -> Study:
    return Study(
        name="full",
        axes={
            "anatomy.ratio": [0, 0.1, 0.3, 1],
            "pretrain.temperature": [0.1, 0.2, 0.5],
            "anatomy.granularity": ["coarse", "fine"],
        },
        confirm=3,
        baseline={"anatomy.ratio": 0},
        early_stopping=EarlyStopping(grace=2, reduction=3),
        **SETTING,
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
