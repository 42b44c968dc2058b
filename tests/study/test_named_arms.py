"""Arms by name: what they expand to, how a study of them grows, and where their names are shown."""

import pandas as pd
import pytest
import timm
import torch
from pydantic import ValidationError

from awcl.config import TrialConfig, with_values
from awcl.downstream.evaluation import write_evaluation
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.records import StudyFolder
from awcl.study import arms, dry
from awcl.study.growth import check_growth, stored_study, with_stored_points
from awcl.study.plan import held, make_plan
from awcl.study.propose import propose
from awcl.study.space import Study, arms_of, configuration, expand, not_run, points, runnable
from awcl.study.standing import standings
from awcl.study.table import render
from awcl.tracking.projection import of_study, of_trial

SELF, COARSE = {"pretrain.positives": "self"}, {"anatomy.granularity": "coarse"}
ARMS = {"simclr": SELF, "coarse": COARSE}
IMAGENET = {"pretrain.epochs": 0, "model.init": "imagenet"}


def study(**values) -> Study:
    return Study(**{"name": "s", "arms": ARMS, **values})


def changed(made: Study, **values) -> Study:
    return made.model_copy(update=values)


def test_every_arm_has_every_point_of_the_axes_and_every_seed():
    made = study(axes={"pretrain.temperature": [0.1, 0.5]}, seeds=[0, 1])
    found = [
        (c.pretrain.positives, c.anatomy.granularity, c.pretrain.temperature, c.seed)
        for c in expand(made)
    ]
    assert found == [
        (positives, granularity, temperature, seed)
        for positives, granularity in (("self", "fine"), ("anatomy", "coarse"))
        for temperature in (0.1, 0.5)
        for seed in (0, 1)
    ]
    assert points(made)[0] == {"arm": "simclr", "pretrain.temperature": 0.1}


def test_an_arm_is_the_trial_that_its_values_make_without_it():
    config = configuration(study(), {"arm": "coarse"}, seed=3)
    alone = Study(name="t", axes={"anatomy.granularity": ["coarse"]}, seeds=[3])
    assert expand(alone) == [config]


def test_points_that_are_drawn_are_drawn_for_every_arm():
    lr = {"low": 0.001, "high": 0.1, "log": True}
    made = study(axes={"pretrain.lr": lr}, sampler="sobol", samples=3)
    drawn = [(point["arm"], point["pretrain.lr"]) for point in points(made)]
    rates = [rate for _, rate in drawn]
    assert len(drawn) == 6 and rates[:3] == rates[3:] and len(set(rates)) == 3


def test_equal_arms_are_one_trial_that_bears_both_names():
    made = study(arms={**ARMS, "none": {"anatomy.ratio": 0}}, seeds=[0, 1])
    assert len(expand(made)) == 4
    assert sorted(set(arms_of(made).values())) == ["coarse", "simclr = none"]
    assert arms_of(Study(name="s")) == {}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"arms": {"a": {"anatomy.raito": 1}}}, "study s, arm a: unknown field 'anatomy.raito'"),
        ({"arms": {"a": {"anatomy.ratio": 2}}}, "study s, arm a: anatomy.ratio 2: Input should be"),
        ({"arms": {"a": {"seed": 2}}}, "arm a sets seed; every arm has the seeds of `seeds`"),
        ({"arms": {"a b": {}}}, "arms"),
        ({"axes": {"pretrain.positives": ["self"]}}, "arm simclr sets pretrain.positives, which"),
        ({"proposed": [{"arm": "other"}]}, "point {'arm': 'other'} has not one value of each axis"),
    ],
)
def test_what_is_wrong_with_arms_is_refused_when_the_study_is_made(values, said):
    with pytest.raises(ValidationError) as caught:
        study(**values)
    assert said in str(caught.value)


def definition(made: Study) -> dict:
    return {**made.model_dump(mode="json"), "packs": {"32": "p"}, "id": "x"}


def test_arms_may_be_added_and_none_lost_or_changed():
    before = definition(study(arms=ARMS))
    check_growth(before, definition(study(arms={"fine": {}, **ARMS})))
    for arms_now, said in (
        ({"simclr": SELF}, "arms.coarse was"),
        ({**ARMS, "coarse": {**COARSE, "anatomy.ratio": 0.5}}, "arms.coarse.anatomy.ratio was not"),
        ({"SimCLR": SELF, "coarse": COARSE}, "arms.SimCLR was not there"),
    ):
        with pytest.raises(InputError, match=said):
            check_growth(before, definition(study(arms=arms_now)))


