"""The committed files of a cluster, parsed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

CLUSTER = Path(__file__).parents[2] / "cluster"


class Template(yaml.SafeLoader):
    """CloudFormation's YAML: what `!Ref X` gives is not known here, so it stays {"!Ref": X}."""


def _function(loader: Template, suffix: str, node: yaml.Node) -> dict[str, Any]:
    read = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda n: loader.construct_sequence(n, deep=True),
        yaml.MappingNode: lambda n: loader.construct_mapping(n, deep=True),
    }
    return {f"!{suffix}": read[type(node)](node)}


Template.add_multi_constructor("!", _function)


@pytest.fixture(scope="session")
def of_launcher() -> dict[str, dict[str, Any]]:
    """Each file of Ray's cluster launcher by its name."""
    names = ("aws", "gcp", "onprem")
    return {name: yaml.safe_load((CLUSTER / f"{name}.yaml").read_text()) for name in names}


@pytest.fixture(scope="session")
def kuberay() -> dict[str, dict[str, Any]]:
    """Kind -> document."""
    return {one["kind"]: one for one in yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text())}


@pytest.fixture(scope="session")
def lab() -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / "docker-compose.yaml").read_text())


@pytest.fixture(scope="session")
def account() -> dict[str, dict[str, Any]]:
    """Name -> resource of the stack of an AWS account."""
    text = (CLUSTER / "aws-account.yaml").read_text()
    return yaml.load(text, Template)["Resources"]
