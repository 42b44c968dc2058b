"""The paper's claim in the summary: anatomy against contrastive, ImageNet and supervised."""

from awcl.report.reading import read
from awcl.report.writing import contents, find


def claim(making):
    found = find(read(making.folder))
    return contents(found).claim, found


def test_the_papers_headline_is_told_in_a_sentence_with_all_three_rivals(paper):
    section, found = claim(paper)
    [told] = section.notes
    [score] = [score for score in found.estimates if score.is_the_papers]
    to_queue, to_labels = found.differences[score].claim
    assert told.startswith("The paper's headline, organs: Dice, frozen encoder, C, transfer: fine ")
    assert f"Minus the best contrastive arm without anatomy (queue): {to_queue.value:+.3f}" in told
    assert "Minus ImageNet's weights: not run: weights not at hand." in told
    assert f"Minus supervised training (labels): {to_labels.value:+.3f}" in told
    assert to_queue.verdict in told and to_labels.verdict in told


def test_the_table_has_every_score_the_headline_first_and_named(paper):
    [table] = claim(paper)[0].tables
    assert [row[0].text for row in table.rows] == [
        "organs: Dice, frozen encoder, C, transfer (the paper's headline)",
        "organs: Dice, frozen encoder, C, shift",
        "planes: macro-F1, ridge probe",
    ]
    assert {row[1].text for row in table.rows} == {"fine"}
    assert {row[3].text for row in table.rows} == {"not run: weights not at hand"}


def test_its_csv_names_the_rival_and_has_a_row_without_numbers_for_what_was_not_run(paper):
    [table] = claim(paper)[0].tables
    head, *rows = table.csv
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["rival"] for row in told] == ["contrastive", "imagenet", "supervised"] * 3
    assert [row["reference"] for row in told[:3]] == ["queue", None, "labels"]
    assert told[1]["verdict"] == "not run: weights not at hand" and told[1]["difference"] is None
    assert told[0]["task"] == "organs" and told[0]["arm"] == "fine"


def test_its_verdicts_are_those_of_the_tables_of_differences(paper):
    _, found = claim(paper)
    for of_score in found.differences.values():
        elsewhere = {
            (of.arm.name, of.reference.name): (of.p_holm, of.verdict)
            for of in (*of_score.to_simclr, *of_score.to_rival)
        }
        same = [of for of in of_score.claim if (of.arm.name, of.reference.name) in elsewhere]
        assert [of.reference.name for of in same] == ["labels"], "which is the best of all"
        for of in same:
            assert (of.p_holm, of.verdict) == elsewhere[of.arm.name, of.reference.name]


def test_a_rival_that_the_study_does_not_have_is_not_spoken_of(ratios):
    section, _ = claim(ratios)
    [table] = section.tables
    assert table.columns == [
        "score", "best by anatomy", "minus the best contrastive arm without anatomy",
    ]  # fmt: skip
    assert not section.notes


def test_a_rival_that_failed_is_told_with_the_reason(making):
    made = making(axes={"pretrain.method": ["groups", "supervised"]})
    made.add(right=0.5)
    made.add(outcome="failed", reason="it broke", pretrain__method="supervised")
    [table] = claim(made)[0].tables
    assert [cell.text for cell in table.rows[0][2:]] == ["failed: it broke"]


def test_without_arms_that_pair_by_anatomy_it_is_empty(making):
    made = making()
    made.add(right=0.5, pretrain__positives="self")
    assert not claim(made)[0]
