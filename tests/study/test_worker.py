"""A training worker's reporter, beside Ray: which notices count, what it goes on from."""

import ray.train

from awcl import checkpoints, complete
from awcl.records import TrialFolder
from awcl.study.worker import RayReporter


def save(folder) -> None:
    (folder / checkpoints.STATE).write_text("state")
    complete.mark(folder)


def test_each_notice_counts_once(tmp_path, monkeypatch):
    first = ray.train.PreemptionInfo(9_000, {"a": [0]})
    same = ray.train.PreemptionInfo(9_000, {"a": [0]})
    more = ray.train.PreemptionInfo(8_000, {"a": [0], "b": [1]})
    told = iter([None, None, first, same, same, more, more])
    monkeypatch.setattr(ray.train, "get_preemption_info", lambda: next(told))
    reporter = RayReporter(TrialFolder(tmp_path), keep=2)
    assert [reporter.notice() for _ in range(7)] == [False, False, True, False, False, True, False]


def test_one_worker_writes_a_partial_checkpoint_and_all_go_on_from_it(tmp_path, monkeypatch):
    class Context:
        rank = 1

        def get_world_rank(self) -> int:
            return self.rank

    monkeypatch.setattr(ray.train, "get_context", Context)
    reporter = RayReporter(TrialFolder(tmp_path), keep=2)
    reporter.partial(6, 150, save)
    assert reporter.start() is None
    monkeypatch.setattr(Context, "rank", 0)
    reporter.partial(6, 150, save)
    assert reporter.start() == tmp_path / "train" / "epoch_0006_step_00150"
