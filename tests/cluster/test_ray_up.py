"""`ray up` to `ray down`, as README.md says, with nothing of AWS but its answers.

An EC2 of moto on this machine; ssh and rsync are stubs that only write down what they are told, so
nothing of what a node would run is run here.
"""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import yaml
from processes import with_variable

from cluster.model import SITE, load
from cluster.rendering import rendered

CLUSTER = Path(__file__).parents[2] / "cluster"
REGION = "eu-central-1"
MINE = "203.0.113.7/32"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
MARK = "AWCL_RAY_UP"
pytestmark = pytest.mark.slow

STUB = """#!{python}
import json, os, sys
name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps([name, *words]) + "\\n")
told = " ".join(words)
if "docker run" in told:
    open({log!r} + ".runs", "w").close()
if "printenv HOME" in told:
    print("/home/awcl")
elif ".Config.Env" in told:
    print(json.dumps(["HOME=/home/awcl"]))
elif ".State.Running" in told:
    print(os.path.exists({log!r} + ".runs"))
elif "command -v docker" in told:
    print("docker")
"""


@pytest.fixture(scope="module")
def ec2():
    """An EC2 of its own, since accounts are told apart by region only; its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def machines(ec2):
    return boto3.client("ec2", endpoint_url=ec2, region_name=REGION, **KEYS)


@pytest.fixture(scope="module")
def account(ec2, machines):
    """What the stack of aws-account.yaml would have made: output -> value."""
    network = machines.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnets = []
    for zone, part in (("a", "10.20.0.0/20"), ("b", "10.20.16.0/20")):
        made = machines.create_subnet(
            VpcId=network, CidrBlock=part, AvailabilityZone=f"{REGION}{zone}"
        )
        subnets.append(made["Subnet"]["SubnetId"])
        machines.modify_subnet_attribute(SubnetId=subnets[-1], MapPublicIpOnLaunch={"Value": True})
    group = machines.create_security_group(GroupName="awcl", Description="awcl", VpcId=network)
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    machines.authorize_security_group_ingress(
        GroupId=group["GroupId"], IpPermissions=[ssh | {"IpRanges": [{"CidrIp": MINE}]}]
    )
    roles = boto3.client("iam", endpoint_url=ec2, region_name=REGION, **KEYS)
    for name in ("awcl-head", "awcl-worker"):
        roles.create_instance_profile(InstanceProfileName=name)
    return {"Subnets": subnets, "SecurityGroup": group["GroupId"]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, account, machines):
    """A lab's folder: its aws.yaml, a home with a token, and the stubs first on PATH."""
    folder = tmp_path_factory.mktemp("lab")
    image = machines.describe_images()["Images"][0]["ImageId"]
    text = SITE.read_text().replace("ami-00000000000000000", image)
    text = text.replace("sg-00000000000000000", account["SecurityGroup"])
    for example, subnet in zip(
        ("subnet-00000000000000000", "subnet-11111111111111111"),
        account["Subnets"],
        strict=True,
    ):
        text = text.replace(example, subnet)
    (folder / "site.toml").write_text(text)
    (folder / "aws.yaml").write_text(rendered(load(folder / "site.toml"))["aws.yaml"])
    token = folder / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("a token of nobody")
    token.chmod(0o600)
    (folder / "bin").mkdir()
    for name in ("ssh", "rsync"):
        stub = folder / "bin" / name
        stub.write_text(STUB.format(python=sys.executable, log=str(folder / "log")))
        stub.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def ray(lab, ec2):
    """Runs `ray WORDS`; what it printed and what nodes were told since the last time."""
    environment = os.environ | {
        "HOME": str(lab / "home"), "PATH": f"{lab / 'bin'}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": ec2, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", MARK: "1",
    }  # fmt: skip
    environment.pop("RAY_ADDRESS", None)

    def run(*words: str) -> tuple[str, str]:
        (lab / "log").write_text("")
        command = [sys.executable, "-m", "ray.scripts.scripts", *words]
        done = subprocess.run(
            command, cwd=lab, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, (lab / "log").read_text()

    return run


def running(machines) -> list[dict]:
    found = machines.describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["running", "pending"]}]
    )
    return [one for group in found["Reservations"] for one in group["Instances"]]


