"""From a study and frames to what has to run; every mistake shows before anything is stored."""

import pandas as pd
import pytest

from awcl import checkpoints, complete
from awcl.config import with_values
from awcl.data.table import FrameTable
from awcl.downstream import tasks
from awcl.downstream.evaluation import write_evaluation
from awcl.errors import InputError
from awcl.files import write_json
from awcl.records import StudyFolder
from awcl.report.conditions import conditions
from awcl.report.reading import read
from awcl.study import dry, table
from awcl.study.plan import _is_among, held, make_plan, with_confirmed
from awcl.study.space import Resources
from awcl.taxonomy import BUILTIN, Taxonomy


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """One folder of packs for all plans here, so that frames are packed once."""
    return tmp_path_factory.mktemp("packs")


def changed(study, **values):
    return study.model_copy(update=values)


def with_base(study, **values):
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    return changed(study, base=with_values(study.base, dotted, "test"))


def times(folder):
    return {f: f.stat().st_mtime_ns for f in folder.rglob("*") if f.name != "LEASE"}


def planned(*args):
    """A plan, stored in its folder as a run of it would."""
    with held(make_plan(*args)) as plan:
        return plan


def test_a_plan_has_every_trial_and_stores_what_they_are(
    tiny_study, tiny_frames, tmp_path, packs, tiny_pack
):
    study = changed(tiny_study, axes={"anatomy.ratio": [0, 0.5]}, seeds=[0, 1])
    plan = planned(study, tiny_frames, tmp_path, packs)
    assert [(t.config.anatomy.ratio, t.config.seed) for t in plan.trials] == [
        (0, 0), (0, 1), (0.5, 0), (0.5, 1),
    ]  # fmt: skip
    assert plan.pending == plan.trials
    folder = StudyFolder(tmp_path / "tiny")
    assert {t.key for t in folder.trials()} == {t.key for t in plan.trials}
    for trial in plan.trials:
        about = trial.folder.about
        assert about["key"] == trial.key and about["pack"] == tiny_pack.digest
        assert about["config"] == trial.config.model_dump(mode="json")
    assert folder.definition["packs"] == {"32": tiny_pack.digest}
    assert folder.definition["axes"] == {"anatomy.ratio": [0, 0.5]}
    assert (folder.path / "frames.parquet").is_file()


def test_no_path_of_the_frames_is_stored(tiny_study, tiny_frames, tmp_path, packs):
    plan = planned(tiny_study, tiny_frames, tmp_path / "storage", packs)
    stored = [f for f in plan.folder.path.rglob("*") if f.is_file()]
    assert sorted(f.name for f in stored) == ["LEASE", "STUDY.json", "TRIAL.json", "frames.parquet"]
    images = str(FrameTable.read(tiny_frames, Taxonomy.load()).frames["path"][0]).rpartition("/")[0]
    assert not any(images.encode() in f.read_bytes() for f in stored)


def test_planning_twice_gives_the_same_and_writes_nothing(tiny_study, tiny_frames, tmp_path, packs):
    first = planned(tiny_study, tiny_frames, tmp_path, packs)
    files = times(tmp_path / "tiny")
    again = planned(tiny_study, tiny_frames, tmp_path, packs)
    assert [t.key for t in first.trials] == [t.key for t in again.trials]
    assert times(tmp_path / "tiny") == files


