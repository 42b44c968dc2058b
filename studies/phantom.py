"""Does anatomy help where the truth is known? SimCLR and AWCL on the phantom, full budget, 3 seeds.

    awcl study run phantom

Pre-trained on the second trimester of machines A and B: anatomy ratio 0 (SimCLR), 0.3 and 1, coarse
and fine. Nothing is stopped early, so all arms have had the same training. Each encoder is judged
by a ridge probe on frozen features, macro-F1 over 13 anatomies, on patients that it never saw:

    planes         on the machines and the trimester that it was pre-trained on
    planes-C       on the third machine: probe trained and tested there (transfer)
    planes-first   on the first trimester of machines A and B, likewise

An untrained encoder on the first of these tasks; on the others by their `--where`, as below. FRAMES
is the `frames.parquet` in the folder that the study names in its line "phantom: ...":

    awcl evaluate random --quick --task planes --seed 0 --frames FRAMES \\
        --data.size 64 --model.backbone resnet10t \\
        --where trimester=second --where machine=A --where machine=B

Numbers reached (2026-11-20, 2 cores of an AMD EPYC beside other work, 1 h 1 min), means of seeds 0,
1, 2; intervals are in the README:

                        planes   planes-C   planes-first
    untrained           0.398    0.412      0.266
    ratio 0 (SimCLR)    0.595    0.565      0.443
    coarse, ratio 0.3   0.624    0.530      0.385
    coarse, ratio 1     0.638    0.541      0.411
    fine, ratio 0.3     0.621    0.570      0.414
    fine, ratio 1       0.656    0.549      0.433

At home anatomy helps, in the paper's order. On the unseen machine and trimester it does not: a
patient gives a class one or two frames here, and 16 epochs are few.
"""

from awcl.config import DataConfig, ModelConfig, PretrainConfig, TrialConfig
from awcl.study.space import Phantom, Study

SECOND, FIRST = {"trimester": ["second"]}, {"trimester": ["first"]}
HOME = {**SECOND, "machine": ["A", "B"]}


def study() -> Study:
    return Study(
        name="phantom",
        phantom=Phantom(scans=180, size=128, seconds=4),
        base=TrialConfig(
            model=ModelConfig(backbone="resnet10t"),
            pretrain=PretrainConfig(epochs=16, batch=64),
            data=DataConfig(size=64, pretrain_where=HOME),
        ),
        axes={"anatomy.ratio": [0, 0.3, 1], "anatomy.granularity": ["coarse", "fine"]},
        seeds=[0, 1, 2],
        proxy_where=HOME,
        tasks=[
            {"task": "planes", "where": HOME},
            {"task": "planes", "name": "planes-C", "where": {**SECOND, "machine": ["C"]}},
            {"task": "planes", "name": "planes-first", "where": {**FIRST, "machine": ["A", "B"]}},
        ],
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
