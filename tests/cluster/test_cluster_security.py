"""What the files of a cluster let in, and whom: rules, held on the files as committed."""

import configparser
import itertools
import re
from pathlib import Path

import pytest

from cluster.model import load

CLUSTER = Path(__file__).parents[2] / "cluster"
LAUNCHED = ["aws", "gcp", "onprem"]
PUBLISHED = re.compile(r"0\.0\.0\.0|::/0|--dashboard-host=(?!127\.0\.0\.1)")


def statements(account: dict, role: str) -> list[dict]:
    """Of a role's own policies, and of those that name it."""
    shared = [one["Properties"] for one in account.values() if "ManagedPolicy" in one["Type"]]
    policies = [one for one in shared if {"!Ref": role} in one["Roles"]]
    policies += account[role]["Properties"].get("Policies", [])
    return [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def pods(kuberay) -> dict[str, dict]:
    spec = kuberay["RayJob"]["spec"]
    cluster = spec["rayClusterSpec"]
    groups = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    head = cluster["headGroupSpec"]["template"]
    return {"head": head, "submitter": spec["submitterPodTemplate"], **groups}


# --- doors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAUNCHED)
def test_the_dashboard_listens_on_its_own_machine_only(of_launcher, name):
    head = of_launcher[name]["head_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in head
    assert not PUBLISHED.search(str(of_launcher[name]))


def test_aws_lets_in_ssh_from_one_address_and_the_machines_themselves(account):
    [group] = [one for one in account.values() if one["Type"] == "AWS::EC2::SecurityGroup"]
    [ssh] = group["Properties"]["SecurityGroupIngress"]
    assert (ssh["FromPort"], ssh["ToPort"]) == (22, 22)
    assert ssh["CidrIp"] == {"!Ref": "MyAddress"}
    rules = [one for one in account.values() if one["Type"] == "AWS::EC2::SecurityGroupIngress"]
    for rule in rules:
        assert not {"CidrIp", "CidrIpv6"} & set(rule["Properties"])
        assert rule["Properties"]["SourceSecurityGroupId"] == {"!Ref": "Machines"}
    template = (CLUSTER / "aws-account.yaml").read_text()
    assert "AllowedPattern: '^[0-9.]+/32$'" in template
    world = [name for name, one in account.items() if "0.0.0.0/0" in str(one)]
    assert world == ["RouteOut"]  # a way out


def test_ray_makes_no_security_group_of_its_own(of_launcher):
    """Into one of its own it puts ssh from everywhere."""
    assert "security_group" not in of_launcher["aws"]["provider"]
    for kind in of_launcher["aws"]["available_node_types"].values():
        assert kind["node_config"]["SecurityGroupIds"]


def test_google_lets_in_ssh_from_one_address_and_the_machines_themselves(of_launcher):
    script = (CLUSTER / "gcp-account.sh").read_text().replace("\\\n", " ")
    assert "0.0.0.0" not in script
    rules = [line for line in script.splitlines() if "firewall-rules create" in line]
    assert len(rules) == 2
    for rule in rules:
        assert ("--source-ranges" in rule) != ("--source-tags awcl" in rule)
    assert '--source-ranges "$mine"' in rules[0] and rules[0].endswith("--allow tcp:22")
    public = {
        name
        for name, kind in of_launcher["gcp"]["available_node_types"].items()
        for interface in kind["node_config"]["networkInterfaces"]
        if "accessConfigs" in interface
    }
    assert public == {"head"}


def test_pods_are_reached_by_each_other_and_by_the_operator(kuberay):
    spec = kuberay["RayJob"]["spec"]["rayClusterSpec"]
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    policy = kuberay["NetworkPolicy"]["spec"]
    labels = policy["podSelector"]["matchLabels"]
    for pod in pods(kuberay).values():
        assert pod["metadata"]["labels"] == labels
    among, operator = policy["ingress"]
    assert among == {"from": [{"podSelector": {"matchLabels": labels}}]}
    assert [port["port"] for port in operator["ports"]] == [8265]
    assert "ipBlock" not in str(policy)


def test_a_labs_server_is_reached_by_tls_on_one_address_only(lab):
    open_ = {name: one["ports"] for name, one in lab["services"].items() if "ports" in one}
    assert set(open_) == {"proxy"}
    assert all(port.startswith("${LAB_ADDRESS:?") for port in open_["proxy"])
    outside = [n for n, one in lab["services"].items() if "outside" in one.get("networks", [])]
    assert outside == ["proxy"] and lab["networks"]["inside"]["internal"] is True
    caddy = (CLUSTER / "Caddyfile").read_text()
    sites = re.findall(r"^(\S+) \{\n\t(\S+)", caddy, re.MULTILINE)
    assert len(sites) == len(open_["proxy"])
    assert all(name.startswith("https://") and first == "tls" for name, first in sites)


# --- who is let in ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAUNCHED)
def test_every_machine_asks_for_the_token(of_launcher, name):
    assert "--env RAY_AUTH_MODE='token'" in of_launcher[name]["docker"]["run_options"]
    assert of_launcher[name]["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}


def test_every_pod_asks_for_the_token(kuberay):
    assert kuberay["RayJob"]["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for pod in pods(kuberay).values():
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in pod["spec"]["containers"][0]["env"]


def test_mlflow_asks_for_a_password_and_knows_its_name(lab):
    command = lab["services"]["mlflow"]["command"]
    assert "--app-name=basic-auth" in command
    for flag in ("--allowed-hosts=", "--cors-allowed-origins="):
        [value] = [part.removeprefix(flag) for part in command if part.startswith(flag)]
        assert "LAB_HOST:?" in value and "*" not in value
    assert "--disable-security-middleware" not in command
    rights = configparser.ConfigParser()
    rights.read(CLUSTER / "basic_auth.ini")
    assert rights["mlflow"]["default_permission"] == "NO_PERMISSIONS"
    assert "admin_password" not in rights["mlflow"]


def test_ray_on_own_machines_speaks_tls(of_launcher):
    options = " ".join(of_launcher["onprem"]["docker"]["run_options"])
    assert "RAY_USE_TLS='1'" in options
    for name in ("RAY_TLS_CA_CERT", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY"):
        assert f"--env {name}='/etc/awcl/tls/" in options
    assert "--volume /etc/awcl/tls:/etc/awcl/tls:ro" in options


# --- rights -------------------------------------------------------------------------------------


def test_machines_of_aws_give_their_role_by_imdsv2_only_and_write_encrypted(of_launcher):
    for name, kind in of_launcher["aws"]["available_node_types"].items():
        machine = kind["node_config"]
        assert machine["MetadataOptions"] == {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
        }
        role = "head" if name == "head" else "worker"
        assert machine["IamInstanceProfile"] == {"Name": f"awcl-{role}"}
        assert all(disk["Ebs"]["Encrypted"] for disk in machine["BlockDeviceMappings"])


def test_the_profiles_that_machines_have_are_those_of_the_account(account, of_launcher):
    made = {
        one["Properties"]["InstanceProfileName"]
        for one in account.values()
        if one["Type"] == "AWS::IAM::InstanceProfile"
    }
    kinds = of_launcher["aws"]["available_node_types"].values()
    assert made == {kind["node_config"]["IamInstanceProfile"]["Name"] for kind in kinds}


def test_no_role_has_a_policy_of_somebody_else_or_a_wildcard_action(account):
    roles = [name for name, one in account.items() if one["Type"] == "AWS::IAM::Role"]
    assert sorted(roles) == ["Head", "Worker"]
    for role in roles:
        assert "ManagedPolicyArns" not in account[role]["Properties"]
        actions = [a for one in statements(account, role) for a in listed(one["Action"])]
        assert actions and not any("*" in action for action in actions)


def test_a_role_names_what_it_may_touch(account):
    """Everything only where AWS knows no resource of the action."""
    for role in ("Head", "Worker"):
        for statement in statements(account, role):
            if "*" in listed(statement["Resource"]):
                for action in listed(statement["Action"]):
                    assert action == "ecr:GetAuthorizationToken" or action.startswith(
                        "ec2:Describe"
                    )


def test_a_worker_may_use_the_bucket_and_the_image_and_start_nothing(account):
    actions = [a for one in statements(account, "Worker") for a in listed(one["Action"])]
    assert {action.split(":")[0] for action in actions} == {"s3", "ecr"}
    assert not [action for action in actions if "Policy" in action or action == "s3:DeleteBucket"]


def test_the_head_ends_machines_of_its_cluster_and_passes_the_workers_role_only(account):
    by_action = {
        action: one
        for one in statements(account, "Head")
        for action in listed(one["Action"])
        if action in ("ec2:TerminateInstances", "iam:PassRole")
    }
    ends = by_action["ec2:TerminateInstances"]["Condition"]["StringEquals"]
    assert ends == {"aws:ResourceTag/ray-cluster-name": {"!Ref": "Cluster"}}
    assert by_action["iam:PassRole"]["Resource"] == {"!GetAtt": "Worker.Arn"}
    starts = [one for one in statements(account, "Head") if one["Action"] == "ec2:RunInstances"]
    [machine] = [one for one in starts if "Condition" in one]
    assert machine["Condition"]["StringEquals"]["ec2:MetadataHttpTokens"] == "required"


def test_accounts_of_google_have_no_broad_role(of_launcher):
    script = (CLUSTER / "gcp-account.sh").read_text()
    granted = set(re.findall(r"--role (\S+)", script))
    assert granted == {
        "roles/storage.objectUser",  # of the bucket
        "roles/artifactregistry.reader",  # of the repository
        "roles/iam.serviceAccountUser",  # of the workers' account
        '"projects/$project/roles/awclHead"',
    }
    for_project = [line for line in script.splitlines() if "projects add-iam-policy" in line]
    assert len(for_project) == 1
    for name, kind in of_launcher["gcp"]["available_node_types"].items():
        [used] = kind["node_config"]["serviceAccounts"]
        assert used["email"].startswith("awcl-head@" if name == "head" else "awcl-worker@")


def test_nothing_runs_as_root(kuberay):
    for name in ("Dockerfile", "mlflow.Dockerfile"):
        lines = (CLUSTER / name).read_text().splitlines()
        users = [line.split()[1] for line in lines if line.startswith("USER ")]
        assert users and users[-1] not in ("root", "0")
    for pod in pods(kuberay).values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        [container] = pod["spec"]["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_only_the_head_holds_the_rights_of_the_autoscaler(kuberay):
    """KubeRay binds them to the account that all pods run by."""
    for name, pod in pods(kuberay).items():
        mounts = pod["spec"].get("automountServiceAccountToken", True)
        assert mounts == (name == "head"), name


def test_the_autoscaler_beside_the_head_is_closed_too_and_fits_on_the_machine(kuberay):
    cluster = kuberay["RayJob"]["spec"]["rayClusterSpec"]
    beside, [head] = cluster["autoscalerOptions"], pods(kuberay)["head"]["spec"]["containers"]
    assert beside["securityContext"] == head["securityContext"]
    asked = [of["resources"]["requests"]["cpu"] for of in (beside, head)]
    left = 1000 * load(CLUSTER / "site.toml").head.cpus - sum(int(cpu[:-1]) for cpu in asked)
    assert all(cpu.endswith("m") for cpu in asked) and left >= 500


def test_the_head_of_own_machines_gets_a_key_to_start_the_others_by(of_launcher):
    """Ray's launcher passes on `ssh_private_key`, and makes none where the provider is local."""
    assert of_launcher["onprem"]["auth"]["ssh_private_key"].startswith("~/")


def test_the_bucket_is_closed_encrypted_and_refuses_what_comes_without_tls(account):
    bucket = account["Bucket"]["Properties"]
    closed = bucket["PublicAccessBlockConfiguration"]
    assert set(closed) == {
        "BlockPublicAcls",
        "BlockPublicPolicy",
        "IgnorePublicAcls",
        "RestrictPublicBuckets",
    }
    assert all(value is True for value in closed.values())
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")
    [policy] = [one for one in account.values() if one["Type"] == "AWS::S3::BucketPolicy"]
    assert policy["Properties"]["Bucket"] == {"!Ref": "Bucket"}
    [refused] = policy["Properties"]["PolicyDocument"]["Statement"]
    assert refused == {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [{"!GetAtt": "Bucket.Arn"}, {"!Sub": "${Bucket.Arn}/*"}],
        "Condition": {"Bool": {"aws:SecureTransport": False}},
    }


def test_the_bucket_of_google_is_closed():
    script = (CLUSTER / "gcp-account.sh").read_text().replace("\\\n", " ")
    [made] = [line for line in script.splitlines() if "buckets create" in line]
    assert "--public-access-prevention" in made and "--uniform-bucket-level-access" in made


# --- secrets ------------------------------------------------------------------------------------

SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN|://[^\s/:${}]+:[^\s/@${}]+@|AIza[\w-]{30}|gh[ps]_\w{30}"
    r"|(?i:password|secret|token)\w*[ \t]*[:=][ \t]*['\"]?(?=[\w+/-]*\d)[\w+/-]{12,}"
)


def test_the_search_for_secrets_finds_some():
    for text in (
        "key: AKIAABCDEFGHIJKLMNOP",
        "postgresql://mlflow:hunter22@database/mlflow",
        "MLFLOW_SECRET_KEY=5f1d3a9c77ab41e2",
        "-----BEGIN RSA PRIVATE KEY-----",
    ):
        assert SECRET.search(text), text


def test_no_file_holds_a_secret():
    for file in sorted(path for path in CLUSTER.iterdir() if path.is_file()):
        assert not SECRET.search(file.read_text()), file.name


def test_every_secret_of_a_lab_is_required_and_has_no_default(lab):
    asked = set(re.findall(r"\$\{(\w+)([^}]*)\}", (CLUSTER / "docker-compose.yaml").read_text()))
    assert asked and all(rest.startswith(":?") for _, rest in asked)
    lines = (CLUSTER / "lab.env.example").read_text().splitlines()
    example = dict(line.split("=") for line in lines if not line.startswith("#"))
    assert set(example) == {name for name, _ in asked} and set(example.values()) == {""}
    ignored = (CLUSTER.parent / ".gitignore").read_text().splitlines()
    assert "cluster/lab.env" in ignored
    environments = [one.get("environment", {}).items() for one in lab["services"].values()]
    for name, value in itertools.chain(*environments):
        if re.search("PASSWORD|SECRET|ACCESS_KEY", name):
            assert re.fullmatch(r"\$\{\w+:\?\}", value), name
