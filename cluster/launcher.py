"""A site as files of Ray's cluster launcher (`ray up`): AWS, Google Cloud, machines of one's own.

Each function gives the file as nested dictionaries. What all three share is `_common`; what a
security rule rests on says so beside it, and tests/cluster/test_cluster_security.py holds it.
"""

import json
from typing import Any

from cluster.model import DRIVERS, NodeType, Site

HOME = "/home/awcl"  # of the user in the image
TOKEN = "~/.ray/auth_token"  # here, and in the container of every machine
START_TIMEOUT = 1800  # seconds; a machine boots and pulls the image while a trial waits for it


def aws(site: Site) -> dict[str, Any]:
    """`ray up cluster/aws.yaml`"""
    region = site.aws.region
    return {
        "cluster_name": site.name,
        **_common(site, {"AWS_REGION": region}),
        "provider": {
            "type": "aws",
            "region": region,
            "availability_zone": ",".join(site.aws.zones),
            "cache_stopped_nodes": False,  # a stopped machine's disk goes on costing
        },
        "auth": {"ssh_user": "ubuntu"},
        "max_workers": site.at_most,
        "head_node_type": "head",
        "available_node_types": _node_types(site, _aws_machine),
    }


def gcp(site: Site) -> dict[str, Any]:
    """`ray up cluster/gcp.yaml`"""
    return {
        "cluster_name": site.name,
        **_common(site, {}),
        "provider": {
            "type": "gcp",
            "region": site.gcp.region,
            "availability_zone": site.gcp.zone,
            "project_id": site.gcp.project,
            "cache_stopped_nodes": False,
        },
        "auth": {"ssh_user": "ubuntu"},
        "max_workers": site.at_most,
        "head_node_type": "head",
        "available_node_types": _node_types(site, _gcp_machine),
    }


def onprem(site: Site) -> dict[str, Any]:
    """`ray up cluster/onprem.yaml`: machines that are always there."""
    tls = site.onprem.tls
    environment = {
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": f"{tls}/ca.crt",
        "RAY_TLS_SERVER_CERT": f"{tls}/server.crt",
        "RAY_TLS_SERVER_KEY": f"{tls}/server.key",
    }
    common = _common(site, environment, drivers_by_flag=True, grows=False)
    common["docker"]["run_options"].append(f"--volume {tls}:{tls}:ro")
    return {
        "cluster_name": site.name,
        **common,
        "provider": {
            "type": "local",
            "head_ip": site.onprem.head,
            "worker_ips": site.onprem.workers,
        },
        "auth": {"ssh_user": site.onprem.user, "ssh_private_key": site.onprem.key},
        "min_workers": len(site.onprem.workers),
        "max_workers": len(site.onprem.workers),
    }


