"""Few labels: what is reached where pre-training and task have the labels of the same few patients.

    awcl study run few_labels                            # on the phantom of `paper`
    awcl study run few_labels --frames clean.parquet     # on any frames

What it shows: whether an encoder that was pre-trained with the labels of a few patients is worth
more than the same labels used otherwise. At each share, 1 to 100 % of the training patients, three
arms have the labels of these patients and of no other, and all frames:

    awcl         pre-trained with these labels, then a probe on them
    supervised   trained by cross-entropy on these labels, then a probe on them: the honest rival
    simclr       pre-trained without labels, then a probe on these

A seed draws the patients, so five seeds are five draws, and the same lists for every arm; lists are
nested, what 5 % has is in what 25 % has. `few_label/SHARE` is this curve. `transfer/SHARE` is
another one, and no few-label result: there pre-training had what its arm says and only the probe
has few. The few-label point of an arm with labels is at its own share: one trial a point, while
SimCLR has the whole curve from one.

Setting and home are those of studies/paper.py. A share whose patients have one anatomy among them
teaches `supervised` nothing: the study is refused with the trial's name, and needs fewer SHARES.

Expected: about an hour on 2 cores for 55 trials. Not measured yet.
"""

from awcl.config import with_values
from awcl.downstream.few_labels import DRAWS, SHARES
from awcl.study.space import Study
from studies.paper import BASE, HOME, PHANTOM


def study() -> Study:
    return Study(
        name="few_labels",
        phantom=PHANTOM,
        base=with_values(BASE, {"anatomy.ratio_unit": "patient"}, "few_labels"),
        arms={
            "awcl": {},
            "supervised": {"pretrain.method": "supervised"},
            "simclr": {"pretrain.positives": "self"},
        },
        axes={"anatomy.ratio": SHARES},
        seeds=list(range(DRAWS)),
        proxy_level="coarse",
        proxy_where=HOME,
        tasks=[{"task": "few_labels", "where": HOME, "shares": SHARES, "draws": DRAWS}],
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
