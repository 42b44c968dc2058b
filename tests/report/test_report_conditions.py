"""What a report says of the conditions, above all whether pre-training saw the target domain."""

from types import SimpleNamespace

import pytest

from awcl.files import read_json, write_json
from awcl.report.conditions import _sizes, where
from awcl.report.reading import read
from awcl.report.writing import contents, find

SELF = {"pretrain.positives": "self"}
UNTRAINED = {"pretrain.epochs": 0}


def judged(made, metrics, **values):
    """A trial whose evaluation has these metrics."""
    trial = made.add(right=0.5, **values)
    file = next(trial.path.glob("eval/*/EVAL.json"))
    result = read_json(file)
    write_json(file, {**result, "metrics": {**result["metrics"], **metrics}})


def told(made) -> str:
    [line] = contents(find(read(made.folder))).conditions
    return line


@pytest.fixture
def crossed(making):
    """A study that calls its task, which crosses domains, planes."""
    tasks = [{"task": "cross_planes", "name": "planes"}]
    return making(tasks=tasks, arms={"random": UNTRAINED, "awcl": {}, "simclr": SELF})


def test_scores_of_other_frames_are_named():
    """As many frames as two of three scores have are theirs by the word that these have alone."""

    def of(units, frames):
        return SimpleNamespace(units=units, frames=frames)

    assert list(_sizes({})) == []
    assert list(_sizes({"ridge/macro_f1": of(11, 74)})) == ["74 test frames of 11 patients"]
    sizes = {"machine_C": of(11, 77), "hc18": of(9, 40)}
    domains = {
        f"frozen/{domain}/{kind}/dice": size
        for domain, size in sizes.items()
        for kind in ("shift", "transfer")
    }
    assert list(_sizes(domains)) == [
        "40 test frames of 9 patients (hc18)", "77 test frames of 11 patients (machine C)"
    ]  # fmt: skip
    found = {f"{level}/purity": of(21, 149) for level in ("fine", "coarse")}
    found["fine_within_coarse"] = of(21, 140)
    assert list(_sizes(found)) == [
        "140 test frames of 21 patients (fine structure within coarse classes)",
        "149 test frames of 21 patients (purity)",
    ]


def test_trained_arms_say_what_was_seen_though_an_untrained_one_comes_first(crossed):
    none = {"african/target_domain_seen": 0.0, "machine_C/target_domain_seen": 0.0}
    seen = {"african/target_domain_seen": 1.0, "machine_C/target_domain_seen": 0.0}
    judged(crossed, none, epochs=0, pretrain__epochs=0)
    judged(crossed, seen)
    judged(crossed, seen, pretrain__positives="self")
    assert "; target domain african seen in pre-training; " in told(crossed)
    assert told(crossed).endswith("; target domain machine_C not seen in pre-training.")


def test_crossings_alike_are_told_together_and_home_counts_for_none(crossed):
    flags = {"african/target_domain_seen": 0.0, "machine_C/target_domain_seen": 0.0}
    judged(crossed, {**flags, "target_domain_seen": 1.0})
    assert told(crossed).endswith("; target domains african, machine_C not seen in pre-training.")
    assert told(crossed).count("seen") == 1


def test_where_arms_differ_it_is_said_by_which(crossed):
    judged(crossed, {"machine_C/target_domain_seen": 1.0})
    judged(crossed, {}, pretrain__positives="self")
    assert told(crossed).endswith(
        "; target domain machine_C in pre-training: seen by awcl and not known of simclr."
    )


def test_a_flag_that_counts_home_is_told_as_one(crossed):
    """Of a study whose crossings did not say it yet."""
    judged(crossed, {"target_domain_seen": 1.0})
    assert told(crossed).endswith("; home or target domain seen in pre-training.")


def test_where_none_was_trained_none_has_seen_it(crossed):
    judged(crossed, {"machine_C/target_domain_seen": 0.0}, epochs=0, pretrain__epochs=0)
    assert told(crossed).endswith("; target domain machine_C not seen in pre-training.")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "all frames"),
        ({"machine": ["!C"]}, "frames where machine is not C"),
        ({"machine": "!C"}, "frames where machine is not C"),
        ({"machine": ["!B", "!C"]}, "frames where machine is neither B nor C"),
        (
            {"machine": ["A", "B"], "source": ["!x", "y"]},
            "frames where machine is A or B, source is y and not x",
        ),
    ],
)
def test_a_filter_is_told_in_words(given, words):
    assert where(given) == words


@pytest.mark.parametrize(("classes", "words"), [(["a"], "1 class: a"), (["a", "b"], "2 classes:")])
def test_one_class_is_not_several(making, classes, words):
    made = making()
    trial = made.add(right=0.5)
    file = next(trial.path.glob("eval/*/EVAL.json"))
    write_json(file, {**read_json(file), "about": {"classes": classes}})
    assert f"; {words}" in told(made)
