"""The pod template: container, probes, security, spread, and the document that the service reads.

Passes Pod Security *restricted* whatever the spec says. Equal specs give equal templates: a template that
changes for no reason restarts every service.
"""

from __future__ import annotations

from typing import Any

from productionservice import labels
from productionservice.api import ProductionService
from productionservice.api.v1alpha1 import ComputeAmounts, EnvVar, Mount, Resources, Scratch, Spec, ZoneSpread
from productionservice.children.context import BuildContext
from productionservice.children.quantity import canonical
from productionservice.children.references import restart_mark
from productionservice.contract import CONFIG_ENV, CONFIG_FILE, CONFIG_FOLDER, CONFIG_PATH, config_document
from productionservice.effective import Effective
from productionservice.names import child_name, label_value, volume_name

CONTAINER = "service"
TRAFFIC_PORT, ADMIN_PORT = "http", "admin"
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
CONFIG_VOLUME, TMP_VOLUME = "config", "tmp"
TMP_PATH, TMP_SIZE = "/tmp", "64Mi"  # noqa: S108 - the container's folder, not ours


def pod_template(service: ProductionService, effective: Effective, context: BuildContext) -> dict[str, Any]:
    """The template of the Deployment."""
    spec = service.spec
    name = service.metadata.name
    return {
        "metadata": {
            "labels": {
                **labels.recommended_labels(name),
                **version_labels(effective),
                **labels.selector_labels(name),
            },
            "annotations": {
                labels.CONFIG: config_document(
                    service,
                    version=effective.version,
                    pre_stop_seconds=effective.pre_stop_seconds,
                    propagation_seconds=effective.propagation_seconds,
                    drain_seconds=effective.drain_seconds,
                ),
                **_restart_mark(spec, context),
            },
        },
        "spec": {
            "serviceAccountName": child_name(name),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": effective.grace_seconds,
            "topologySpreadConstraints": _spread(name, effective),
            **_pull_secrets(spec),
            "containers": [_container(spec, effective)],
            "volumes": _volumes(spec),
        },
    }


def _restart_mark(spec: Spec, context: BuildContext) -> dict[str, str]:
    mark = restart_mark(spec, {}) if context.restart_mark is None else context.restart_mark
    return {labels.RESTART: mark} if mark else {}


def version_labels(effective: Effective) -> dict[str, str]:
    """The label of what runs a version."""
    version = label_value(effective.version)
    return {"app.kubernetes.io/version": version} if version else {}


def _pull_secrets(spec: Spec) -> dict[str, Any]:
    secrets = [{"name": secret} for secret in spec.image.pull_secrets]
    return {"imagePullSecrets": secrets} if secrets else {}


def _container(spec: Spec, effective: Effective) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": effective.image,
        **({"command": spec.command} if spec.command else {}),
        **({"args": spec.args} if spec.args else {}),
        "ports": _ports(spec),
        "env": _env(spec),
        **_resources(spec.resources),
        "volumeMounts": _volume_mounts(spec),
        **_probes(spec, effective),
        **_lifecycle(effective),
        # The last log lines become the exit message when the program wrote none: status can say why it died.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def _ports(spec: Spec) -> list[dict[str, Any]]:
    ports = [{"name": TRAFFIC_PORT, "containerPort": spec.port, "protocol": "TCP"}]
    if spec.admin_port != spec.port:
        ports.append({"name": ADMIN_PORT, "containerPort": spec.admin_port, "protocol": "TCP"})
    return ports


def metrics_port_name(spec: Spec) -> str:
    """Name of the container port that has the metrics."""
    port = spec.observability.metrics.port or spec.admin_port
    return TRAFFIC_PORT if port == spec.port else ADMIN_PORT


def _env(spec: Spec) -> list[dict[str, Any]]:
    """Sorted by name: without expansion the order means nothing, so a new order must not restart pods."""
    document = {"name": CONFIG_ENV, "value": CONFIG_PATH}
    return [document, *sorted((_variable(variable) for variable in spec.env), key=lambda v: str(v["name"]))]


