"""Does anatomy information help on the public sets, and at which temperature?

    awcl frames fetal_planes_db=DIR african_planes=DIR hc18=DIR --out frames.parquet
    awcl audit frames.parquet --fix clean.parquet
    python studies/planes.py --frames clean.parquet

Anatomy ratio 0, 0.5, 1 (0 is SimCLR) x temperature, stopped early by ASHA on the proxy, judged on
plane classification. HC18 is left out of pre-training, proxy and task: it is one plane, and stays
unseen for segmentation.

Granularity is fixed at coarse: the African images say "brain" and no more, so that fine and coarse
differ on a few dozen brain images only, too few to measure it.

Reached on 120 + 300 images (2 cores, 7 minutes, 2026-11-20): test macro-F1 0.59 to 0.71 with
intervals of about +-0.08, against 0.48 [0.39, 0.57] untrained; RESULTS.md has the table.
"""

from awcl.config import AnatomyConfig, DataConfig, ModelConfig, PretrainConfig, TrialConfig
from awcl.study.space import EarlyStopping, Study

PLANE_SETS = {"source": "!hc18"}


def study() -> Study:
    return Study(
        name="planes",
        base=TrialConfig(
            model=ModelConfig(backbone="resnet10t"),
            anatomy=AnatomyConfig(granularity="coarse"),
            pretrain=PretrainConfig(epochs=24, batch=32, warmup=2),
            data=DataConfig(size=64, pretrain_where=PLANE_SETS),
        ),
        axes={"anatomy.ratio": [0.0, 0.5, 1.0], "pretrain.temperature": [0.1, 0.5]},
        early_stopping=EarlyStopping(grace=6, reduction=2),
        proxy_level="coarse",
        proxy_where=PLANE_SETS,
        tasks=[{"task": "planes", "where": PLANE_SETS}],
    )


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
