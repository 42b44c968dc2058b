"""The files of a cluster: as written from the site, and as Ray reads them."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from awcl.errors import InputError
from benchmarks.scaling import staging
from cluster.kuberay import GPU, RAY
from cluster.model import SITE, load
from cluster.rendering import rendered

ROOT = Path(__file__).parents[2]


def changed(tmp_path, old: str, new: str) -> Path:
    text = SITE.read_text()
    assert text.count(old) == 1
    (tmp_path / "site.toml").write_text(text.replace(old, new))
    return tmp_path / "site.toml"


def test_the_committed_files_are_what_the_site_gives():
    for name, text in rendered(load()).items():
        assert (ROOT / "cluster" / name).read_text() == text, f"run `python -m cluster`: {name}"


def test_the_command_writes_another_labs_files_elsewhere(tmp_path):
    site = changed(tmp_path, "at_most = 8", "at_most = 3")
    command = [sys.executable, "-m", "cluster", "--site", site, "--out", tmp_path / "lab"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "max_workers: 3" in (tmp_path / "lab" / "aws.yaml").read_text()
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.parametrize("name", ["aws", "gcp", "onprem"])
def test_ray_accepts_each_file_of_its_launcher(of_launcher, name):
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(of_launcher[name])
    validate_config(config)
    assert config["head_node_type"] in config["available_node_types"]


def test_ray_refuses_a_file_that_is_broken(of_launcher):
    """Else the test above could not fail."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(Exception, match="min_worker"):
        validate_config(prepare_config(of_launcher["aws"] | {"min_worker": 1}))


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_the_head_is_on_demand_and_workers_are_spot_from_none(of_launcher, name):
    types = dict(of_launcher[name]["available_node_types"])
    head = types.pop("head")
    is_spot = {"aws": "InstanceMarketOptions", "gcp": "scheduling"}[name]
    assert is_spot not in head["node_config"]
    assert set(types) == {"gpu-workers", "cpu-workers"}
    for kind in types.values():
        assert is_spot in kind["node_config"]
        assert kind["min_workers"] == 0 < kind["max_workers"]
    assert sum(kind["max_workers"] for kind in types.values()) == of_launcher[name]["max_workers"]


def test_only_the_head_offers_what_drivers_ask_for(of_launcher, kuberay):
    from awcl.study.cluster import DRIVER

    [resource] = DRIVER
    for name in ("aws", "gcp"):
        types = of_launcher[name]["available_node_types"]
        assert [kind for kind, it in types.items() if resource in it["resources"]] == ["head"]
    spec = kuberay["RayJob"]["spec"]["rayClusterSpec"]
    assert resource in spec["headGroupSpec"]["rayStartParams"]["resources"]
    assert not any("resources" in group["rayStartParams"] for group in spec["workerGroupSpecs"])
    [start] = of_launcher["onprem"]["head_start_ray_commands"][1:]
    assert resource in start and shlex.split(start)[:2] == ["ray", "start"]


def test_kubernetes_has_the_workers_that_aws_has(of_launcher, kuberay):
    groups = kuberay["RayJob"]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    types = of_launcher["aws"]["available_node_types"]
    assert [group["groupName"] for group in groups] == [name for name in types if name != "head"]
    for group in groups:
        kind = types[group["groupName"]]
        [container] = group["template"]["spec"]["containers"]
        cards = kind["resources"].get("GPU", 0)
        assert container["resources"]["limits"].get(GPU, 0) == cards
        assert int(group["rayStartParams"].get("num-gpus", 0)) == cards
        assert (group["minReplicas"], group["maxReplicas"]) == (0, kind["max_workers"])


IMAGE, SPILLED = 15, 30  # GB of the image, and of what Ray spills


