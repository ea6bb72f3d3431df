"""The webhook of running operators, called by a real API server: what kubectl prints; nothing depends on it."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.cluster.certificates import Authority
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from productionservice import labels
from productionservice.admission.server import PATH
from tests.api.operator_process import OperatorProcess
from tests.chart.rendering import Json, only, render
from tests.support.shop import refusal

pytestmark = pytest.mark.api

HOST = "127.0.0.1"
KIND = "ValidatingWebhookConfiguration"
WRITER = "webhook-tenant"
"""A tenant, who may write services in this namespace and nothing else: nobody else writes one here."""
LEASE = "productionservice-operator"
REVIEWS = f'controller_runtime_webhook_requests_total{{code="200",webhook="{PATH}"}}'
ONE_POD = "Warning: spec.replicas.min: one pod in production: a drain interrupts the service; write 2 or more"


@dataclass
class Serving:
    """Two replicas of the operator with one folder for their certificate, and the configuration that names one."""

    cluster: Cluster
    namespace: str
    replicas: list[OperatorProcess]
    folder: Path
    authority: Authority = field(default_factory=lambda: Authority("webhooks"))

    def put_certificate(self) -> None:
        """Write another certificate of the present authority, as one step: key and certificate never mix."""
        pair = self.authority.server("operator", HOST)
        new = self.folder / f"..{uuid.uuid4().hex}"
        new.mkdir()
        pair.write(new, "tls")
        (self.folder / "..new").symlink_to(new.name)
        (self.folder / "..new").replace(self.folder / "..data")

    def url(self, replica: OperatorProcess) -> str:
        """Where a replica answers."""
        lines = [json.loads(line) for line in replica.log.read_text().splitlines() if '"webhook": [' in line]
        port = lines[-1]["webhook"][0].rpartition(", ")[2].rstrip(")")
        return f"https://{HOST}:{port}{PATH}"

    def register(self, replica: OperatorProcess | str, *trusted: Authority, policy: str = "Ignore") -> None:
        """Point the chart's configuration at a replica or URL. `Fail` for `Ignore` makes each failure seen."""
        configuration = only(render({"config": {"namespaces": [self.namespace]}}, release="w"), KIND)
        (webhook,) = configuration["webhooks"]
        url = replica if isinstance(replica, str) else self.url(replica)
        bundle = b"".join(each.pair.certificate_pem for each in trusted or (self.authority,))
        webhook["clientConfig"] = {"url": url, "caBundle": base64.b64encode(bundle).decode()}
        webhook["failurePolicy"] = policy
        configuration["metadata"] = {"name": self.namespace}
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(configuration))

    def write(self, verb: str, *flags: str, name: str = "catalog", **spec: Any) -> str:
        """What kubectl says, warnings too."""
        return self.cluster.kubectl(
            verb, *flags, f"--as={WRITER}", "-n", self.namespace, "-f", "-", input=json.dumps(manifest(name, **spec)),
            capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def ask(self, replica: OperatorProcess, body: Json) -> httpx.Response:
        """A review, on a new connection."""
        review = {"request": {"uid": "7", "operation": "CREATE", "object": body}}
        return httpx.post(self.url(replica), json=review, verify=trusting(self.authority), trust_env=False)

    def served(self, replica: OperatorProcess) -> int:
        """Mark of the certificate that a replica shows."""
        host, port = self.url(replica).removeprefix("https://").partition("/")[0].split(":")
        with (
            socket.create_connection((host, int(port)), timeout=5) as plain,
            trusting(self.authority).wrap_socket(plain, server_hostname=HOST) as wrapped,
        ):
            return hash(wrapped.getpeercert(binary_form=True))


def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pair.certificate_pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def manifest(name: str = "catalog", **spec: Any) -> Json:
    return {
        "apiVersion": "productionservice.io/v1alpha1",
        "kind": "ProductionService",
        "metadata": {"name": name},
        "spec": {"image": {"repository": "registry.example/shop/catalog", "tag": "v1"}, **spec},
    }


@pytest.fixture(scope="module")
def serving(api_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home, folder = f"system-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("certificate")
    settings = {"WEBHOOK_CERTIFICATES": str(folder), "WEBHOOK_PORT": "0", "ZONES": "1"}
    replicas = [
        OperatorProcess(api_cluster, home, tmp_path_factory.mktemp("replica"), settings) for _ in range(2)
    ]
    found = Serving(api_cluster, f"shop-{home}", replicas, folder)
    for name in ("tls.crt", "tls.key"):
        (folder / name).symlink_to(Path("..data") / name)
    found.put_certificate()
    for replica in replicas:
        replica.install()
        replica.start()
    api_cluster.kubectl("create", "namespace", found.namespace)
    verbs = "--verb=create,get,list,patch,update,delete"
    found.kubectl("create", "role", "writer", verbs, "--resource=productionservices")
    found.kubectl("create", "rolebinding", "writer", "--role=writer", f"--user={WRITER}")
    found.register(replicas[0])
    eventually(lambda: warned(found))
    yield found
    for replica in replicas:
        replica.kill()
    api_cluster.kubectl("delete", KIND, found.namespace)
    api_cluster.kubectl("delete", "namespace", found.namespace, home, "--wait=false")


def warned(serving: Serving) -> None:
    """The API server has taken up the configuration."""
    assert ONE_POD in serving.write("create", "--dry-run=server", replicas={"min": 1})


@contextmanager
def dry_runs(serving: Serving) -> Iterator[list[str]]:
    """Creates, one after another, by two callers, until the block ends; what they were told."""
    said: list[str] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                said.append(serving.write("create", "--dry-run=server", replicas={"min": 1}))
            except subprocess.CalledProcessError as error:
                said.append(f"FAILED {error.stdout}")

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        yield said
    finally:
        stop.set()
        for caller in callers:
            caller.join()


def test_kubectl_prints_what_would_happen(serving: Serving) -> None:
    said = serving.write(
        "create", "--dry-run=server", replicas={"min": 1}, availability={"zones": "Required"}
    )

    assert ONE_POD in said
    assert "Warning: spec.availability.zones: Required: all nodes are in 1 zone" in said
    assert (
        "Warning: what to expect: with 1 pod, and 1 more during a rollout, a node drained then leaves 0 of 1"
        in said
    )
    assert "created (server dry run)" in said


def test_what_is_named_and_not_there_is_said_until_it_is_there(serving: Serving) -> None:
    spec: dict[str, Any] = {
        "mounts": [{"path": "/etc/app", "configMap": "settings"}],
        "network": {"allowFrom": [{"service": "web"}]},
    }
    there_is_no = (
        f"Warning: spec.mounts /etc/app: there is no ConfigMap 'settings' in namespace {serving.namespace} yet",
        f"Warning: spec.network.allowFrom[0].service: there is no ProductionService 'web' in namespace "
        f"{serving.namespace} yet",
    )
    said = serving.write("create", "--dry-run=server", **spec)
    assert [words for words in there_is_no if words not in said] == []

    serving.kubectl("create", "configmap", "settings", "--from-literal=a=b")
    serving.write("create", name="web")

    def silent() -> None:
        assert "Warning" not in serving.write("create", "--dry-run=server", **spec)

    eventually(silent)
    serving.kubectl("delete", "psvc", "web")


def test_every_replica_answers_leading_or_not(serving: Serving) -> None:
    body = manifest(replicas={"min": 1})
    body["metadata"]["namespace"] = serving.namespace
    leading = [
        replica.metric(f'leader_election_master_status{{name="{LEASE}"}}') for replica in serving.replicas
    ]
    answers = [serving.ask(replica, body).json()["response"] for replica in serving.replicas]

    assert sorted(leading) == [0, 1]
    assert answers[0] == answers[1]
    assert answers[0]["allowed"] is True
    assert len(answers[0]["warnings"]) == 2


def test_status_deletes_and_what_is_no_edit_of_the_spec_never_reach_it(serving: Serving) -> None:
    serving.write("create", name="quiet")
    eventually(lambda: serving.kubectl("get", "service", "quiet"))
    before = serving.replicas[0].metric(REVIEWS)

    held = json.dumps({"metadata": {"finalizers": ["example/held"]}})
    status = json.dumps({"status": {"observedGeneration": 7}})
    merge = ("patch", "psvc", "quiet", "--type=merge")
    serving.kubectl("label", "psvc", "quiet", "team=shop")
    serving.kubectl(*merge, "-p", held)
    serving.kubectl(*merge, "--subresource=status", "-p", status)
    serving.kubectl("delete", "psvc", "quiet", "--wait=false")
    serving.kubectl(*merge, "-p", json.dumps({"metadata": {"finalizers": None}}))

    assert serving.kubectl("get", "psvc", "quiet", "--ignore-not-found") == ""
    assert serving.replicas[0].metric(REVIEWS) == before
    serving.write("create", "--dry-run=server")
    assert serving.replicas[0].metric(REVIEWS) == before + 1


def test_certificate_and_authority_change_under_load_without_a_failed_admission(serving: Serving) -> None:
    """As one has to go about it: trust both, change, trust the new one. Each step makes new connections."""
    replica, old = serving.replicas[0], serving.authority
    serving.register(replica, policy="Fail")
    with dry_runs(serving) as said:
        for authority in (old, Authority("webhooks-2")):
            before = serving.served(replica)
            serving.register(replica, old, authority, policy="Fail")
            progress(said)
            serving.authority = authority
            serving.put_certificate()
            eventually(lambda before=before: changed(serving, before))  # type: ignore[misc] # called at once
            serving.register(replica, authority, policy="Fail")
            progress(said)

    assert [words for words in said if ONE_POD not in words] == []


def changed(serving: Serving, before: int) -> None:
    assert all(serving.served(replica) != before for replica in serving.replicas)


def progress(said: list[str]) -> None:
    """Until the callers have had ten answers more."""
    enough = len(said) + 10

    def answered() -> None:
        assert len(said) >= enough

    eventually(answered)


def test_while_it_is_down_services_are_written_and_deleted_and_left_alone(serving: Serving) -> None:
    serving.register(serving.replicas[0])
    serving.write("create", name="running")
    eventually(lambda: serving.kubectl("get", "deployment", "running"))
    serving.write("create", name="leaving")
    before = serving.kubectl(
        "get", "deployment", "running", "-o", "jsonpath={.metadata.uid} {.metadata.generation}"
    )
    for replica in serving.replicas:
        assert replica.stop() == 0

    try:
        said = serving.write("apply", name="running", replicas={"min": 1})
        assert "configured" in said
        assert ONE_POD not in said, "nobody was there to say it"
        serving.write("create", name="newcomer")
        serving.kubectl("delete", "psvc", "leaving", "--timeout=10s")
        after = serving.kubectl(
            "get", "deployment", "running", "-o", "jsonpath={.metadata.uid} {.metadata.generation}"
        )
        assert after == before
    finally:
        for replica in serving.replicas:
            replica.start()
        serving.register(serving.replicas[0])
    eventually(lambda: warned(serving))
    eventually(lambda: serving.kubectl("get", "service", "newcomer"))
    assert labels.FIELD_MANAGER in serving.kubectl(
        "get", "service", "newcomer", "--show-managed-fields", "-o", "json"
    )


@contextmanager
def policies(serving: Serving) -> Iterator[None]:
    """The chart's, in this namespace only."""
    rendered = render({"config": {"namespaces": [serving.namespace]}}, release=serving.namespace)
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    made = json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [m for m in rendered if m["kind"] in kinds]}
    )
    serving.cluster.kubectl("apply", "-f", "-", input=made)
    try:
        yield
    finally:
        serving.cluster.kubectl("delete", "-f", "-", input=made)