def test_packs_lie_beside_the_study_where_nothing_is_said(tiny_study, tiny_frames, tmp_path):
    plan = planned(tiny_study, tiny_frames, tmp_path)
    assert (tmp_path / "packs" / plan.trials[0].pack.digest / "PACK.json").is_file()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pretrain__batch": 64}, "batch 64 is larger than the 24 frames to pre-train on"),
        ({"model__backbone": "test_resnt"}, "'test_resnt': no such timm model; nearest: test_resn"),
        ({"data__recipe": "papr"}, "data.recipe 'papr': choose one of paper, ultrasound"),
        (
            {"pretrain__method": "byol"},
            "pretrain.method 'byol': choose one of groups, moco, supcon, ",
        ),
        ({"data__pretrain_where": {"vendor": "A"}}, "where: unknown column 'vendor'; known: fra"),
        ({"data__pretrain_where": {"machine": "C"}}, "no frame has machine 'C'; there is A, B"),
        ({"anatomy__taxonomy": "own.toml"}, "taxonomy own.toml: No such file or directory"),
    ],
)
def test_a_base_that_cannot_run_is_refused_before_anything_is_stored(
    tiny_study, tiny_frames, tmp_path, packs, values, said
):
    with pytest.raises(InputError) as caught:
        planned(with_base(tiny_study, **values), tiny_frames, tmp_path, packs)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"axes": {"pretrain.batch": [8, 64]}}, "pretrain.batch 64 is larger than the 24 frames"),
        ({"proxy_where": {"vendor": "A"}}, "where: unknown column 'vendor'"),
        ({"proxy_where": {"machine": "C"}}, "no frame has machine 'C'"),
        ({"tasks": ["plane"]}, "task 'plane': choose one of "),
        ({"tasks": [{"task": "planes", "where": {"vendor": "A"}}]}, "unknown column 'vendor'"),
        ({"tasks": [{"task": "planes", "where": {"machine": "C"}}]}, "no frame has machine 'C'"),
    ],
)
def test_a_study_that_cannot_be_judged_or_run_in_part_is_refused(
    tiny_study, tiny_frames, tmp_path, packs, values, said
):
    with pytest.raises(InputError) as caught:
        planned(changed(tiny_study, **values), tiny_frames, tmp_path, packs)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "tiny").exists()


def test_a_trial_that_cannot_be_is_named_by_arm_axes_and_seed(
    tiny_study, tiny_frames, tmp_path, packs
):
    arms = {"awcl": {}, "cross": {"pretrain.method": "supervised"}}
    study = with_base(tiny_study, anatomy__held_out=["LVOT", "HCP", "FLP"])
    study = changed(study, arms=arms, axes={"anatomy.ratio": [0.5, 1]}, seeds=[7])
    with pytest.raises(InputError) as caught:
        planned(study, tiny_frames, tmp_path, packs)
    assert str(caught.value).startswith(
        "trial cross, anatomy.ratio 0.5, seed 7: pretrain.method supervised: 1 class with usable "
    )


def test_trials_whose_frames_lack_what_they_pair_are_not_run_and_say_so(
    tiny_study, tiny_table, tmp_path, packs
):
    frames = tiny_table.frames.assign(scan=None)
    arms = {"awcl": {}, "uscl": {"pretrain.method": "uscl"}, "scan": {"pretrain.positives": "scan"}}
    study = changed(tiny_study, arms=arms, seeds=[0, 1])
    with pytest.warns(UserWarning, match="trial uscl is not run: no two of the frames are of one"):
        plan = planned(study, FrameTable(frames), tmp_path, packs)
    assert len(plan.trials) == 2 and [row["arm"] for row in plan.not_run] == ["uscl", "scan"]
    assert plan.folder.not_run == plan.not_run
    assert "no two of the frames are of one scan" in table.render(plan.folder)
    with pytest.warns(UserWarning, match="trial scan is not run"):
        planned(study, FrameTable(frames), tmp_path, packs)  # again: no other definition
    with pytest.raises(InputError, match=r"these frames allow no trial of it \(no two of the fr"):
        alone = changed(study, name="alone", arms={"uscl": arms["uscl"]})
        make_plan(alone, FrameTable(frames), tmp_path, packs)


