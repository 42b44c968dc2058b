"""How many trials fit a cluster, by its machines and cards; on paper and on a real Ray."""

import json
import os
import time
from pathlib import Path

import pytest
import ray
import ray.train
from ray.train.torch import TorchConfig, get_device

from awcl.config import TrialConfig, parse, with_values
from awcl.errors import InputError
from awcl.files import read_json
from awcl.records import TrialFolder
from awcl.study import cluster
from awcl.study.driver import Trainer, scaling
from awcl.study.space import Resources, Study


def test_a_ray_that_does_not_start_is_told_in_a_line(monkeypatch):
    def late(**given):
        raise Exception("The current node timed out during startup. This could happen because")

    without = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    monkeypatch.setattr(cluster.os, "environ", without)  # what it sets for its Ray goes
    monkeypatch.setattr(cluster.ray, "init", late)
    with pytest.raises(InputError, match=r"Ray did not start .* \(The current node timed out dur"):
        cluster._init_ray()


@pytest.fixture
def machines(monkeypatch):
    """machines({"CPU": 8}, ...): a cluster of these."""

    def make(*resources: dict[str, float]) -> None:
        nodes = [{"Resources": each, "Alive": True} for each in resources]
        nodes.append({"Resources": {"CPU": 64, "GPU": 8}, "Alive": False})
        monkeypatch.setattr(cluster.ray, "nodes", lambda: nodes)
        monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: {"TRAIN_DRIVER": 1000.0})
        monkeypatch.delenv("AWCL_CLUSTER_MACHINES", raising=False)

    return make


@pytest.fixture
def grows(machines, monkeypatch):
    """grows({"at_most": 8, "CPU": 8}, ...): a head alone, with machines to come."""

    def make(*kinds: dict[str, float]) -> None:
        machines({"TRAIN_DRIVER": 1000.0})
        monkeypatch.setenv("AWCL_CLUSTER_MACHINES", json.dumps(kinds))

    return make


ONE_CARD, FOUR_CARDS = {"CPU": 8.0, "GPU": 1.0}, {"CPU": 32.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("asked", "workers", "there", "fit"),
    [
        ({"gpus": 1, "cpus": 8}, 1, [FOUR_CARDS, ONE_CARD], 5),
        ({"gpus": 1, "cpus": 8}, 2, [FOUR_CARDS, ONE_CARD], 2),
        ({"gpus": 1, "cpus": 8}, 4, [ONE_CARD] * 9, 2),
        ({"gpus": 0.25, "cpus": 1}, 1, [FOUR_CARDS], 16),
        ({"gpus": 0.25, "cpus": 4}, 1, [FOUR_CARDS], 8),  # cores are the limit
        ({"gpus": 0.6, "cpus": 1}, 1, [FOUR_CARDS], 4),  # 4 / 0.6 would be six
        ({"gpus": 0.3, "cpus": 1}, 1, [ONE_CARD] * 2, 6),
        ({"cpus": 5}, 1, [ONE_CARD] * 3, 3),  # 24 / 5 would be four
        ({"cpus": 5, "concurrent": 2}, 1, [ONE_CARD] * 3, 2),
    ],
)
def test_a_worker_has_one_machine_and_a_fraction_one_card(machines, asked, workers, there, fit):
    machines(*there)
    assert cluster.slots(Resources(**asked), workers) == fit


@pytest.mark.parametrize(
    ("asked", "workers", "said"),
    [
        ({"gpus": 1}, 3, "a trial (3 workers) asks for 3 GPU, the cluster has 2; lower"),
        ({"cpus": 9}, 2, "a trial (2 workers) asks for 18 CPU, the cluster has 16; lower"),
        ({"cpus": 9}, 1, "9 CPU, 0 GPU for each worker; .* but not on one machine; lower"),
        ({"cpus": 6}, 2, None),
        ({"cpus": 5, "gpus": 1}, 2, None),
    ],
)
def test_what_never_fits_is_said_before_anything_waits_for_it(machines, asked, workers, said):
    machines(ONE_CARD, ONE_CARD)
    if said is None:
        assert cluster.slots(Resources(**asked), workers) == 1
    else:
        with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")):
            cluster.slots(Resources(**asked), workers)


CARDS = {"at_most": 8, "CPU": 8, "GPU": 1}
PROCESSORS = {"at_most": 4, "CPU": 8}


@pytest.mark.parametrize(
    ("asked", "workers", "fit"),
    [
        ({"gpus": 1, "cpus": 8}, 1, 8),
        ({"gpus": 1, "cpus": 4}, 4, 2),
        ({"cpus": 8}, 1, 12),
        ({"gpus": 1, "cpus": 16}, 1, "16 CPU, 1 GPU for each worker; .* not on one machine; lower"),
        ({"cpus": 16}, 1, "16 CPU, 0 GPU for each worker; .* not on one machine; lower"),
        ({"gpus": 1}, 9, "asks for 9 GPU, the cluster has 8; lower"),
    ],
)
def test_trials_count_on_machines_that_come_each_for_itself(grows, asked, workers, fit):
    """Together they have 96 cores: a worker of 16 would wait for ever for a machine of 8."""
    grows(CARDS, PROCESSORS)
    if isinstance(fit, int):
        assert cluster.slots(Resources(**asked), workers) == fit
    else:
        with pytest.raises(InputError, match=fit):
            cluster.slots(Resources(**asked), workers)


