"""What each arm is and had, and what is said where they had not the same."""

from awcl.report import budgets
from awcl.report.reading import read
from awcl.report.writing import contents, find


def found(making):
    return find(read(making.folder))


def rows(table):
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def test_the_table_says_of_each_arm_what_it_reads_and_of_no_arm_what_it_does_not(paper):
    of = found(paper)
    told = rows(budgets.table(of.with_absent(of.every)))
    assert list(told) == ["random", "imagenet", "plain", "queue", "labels", "coarse", "fine"]
    nothing = ["-"] * 5
    assert told["random"] == ["untrained", *nothing, "random", "0", "0"]
    absent = "not run: weights not at hand"
    assert told["imagenet"] == ["untrained", *nothing, "imagenet", absent, absent]
    plain = ["groups", "self", "-", "-", "uniform", "0.1", "random", "0", "3"]
    assert told["plain"] == plain and told["queue"] == ["moco", *plain[1:]]
    assert told["labels"] == [
        "supervised", "-", "fine", "1.0", "its own", "-", "random", "187", "3",
    ]  # fmt: skip
    anatomy = ["1.0", "uniform", "0.1", "random"]
    assert told["coarse"] == ["groups", "anatomy", "coarse", *anatomy, "224", "3"]
    assert told["fine"] == ["groups", "anatomy", "fine", *anatomy, "187", "3"]


def test_methods_with_pairs_of_their_own_say_which(making):
    made = making(axes={"pretrain.method": ["uscl", "supcon"]})
    made.add(pretrain__method="uscl", labels=0)
    made.add(pretrain__method="supcon", labels=9)
    made.add(pretrain__positives="hierarchical", labels=9)
    settings = {row[1]: row[2:6] for row in rows_as_csv(made)}
    assert settings == {
        "uscl": ["mixed frames of a scan", "-", "-", "its own"],
        "supcon": ["anatomy, of labelled frames only", "fine", 1.0, "its own"],
        "groups": ["hierarchical", "fine and coarse", 1.0, "uniform"],
    }


def rows_as_csv(making):
    return budgets.table(found(making).every).csv[1:]


def test_seeds_that_differ_are_a_range_and_a_history_without_labels_tells_none(making):
    made = making(seeds=[0, 1], axes={"anatomy.ratio": [0.5, 1]})
    for seed, labels in ((0, 40), (1, 43)):
        made.add(seed, labels=labels, anatomy__ratio=0.5)
        made.add(seed, anatomy__ratio=1)  # as studies were stored before it was told
    told = rows(budgets.table(found(made).every))
    assert [row[-2] for row in told.values()] == ["40 to 43", "-"]


def test_unequal_numbers_of_labels_are_a_caution_with_both_numbers(paper):
    cautions = contents(found(paper)).cautions
    [told] = [caution for caution in cautions if "labels" in caution]
    assert "labels and fine read 187 anatomy labels, coarse read 224." in told


def test_arms_that_start_from_other_weights_are_named(making):
    made = making(arms={"warm": {"model.init": "weights:0123"}, "cold": {}})
    made.add(right=0.5, model__init="weights:0123")
    assert not list(budgets.starts_caution(found(made).arms)), "all of them do"
    made.add(right=0.5)
    [told] = budgets.starts_caution(found(made).arms)
    assert "started from weights of another run or program" in told


def test_equal_numbers_of_labels_and_none_are_no_caution(making):
    made = making(axes={"anatomy.ratio": [0, 0.5, 1]})
    for ratio, labels in ((0, 0), (0.5, 40), (1, 40)):
        made.add(right=0.5, labels=labels, anatomy__ratio=ratio)
    of = found(made)
    assert len(of.arms) == 3 and not list(budgets.labels_caution(of.arms))


def test_a_sentence_names_few_of_many_arms(making):
    made = making(axes={"anatomy.ratio": [n / 10 for n in range(1, 9)]})
    for n in range(1, 9):
        made.add(right=0.5, labels=7 if n < 8 else 90, anatomy__ratio=n / 10)
    [told] = budgets.labels_caution(found(made).arms)
    assert "ratio 0.1, ratio 0.2, ratio 0.3, ratio 0.4 and 3 more read 7 anatomy labels" in told
    assert told.endswith("ratio 0.8 read 90.")


def test_epochs_are_those_of_trained_arms(paper, making):
    assert budgets.epochs_told(found(paper).arms) == (
        "Every arm was trained for 3 epochs; not trained: random."
    )
    assert budgets.epochs_told([]) == ""
