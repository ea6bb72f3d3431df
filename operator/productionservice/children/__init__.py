"""The children of a ProductionService: what is wanted. Pure: equal inputs give equal manifests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import orjson

from productionservice import labels
from productionservice.api import API_VERSION, KIND, ProductionService
from productionservice.children.certificate import build_certificate
from productionservice.children.cilium_network_policy import build_cilium_network_policy
from productionservice.children.context import BuildContext, Kind, Manifest
from productionservice.children.deployment import build_deployment, desired_replicas, replicas_manifest
from productionservice.children.gateway import build_gateway
from productionservice.children.horizontal_pod_autoscaler import build_horizontal_pod_autoscaler
from productionservice.children.http_route import build_http_route
from productionservice.children.ingress import build_ingress
from productionservice.children.network_policy import build_network_policy
from productionservice.children.pod_disruption_budget import build_pod_disruption_budget
from productionservice.children.service import build_service
from productionservice.children.service_account import build_service_account
from productionservice.children.service_monitor import build_service_monitor
from productionservice.effective import Effective

__all__ = [
    "APPLY_ORDER", "CHILDREN", "BuildContext", "Builder", "Kind", "Manifest",
    "build_children", "desired_replicas", "replicas_manifest",
]  # fmt: skip

Builder: TypeAlias = Callable[
    [ProductionService, Effective, BuildContext], Manifest | tuple[Manifest, ...] | None
]
"""One kind of child; None when it is not wanted, a tuple where one service may have several."""

CHILDREN: tuple[tuple[Kind, Builder], ...] = (
    (Kind("v1", "ServiceAccount", "serviceaccounts"), build_service_account),
    # Before the pods that it protects: they never run unprotected.
    (Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"), build_network_policy),
    (
        Kind("cilium.io/v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies", origin="Cilium"),
        build_cilium_network_policy,
    ),
    (Kind("v1", "Service", "services"), build_service),
    (Kind("apps/v1", "Deployment", "deployments"), build_deployment),
    (Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"), build_pod_disruption_budget),
    # After the Deployment and its number of pods: the autoscaler takes over the number that it finds.
    (
        Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
        build_horizontal_pod_autoscaler,
    ),
    (
        Kind(
            "monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors", origin="the Prometheus operator"
        ),
        build_service_monitor,
    ),
    (Kind("networking.k8s.io/v1", "Ingress", "ingresses"), build_ingress),
    (Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways", origin="Gateway API"), build_gateway),
    (Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", origin="Gateway API"), build_http_route),
    # After what a challenge is answered through: cert-manager tries a failed one again only an hour later.
    (Kind("cert-manager.io/v1", "Certificate", "certificates", origin="cert-manager"), build_certificate),
)
"""Every kind of child in apply order. RBAC, informers and pruning follow this list."""

APPLY_ORDER: Mapping[str, int] = MappingProxyType({kind.kind: i for i, (kind, _) in enumerate(CHILDREN)})
"""Position of each kind in CHILDREN."""


def build_children(
    service: ProductionService, effective: Effective, context: BuildContext
) -> tuple[Manifest, ...]:
    """The wanted children in apply order, complete: owner, labels, digest."""
    built = ((kind, build(service, effective, context)) for kind, build in CHILDREN)
    return tuple(_finish(service, kind, manifest) for kind, made in built for manifest in _each(made))


def _each(made: Manifest | tuple[Manifest, ...] | None) -> tuple[Manifest, ...]:
    if made is None:
        return ()
    return made if isinstance(made, tuple) else (made,)


def _finish(service: ProductionService, kind: Kind, manifest: Manifest) -> Manifest:
    """What all children have in common: what they are, whose they are, and the digest of the whole."""
    metadata = manifest["metadata"]
    name = service.metadata.name
    whole: Manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        **manifest,
        "metadata": {
            "name": metadata["name"],
            "namespace": service.metadata.namespace,
            "labels": {
                **labels.recommended_labels(name),
                **metadata.get("labels", {}),
                **labels.selector_labels(name),
            },
            **_owner_references(service),
        },
    }
    whole["metadata"]["annotations"] = {labels.APPLIED_DIGEST: digest(whole)}
    return whole


def _owner_references(service: ProductionService) -> dict[str, Any]:
    """The garbage collector deletes children after their owner. Rendered offline there is no UID: no owner.

    `blockOwnerDeletion` is left out: it would need the right to update finalizers of the owner.
    """
    if not service.metadata.uid:
        return {}
    reference = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": service.metadata.name,
        "uid": service.metadata.uid,
        "controller": True,
    }
    return {"ownerReferences": [reference]}


def digest(manifest: Manifest) -> str:
    """Digest of a manifest's content (128 bits, hex), whatever the order of its keys."""
    text = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()
