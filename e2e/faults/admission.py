"""Faults of admission webhooks, ours and others': nobody there, certificates that the API server does not believe."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from e2e.cluster.certificates import Authority, Pair
from e2e.eventually import eventually
from e2e.faults.registry import fault
from e2e.faults.world import World
from productionservice import labels
from tests.chart.rendering import only, render

HOST = "127.0.0.1"
HOOK = "ValidatingWebhookConfiguration"


@fault(
    "F15",
    "our webhook is down, its certificate expired, or of another authority",
    "writes and deletes pass (failurePolicy Ignore by design); schema, CEL and policies refuse all the same",
)
def webhook_not_believed(world: World) -> None:
    authority = Authority("webhooks")
    valid = authority.server("operator", HOST)
    world.apply()
    world.converged()
    with _policy(world):
        _stops_nobody(world, "https://127.0.0.1:1/", authority, "connection refused")
        with _served(world, _expired(authority, valid)) as url:
            _stops_nobody(world, url, authority, "certificate has expired")
        with _served(world, valid) as url:
            _stops_nobody(world, url, Authority("another"), "unknown authority")
    world.holds()


@fault(
    "F16",
    "somebody else's webhook is down and stops every Deployment",
    "said in Applied; tried again; then made",
)
def webhook_down(world: World) -> None:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}
    where = {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}}
    hook = {
        "name": "down.example.com", "rules": [rule], "namespaceSelector": where, "failurePolicy": "Fail",
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
        "clientConfig": {"url": "https://127.0.0.1:1/nobody"},
    }  # fmt: skip
    world.create({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": world.namespace}, "webhooks": [hook],
    })  # fmt: skip
    try:
        world.apply()
        world.until(lambda: world.reason("Applied") == "ApplyFailed", "ApplyFailed")
        assert "down.example.com" in world.condition("Applied")["message"]
        assert world.exists("service"), "the others are made"
    finally:
        world.cluster.kubectl("delete", "validatingwebhookconfiguration", world.namespace)
    world.holds()


def _stops_nobody(world: World, url: str, trusted: Authority, failure: str) -> None:
    configuration = only(render({"config": {"namespaces": [world.namespace]}}, release="w"), HOOK)
    (webhook,) = configuration["webhooks"]
    shipped = webhook["failurePolicy"]
    assert shipped == "Ignore"
    bundle = base64.b64encode(trusted.pair.certificate_pem).decode()
    webhook["clientConfig"] = {"url": url, "caBundle": bundle}
    configuration["metadata"] = {"name": world.namespace}
    try:
        webhook["failurePolicy"] = "Fail"  # so that it is seen that this is what the API server calls
        world.create(configuration)
        eventually(lambda: _refused(world, failure, port=8001), timeout=30)
        webhook["failurePolicy"] = shipped
        world.create(configuration)
        eventually(lambda: world.apply("passer", port=8001), timeout=30)
        _refused(world, "spec.port", port=99999)  # schema
        _refused(world, "spec.replicas", replicas={"min": 5, "max": 2})  # CEL
        refused = _answer(world, "annotate", "psvc", "passer", f"{labels.PAUSED}=yes")
        assert "write until=" in refused, refused  # a ValidatingAdmissionPolicy
        world.kubectl("delete", "psvc", "passer", "--timeout=10s")
    finally:
        world.cluster.kubectl("delete", HOOK, world.namespace, "--ignore-not-found")


def _refused(world: World, why: str, **spec: Any) -> None:
    said = ""
    try:
        world.apply("refused", **spec)
    except subprocess.CalledProcessError as error:
        said = str(error.stderr)
    else:
        world.kubectl("delete", "psvc", "refused", "--wait=false")
    assert why in said, f"not refused for {why}: {said or 'taken'}"


def _answer(world: World, *arguments: str) -> str:
    try:
        return world.kubectl(*arguments)
    except subprocess.CalledProcessError as error:
        return str(error.stderr)


@contextlib.contextmanager
def _policy(world: World) -> Iterator[None]:
    """The chart's policy on pauses, in this namespace only, and at work."""
    values = {
        "config": {"namespaces": [world.namespace]},
        "admission": {"policies": {"pause": {"mode": "Deny", "maxDays": 7}}},
    }
    manifests = [
        m for m in render(values, release=world.namespace) if m["metadata"]["name"].endswith("pause")
    ]
    assert len(manifests) == 2, "a policy and its binding"
    try:
        for manifest in manifests:
            world.create(manifest)
        probe = ("annotate", "psvc", "catalog", f"{labels.PAUSED}=yes", "--dry-run=server")
        world.until(lambda: "write until=" in _answer(world, *probe), "the policy is at work")
        yield
    finally:
        for manifest in manifests:
            world.cluster.kubectl(
                "delete", manifest["kind"], manifest["metadata"]["name"], "--ignore-not-found"
            )


@contextlib.contextmanager
def _served(world: World, pair: Pair) -> Iterator[str]:
    """A server that shows a certificate; no API server should get further than that."""
    pair.write(world.folder, "webhook")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(world.folder / "webhook.crt", world.folder / "webhook.key")
    with ThreadingHTTPServer((HOST, 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://{HOST}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def _expired(authority: Authority, pair: Pair) -> Pair:
    """The same certificate, but its time is over."""
    old, now = pair.certificate, dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(pair.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now - dt.timedelta(days=1))
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return Pair(builder.sign(authority.pair.key, hashes.SHA256()), pair.key)
