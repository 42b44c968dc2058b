"""The files of a site as text, each with the line that says where it comes from."""

from typing import Any

import yaml

from cluster import kuberay, launcher
from cluster.model import Site

NOTE = "# Written by `python -m cluster` from cluster/site.toml; change that one.\n"


def rendered(site: Site) -> dict[str, str]:
    """Name of each file in cluster/ -> its text."""
    return {
        "aws.yaml": _text([launcher.aws(site)]),
        "gcp.yaml": _text([launcher.gcp(site)]),
        "onprem.yaml": _text([launcher.onprem(site)]),
        "kuberay.yaml": _text(kuberay.documents(site)),
    }


class _Plain(yaml.SafeDumper):
    """Without anchors: what is the same twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(documents: list[dict[str, Any]]) -> str:
    body = yaml.dump_all(
        documents, Dumper=_Plain, sort_keys=False, width=100, default_flow_style=False
    )
    return NOTE + body