def test_what_is_confirmed_needs_no_trial_of_each_size(tiny_study, tiny_table, tmp_path, packs):
    frames = FrameTable(tiny_table.frames.assign(scan=None))
    arms = {"awcl": {}, "uscl": {"pretrain.method": "uscl", "data.size": 48}}
    study = changed(tiny_study, arms=arms, seeds=[0, 1], confirm=1)
    with pytest.warns(UserWarning, match="trial uscl is not run"):
        plan = make_plan(study, frames, tmp_path, packs)
    with held(plan) as plan:
        grown = with_confirmed(plan, [{"arm": "awcl"}])
    assert [trial.config.seed for trial in grown.trials] == [0, 1]
    assert grown.not_run == plan.not_run != []


def test_a_taxonomy_that_was_edited_makes_another_study(tiny_study, tiny_frames, tmp_path, packs):
    """Keys of trials hold what it says: a study would be a mixture of two."""
    own = tmp_path / "own.toml"
    text = BUILTIN.read_text()
    own.write_text(text)
    study = with_base(tiny_study, anatomy__taxonomy=str(own))
    plan = planned(study, tiny_frames, tmp_path, packs)
    again = planned(study, tiny_frames, tmp_path, packs)
    assert [trial.key for trial in again.trials] == [trial.key for trial in plan.trials]
    own.write_text(
        text.replace('"3VT", "4CH", "LVOT"', '"3VT", "4CH"').replace(
            "brain   = [", 'brain   = ["LVOT", '
        )
    )
    assert own.read_text() != text
    with pytest.raises(InputError, match=r"another definition: taxonomies.*own\.toml was"):
        planned(study, tiny_frames, tmp_path, packs)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_empty_split_is_refused(tiny_table, tiny_study, tmp_path, packs, split):
    frames = tiny_table.frames[tiny_table.frames["split"] != split].reset_index(drop=True)
    FrameTable.build(frames, Taxonomy.load(), "x").write(tmp_path / "frames.parquet")
    with pytest.raises(InputError, match=f"split '{split}' is empty"):
        planned(tiny_study, tmp_path / "frames.parquet", tmp_path / "storage", packs)
    assert not (tmp_path / "storage").exists()


def test_frames_that_are_no_table_are_refused(tiny_study, tmp_path, packs):
    (tmp_path / "frames.csv").write_text("frame_id\n")
    with pytest.raises(InputError, match=r"frames\.csv: not a Parquet file"):
        planned(tiny_study, tmp_path / "frames.csv", tmp_path, packs)


def test_storage_that_cannot_be_made_is_refused(tiny_study, tiny_frames, tmp_path, packs):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--storage .*/file: .*/file is a file, no folder"):
        planned(tiny_study, tiny_frames, tmp_path / "file", packs)


def test_a_study_may_grow_and_keeps_its_identity(tiny_study, tiny_frames, tmp_path, packs):
    planned(tiny_study, tiny_frames, tmp_path, packs)
    before = StudyFolder(tmp_path / "tiny").definition
    grown = changed(tiny_study, seeds=[0, 1], resources=Resources(cpus=2))
    plan = planned(grown, tiny_frames, tmp_path, packs)
    after = plan.folder.definition
    assert after["seeds"] == [0, 1] and after["id"] == before["id"]
    assert len(list(plan.folder.trials())) == 2


def test_another_definition_is_refused_with_the_difference_and_stores_nothing(
    tiny_study, tiny_frames, tiny_table, tmp_path, packs
):
    planned(tiny_study, tiny_frames, tmp_path, packs)
    files = times(tmp_path / "tiny")
    with pytest.raises(InputError, match=r"base\.pretrain\.lr was 0\.001, now 0\.5.*--as NEWNAME"):
        planned(with_base(tiny_study, pretrain__lr=0.5), tiny_frames, tmp_path, packs)
    frames = tiny_table.frames.iloc[1:].reset_index(drop=True)
    FrameTable.build(frames, Taxonomy.load(), "x").write(tmp_path / "fewer.parquet")
    with pytest.raises(InputError, match=r"packs\.32 was '"):
        planned(tiny_study, tmp_path / "fewer.parquet", tmp_path, packs)
    assert times(tmp_path / "tiny") == files


