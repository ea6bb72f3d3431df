"""The operator as its own process against a real API server, with the rights that the chart gives it and no others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from e2e.cluster.providers import Cluster
from e2e.crds import wait_established
from e2e.eventually import eventually
from productionservice.config import PREFIX
from productionservice.rbac import Rule, cluster_rules, lease_rules

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds" / "productionservice.io_productionservices.yaml"
ACCOUNT = "productionservice-operator"


@dataclass
class OperatorProcess:
    """One replica. `home` is the namespace of its service account and Lease."""

    cluster: Cluster
    home: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=cluster_rules)
    """Those of the chart, unless a test leaves some out."""
    process: subprocess.Popen[bytes] | None = None
    base: str = ""

    @property
    def module(self) -> str:
        """What is run."""
        return "productionservice.main"

    @property
    def user(self) -> str:
        """Name in the audit log."""
        return f"system:serviceaccount:{self.home}:{ACCOUNT}"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / "operator.log"

    def install(self) -> None:
        """The CRD, and an account with the generated rules."""
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
        wait_established(self.cluster, CRD)
        role = {"apiGroup": "rbac.authorization.k8s.io"}
        metadata = {"name": f"{ACCOUNT}-{self.home}"}
        subjects = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.home}]
        rbac = "rbac.authorization.k8s.io/v1"
        local = {"name": ACCOUNT, "namespace": self.home}
        self._apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.home}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": local},
            {"apiVersion": rbac, "kind": "ClusterRole", "metadata": metadata, "rules": self.rules},
            {
                "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": metadata, "subjects": subjects,
                "roleRef": {**role, "kind": "ClusterRole", "name": metadata["name"]},
            },
            {"apiVersion": rbac, "kind": "Role", "metadata": local, "rules": lease_rules(ACCOUNT)},
            {
                "apiVersion": rbac, "kind": "RoleBinding", "metadata": local, "subjects": subjects,
                "roleRef": {**role, "kind": "Role", "name": ACCOUNT},
            },
        )  # fmt: skip
        self._write_kubeconfig()

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                stdout=output,
                stderr=output,
                env=self._environment(),
            )
        if wait:
            eventually(self.check_ready, timeout=30)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)

    def restart(self) -> None:
        """Stop and start."""
        assert self.stop() == 0, self.log.read_text()[-2000:]
        self.start()

    def check_ready(self) -> None:
        """Fails until /readyz says yes; at once, with the log's end, when the process has ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(
                f"the operator ended with {self.process.returncode}: {self.log.read_text()[-2000:]}"
            )
        assert self.get("/readyz")[0] == 200

    @property
    def address(self) -> str:
        """Host and port of health and metrics, as its log tells."""
        addresses = [json.loads(line) for line in self.log.read_text().splitlines() if '"addresses"' in line]
        assert addresses, "it does not listen yet"
        return f"127.0.0.1:{addresses[-1]['addresses'][0].rpartition(', ')[2].rstrip(')')}"

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of its HTTP port. Raises httpx.TransportError when it does not answer within 5 s."""
        answer = httpx.get(f"http://{self.address}{path}", trust_env=False)
        return answer.status_code, answer.text

    def metric(self, name: str) -> float:
        """Value of a series, given with its labels as Prometheus writes them; 0 when it is not there."""
        lines = self.get("/metrics")[1].splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        ours = {
            "KUBECONFIG": str(self.folder / "kubeconfig"), "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0",
            "LEASE_NAMESPACE": self.home, **self.settings,
        }  # fmt: skip
        return {
            **kept,
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
            **{PREFIX + k: v for k, v in ours.items()},
        }

    def _write_kubeconfig(self) -> None:
        admin = yaml.safe_load(self.cluster.kubeconfig_path.read_text())
        token = self.cluster.kubectl("-n", self.home, "create", "token", ACCOUNT, "--duration=2h").strip()
        admin["users"] = [{"name": user["name"], "user": {"token": token}} for user in admin["users"]]
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(admin))

    def _apply(self, *manifests: dict[str, Any]) -> None:
        path = self.folder / "rights.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
        self.cluster.kubectl("apply", "-f", str(path))
