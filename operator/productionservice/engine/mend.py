"""Repairs what server-side apply cannot: entries that others have put into our lists.

An apply merges lists by key and leaves other people's entries alone. After an edit by hand that is not enough: a
port that was renumbered stays beside ours, and two ports of one name are refused for ever. A merge patch replaces
lists whole. It would make its manager a second owner of every field, and fields that leave the desired manifest
later would stay; so that ownership is given up in a second patch.
"""

from __future__ import annotations

from productionservice import labels
from productionservice.children import Manifest
from productionservice.diff import unwanted_fields
from productionservice.engine.client import Body, Client, Resource


async def replace_lists(client: Client, resource: Resource, manifest: Manifest, *, uid: str) -> Body:
    """Make every list below `spec` what the manifest says, on that very object. Two writes; an apply has to follow.

    Rules in a policy that has none are taken away.

    Keys of maps that the manifest does not name are kept: the number of pods, annotations of `rollout restart`.
    """
    namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    removed = dict.fromkeys(unwanted_fields(manifest))  # null takes a field away
    patch = {"metadata": {"uid": uid}, "spec": {**removed, **manifest["spec"]}}
    patched = await client.merge(resource, namespace, name, patch, manager=labels.MEND_MANAGER)
    metadata = patched["metadata"]
    others = [entry for entry in metadata["managedFields"] if entry["manager"] != labels.MEND_MANAGER]
    condition = {"uid": uid, "resourceVersion": metadata["resourceVersion"]}
    forget = {"metadata": {**condition, "managedFields": others}}
    return await client.merge(resource, namespace, name, forget, manager=labels.MEND_MANAGER)