def checkpoint(trial, epoch: int, weights: bytes = b"w") -> None:
    folder = trial.folder.train / "launch" / checkpoints.folder_name(epoch)
    folder.mkdir(parents=True)
    (folder / checkpoints.ENCODER).write_bytes(weights)
    write_json(folder / checkpoints.HISTORY, {"epochs": [{"epoch": n + 1} for n in range(epoch)]})
    complete.mark(folder)


def judge(evaluation) -> None:
    result = {
        "task": "planes",
        "name": evaluation.settings.name,
        "metrics": {},
        "time": 0.0,
        "settings": evaluation.settings.model_dump(mode="json"),
        "epoch": checkpoints.epoch_of(evaluation.checkpoint),
    }
    write_evaluation(evaluation.folder, result, pd.DataFrame({"a": [1]}))


def test_pending_is_what_is_neither_finished_nor_stopped(tiny_study, tiny_frames, tmp_path, packs):
    study = changed(tiny_study, seeds=[0, 1, 2, 3])
    plan = planned(study, tiny_frames, tmp_path, packs)
    for trial, outcome in zip(plan.trials, ("finished", "stopped", "failed"), strict=False):
        checkpoint(trial, 1)
        trial.folder.write_done(outcome, epoch=1)
    assert [t.config.seed for t in plan.pending] == [2, 3]
    assert [t.config.seed for t in planned(study, tiny_frames, tmp_path, packs).pending] == [2, 3]


def test_what_is_missing_is_each_task_of_each_ended_trial_with_a_checkpoint(
    tiny_study, tiny_frames, tmp_path, packs
):
    coarse = {"task": "planes", "name": "coarse", "level": "coarse"}
    study = changed(tiny_study, seeds=[0, 1, 2, 3, 4], tasks=["planes", coarse])
    plan = planned(study, tiny_frames, tmp_path, packs)
    finished, stopped, failed, pending, lost = plan.trials
    for trial in (finished, stopped, failed, pending):
        checkpoint(trial, 1)
    for trial, outcome in ((finished, "finished"), (stopped, "stopped"), (failed, "failed")):
        trial.folder.write_done(outcome, epoch=1)
    lost.folder.write_done("finished", epoch=1)
    assert plan.lost == [lost] and lost in plan.pending

    missing = list(plan.missing_evaluations())
    assert [(e.trial.key, e.settings.level) for e in missing] == [
        (trial.key, level) for trial in (finished, stopped) for level in ("auto", "coarse")
    ]
    assert len({e.folder for e in missing}) == 4
    for evaluation in missing[:3]:
        judge(evaluation)
    [left] = plan.missing_evaluations()
    assert (left.trial.key, left.settings.level) == (stopped.key, "coarse")


def test_a_task_is_told_which_labels_a_trial_used_and_its_folder_is_named_without(
    tiny_study, tiny_frames, tmp_path, packs
):
    study = changed(tiny_study, axes={"anatomy.ratio": [0, 0.5], "anatomy.held_out": [["HCP"]]})
    plan = planned(study, tiny_frames, tmp_path, packs)
    for trial in plan.trials:
        checkpoint(trial, 1)
        trial.folder.write_done("finished", epoch=1)
    for evaluation in plan.missing_evaluations():
        told, config = evaluation.settings.pretrained, evaluation.trial.config
        assert told.anatomy == config.anatomy and told.seed == config.seed
        assert told.where == config.data.pretrain_where
        assert told.anatomy.held_out == ([] if config.anatomy.ratio == 0 else ["HCP"])
    names = {evaluation.folder.name for evaluation in plan.missing_evaluations()}
    assert len(names) == 1, "what a trial is tells its key, and not the name of an evaluation"


