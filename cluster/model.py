"""The machines of a cluster, and what differs from lab to lab: `cluster/site.toml`, typed."""

import ipaddress
import shlex
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from awcl.commands.submitting import check_words
from awcl.config import Config, parse
from awcl.errors import InputError

HERE = Path(__file__).parent
SITE = HERE / "site.toml"

DRIVERS = {"TRAIN_DRIVER": 1000}
"""What only the head offers, so that the drivers of trials stay off machines that may go."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]


Volume = Annotated[str, Field(pattern=r"^/[\w/.-]+:/[\w/.-]+$")]


def _private(address: str) -> str:
    if not ipaddress.ip_address(address).is_private:
        raise ValueError(f"{address} is a public address; machines of a cluster have private ones")
    return address


PrivateAddress = Annotated[str, AfterValidator(_private)]


def _checked(command: str) -> str:
    check_words(shlex.split(command))
    return command


Command = Annotated[str, Field(min_length=1), AfterValidator(_checked)]


class NodeType(Config):
    """One kind of machine."""

    cpus: int = Field(ge=1)
    """Virtual processors, as the provider counts them."""
    gpus: int = Field(0, ge=0)
    memory: int = Field(ge=1)
    """GB."""
    disk: int = Field(ge=50)
    """GB; holds the image (15 GB), Ray's spilled objects, and the packs of a study: one copy on a
    worker, which fetches them; two on the head, where `ray rsync-up` leaves one on the machine
    beside that in the container."""
    spot: bool = False
    """Cheaper, and may be taken away; a study goes on without it (`When a spot node goes`)."""
    at_most: int = Field(1, ge=1)
    """Machines of this kind; there are none of them while nothing asks for them."""
    aws: str
    """Instance type."""
    gcp: str
    """Machine type."""
    gcp_card: str = ""
    """Accelerator type of the cards, e.g. nvidia-l4."""

    @property
    def resources(self) -> dict[str, int]:
        """What one offers to trials, in Ray's words."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})

    @model_validator(mode="after")
    def _cards_have_a_name(self) -> "NodeType":
        if bool(self.gpus) != bool(self.gcp_card):
            raise ValueError("gpus and gcp_card go together; give both or neither")
        return self


class Aws(Config):
    """What the stack of aws-account.yaml gave, and where."""

    region: str
    zones: list[str] = Field(min_length=1)
    image: str = Field(pattern=r"^ami-[0-9a-f]+$")
    """Machine image with Docker and NVIDIA's driver and container toolkit."""
    subnets: list[str] = Field(min_length=1)
    security_group: str = Field(pattern=r"^sg-[0-9a-z]+$")


class Gcp(Config):
    """What gcp-account.sh made, and where."""

    project: str
    region: str
    zone: str
    image: str
    """Machine image with Docker and NVIDIA's driver and container toolkit."""


class Kubernetes(Config):
    namespace: Name
    service_account: Name
    """Its identity in the cloud may write to the bucket."""
    operator_namespace: Name
    """Where KubeRay's operator runs: the only other that may speak to the head."""
    spot: dict[str, str]
    """Label of the nodes that are spot machines; they are tainted with the same."""
    data_claim: Name
    """Volume with the frame table and its pack, mounted in the head as ~/data, which writes
    checksums beside the pack; workers fetch it from the study's storage."""
    study: Command
    """What the job runs, after `awcl study run`."""


class OnPremises(Config):
    user: Name
    key: str = Field(pattern=r"^[~/][\w/.-]*$")
    """File here of the ssh key of that user on all machines. It goes to the head, which starts Ray
    on the others by it: so a key for nothing else."""
    head: PrivateAddress
    workers: list[PrivateAddress] = Field(min_length=1)
    tls: str = Field(pattern=r"^/[\w/.-]+$")
    """Folder on every machine with ca.crt, server.crt and server.key: Ray speaks TLS with them."""


class Site(Config):
    """A lab's cluster. The head is never spot; workers come when trials wait for them."""

    name: Name
    container: str = Field(min_length=1)
    """Image of cluster/Dockerfile in a registry that the machines can read."""
    volumes: list[Volume] = []
    """What containers of `ray up` see of their machine's disks: FOLDER_THERE:FOLDER_HERE."""
    idle_minutes: int = Field(5, ge=1)
    """How long a worker without work is kept."""
    head: NodeType
    gpu_workers: NodeType
    cpu_workers: NodeType | None = None
    """For evaluations, which then need not hold a card."""
    aws: Aws
    gcp: Gcp
    kubernetes: Kubernetes
    onprem: OnPremises

    @model_validator(mode="after")
    def _sound(self) -> "Site":
        if self.head.spot or self.head.gpus or self.head.at_most != 1:
            raise ValueError(
                "head: is one machine on demand, without cards: the study dies with it"
            )
        if not self.gpu_workers.gpus:
            raise ValueError("gpu_workers: have no gpus")
        if self.cpu_workers and self.cpu_workers.gpus:
            raise ValueError("cpu_workers: have gpus")
        return self

    @property
    def workers(self) -> dict[str, NodeType]:
        """Kinds of worker by name."""
        kinds = {"gpu-workers": self.gpu_workers, "cpu-workers": self.cpu_workers}
        return {name: kind for name, kind in kinds.items() if kind}

    @property
    def at_most(self) -> int:
        """Workers of all kinds together."""
        return sum(kind.at_most for kind in self.workers.values())

    @property
    def machines(self) -> list[dict[str, int]]:
        """Each kind of worker: what one offers to trials, and how many there are at most."""
        return [{"at_most": kind.at_most, **kind.resources} for kind in self.workers.values()]


def load(file: Path = SITE) -> Site:
    """The site of a TOML file. Raises InputError where it is none."""
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: is no TOML: {error}") from error
    return parse(Site, values, str(file))
