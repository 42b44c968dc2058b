"""A control: anatomies whose labels pre-training never saw. Three seeds, full budget.

    awcl study run held_out                            # on the phantom of `paper`
    awcl study run held_out --frames clean.parquet     # on frames that have these anatomies

What it shows: an encoder that was pre-trained with the very labels that it is judged by may know no
more than these. So about half of the anatomies, one or two of each kind, are held out: their frames
are there, their labels are not. What AWCL gains on them over SimCLR is gained for planes that
nobody had named; what it gains on the others may be the labels themselves.

    simclr             no labels
    awcl               all labels, of both halves: what could be had
    awcl_held_out      the labels of one half
    supervised_held_out   the same labels by cross-entropy, the rival

    planes-unseen      which of the anatomies that were held out, on their frames alone
    planes-seen        which of the others, on theirs

Setting and home are those of studies/paper.py; HELD_OUT is to name anatomies of your own table.

Measured (2026-11-22, 2 cores of an AMD EPYC, other work beside it): 26 min for 12 trials. Macro-F1,
means of three seeds; * clearly above SimCLR. On anatomies that nobody had named no arm differs
clearly; what cross-entropy gains is of the labels that it had. Intervals: RESULTS.md.

                           unseen    seen
    simclr                 0.795     0.708
    awcl                   0.788     0.751
    awcl_held_out          0.810     0.728
    supervised_held_out    0.798     0.844*
"""

from awcl.study.space import Study
from studies.paper import BASE, HOME, PHANTOM

HELD_OUT = ["3VT", "KIDNEYS_CORONAL", "LVOT", "PROFILE", "SOB", "SPINE_COR"]


def study() -> Study:
    unseen = {**HOME, "anatomy": HELD_OUT}
    seen = {**HOME, "anatomy": [f"!{name}" for name in HELD_OUT]}
    return Study(
        name="held_out",
        phantom=PHANTOM,
        base=BASE,
        arms={
            "simclr": {"pretrain.positives": "self"},
            "awcl": {},
            "awcl_held_out": {"anatomy.held_out": HELD_OUT},
            "supervised_held_out": {
                "pretrain.method": "supervised",
                "anatomy.held_out": HELD_OUT,
            },
        },
        seeds=[0, 1, 2],
        proxy_level="coarse",
        proxy_where=HOME,
        tasks=[
            {"task": "planes", "name": "planes-unseen", "where": unseen},
            {"task": "planes", "name": "planes-seen", "where": seen},
        ],
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