def test_from_ray_up_to_ray_down(ray, lab, machines, account):
    """One way through a cluster's life; each step needs the one before it."""
    _, nodes = ray("up", "-y", "--no-config-cache", "aws.yaml")
    [head] = running(machines)
    _is_as_the_file_says(head, account)
    _were_told_to_start(nodes)

    said, _ = ray("get-head-ip", "aws.yaml")
    assert said.split()[-1] == head["PublicIpAddress"]

    _brings_the_frames(ray, lab)
    entry = str(CLUSTER / "submit_entry.py")
    _, nodes = ray("submit", "--no-config-cache", "aws.yaml", entry, "planes",
                   "--storage", "s3://bucket/studies")  # fmt: skip
    assert "submit_entry.py" in nodes
    assert "python /home/awcl/submit_entry.py planes --storage s3://bucket/studies" in nodes
    _, nodes = ray("submit", "--tmux", "aws.yaml", entry, "planes", "--smoke")
    assert "tmux new -d" in nodes and "submit_entry.py planes --smoke" in nodes
    _can_be_watched(ray)

    ray("down", "-y", "aws.yaml")
    assert not running(machines)
    assert not with_variable(MARK, "1")


def _brings_the_frames(ray, lab) -> None:
    """One copy on the machine, and one in the container: a head's disk holds both."""
    (lab / "packs").mkdir()
    ray("exec", "aws.yaml", "mkdir -p ~/data")
    _, nodes = ray("rsync-up", "aws.yaml", "packs/", "/home/awcl/data/packs/")
    on_the_machine, into_the_container = "/tmp/ray_tmp_mount/awcl/home/awcl/data/packs", "exec -i"
    assert on_the_machine in nodes and into_the_container in nodes


def _can_be_watched(ray) -> None:
    _, nodes = ray("attach", "aws.yaml")
    assert "$SHELL" in nodes
    _, nodes = ray("attach", "--tmux", "aws.yaml")
    assert "tmux attach" in nodes
    _, nodes = ray("dashboard", "aws.yaml")
    assert "8265:localhost:8265" in nodes
    _, nodes = ray("exec", "aws.yaml", "ray status")
    assert "ray status" in nodes
    _, nodes = ray("monitor", "aws.yaml")
    assert "tail" in nodes and "monitor" in nodes


def _is_as_the_file_says(head: dict, account: dict) -> None:
    assert head["InstanceType"] == "m6i.xlarge"
    assert "InstanceLifecycle" not in head  # on demand
    assert head["IamInstanceProfile"]["Arn"].endswith("/awcl-head")
    assert [group["GroupId"] for group in head["SecurityGroups"]] == [account["SecurityGroup"]]
    assert head["MetadataOptions"]["HttpTokens"] == "required"


def _were_told_to_start(nodes: str) -> None:
    for part in (
        "docker pull ghcr.io/example/awcl:0.1.0",
        "ray start --head --port=6379",
        "--dashboard-host=127.0.0.1",
        "RAY_AUTH_MODE=",
        ".ray/auth_token",
    ):
        assert part in nodes, part
    assert "a token of nobody" not in nodes  # copied as a file, never a word of a command


def test_the_account_opens_ssh_to_one_address_and_ray_adds_nothing(machines, account):
    """After the way above: a group that Ray manages would be open by now."""
    [group] = machines.describe_security_groups(GroupIds=[account["SecurityGroup"]])[
        "SecurityGroups"
    ]
    addresses = [one["CidrIp"] for rule in group["IpPermissions"] for one in rule["IpRanges"]]
    assert addresses == [MINE]
    names = [one["GroupName"] for one in machines.describe_security_groups()["SecurityGroups"]]
    assert not [name for name in names if name.startswith("ray-autoscaler")]


def test_the_stubs_run_nothing(lab):
    """`ray stop` of a node must not be one of this machine."""
    text = (lab / "bin" / "ssh").read_text()
    assert "subprocess" not in text and "system" not in text
    assert yaml.safe_load((lab / "aws.yaml").read_text())["provider"]["type"] == "aws"