def test_points_of_an_arm_that_is_gone_are_told():
    stored = definition(study(seeds=[0, 1], confirm=1, confirmed=[{"arm": "coarse"}]))
    fewer = study(arms={"simclr": SELF}, seeds=[0, 1], confirm=1)
    with pytest.raises(InputError, match="arm coarse is gone"):
        with_stored_points(fewer, stored)


def test_a_study_without_arms_is_stored_as_before_and_grown_from_an_older_definition(
    tiny_study, tiny_frames, tmp_path
):
    with held(make_plan(tiny_study, tiny_frames, tmp_path)) as plan:
        stored = plan.folder.definition
    assert "arm_of" not in stored and "not_run" not in stored
    older = {name: value for name, value in stored.items() if name not in ("arms", "weights")}
    older["base"]["model"].pop("init")
    check_growth(older, stored)
    assert expand(stored_study(older)) == expand(tiny_study)


# --- weights that are not at hand ----------------------------------------------------------------


@pytest.fixture
def compared(tiny_study, empty_hub) -> Study:
    """An untrained arm, ImageNet's, and one that starts from a file of the user's."""
    given = {"random": {"pretrain.epochs": 0}, "imagenet": IMAGENET, "simclr": SELF}
    return changed(tiny_study, arms=given, seeds=[0, 1])


@pytest.fixture
def weights(tmp_path) -> str:
    """A file of timm's weights."""
    torch.save(timm.create_model("test_resnet", in_chans=3).state_dict(), tmp_path / "imagenet.pth")
    return str(tmp_path / "imagenet.pth")


def test_an_arm_without_its_weights_is_not_run_and_keeps_its_row(
    compared, tiny_frames, tmp_path, monkeypatch
):
    monkeypatch.setattr(dry, "seconds_per_step", lambda *given: 1.0)
    with pytest.warns(UserWarning, match="give it by --imagenet-weights FILE; trials that start"):
        plan = make_plan(compared, tiny_frames, tmp_path)
    assert len(plan.trials) == 4 and not (tmp_path / "weights").exists()
    told = next(dry.tell(plan)).splitlines()
    assert told[0].split() == ["arm", "trial", "seed", "epochs", "state"]
    assert " ".join(told[-1].split()) == "imagenet - - - not run: weights not at hand"
    with held(plan):
        pass
    assert plan.folder.not_run == [{"arm": "imagenet", "reason": "weights not at hand"}]
    assert sorted(plan.folder.arm_of.values()) == ["random", "random", "simclr", "simclr"]
    table = render(plan.folder)
    assert "not run (1)\narm       reason\nimagenet  weights not at hand" in table
    assert of_study(plan.folder, False).tags["awcl.not_run"] == "imagenet, weights not at hand"


def test_when_the_weights_come_the_arm_is_run_and_stays_when_they_go(
    compared, weights, tiny_frames, tmp_path, recwarn
):
    with held(make_plan(compared, tiny_frames, tmp_path)) as before:
        pass
    with held(make_plan(compared, tiny_frames, tmp_path, imagenet=weights)) as plan:
        pass
    new = {t.key for t in plan.trials} - {t.key for t in before.trials}
    assert {plan.folder.arm_of[key] for key in new} == {"imagenet"} and len(new) == 2
    assert plan.folder.not_run == [] and not_run(plan.study) == []
    [kept] = (tmp_path / "weights").iterdir()
    [init] = {t.config.model.init for t in plan.trials if t.key in new}
    assert init == f"imagenet:{kept.stem}"
    again = make_plan(compared, tiny_frames, tmp_path)  # the file is on another machine, say
    assert [t.key for t in again.trials] == [t.key for t in plan.trials]
    kept.unlink()
    with pytest.raises(InputError, match="is missing; restore it"):
        make_plan(compared, tiny_frames, tmp_path)


def test_a_study_of_which_no_trial_has_its_weights_is_refused(
    tiny_study, tiny_frames, tmp_path, empty_hub
):
    alone = changed(tiny_study, arms={"imagenet": IMAGENET})
    with (
        pytest.warns(UserWarning),
        pytest.raises(InputError, match="not at hand for any of its trials"),
    ):
        make_plan(alone, tiny_frames, tmp_path)


