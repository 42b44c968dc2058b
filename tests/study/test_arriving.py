"""While packs come to machines, the study's driver can say how far they are."""

import pytest

from awcl.study import arriving
from awcl.study.progress import Bar, Course, Progress


def test_what_else_is_under_way_is_told_with_the_progress_and_only_meanwhile():
    progress = Progress({"t": Course(0, 4)}, 1, None, 0, now=0)
    fetching = lambda: "a machine fetches the pack: 1 GB of 2 GB"  # noqa: E731
    with Bar(progress, fetching) as bar:
        assert bar.status() == f"{progress.line(0)}, {fetching()}"
    assert bar.status() == progress.line(0)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ([], ""),
        ([(0, 131e9)], "a machine fetches the pack: 0 kB of 131 GB"),
        ([(20e9, 131e9), (1.5e9, 131e9)], "2 machines fetch the pack: 21.5 GB of 262 GB"),
    ],
)
def test_all_machines_are_one_line(told, line):
    assert arriving._line(told) == line


@pytest.mark.slow
def test_each_machine_is_heard_until_it_ends_or_was_silent_for_long(shared_ray, monkeypatch):
    class Machine:  # in here, since other processes cannot import this file
        def tell(self, there: float, total: float) -> None:
            self.telling = arriving.telling()
            self.telling.__enter__()(there, total)

        def end(self) -> None:
            self.telling.__exit__(None, None, None)

    heard = arriving.listener()
    assert heard() == ""
    one, two = (shared_ray.remote(Machine).options(num_cpus=0).remote() for _ in range(2))
    shared_ray.get([one.tell.remote(20e9, 131e9), two.tell.remote(10e9, 131e9)])
    assert heard() == "2 machines fetch the pack: 30 GB of 262 GB"
    shared_ray.get(one.end.remote())
    shared_ray.kill(two)
    assert heard() == "a machine fetches the pack: 10 GB of 131 GB"
    monkeypatch.setattr(arriving, "STALE", 0)
    assert heard() == ""