def environment(site: Site) -> dict[str, str]:
    """Variables of every Ray process, on machines and in pods alike."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(START_TIMEOUT),
        "AWCL_CLUSTER_MACHINES": json.dumps(site.machines, separators=(",", ":")),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _common(
    site: Site, more: dict[str, str], drivers_by_flag: bool = False, grows: bool = True
) -> dict[str, Any]:
    """What every provider's file says: the image, the token, how Ray starts.

    drivers_by_flag: the head offers DRIVERS by a flag, where there are no node types to say it.
    grows: workers come and go, so trials may count on machines that are not there yet.
    """
    variables = environment(site) | more
    if not grows:
        del variables["AWCL_CLUSTER_MACHINES"]
    offers = f" --resources='{json.dumps(DRIVERS)}' --num-cpus=0" if drivers_by_flag else ""
    return {
        "docker": {
            "image": site.container,
            "container_name": site.name,
            "pull_before_run": True,
            "run_options": [
                "--shm-size=8g",  # loader workers hand over views in it
                "--ulimit nofile=65536:65536",
                *(f"--env {name}='{value}'" for name, value in variables.items()),
                *(f"--volume {volume}" for volume in site.volumes),
            ],
        },
        "initialization_commands": _registry_login(site.container),
        "idle_timeout_minutes": site.idle_minutes,
        "upscaling_speed": 1.0,
        "file_mounts": {TOKEN: TOKEN},  # not in this file: it is a secret
        "setup_commands": [],  # all code is in the image
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [
            "ray stop",
            "ray start --head --port=6379 --object-manager-port=8076"
            " --autoscaling-config=~/ray_bootstrap_config.yaml"
            " --dashboard-host=127.0.0.1 --dashboard-port=8265"  # by `ray dashboard` only
            f" --disable-usage-stats{offers}",
        ],
        "worker_start_ray_commands": [
            "ray stop",
            "ray start --address=$RAY_HEAD_IP:6379 --object-manager-port=8076"
            " --disable-usage-stats",
        ],
    }


def _registry_login(container: str) -> list[str]:
    """How a machine's Docker gets to read a registry of its own cloud; by its role, no password."""
    registry = container.split("/")[0]
    if ".dkr.ecr." in registry:
        region = registry.split(".")[3]
        login = f"docker login --username AWS --password-stdin {registry}"
        return [f"aws ecr get-login-password --region {region} | {login}"]
    if registry.endswith("-docker.pkg.dev"):
        return [f"gcloud auth configure-docker --quiet {registry}"]
    return []


def _node_types(site: Site, machine: Any) -> dict[str, Any]:
    """The head, which trains nothing, and from none to `at_most` of each kind of worker."""
    types = {
        "head": {
            "resources": {"CPU": 0, **DRIVERS},
            "node_config": machine(site, site.head, "head"),
        }
    }
    for name, kind in site.workers.items():
        types[name] = {
            "min_workers": 0,
            "max_workers": kind.at_most,
            "resources": kind.resources,
            "node_config": machine(site, kind, "worker"),
        }
    return types


def _aws_machine(site: Site, kind: NodeType, role: str) -> dict[str, Any]:
    disk = {"VolumeSize": kind.disk, "VolumeType": "gp3", "Encrypted": True}
    machine = {
        "InstanceType": kind.aws,
        "ImageId": site.aws.image,
        "SubnetIds": site.aws.subnets,
        # Ray would open SSH to the world in a group that it makes itself
        "SecurityGroupIds": [site.aws.security_group],
        "IamInstanceProfile": {"Name": f"awcl-{role}"},
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": disk}],
    }
    if kind.spot:
        machine["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time"},
        }
    return machine


def _gcp_machine(site: Site, kind: NodeType, role: str) -> dict[str, Any]:
    project, region, zone = site.gcp.project, site.gcp.region, site.gcp.zone
    network: dict[str, Any] = {
        "subnetwork": f"projects/{project}/regions/{region}/subnetworks/awcl"
    }
    if role == "head":  # workers reach registries and the bucket by Cloud NAT
        network["accessConfigs"] = [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}]
    machine: dict[str, Any] = {
        "machineType": kind.gcp,
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "type": "PERSISTENT",
                "initializeParams": {"diskSizeGb": kind.disk, "sourceImage": site.gcp.image},
            }
        ],
        "networkInterfaces": [network],
        "tags": {"items": ["awcl"]},  # of the firewall rules
        # takes the place of the account that Ray makes, which may do anything with machines
        "serviceAccounts": [
            {
                "email": f"awcl-{role}@{project}.iam.gserviceaccount.com",
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            }
        ],
        "shieldedInstanceConfig": {"enableVtpm": True, "enableIntegrityMonitoring": True},
    }
    if kind.gpus:
        card = f"projects/{project}/zones/{zone}/acceleratorTypes/{kind.gcp_card}"
        machine["guestAccelerators"] = [{"acceleratorType": card, "acceleratorCount": kind.gpus}]
    if kind.spot:
        machine["scheduling"] = {
            "provisioningModel": "SPOT",
            "instanceTerminationAction": "DELETE",
            "onHostMaintenance": "TERMINATE",
        }
    return machine