def test_a_start_is_looked_up_once_and_refused_where_it_has_changed(
    tiny_study, tiny_frames, tmp_path
):
    file = tmp_path / "given.safetensors"
    Encoder("test_resnet", 32).save(file)
    given = changed(tiny_study, arms={"warm": {"model.init": str(file)}, "cold": {}})
    with held(make_plan(given, tiny_frames, tmp_path)) as plan:
        key = plan.trials[0].key
    assert str(tmp_path) not in str(plan.trials[0].folder.about)
    file.rename(tmp_path / "moved.safetensors")
    assert make_plan(given, tiny_frames, tmp_path).trials[0].key == key
    Encoder("test_resnet", 32).save(file)
    with pytest.raises(InputError, match="when the study first ran, and is weights:"):
        make_plan(given, tiny_frames, tmp_path)
    absent = changed(tiny_study, name="other", arms={"warm": {"model.init": "nowhere"}})
    with pytest.raises(InputError, match="study other: nowhere: no checkpoint, run folder or"):
        make_plan(absent, tiny_frames, tmp_path)


# --- tables and MLflow ---------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """A study of two arms and two seeds, all finished and judged; one arm is not run."""
    untrained = {"random": {"pretrain.epochs": 0}, "imagenet": IMAGENET}
    made = study(seeds=[0, 1], arms={**untrained, **ARMS})
    folder, names = StudyFolder(tmp_path / "s"), arms_of(made)
    arm_of = {}
    for number, config in enumerate(runnable(made)):
        trial = folder.trial(f"trial-{number}")
        arm_of[trial.key] = names[config.model_dump_json()]
        about = {"key": trial.key, "config": config.model_dump(mode="json")}
        trial.write_about({**about, "pack": "p", "taxonomy": "t"})
        epochs = config.pretrain.epochs
        for epoch in range(1, epochs + 1) or [0]:
            trial.append_history({"epoch": epoch, "val/proxy": 0.5, "time": 10.0 + epoch})
        trial.write_done("finished", epoch=epochs)
        judged = pd.DataFrame({"frame_id": list("ab"), "patient": list("pq"), "audit_group": None})
        judged = judged.assign(truth=["head", "femur"], ridge=["head", "femur"])
        metrics = {"macro_f1": 1.0, "macro_f1/low": 1.0, "macro_f1/high": 1.0}
        result = {"name": "planes", "epoch": epochs, "metrics": metrics, "time": 99.0}
        write_evaluation(trial.evaluation("planes", "s", "w"), result, judged)
    folder.accept({**definition(made), "arm_of": arm_of, "not_run": not_run(made)})
    return folder


def test_the_arms_name_is_the_first_column_and_an_untrained_one_has_0_of_0_epochs(stored):
    lines = render(stored).splitlines()
    assert lines[1].split()[:4] == ["arm", "trial", "seed", "epochs"]
    rows = [line.split() for line in lines if " trial-" in line]
    assert [row[3] for row in rows if row[0] == "random"] == ["0/0", "0/0"]
    assert {row[0]: row[3] for row in rows}["simclr"] == "20/20"
    assert all(standing.state == "finished" for standing in standings(stored))


def test_seeds_together_have_a_row_an_arm_in_the_studys_order_and_one_for_what_is_not_run(stored):
    found = arms.rows(stored)
    assert [row[1] for row in found] == ["random", "imagenet", "simclr", "coarse"]
    assert found[1][2] == "not run: weights not at hand"
    assert found[2][2].startswith("1.000 [")


def test_mlflow_knows_a_trial_by_its_arm(stored):
    run = of_trial(stored, stored.trial("trial-2"), running=False)
    assert run.name == "simclr seed=0" and run.params["arm"] == "simclr"
    untrained = of_trial(stored, stored.trial("trial-0"), running=False)
    assert untrained.rows[0].step == 0 and untrained.params["pretrain.lr"] == "-"


def test_a_proposal_is_a_point_of_one_arm(stored):
    pytest.importorskip("optuna")
    wider = definition(study(axes={"pretrain.lr": [0.001, 0.01]}, seeds=[0, 1]))
    stored.accept({**wider, "axes": {"pretrain.lr": {"low": 0.0005, "high": 0.1, "log": True}},
                   "sampler": "random", "samples": 1})  # fmt: skip
    made = stored_study(stored.definition)
    trial = stored.trial("learnt")
    config = configuration(made, points(made)[0], 0)
    trial.write_about({"key": "learnt", "config": config.model_dump(mode="json")})
    trial.append_history({"epoch": 20, "val/proxy": 0.5, "time": 10.0})
    trial.write_done("finished", epoch=20)
    [point], _ = propose(stored, 1)
    assert point["arm"] in ARMS and 0.0005 <= point["pretrain.lr"] <= 0.1
    assert with_values(TrialConfig(), {"pretrain.lr": point["pretrain.lr"]}, "test")
