"""At which temperature, and does it depend on the batch? SimCLR and AWCL, three seeds, full budget.

    awcl study run temperature                            # on the phantom of `paper`
    awcl study run temperature --frames clean.parquet     # on any frames

What it shows: a low temperature looks at the hardest negatives alone, of which a larger batch has
more; and a fine label takes those of its own class from among them. So the best temperature may
differ between SimCLR and AWCL, and between batches. The paper's own is 0.5, at a batch of 32.

The number of steps falls as the batch grows, at the same number of epochs and the same learning
rate: between batches it is epochs that are equal. Setting and home are those of studies/paper.py.

Expected: about an hour on 2 cores for 48 trials. Not measured yet.
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
