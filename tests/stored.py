"""What is stored, in a folder or in a bucket."""

from pathlib import Path

import boto3


def versions(bucket: str, prefix: str, server: str) -> dict[str, tuple]:
    """Every object under a prefix, with what changes when it is written."""
    client = boto3.client("s3", endpoint_url=server)
    name = bucket.removeprefix("s3://")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
    found = [item for page in pages for item in page.get("Contents", [])]
    return {item["Key"]: (item["ETag"], item["LastModified"]) for item in found}


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file in it."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}
