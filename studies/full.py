"""What to run first on one's own frames: ratio x temperature x granularity, the best confirmed.

    awcl study run full --frames clean.parquet       # or without: the phantom of `paper`

Every combination is tried on one seed; ASHA on the proxy stops early what loses. The best three
then run on all seeds, to the full budget, and only these are to be compared: what was stopped had
less training, and one seed tells little. `awcl study propose full 8` appends more points, learnt
from what ran to the end.

The proxy is at the coarse level, which any frames have. Setting and home are those of
studies/paper.py: change `pretrain_where` there to what your own table calls home.

Expected: about 30 minutes on 2 cores for 21 trials on one seed and 6 more. Not measured yet.
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
        early_stopping=EarlyStopping(grace=2, reduction=3),
        **SETTING,
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