@pytest.mark.parametrize(("at_most", "fit"), [(0, None), (2, 2), (8, 8)])
def test_as_many_trials_fit_as_machines_may_come(grows, at_most, fit):
    grows(*[{**CARDS, "at_most": at_most}] * bool(at_most))
    if fit is None:
        with pytest.raises(InputError, match="the cluster has 0"):
            cluster.slots(Resources(gpus=1, cpus=4), 1)
    else:
        assert cluster.slots(Resources(gpus=1, cpus=4), 1) == fit


@pytest.mark.parametrize(
    ("asked", "kinds", "fit"),
    [
        ({"gpus": 1, "cpus": 8}, [CARDS, PROCESSORS], 8),
        ({"gpus": 1, "cpus": 8}, [CARDS], 0),  # in trials' places
        ({"cpus": 8}, [CARDS, PROCESSORS], 0),  # trials run everywhere
    ],
)
def test_evaluations_fit_beside_trials_where_these_have_no_use_for_a_machine(
    grows, asked, kinds, fit
):
    grows(*kinds)
    assert cluster.beside(Resources(**asked), Resources(gpus=0, cpus=4)) == fit


def test_the_number_of_workers_is_fixed_and_each_has_what_was_asked_for():
    made = scaling(3, Resources(cpus=4, gpus=1).model_dump(mode="json"))
    assert made.num_workers == 3 and made.use_gpu
    assert made.resources_per_worker == {"CPU": 4, "GPU": 1}
    assert not scaling(1, Resources().model_dump(mode="json")).use_gpu


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"resources": {"gpus": 2}}, "gpus 2.*less than or equal to 1"),
        (
            {"resources": {"gpus": 0.5}, "axes": {"pretrain.workers": [1, 2]}},
            "resources.gpus 0.5 with several pretrain.workers",
        ),
        (
            {"arms": {"a": {"pretrain.workers": 2}, "b": {}}},
            r"arms differ in pretrain.workers \(a 2, b 1\)",
        ),
        (
            {"axes": {"pretrain.sync_batchnorm": [True]}, "arms": {"a": {"pretrain.workers": 2}}},
            "pretrain.sync_batchnorm runs on cards only",
        ),
    ],
)
def test_a_study_whose_workers_cannot_be_is_refused(values, said):
    with pytest.raises(InputError, match=said):
        parse(Study, {"name": "s", **values}, "study s")


def test_a_study_may_compare_numbers_of_workers_and_an_untrained_arm_has_none():
    Study(name="s", axes={"pretrain.workers": [1, 2]}, arms={"a": {}, "b": {"pretrain.lr": 0.1}})
    base = with_values(TrialConfig(), {"pretrain.workers": 2}, "test")
    arms = {"random": {"pretrain.epochs": 0}, "awcl": {}}
    Study(name="s", base=base, arms=arms, resources=Resources(gpus=1))
    synchronised = with_values(base, {"pretrain.sync_batchnorm": True}, "test")
    Study(name="s", base=synchronised, resources=Resources(gpus=1))


# --- on a real Ray with two cards that are none ------------------------------------------------


def _groups(asked: dict, count: int) -> list:
    """As many trials of one worker, as Ray places them."""
    made = scaling(1, Resources(**asked).model_dump(mode="json"))
    return [ray.util.placement_group([dict(made.resources_per_worker)]) for _ in range(count)]


def _placed(groups: list) -> int:
    table = ray.util.placement_group_table()
    return sum(table[group.id.hex()]["state"] == "CREATED" for group in groups)


@pytest.mark.slow
@pytest.mark.parametrize("gpus", [0.5, 0.6])
def test_as_many_trials_share_cards_as_was_planned_and_no_more(shared_ray, monkeypatch, gpus):
    monkeypatch.delenv("AWCL_CLUSTER_MACHINES", raising=False)
    monkeypatch.setattr(cluster, "drivers_ask_for", dict)
    places = cluster.slots(Resources(gpus=gpus), 1)
    assert places == {0.5: 4, 0.6: 2}[gpus]
    groups = _groups({"gpus": gpus}, places + 1)
    try:
        end = time.monotonic() + 60
        while _placed(groups) < places and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(1)
        assert _placed(groups) == places
    finally:
        for group in groups:
            ray.util.remove_placement_group(group)


@pytest.mark.slow
def test_each_worker_of_a_trial_has_a_card_of_its_own_and_says_where_its_log_is(
    shared_ray, tmp_path
):
    """Train's own placement. The workers meet by gloo, since there is no real card to meet on."""

    def work(config: dict) -> None:
        told = {
            "cards": ray.get_gpu_ids(),
            "visible": os.environ["CUDA_VISIBLE_DEVICES"],
            "device": str(get_device()),
            "local": os.environ["LOCAL_RANK"],
            "of": ray.train.get_context().get_world_size(),
        }
        print("the log of", os.environ["LOCAL_RANK"], flush=True)
        name = f"{ray.train.get_context().get_world_rank()}.json"
        Path(config["folder"], name).write_text(json.dumps(told))

    Trainer(
        work,
        train_loop_config={"folder": str(tmp_path)},
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=scaling(2, Resources(gpus=1).model_dump(mode="json")),
        run_config=ray.train.RunConfig(name="cards", storage_path=str(tmp_path / "train")),
    ).fit()
    told = [read_json(tmp_path / f"{rank}.json") for rank in range(2)]
    assert sorted(each["cards"] for each in told) == [[0], [1]]
    assert [each["visible"] for each in told] == ["0,1", "0,1"]
    assert [each["device"] for each in told] == [f"cuda:{each['local']}" for each in told]
    assert [each["of"] for each in told] == [2, 2]
    there = TrialFolder(tmp_path).workers
    assert [f"the log of {rank}" in Path(there[rank]["log"]).read_text() for rank in (0, 1)] == [
        True, True,
    ]  # fmt: skip