def test_each_kind_of_machine_has_disk_for_the_documented_pack(of_launcher, kuberay):
    """SCALING.md's: once where it is staged, twice on the head, where `ray rsync-up` leaves two."""
    pack = staging.pack_bytes() / 1e9
    for name in ("aws", "gcp"):
        disks = {kind: disk_of(it) for kind, it in types_of(of_launcher[name]).items()}
        assert disks.pop("head") >= 2 * pack + IMAGE + SPILLED
        assert len(disks) == 2 and min(disks.values()) >= pack + IMAGE + SPILLED
    groups = kuberay["RayJob"]["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    for group in groups:
        [container] = group["template"]["spec"]["containers"]
        asked = container["resources"]["requests"]["ephemeral-storage"]
        assert int(asked.removesuffix("G")) >= pack + SPILLED


def types_of(config: dict) -> dict[str, dict]:
    """Kind of machine -> how its cloud makes one."""
    return {name: it["node_config"] for name, it in config["available_node_types"].items()}


def disk_of(machine: dict) -> int:
    """GB, of AWS or of Google Cloud."""
    if "BlockDeviceMappings" in machine:
        return machine["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]
    return machine["disks"][0]["initializeParams"]["diskSizeGb"]


def test_the_head_may_write_checksums_beside_the_pack_of_a_volume(kuberay):
    """`awcl.study.packs.share` does, before it puts the pack into the storage."""
    spec = kuberay["RayJob"]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [data] = [one for one in spec["volumes"] if one["name"] == "data"]
    [mount] = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "data"]
    claim = data["persistentVolumeClaim"]
    assert not claim.get("readOnly") and not mount.get("readOnly")


def test_machines_say_how_far_the_cluster_grows(of_launcher):
    types = of_launcher["aws"]["available_node_types"].values()
    kinds = [{"at_most": kind["max_workers"], **kind["resources"]} for kind in list(types)[1:]]
    options = of_launcher["aws"]["docker"]["run_options"]
    [told] = [option for option in options if "AWCL_CLUSTER_MACHINES" in option]
    assert json.loads(told.split("'")[1]) == kinds
    options = of_launcher["onprem"]["docker"]["run_options"]
    assert not any("AWCL_CLUSTER_MACHINES" in option for option in options)


def test_a_faster_disk_is_mounted_into_every_container_of_ray_up(tmp_path):
    old = "idle_minutes = 5"
    site = load(changed(tmp_path, old, f'{old}\nvolumes = ["/opt/dlami/nvme:/mnt/nvme"]'))
    for name in ("aws.yaml", "gcp.yaml", "onprem.yaml"):
        options = yaml.safe_load(rendered(site)[name])["docker"]["run_options"]
        assert "--volume /opt/dlami/nvme:/mnt/nvme" in options


def test_without_a_cpu_pool_there_is_one_kind_of_worker(tmp_path):
    text = SITE.read_text()
    start, end = text.index("[cpu_workers]"), text.index("[aws]")
    (tmp_path / "site.toml").write_text(text[:start] + text[end:])
    site = load(tmp_path / "site.toml")
    assert set(site.workers) == {"gpu-workers"} and site.machines == [
        {"at_most": 8, "CPU": 8, "GPU": 1}
    ]
    assert "cpu-workers" not in "".join(rendered(site).values())


def test_an_image_in_a_clouds_registry_is_pulled_by_the_machines_role(tmp_path):
    registry = "1.dkr.ecr.eu-central-1.amazonaws.com"
    site = load(changed(tmp_path, "ghcr.io/example", registry))
    [login] = yaml.safe_load(rendered(site)["aws.yaml"])["initialization_commands"]
    assert "--region eu-central-1 |" in login and login.endswith(registry)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("gpus = 1\n", "", "gpus and gcp_card go together"),
        ("[head]\n", "[head]\nspot = true\n", "head: is one machine on demand"),
        ('head = "10.0.0.10"', 'head = "8.8.8.8"', "8.8.8.8 is a public address"),
        ("idle_minutes = 5", "idle = 5", "idle"),
        ("idle_minutes = 5", 'volumes = ["nvme:/mnt"]', "volumes"),
        ('name = "awcl"', "name = ", "is no TOML"),
        ('study = "planes ', 'study = "planes --tracking http://lab ', "sends passwords readably"),
        ('study = "planes ', "study = \"planes --as 'mine ", "No closing quotation"),
    ],
)
def test_a_wrong_site_is_refused_in_a_line(tmp_path, old, new, told):
    file = changed(tmp_path, old, new)
    with pytest.raises(InputError, match=told) as refused:
        load(file)
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_the_image_has_what_is_pinned(of_launcher):
    pins = (ROOT / "requirements.txt").read_text()
    assert f"ray[default,train,tune]=={RAY}\n" in pins
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    for line in (ROOT / "cluster" / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or line in constraints, line
    copied = [
        name
        for line in (ROOT / "cluster" / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]
    assert copied and all((ROOT / name).exists() for name in copied)
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert all(f"!{name}" in let_in for name in copied)


def test_the_image_says_where_home_is():
    """Ray takes /root where it does not, and the token would lie where nobody reads it."""
    assert "ENV HOME=/home/awcl\n" in (ROOT / "cluster" / "Dockerfile").read_text()


def test_mlflows_image_has_the_driver_of_its_database():
    """SQLAlchemy chooses it by the URI, and another one by each of its versions."""
    from sqlalchemy import make_url

    compose = yaml.safe_load((ROOT / "cluster" / "docker-compose.yaml").read_text())
    [uri] = {
        service["environment"]["MLFLOW_BACKEND_STORE_URI"]
        for service in compose["services"].values()
        if "MLFLOW_BACKEND_STORE_URI" in service.get("environment", {})
    }
    driver = make_url(re.sub(r"\$\{.*?\}", "word", uri)).get_dialect().driver
    image = (ROOT / "cluster" / "mlflow.Dockerfile").read_text()
    assert re.search(rf'"{driver}(\[\w+\])?==[\d.]+"', image), driver
