"""An evaluation inside Ray: what is said beside its scores."""

from awcl.config import TrialConfig, with_values
from awcl.study.judging import domain_seen


def test_whether_the_domain_was_seen_is_said_once_by_the_task_or_by_its_crossings(tiny_pack):
    tested = tiny_pack.frames[tiny_pack.frames["split"] == "test"]
    trained = with_values(TrialConfig(), {"data.size": 32}, "test")
    assert domain_seen(trained, tiny_pack, tested, {"dice": 0.5}) == {"target_domain_seen": 1.0}
    assert domain_seen(trained, tiny_pack, tested, {"a/target_domain_seen": 0.0}) == {}
    untrained = with_values(trained, {"pretrain.epochs": 0}, "test")
    assert domain_seen(untrained, tiny_pack, tested, {}) == {"target_domain_seen": 0.0}
    unknown = with_values(untrained, {"model.init": "weights:0123456789ab"}, "test")
    assert domain_seen(unknown, tiny_pack, tested, {}) == {}
