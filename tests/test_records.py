"""What is stored of trials and studies, and histories that a crash cut off."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_checkpoints import checkpoint

from awcl import checkpoints, complete
from awcl.errors import InputError
from awcl.files import append_line, put_in_place, read_lines, scratch_folder, write_json
from awcl.records import StudyFolder, TrialFolder


def test_what_is_evaluated_and_caught_up_with_are_whole_epochs(folder):
    trial = TrialFolder(folder)
    whole = checkpoint(trial.train / "launch", 2)
    checkpoint(trial.train, 2, step=10)
    trial.catch_up()
    assert [row["epoch"] for row in trial.history()] == [1, 2]
    assert trial.checkpoint() == whole
    trial.write_done("stopped", epoch=2)
    assert trial.checkpoint() == whole


def test_history_is_merged_from_lines_and_checkpoint_in_order(folder):
    """The driver died after epoch 1; the workers went on to 3. Where both know, lines count."""
    trial = TrialFolder(folder)
    trial.append_history({"epoch": 1, "from": "lines"})
    checkpoint(trial.train / "launch", 3)
    trial.catch_up()
    assert [(row["epoch"], row["from"]) for row in trial.history()] == [
        (1, "lines"), (2, "checkpoint"), (3, "checkpoint"),
    ]  # fmt: skip


def test_an_epoch_that_is_told_twice_counts_once(folder):
    trial = TrialFolder(folder)
    for epoch in (1, 2, 2, 3, 2):
        trial.append_history({"epoch": epoch})
    assert [row["epoch"] for row in trial.history()] == [1, 2, 3]


def test_a_new_trial_has_no_history(folder):
    assert TrialFolder(folder / "absent").history() == []


def test_after_a_line_that_was_cut_off_lines_go_on(tmp_path):
    trial = TrialFolder(tmp_path)
    trial.append_history({"epoch": 1})
    trial.append_history({"epoch": 2, "loss": 1.25})
    halved = (tmp_path / "history.jsonl").read_bytes()[:-8]
    (tmp_path / "history.jsonl").write_bytes(halved)
    assert [row["epoch"] for row in trial.history()] == [1]
    trial.append_history({"epoch": 2, "loss": 1.25})
    trial.append_history({"epoch": 3})
    assert trial.history() == [{"epoch": 1}, {"epoch": 2, "loss": 1.25}, {"epoch": 3}]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.one_of(
            st.dictionaries(st.text(max_size=4), st.floats(0, 1) | st.text(max_size=6), max_size=3),
            st.floats(0.01, 1),  # cut this share off the last line
        ),
        max_size=12,
    )
)
def test_any_sequence_of_appends_and_cuts_keeps_every_earlier_line(tmp_path_factory, steps):
    file, whole, last_is_whole = tmp_path_factory.mktemp("lines") / "lines.jsonl", [], False
    for step in steps:
        if isinstance(step, dict):
            append_line(file, step)
            whole.append(step)
            last_is_whole = True
        elif last_is_whole:
            text = file.read_bytes()
            start = text.rstrip(b"\n").rfind(b"\n") + 1
            file.write_bytes(text[: len(text) - max(2, int(step * (len(text) - start)))])
            whole.pop()
            last_is_whole = False
        assert list(read_lines(file)) == whole


def test_what_a_trial_is_is_written_once_and_its_end_may_be_reopened(folder):
    trial = TrialFolder(folder / "abc")
    assert trial.done is None
    trial.write_about({"key": "abc", "config": {}})
    trial.write_about({"key": "other", "config": {}})
    assert trial.about == {"key": "abc", "config": {}} and trial.key == "abc"
    trial.write_done("failed", epoch=2, reason="x")
    assert trial.done == {"outcome": "failed", "epoch": 2, "reason": "x"}
    trial.reopen()
    trial.reopen()
    assert trial.done is None


def test_an_evaluation_is_known_by_task_settings_and_weights(folder):
    trial = TrialFolder(folder)
    folders = {
        trial.evaluation(*of)
        for of in [("planes", "s1", "w1"), ("planes", "s2", "w1"), ("planes", "s1", "w2")]
    }
    assert len(folders) == 3
    assert {folder.parent for folder in folders} == {folder / "eval"}
    assert all(folder.name.startswith("planes-") for folder in folders)


def test_an_evaluation_counts_once_its_result_is_there(tmp_path):
    trial = TrialFolder(tmp_path)
    trial.evaluation("planes", "s", "w").mkdir(parents=True)
    assert trial.evaluations() == []


def test_trials_are_listed_by_key_and_only_where_they_say_what_they_are(folder):
    study = StudyFolder(folder)
    assert study.definition is None and list(study.trials()) == []
    for key in ("b", "a"):
        study.trial(key).write_about({"key": key})
    study.trial("c").append_history({"epoch": 1})
    assert [trial.key for trial in study.trials()] == ["a", "b"]
    study.accept({"name": "s", "axes": {}})
    assert study.definition == {"name": "s", "axes": {}}


READ = {
    "STUDY.json": lambda folder: StudyFolder(folder).definition,
    "TRIAL.json": lambda folder: TrialFolder(folder).about,
    "DONE.json": lambda folder: TrialFolder(folder).outcome,
    "eval/planes-1/EVAL.json": lambda folder: TrialFolder(folder).evaluations(),
    "history.jsonl": lambda folder: TrialFolder(folder).history(),
    "starts.jsonl": lambda folder: TrialFolder(folder).starts(),
    "decisions.jsonl": lambda folder: StudyFolder(folder).decisions(),
    "timings.jsonl": lambda folder: StudyFolder(folder).timings(),
}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("STUDY.json", b"{", ["STUDY.json: not a JSON file (", "; restore it from a copy, or "]),
        ("STUDY.json", b"[]", ["STUDY.json: holds no JSON object, in braces; restore it"]),
        ("STUDY.json", b"null", ["STUDY.json: holds no JSON object, in braces; restore it"]),
        ("STUDY.json", b"{}", ["STUDY.json: lacks 'name'; restore it"]),
        ("TRIAL.json", b"{", ["TRIAL.json: not a JSON file (", "; remove it, the study's"]),
        ("DONE.json", b"", ["DONE.json: not a JSON file (", "; remove it, the study's"]),
        ("DONE.json", b"{}", ["DONE.json: lacks 'outcome'; remove it"]),
        ("DONE.json", b'{"outcome": "failed", "epoch": "2"}', ["DONE.json: 'epoch' is '2'; rem"]),
        ("eval/planes-1/EVAL.json", b"{", ["EVAL.json: not a JSON ", "; remove its folder, "]),
        ("history.jsonl", b'{"epoch": 1}\nnull\n', ["history.jsonl, line 2: holds no JSON object"]),
        ("history.jsonl", b'{"epoch": 1}\n{"\xff"', ["line 2: is no UTF-8 text; remove the line"]),
        ("decisions.jsonl", b'{"key": "k"}', ["decisions.jsonl, line 1: lacks 'epoch'; correct"]),
        ("timings.jsonl", b"\n3\n", ["timings.jsonl, line 2: holds no JSON object"]),
        ("starts.jsonl", b'{"time": 1}\n', ["starts.jsonl, line 1: lacks 'launch'; correct or"]),
    ],
)  # fmt: skip
def test_what_is_damaged_is_told_with_its_file_and_what_to_do(tmp_path, name, content, said):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        READ[name](tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path)) and "\n" not in message
    assert all(part in message for part in said)


def test_an_epoch_that_only_a_checkpoint_tells_is_kept_when_later_ones_follow(folder):
    """The driver died after checkpoint 3 and before its line; then epoch 4 was told."""
    trial = TrialFolder(folder / "k")
    rows = [{"epoch": epoch, "val/proxy": epoch / 10} for epoch in (1, 2, 3, 4)]
    for row in rows[:2]:
        trial.append_history(row)
    with scratch_folder(trial.train / "launch") as part:
        write_json(part / checkpoints.HISTORY, {"epochs": rows[:3]})
        complete.mark(part)
        put_in_place(part, trial.train / "launch" / "epoch_0003")
    trial.catch_up()
    trial.append_history(rows[3])
    assert trial.history() == rows
    trial.catch_up()
    assert len((trial.path / "history.jsonl").read_text().splitlines()) == 4


def test_the_one_row_of_an_untrained_trial_is_caught_up_from_its_checkpoint(folder):
    """The driver died after the checkpoint, and either before or after the mark of the end."""
    study, row = StudyFolder(folder), {"epoch": 0, "val/proxy": 0.1}
    for key, marked in (("before", False), ("after", True)):
        trial = study.trial(key)
        trial.write_about({"key": key, "config": {}})
        with scratch_folder(trial.train) as part:
            write_json(part / checkpoints.HISTORY, {"epochs": [row]})
            complete.mark(part)
            put_in_place(part, trial.train / "epoch_0000")
        if marked:
            trial.write_done("finished", epoch=0)
    for _ in range(2):
        study.catch_up()
        assert [trial.history() for trial in study.trials()] == [[row], [row]]
        assert [trial.epochs_done for trial in study.trials()] == [0, 0]
    assert study.trial("after").checkpoint().name == "epoch_0000"


def test_an_epoch_that_is_trained_again_is_told_as_the_first_time(folder):
    """Its checkpoint was broken; a decision may have been made on what was told."""
    trial = TrialFolder(folder / "k")
    for epoch, proxy in ((1, 0.1), (2, 0.2), (2, 0.25), (3, 0.3)):
        trial.append_history({"epoch": epoch, "val/proxy": proxy})
    assert [row["val/proxy"] for row in trial.history()] == [0.1, 0.2, 0.3]


def test_what_was_trained_after_the_decision_to_stop_is_not_told(folder):
    """The driver died between the decision and the trial's end; the workers went on."""
    study = StudyFolder(folder)
    for key in ("to-stop", "to-go-on"):
        study.trial(key).write_about({"key": key})
        checkpoint(study.trial(key).train, 3)
    for key in ("to-stop", "to-go-on"):
        decision = {"key": key, "epoch": 2, "value": 0.5, "seen": [], "stop": key == "to-stop"}
        study.append_decision(decision)
    study.catch_up()
    told = {trial.key: [row["epoch"] for row in trial.history()] for trial in study.trials()}
    assert told == {"to-stop": [1, 2], "to-go-on": [1, 2, 3]}


def test_an_end_that_was_marked_before_its_last_epoch_was_told_is_told(folder):
    """A trial's own driver marks its end; the study's died before the epoch reached it."""
    study = StudyFolder(folder)
    trial = study.trial("k")
    trial.write_about({"key": "k"})
    trial.append_history({"epoch": 1})
    checkpoint(trial.train, 2)
    trial.write_done("finished", epoch=2)
    study.catch_up()
    assert [row["epoch"] for row in trial.history()] == [1, 2]


def test_a_gap_in_the_history_is_filled_from_the_checkpoint(folder):
    trial = TrialFolder(folder / "k")
    for epoch in (1, 3):
        trial.append_history({"epoch": epoch})
    checkpoint(trial.train, 3)
    trial.catch_up()
    assert [row["epoch"] for row in trial.history()] == [1, 2, 3]
