"""A site as a job of KubeRay: the cluster comes, runs one study, and goes.

A NetworkPolicy stands before the job: pods of Ray are reached by each other and by the operator.
"""

from typing import Any

from cluster.launcher import HOME, environment
from cluster.model import DRIVERS, NodeType, Site

RAY = "2.60.0"  # as in requirements.txt; a test compares them
LABELS = {"app.kubernetes.io/name": "awcl"}
GPU = "nvidia.com/gpu"


def documents(site: Site) -> list[dict[str, Any]]:
    """The policy and the job, in one file for `kubectl apply`."""
    return [_policy(site), _job(site)]


def _policy(site: Site) -> dict[str, Any]:
    operator = {"kubernetes.io/metadata.name": site.kubernetes.operator_namespace}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": site.name, "namespace": site.kubernetes.namespace},
        "spec": {
            "podSelector": {"matchLabels": LABELS},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": LABELS}}]},
                {
                    "from": [{"namespaceSelector": {"matchLabels": operator}}],
                    "ports": [{"protocol": "TCP", "port": 8265}],
                },
            ],
        },
    }


def _job(site: Site) -> dict[str, Any]:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": site.name, "namespace": site.kubernetes.namespace},
        "spec": {
            "entrypoint": f"awcl study run {site.kubernetes.study}",
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "backoffLimit": 3,  # a run that is started again goes on where the last one ended
            "submitterPodTemplate": {
                "metadata": {"labels": LABELS},
                "spec": {
                    **_pod(site),
                    "automountServiceAccountToken": False,
                    "restartPolicy": "Never",
                    "containers": [_container(site, "submitter", 1, 1)],
                },
            },
            "rayClusterSpec": {
                "rayVersion": RAY,
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {
                    "version": "v2",
                    "idleTimeoutSeconds": 60 * site.idle_minutes,
                    "resources": _twice({"cpu": "500m", "memory": "512Mi"}),
                    "securityContext": _closed(),
                },
                "headGroupSpec": _head(site),
                "workerGroupSpecs": [_workers(site, *item) for item in site.workers.items()],
            },
        },
    }


def _head(site: Site) -> dict[str, Any]:
    drivers = ", ".join(f'\\"{name}\\": {count}' for name, count in DRIVERS.items())
    container = _container(site, "ray-head", site.head.cpus, site.head.memory)
    container["ports"] = [
        {"containerPort": port, "name": name}
        for name, port in {"gcs-server": 6379, "dashboard": 8265, "client": 10001}.items()
    ]
    # MLflow's name and password, for the only process that writes to it
    container["envFrom"] = [{"secretRef": {"name": "awcl-tracking", "optional": True}}]
    template = _template(site, container)
    claim = {"claimName": site.kubernetes.data_claim}
    template["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": claim})
    container["volumeMounts"].append({"name": "data", "mountPath": f"{HOME}/data"})
    return {
        "serviceType": "ClusterIP",  # `kubectl port-forward` is the way in
        "rayStartParams": {"num-cpus": "0", "resources": f'"{{{drivers}}}"'},
        "template": template,
    }


def _workers(site: Site, name: str, kind: NodeType) -> dict[str, Any]:
    container = _container(site, "ray-worker", kind.cpus, kind.memory, kind.gpus)
    # of the node's disk, for packs; the rest is the image's and the node's own
    container["resources"]["requests"]["ephemeral-storage"] = f"{kind.disk * 8 // 10}G"
    template = _template(site, container)
    # The account's own token is the autoscaler's, in the head; clouds give an identity without it.
    template["spec"]["automountServiceAccountToken"] = False
    tolerations = []
    if kind.gpus:
        tolerations.append({"key": GPU, "operator": "Exists", "effect": "NoSchedule"})
    if kind.spot:
        template["spec"]["nodeSelector"] = site.kubernetes.spot
        tolerations += [
            {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
            for key, value in site.kubernetes.spot.items()
        ]
    template["spec"]["tolerations"] = tolerations
    return {
        "groupName": name,
        "replicas": 0,
        "minReplicas": 0,
        "maxReplicas": kind.at_most,
        "rayStartParams": {"num-cpus": str(kind.cpus)}
        | ({"num-gpus": str(kind.gpus)} if kind.gpus else {}),
        "template": template,
    }


def _template(site: Site, container: dict[str, Any]) -> dict[str, Any]:
    memory = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}
    container["volumeMounts"] = [{"name": "shm", "mountPath": "/dev/shm"}]
    spec = {**_pod(site), "containers": [container], "volumes": [memory]}
    return {"metadata": {"labels": LABELS}, "spec": spec}


def _pod(site: Site) -> dict[str, Any]:
    return {
        "serviceAccountName": site.kubernetes.service_account,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _container(site: Site, name: str, cpus: int, memory: int, gpus: int = 0) -> dict[str, Any]:
    """The image with all that it may use; a little less than the machine, which keeps some, as the
    autoscaler beside the head does."""
    whole, others = name == "submitter", 1000 if name == "ray-head" else 500
    size: dict[str, Any] = {
        "cpu": str(cpus) if whole else f"{cpus * 1000 - others}m",
        "memory": f"{memory if whole else memory * 8 // 10}G",
    }
    if gpus:
        size[GPU] = gpus
    return {
        "name": name,
        "image": site.container,
        "workingDir": HOME,
        "env": [{"name": key, "value": value} for key, value in environment(site).items()],
        "resources": _twice(size),
        "securityContext": _closed(),
    }


def _twice(size: dict[str, Any]) -> dict[str, Any]:
    return {"requests": size, "limits": dict(size)}


def _closed() -> dict[str, Any]:
    """What any container may not do."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
