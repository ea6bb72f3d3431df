"""kubeconform, with the schemas that a running API server publishes: what it does not serve, or not know, is found.

No schema is written by hand or comes from a collection, so that none can be older or milder than the server.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.scan.findings import Finding, Scan, answer_of, write
from e2e.tools.builder import tool

_FILE = "{group}_{version}_{kind}.json"
_LOCATION = _FILE.format(group="{{.Group}}", version="{{.ResourceAPIVersion}}", kind="{{.ResourceKind}}")
_ALTERNATIVES = {"allOf", "anyOf", "oneOf", "not"}
"""What a schema says beside its own fields; in the schemas of CRDs these only name some of the fields again."""
_REFERENCE = re.compile(r"#/components/schemas/([^\"]+)")


def conform(subjects: Mapping[str, list[dict[str, Any]]], cluster: Cluster) -> Scan:
    """Check each subject's objects against what `cluster` serves. Raises CommandError when kubeconform does not run."""
    with tempfile.TemporaryDirectory() as name:
        schemas, manifests = Path(name) / "schemas", Path(name) / "manifests"
        schemas.mkdir()
        manifests.mkdir()
        kinds: dict[str, set[str]] = {}
        for each in itertools.chain.from_iterable(subjects.values()):
            kinds.setdefault(each["apiVersion"], set()).add(each["kind"])
        for file, schema in _schemas(cluster, kinds):
            (schemas / file).write_text(json.dumps(schema))
        write(manifests, subjects)
        answer = _run(schemas, manifests)
    found = (
        Finding(
            Path(each["filename"]).stem,
            each["status"],
            f"{each['version']}/{each['kind']} {each['name']}",
            each["msg"].splitlines()[0],
        )
        for each in answer["resources"]
    )
    return Scan(answer["summary"]["valid"], tuple(sorted(found)))


def _run(schemas: Path, manifests: Path) -> dict[str, Any]:
    command = [
        str(tool("kubeconform")), "-strict", "-summary", "-output", "json",
        "-schema-location", str(schemas / _LOCATION), str(manifests),
    ]  # fmt: skip
    answer: dict[str, Any] = answer_of("kubeconform", command)
    return answer


def _schemas(cluster: Cluster, kinds: Mapping[str, set[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """File name and schema of each kind of these API versions. Of a version that is not served there are none."""
    for api_version, wanted in sorted(kinds.items()):
        address = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        served = _get(cluster, address)
        if served is not None:
            expected = wanted & {each["kind"] for each in served["resources"]}
            yield from eventually(functools.partial(_published, cluster, api_version, expected), timeout=30)


def _published(cluster: Cluster, api_version: str, expected: set[str]) -> list[tuple[str, dict[str, Any]]]:
    """The schema of a new CRD is published some moments after the CRD is served."""
    path = f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"
    index = json.loads(cluster.kubectl("get", "--raw", "/openapi/v3"))["paths"]
    document = json.loads(cluster.kubectl("get", "--raw", index[path]["serverRelativeURL"]))
    found = dict(_kinds(api_version, document["components"]["schemas"]))
    assert {_file(api_version, kind) for kind in expected} <= found.keys()
    return list(found.items())


def _get(cluster: Cluster, address: str) -> Any:
    """None where nothing is served."""
    try:
        return json.loads(cluster.kubectl("get", "--raw", address))
    except subprocess.CalledProcessError:
        return None


def _file(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    # Without a group kubeconform takes the version for it.
    return _FILE.format(group=group or version, version=version, kind=kind.lower())


def _kinds(api_version: str, parts: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    group, _, version = api_version.rpartition("/")
    for name, part in parts.items():
        for kind in part.get("x-kubernetes-group-version-kind", ()):
            if (kind["group"], kind["version"]) == (group, version):
                yield _file(api_version, kind["kind"]), _alone(name, parts)


def _alone(name: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of one kind with all that it refers to."""
    needed, todo = dict[str, Any](), [name]
    while todo:
        each = todo.pop()
        if each not in needed:
            text = json.dumps(_closed(parts[each]))
            needed[each] = json.loads(_REFERENCE.sub(r"#/definitions/\1", text))
            todo += _REFERENCE.findall(text)
    return {"$ref": f"#/definitions/{name}", "definitions": needed}


def _closed(schema: Any) -> Any:
    """Unknown fields are refused, as the API server's strict validation does."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: value if key in _ALTERNATIVES else _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        made["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields", False))
    return made
