"""Where the packs of a study lie, and how they come to a machine without them."""

import pytest
from stored import contents, versions

from awcl.files import as_path
from awcl.study import packs
from awcl.study.plan import held, make_plan


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's cache, where packs lie."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_a_pack_is_put_there_once_and_fetched_where_it_lacks(
    tiny_study, tiny_frames, bucket, s3_server, tmp_path, monkeypatch
):
    with held(make_plan(tiny_study, tiny_frames, as_path(f"{bucket}/exp"))) as plan:
        [trial] = plan.trials
    stored = versions(bucket, "exp/packs/", s3_server)
    assert {name.rpartition("/")[2] for name in stored} >= {"PACK.json", "COMPLETE.json"}
    make_plan(tiny_study, tiny_frames, as_path(f"{bucket}/exp"))
    assert versions(bucket, "exp/packs/", s3_server) == stored

    source = str(packs.shared(trial.pack, plan.folder.path.parent))
    assert packs.fetched(trial.pack.folder, source, None, print) == trial.pack.folder
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    fetched = packs.fetched(tmp_path / "absent" / trial.pack.digest, source, None, print)
    assert fetched == tmp_path / "another/.cache/awcl/staged" / trial.pack.digest
    assert contents(fetched) == contents(trial.pack.folder)


def test_a_pack_in_a_folder_that_machines_share_gets_digests_where_a_disk_is_named(
    tiny_study, tiny_frames, tmp_path
):
    for disk in (None, str(tmp_path / "disk")):
        resources = tiny_study.resources.model_copy(update={"node_disk": disk})
        study = tiny_study.model_copy(update={"resources": resources})
        [trial] = make_plan(study, tiny_frames, tmp_path / "shared").trials
        assert (trial.pack.folder / "COMPLETE.json").is_file() == bool(disk)
    there = packs.fetched(trial.pack.folder, str(trial.pack.folder), disk, print)
    assert there == tmp_path / "disk/staged" / trial.pack.digest
    assert contents(there) == contents(trial.pack.folder)