def _variable(variable: EnvVar) -> dict[str, Any]:
    source = variable.value_from
    if source is None:
        # `$$` is how Kubernetes writes a `$` that is not the start of an expansion.
        value = (variable.value or "").replace("$", "$$")
        return {"name": variable.name, **({"value": value} if value else {})}
    if source.secret_key_ref:
        return {"name": variable.name, "valueFrom": {"secretKeyRef": source.secret_key_ref.model_dump()}}
    if source.config_map_key_ref:
        return {
            "name": variable.name,
            "valueFrom": {"configMapKeyRef": source.config_map_key_ref.model_dump()},
        }
    path = source.field_ref.field_path if source.field_ref else ""
    return {"name": variable.name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _resources(resources: Resources) -> dict[str, Any]:
    amounts = {"requests": _amounts(resources.requests), "limits": _amounts(resources.limits)}
    wanted = {kind: value for kind, value in amounts.items() if value}
    return {"resources": wanted} if wanted else {}


def _amounts(amounts: ComputeAmounts) -> dict[str, str]:
    pairs = (("cpu", amounts.cpu), ("memory", amounts.memory))
    return {name: canonical(text) for name, text in pairs if text is not None}


def _probes(spec: Spec, effective: Effective) -> dict[str, Any]:
    """Three questions, three patiences.

    Start: often, for as long as the spec allows. Readiness: out of traffic after 4 s, back after 2 s.
    Liveness: a restart only after 30 s without an answer, for it cures nothing that load causes.
    """
    probes, port = spec.probes, effective.probe_port
    return {
        "startupProbe": _probe(
            probes.startup_path, port, period=1, timeout=1, failures=probes.startup_seconds
        ),
        "readinessProbe": _probe(probes.readiness_path, port, period=2, timeout=1, failures=2),
        "livenessProbe": _probe(probes.liveness_path, port, period=10, timeout=3, failures=3),
    }


def _probe(path: str, port: int, *, period: int, timeout: int, failures: int) -> dict[str, Any]:
    """One probe; times in seconds. The defaults are written too: a probe changed by hand is drift."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _lifecycle(effective: Effective) -> dict[str, Any]:
    """The pod goes on serving while the cluster learns that it leaves; the kubelet sleeps, in any image."""
    if not effective.pre_stop_seconds:
        return {}
    return {"lifecycle": {"preStop": {"sleep": {"seconds": effective.pre_stop_seconds}}}}


def _spread(name: str, effective: Effective) -> list[dict[str, Any]]:
    """Over zones as the spec says, over hosts where possible. Each version is spread for itself."""
    hosts = _constraint(name, HOST, "ScheduleAnyway")
    if effective.zones is ZoneSpread.IGNORED:
        return [hosts]
    strict = effective.zones is ZoneSpread.REQUIRED
    return [_constraint(name, ZONE, "DoNotSchedule" if strict else "ScheduleAnyway"), hosts]


def _constraint(name: str, key: str, otherwise: str) -> dict[str, Any]:
    return {
        "topologyKey": key,
        "whenUnsatisfiable": otherwise,
        "maxSkew": 1,
        "labelSelector": {"matchLabels": labels.selector_labels(name)},
        "matchLabelKeys": ["pod-template-hash"],
        "nodeTaintsPolicy": "Honor",
    }


def _mounts_by_path(spec: Spec) -> list[Mount]:
    return sorted(spec.mounts, key=lambda mount: mount.path)


def _brings_tmp(spec: Spec) -> bool:
    return any(mount.path.rstrip("/") == TMP_PATH for mount in spec.mounts)


def _volume_mounts(spec: Spec) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [{"name": CONFIG_VOLUME, "mountPath": CONFIG_FOLDER, "readOnly": True}]
    if not _brings_tmp(spec):
        mounts.append({"name": TMP_VOLUME, "mountPath": TMP_PATH})
    for mount in _mounts_by_path(spec):
        read_only = {} if mount.scratch else {"readOnly": True}
        mounts.append({"name": volume_name(mount.path), "mountPath": mount.path, **read_only})
    return mounts


def _volumes(spec: Spec) -> list[dict[str, Any]]:
    field = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{labels.CONFIG}']"}
    config = {"name": CONFIG_VOLUME, "downwardAPI": {"items": [{"path": CONFIG_FILE, "fieldRef": field}]}}
    tmp = {"name": TMP_VOLUME, **_scratch(Scratch(size=TMP_SIZE))}
    own = [config] if _brings_tmp(spec) else [config, tmp]
    return [*own, *({"name": volume_name(m.path), **_source(m)} for m in _mounts_by_path(spec))]


def _source(mount: Mount) -> dict[str, Any]:
    if mount.config_map:
        return {"configMap": {"name": mount.config_map}}
    if mount.secret:
        return {"secret": {"secretName": mount.secret}}
    return _scratch(mount.scratch or Scratch())


def _scratch(scratch: Scratch) -> dict[str, Any]:
    medium = {"medium": "Memory"} if scratch.memory else {}
    return {"emptyDir": {**medium, "sizeLimit": canonical(scratch.size)}}