def test_what_was_judged_stands_whatever_becomes_of_the_checkpoint(
    tiny_study, tiny_frames, tmp_path, packs
):
    plan = planned(changed(tiny_study, tasks=["planes"]), tiny_frames, tmp_path, packs)
    [trial] = plan.trials
    trial.folder.write_done("finished", epoch=2)
    checkpoint(trial, 1)
    checkpoint(trial, 2)
    [evaluation] = plan.missing_evaluations()
    assert evaluation.checkpoint.name == "epoch_0002"
    judge(evaluation)
    (evaluation.checkpoint / checkpoints.ENCODER).write_bytes(b"")
    assert plan.done, "no other epoch is judged in its place"


def test_a_finished_trial_that_nothing_can_judge_any_more_is_trained_to_its_end_again(
    tiny_study, tiny_frames, tmp_path, packs
):
    plan = planned(tiny_study, tiny_frames, tmp_path, packs)
    [trial] = plan.trials
    trial.folder.write_done("finished", epoch=2)
    checkpoint(trial, 1)
    checkpoint(trial, 2)
    (trial.folder.train / "launch" / "epoch_0002" / checkpoints.ENCODER).write_bytes(b"")
    with pytest.warns(UserWarning, match="set aside"):
        assert plan.lost == plan.pending == [trial]
        assert list(plan.missing_evaluations()) == []


def test_a_lost_definition_beside_stored_trials_is_told(tiny_study, tiny_frames, tmp_path, packs):
    planned(tiny_study, tiny_frames, tmp_path, packs)
    (tmp_path / "tiny" / "STUDY.json").unlink()
    with pytest.raises(InputError, match=r"STUDY\.json is gone; restore it from a copy, or give"):
        planned(tiny_study, tiny_frames, tmp_path, packs)


# --- tasks that the frames do not allow ----------------------------------------------------------


def test_a_task_that_the_frames_do_not_allow_is_told_and_the_others_are_done(
    tiny_study, tiny_frames, tmp_path, packs
):
    study = changed(tiny_study, tasks=["planes", "segmentation", "cross_segmentation"])
    lack = "none of the frames asked for has a mask"
    with pytest.warns(UserWarning, match=f"task segmentation is not run: .*{lack}"):
        plan = planned(study, tiny_frames, tmp_path, packs)
    assert [settings.name for settings in plan.judged_by] == ["planes"]
    assert sorted(plan.tasks_not_run) == ["cross_segmentation", "segmentation"]
    stored = StudyFolder(tmp_path / "tiny")
    assert stored.tasks_not_run == plan.tasks_not_run
    assert [task["task"] for task in stored.definition["tasks"]] == study.tasks
    assert lack in " ".join(table.render(stored).split()) and lack in "".join(dry.tell(plan))
    told = list(conditions(read(stored), [], {}))
    assert [line.split(":")[:2] for line in told if "segmentation" in line] == [
        ["segmentation", " not run; pack " + plan.trials[0].pack.digest],
        ["cross_segmentation", " not run; pack " + plan.trials[0].pack.digest],
    ]


def test_frames_that_allow_no_task_are_refused(tiny_study, tiny_frames, tmp_path, packs):
    study = changed(tiny_study, tasks=["segmentation"])
    with pytest.raises(InputError, match="allow no task of the study; segmentation: pack"):
        make_plan(study, tiny_frames, tmp_path, packs)
    assert not (tmp_path / "tiny").exists()


def test_an_evaluation_that_lacks_a_field_that_came_later_stands(
    tiny_study, tiny_frames, tmp_path, packs
):
    plan = planned(tiny_study, tiny_frames, tmp_path, packs)
    wanted = tasks.for_trial(plan.judged_by[0], plan.trials[0].config)
    stored = wanted.model_dump(mode="json")
    stored.pop("level")
    assert _is_among([{"task": "gone"}, {"task": "planes", "gone": 1}, stored], wanted)
    assert not _is_among([{**stored, "level": "coarse"}, {"task": "gone"}], wanted)
