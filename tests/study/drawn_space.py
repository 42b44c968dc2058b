"""A study whose points are drawn."""

from awcl.study.space import Study

TEMPERATURES = {"low": 0.05, "high": 1, "log": True}
SEARCH = {
    "axes": {"anatomy.ratio": [0, 0.5, 1], "pretrain.temperature": TEMPERATURES},
    "sampler": "sobol",
    "samples": 5,
}


def study(**values) -> Study:
    return Study(**{"name": "s", **values})
