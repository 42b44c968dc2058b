"""The sentences of a summary, and the notes on what numbers cannot tell."""

import json

from made_study import predictions

from awcl.report import comparing, summary
from awcl.report.reading import read
from awcl.report.writing import contents, find, write


def told(making) -> str:
    content = contents(find(read(making.folder)))
    findings = [sentence for finding in content.findings for sentence in finding.sentences]
    return "\n".join([*content.state, content.verdicts, *findings, *content.cautions])


def test_what_won_by_how_much_and_whether_it_is_clear(ratios):
    found = find(read(ratios.folder))
    [[estimate]] = [[of for of in each if of.arm.name == "ratio 1, fine"]
                    for each in found.estimates.values()]  # fmt: skip
    [finding] = contents(found).findings
    first, simclr, second = finding.sentences
    assert not contents(found).claim.notes, "no segmentation across domains"
    assert first.startswith(f"ratio 1, fine is first of 5 arms: {estimate.value:.3f} [")
    assert "on 72 frames of 12 test patients" in first and "mean of 2 seeds" in first
    [[of]] = [[c for c in each if c.arm.name == "ratio 1, fine"]
              for each in found.to_simclr.values()]  # fmt: skip
    assert simclr.startswith(f"Minus SimCLR (ratio 0, SimCLR): {of.value:+.3f} (")
    assert f"[{of.low:+.3f}, {of.high:+.3f}]" in simclr and "clearly better" in simclr
    assert second.startswith("Minus the second (")


def test_all_comparisons_with_simclr_are_counted(ratios):
    found = find(read(ratios.folder))
    [each] = found.to_simclr.values()
    better = sum(of.is_clear and of.value > 0 for of in each)
    worse = sum(of.is_clear and of.value < 0 for of in each)
    assert better > 0
    is_better = f"{better} {'is' if better == 1 else 'are'} clearly better"
    assert summary.verdicts(found.differences) == (
        f"Of 4 comparisons with SimCLR {is_better}, {worse} clearly worse, "
        f"{4 - better - worse} not clear of zero."
    )


def test_equal_arms_are_not_clear(making):
    made = making(axes={"anatomy.ratio": [0, 1]}, seeds=[0, 1])
    for seed in (0, 1):
        made.add(seed, 0.6, anatomy__ratio=0)
        made.add(seed, 0.6, anatomy__ratio=1)
    text = told(made)
    assert "+0.000 (+0.0%)" in text or "-0.000" in text or "0.000 (" in text
    assert "not clear: the interval holds zero" in text and "clearly better (" not in text


def test_it_is_told_where_no_difference_could_be_clear(making):
    made = making(axes={"anatomy.ratio": [0, *(n / 10 for n in range(1, 8))]})
    for n in range(8):
        made.add(table=predictions(0.1 + 0.1 * n, n, patients=8), anatomy__ratio=n / 10)
    found = find(read(made.folder))
    [each] = found.differences.values()
    assert not any(of.is_clear for of in (*each.to_simclr, *each.to_rival, *each.claim))
    assert (
        "No difference can be clear, however large, with 8 test patients (it takes "
        f"{comparing.patients_needed(each.pairs)}): planes: macro-F1, ridge probe." in told(made)
    )


def test_it_is_told_where_resamples_are_too_few_for_so_many_pairs(making):
    made = making(axes={"pretrain.lr": {"low": 0.001, "high": 1, "log": True}})
    for n in range(54):
        made.add(table=predictions(0.3 + 0.01 * n, n), pretrain__lr=0.001 * (1 + n))
    text = told(made)
    assert "with 12 test patients (resamples are too few for 53 pairs): planes" in text
    assert "clearly better (" not in text


def test_one_seed_and_few_patients_are_told(making):
    made = making(axes={"anatomy.ratio": [0, 1]})
    made.add(0, table=predictions(0.3, 0, patients=4), anatomy__ratio=0)
    made.add(0, table=predictions(0.9, 0, patients=4), anatomy__ratio=1)
    text = told(made)
    assert "One seed: nothing is known of what another seed would give." in text
    assert "Few test patients" in text and "not clear: too few patients" in text
    assert "clearly better (" not in text and "1 is clearly" not in text


def test_a_study_of_which_nothing_has_ended_says_so(making):
    made = making(seeds=[0, 1])
    made.add(outcome=None, epochs=1)
    text = told(made)
    assert "1 trial: 1 not finished." in text
    assert (
        "Nothing can be compared yet: no configuration has finished with all its 2 seeds." in text
    )


def test_every_state_is_counted(making):
    made = making(axes={"anatomy.ratio": [0, 0.2, 0.5, 1]})
    made.add(right=0.5, anatomy__ratio=0)
    made.add(outcome="stopped", anatomy__ratio=0.2)
    made.add(outcome="failed", anatomy__ratio=0.5)
    made.add(outcome=None, epochs=0, anatomy__ratio=1)
    assert "4 trials: 1 finished, 1 stopped early, 1 failed, 1 not finished." in told(made)


def test_a_single_arm_is_the_only_one(making):
    made = making()
    made.add(right=0.5)
    assert "the study's base is the only arm: 0." in told(made)


def test_a_running_study_is_told_as_one(making):
    made = making()
    made.add(right=0.5)
    with made.folder.only_driver():
        assert "The study is running" in told(made)
        write(made.folder, has_ended=True)  # as its driver does last, which holds the folder still
        assert "The study is running" not in made.folder.report.read_text()
    assert "The study is running" not in told(made)


def test_where_simclr_wins_no_difference_is_told_twice(making):
    made = making(axes={"anatomy.ratio": [0, 1]}, seeds=[0, 1])
    for seed in (0, 1):
        made.add(seed, 0.9, anatomy__ratio=0)
        made.add(seed, 0.4, anatomy__ratio=1)
    [finding] = contents(find(read(made.folder))).findings
    _, second = finding.sentences
    assert second.startswith("Minus the second (ratio 1): +")


def test_of_untrained_arms_no_epochs_are_told(paper):
    state = " ".join(contents(find(read(paper.folder))).state)
    assert "Every arm was trained for 3 epochs; not trained: random." in state


def test_a_search_says_that_a_seed_which_chose_is_among_those_compared(making):
    made = making(
        seeds=[3, 1], confirm=1, confirmed=[{"anatomy.ratio": 1}], axes={"anatomy.ratio": [0, 1]}
    )
    for seed in (3, 1):
        made.add(table=predictions(0.8, seed), seed=seed, anatomy__ratio=1)
    assert "chosen by their proxy on seed 3, which is among the seeds that are compared" in told(
        made
    )


def test_trials_that_were_not_computed_alike_are_told(ratios):
    def ran_in(trial, bfloat16: int) -> None:
        rows = [{**row, "bfloat16": bfloat16} for row in trial.history()]
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (trial.path / "history.jsonl").write_text(text)

    first, *others = ratios.folder.trials()
    for trial in (first, *others):
        ran_in(trial, bfloat16=1)
    assert "bfloat16" not in told(ratios)
    ran_in(first, bfloat16=0)
    assert "Some trials were trained in bfloat16 and some in float32" in told(ratios)
