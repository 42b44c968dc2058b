"""What Optuna proposes from trials as they are stored, and how a study takes it."""

import pytest

from awcl.errors import InputError
from awcl.records import StudyFolder
from awcl.study.growth import check_growth, stored_study, with_stored_points
from awcl.study.propose import propose
from awcl.study.results import results
from awcl.study.space import Study, expand

AXES = {
    "anatomy.granularity": ["coarse", "fine"],
    "pretrain.temperature": {"low": 0.01, "high": 1, "log": True},
    "pretrain.batch": {"low": 8, "high": 64, "integer": True},
}
SEARCH = Study(name="s", axes=AXES, sampler="random", samples=24, seeds=[0, 1])


def quality(config) -> float:
    """Best near temperature 0.1, small batches, fine; a little worse on seed 1."""
    off = abs(config.pretrain.temperature - 0.1) + config.pretrain.batch / 64
    return 0.9 - off / 10 - 0.05 * (config.anatomy.granularity == "coarse") - 0.01 * config.seed


@pytest.fixture
def stored(tmp_path):
    """stored(study, outcome): its folder, each trial with what `outcome` says of its configuration:
    (outcome, proxy), or None where it has not ended."""

    def make(study, outcome):
        folder = StudyFolder(tmp_path / study.name)
        folder.accept({**study.model_dump(mode="json"), "packs": {}, "id": "1"})
        for number, config in enumerate(expand(study)):
            trial = folder.trial(f"{number:012d}")
            trial.write_about({"key": trial.key, "config": config.model_dump(mode="json")})
            ended = outcome(config)
            if ended:
                trial.append_history({"epoch": 1, "val/proxy": 0.99})
                trial.append_history({"epoch": 2, "val/proxy": ended[1]})
                trial.write_done(ended[0], epoch=2)
        return folder

    return make


def finished(config):
    return "finished", quality(config)


def test_proposals_are_better_than_the_draws_that_they_were_learnt_from(stored):
    folder = stored(SEARCH, finished)
    appended, learnt_from = propose(folder, 8)
    assert len(appended) == 8 and learnt_from == 24
    grown = stored_study(folder.definition)
    drawn, new = expand(SEARCH), expand(grown)[len(expand(SEARCH)) :]
    assert len(new) == 16

    def mean(configs):
        return sum(map(quality, configs)) / len(configs)

    assert mean(new) > mean(drawn) + 0.02


def test_the_study_holds_what_was_proposed_and_a_recipe_takes_it_up(stored):
    folder = stored(SEARCH, finished)
    before = folder.definition
    appended, _ = propose(folder, 3)
    after = folder.definition
    assert after == {**before, "proposed": appended}
    more, _ = propose(folder, 2)
    assert folder.definition["proposed"] == [*appended, *more]
    taken = with_stored_points(SEARCH, folder.definition)
    assert expand(taken)[: len(expand(SEARCH))] == expand(SEARCH)
    check_growth(before, {**taken.model_dump(mode="json"), "packs": {}})


def test_the_same_study_gives_the_same_proposals_and_a_second_time_others(stored):
    folder = stored(SEARCH, finished)
    before = folder.definition
    first, _ = propose(folder, 3)
    second, _ = propose(folder, 3)
    folder.accept(before)
    assert propose(folder, 3)[0] == first
    assert not any(point in first for point in second)


def test_what_is_proposed_lies_on_the_axes_in_a_few_digits(stored):
    appended, _ = propose(stored(SEARCH, finished), 8)
    for point in appended:
        temperature = point["pretrain.temperature"]
        assert 0.01 <= temperature <= 1 and temperature == float(f"{temperature:.3g}")
        assert isinstance(point["pretrain.batch"], int) and 8 <= point["pretrain.batch"] <= 64
        assert point["anatomy.granularity"] in ("coarse", "fine")


def test_a_stopped_trial_teaches_nothing(stored):
    """Nor does a failed one, or one that has not ended; its epochs were fewer."""

    def only_coarse(config):
        outcome = {0: "finished", 1: "stopped"}[config.seed]
        return (outcome, quality(config)) if config.anatomy.granularity == "coarse" else None

    folder = stored(SEARCH, only_coarse)
    found = results(SEARCH, folder, SEARCH.seeds)
    assert 0 < len(found) < 24
    for result in found:
        assert result.point["anatomy.granularity"] == "coarse"
        assert result.proxy == quality(result.config) and result.config.seed == 0
    _, learnt_from = propose(folder, 1)
    assert learnt_from == len(found)


def test_a_point_counts_with_the_mean_over_its_seeds(stored):
    folder = stored(SEARCH, finished)
    for result in results(SEARCH, folder, SEARCH.seeds):
        assert result.proxy == pytest.approx(quality(result.config) - 0.005)


GRID = Study(name="g", axes={"anatomy.ratio": [0, 0.5, 1], "pretrain.temperature": [0.1, 0.5]})


def test_nothing_that_is_there_is_proposed_again(stored):
    """Of six combinations three are drawn; the other three are found, and no fourth."""
    drawn = [{"anatomy.ratio": r, "pretrain.temperature": t} for r, t in ((0, 0.1), (1, 0.1))]
    study = Study(name="g", axes=GRID.axes, sampler="random", samples=1, proposed=drawn)
    left = 6 - len(expand(study))
    folder = stored(study, finished)
    with pytest.raises(InputError, match=f"only {left} points were found that are not there yet"):
        propose(folder, left + 1)
    assert folder.definition["proposed"] == drawn
    propose(folder, left)
    assert len(expand(stored_study(folder.definition))) == 6


def test_points_that_are_one_trial_are_not_proposed_twice(stored):
    """At ratio 0 the granularity is not read."""
    axes = {"anatomy.ratio": [0], "anatomy.granularity": ["coarse", "fine"]}
    study = Study(name="z", axes=axes, sampler="random", samples=1)
    with pytest.raises(InputError, match="only 0 points were found"):
        propose(stored(study, finished), 1)


@pytest.mark.parametrize(
    ("study", "outcome", "count", "said"),
    [
        (GRID, lambda config: None, 1, "study g: no trial ran to its full budget yet"),
        (GRID, lambda config: ("stopped", 0.5), 1, "study g: no trial ran to its full budget yet"),
        (GRID, finished, 1, "study g: only 0 points were found that are not there yet"),
        (GRID, finished, 0, "0 proposals: give 1 or more"),
        (Study(name="n"), finished, 1, "study n has no axes to propose points on"),
    ],
)
def test_where_nothing_can_be_proposed_the_study_stays_as_it_is(
    stored, study, outcome, count, said
):
    folder = stored(study, outcome)
    before = folder.definition
    with pytest.raises(InputError) as caught:
        propose(folder, count)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert folder.definition == before
