"""Which scores of a task arms are compared by, and what they are called."""

from awcl.report.headlines import headlines


def test_diagnostics_are_compared_by_what_lies_near_and_not_by_shortcuts():
    near = ["coarse/purity", "fine/purity", "fine_within_coarse"]
    found = headlines("h", "diagnostics", [*near, "machine/right", "patient/accuracy"])
    assert [score.name for score in found] == near
    assert found[-1].label == "h: fine structure within coarse classes"


def test_an_evaluation_from_before_a_score_was_there_has_the_others():
    assert [s.name for s in headlines("h", "diagnostics", ["fine/purity"])] == ["fine/purity"]