def test_s22_while_it_is_down_the_rules_of_the_crd_and_of_the_policies_refuse(serving: Serving) -> None:
    serving.write("create", name="paused")
    serving.register(serving.replicas[0])
    try:
        for replica in serving.replicas:
            assert replica.stop() == 0
        with policies(serving):

            def both_refuse() -> None:
                body = json.dumps(manifest(replicas={"min": 3, "max": 2}))
                create = ("create", "--dry-run=server", "-f", "-")
                tenant = (f"--as={WRITER}", "-n", serving.namespace)
                said = refusal(lambda: serving.cluster.kubectl(*tenant, *create, input=body))
                assert "spec.replicas" in said
                pause = (
                    f"--as={WRITER}",
                    "annotate",
                    "--dry-run=server",
                    "psvc",
                    "paused",
                    f"{labels.PAUSED}=yes",
                )
                assert "is not of its form" in refusal(lambda: serving.kubectl(*pause))

            eventually(both_refuse, timeout=30)
    finally:
        for replica in serving.replicas:
            replica.start()
        serving.register(serving.replicas[0])
    eventually(lambda: warned(serving))


def test_a_webhook_that_hangs_holds_up_a_write_for_its_time_and_a_delete_not_at_all(serving: Serving) -> None:
    serving.write("create", name="leaving")
    with socket.create_server((HOST, 0)) as hanging:  # connections wait in its backlog for ever
        serving.register(f"https://{HOST}:{hanging.getsockname()[1]}{PATH}", policy="Fail")
        try:

            def hangs() -> None:
                with pytest.raises(subprocess.CalledProcessError) as refused:
                    serving.write("create", "--dry-run=server")
                assert "context deadline exceeded" in refused.value.stdout

            eventually(hangs)  # so it is this one that is called, and it would be seen to be waited for
            serving.kubectl("annotate", "psvc", "leaving", "example/note=x")
            serving.kubectl("delete", "psvc", "leaving", "--timeout=10s")
            serving.register(f"https://{HOST}:{hanging.getsockname()[1]}{PATH}")
            eventually(lambda: serving.write("create", "--dry-run=server"))
        finally:
            serving.register(serving.replicas[0])
    eventually(lambda: warned(serving))
