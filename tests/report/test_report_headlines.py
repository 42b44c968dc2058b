"""Which scores of a task arms are compared by, and what they are called."""

from awcl.report.headlines import Score, headlines


def test_diagnostics_are_compared_by_what_lies_near_and_not_by_shortcuts():
    near = ["coarse/purity", "fine/purity", "fine_within_coarse"]
    found = headlines("h", "diagnostics", [*near, "machine/right", "patient/accuracy"])
    assert [score.name for score in found] == near
    assert found[-1].label == "h: fine structure within coarse classes"


def test_an_evaluation_from_before_a_score_was_there_has_the_others():
    assert [s.name for s in headlines("h", "diagnostics", ["fine/purity"])] == ["fine/purity"]


def test_the_papers_headline_comes_first_and_kinds_that_are_not_known_last():
    own = Score("own", "volumes", "error")
    planes = Score("p", "planes", "ridge/macro_f1")
    shift, transfer = (Score("s", "cross_segmentation", f"frozen/C/{how}/dice")
                       for how in ("shift", "transfer"))  # fmt: skip
    told = sorted([own, planes, shift, transfer], key=lambda score: score.place)
    assert told == [transfer, shift, planes, own]
    assert [score.is_the_papers for score in told] == [True, False, False, False]
