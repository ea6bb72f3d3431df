"""What somebody hostile would write."""

from __future__ import annotations

import itertools

_PIECES = (
    "\n", "---\n", "\n---\nkind: Secret\n", "&a *a", "*a", "!!python/object:os.system", '"},{"', "'}, {'",
    "{{", "{{ .Values }}", "${HOME}", "$(NAME)", "`id`", "; rm -rf /", "| cat", "#", "# comment", ": ",
    "? ", "- x", "[", "]", "{", "}", "%TAG", "@at", "yes", "no", "null", "~", "0x10", "0o17", "1e3", ".inf",
    "2001-01-01", "\t", "\x7f", "\x85", "\u2028", "\u00a0", "\ufeff", "\u202e", "\U0001f600",
)  # fmt: skip
TEXTS = [
    *_PIECES,
    *(f"a{piece}b" for piece in _PIECES),
    *(f"{piece}{piece}" for piece in _PIECES),
    *(f'"{piece}"' for piece in _PIECES),
    *(f"{piece} {other}" for piece, other in itertools.pairwise(_PIECES)),
]
"""Two hundred texts that mean something to a parser, a shell or a template."""

ANNOTATIONS = [
    "nginx.ingress.kubernetes.io/configuration-snippet", "nginx.ingress.kubernetes.io/server-snippet",
    "nginx.ingress.kubernetes.io/auth-url", "nginx.ingress.kubernetes.io/auth-snippet",
    "nginx.ingress.kubernetes.io/mirror-target", "traefik.ingress.kubernetes.io/router.middlewares",
    "traefik.ingress.kubernetes.io/service.serversscheme", "haproxy.org/backend-config-snippet",
    "external-dns.alpha.kubernetes.io/hostname", "external-dns.alpha.kubernetes.io/target",
    "service.beta.kubernetes.io/aws-load-balancer-internal",
    "service.beta.kubernetes.io/azure-load-balancer-internal", "cloud.google.com/load-balancer-type",
    "eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id",
    "vault.hashicorp.com/agent-inject", "vault.hashicorp.com/agent-inject-template-x",
    "vault.hashicorp.com/role", "sidecar.istio.io/inject", "sidecar.istio.io/proxyImage",
    "traffic.sidecar.istio.io/excludeOutboundPorts", "linkerd.io/inject", "config.linkerd.io/proxy-image",
    "argocd.argoproj.io/hook", "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/sync-options",
    "meta.helm.sh/release-name", "meta.helm.sh/release-namespace", "helm.sh/hook",
    "helm.sh/resource-policy", "kopf.zalando.org/last-handled-configuration",
    "kustomize.toolkit.fluxcd.io/prune", "kubectl.kubernetes.io/last-applied-configuration",
    "kubectl.kubernetes.io/restartedAt", "container.apparmor.security.beta.kubernetes.io/service",
    "seccomp.security.alpha.kubernetes.io/pod", "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "scheduler.alpha.kubernetes.io/critical-pod", "k8s.v1.cni.cncf.io/networks",
    "cni.projectcalico.org/ipAddrs", "kyverno.io/ignore", "prometheus.io/scrape",
    "cert-manager.io/cluster-issuer", "reloader.stakater.com/auto",
]  # fmt: skip
"""Annotations by which other programs take orders."""

METADATA = (
    "169.254.169.254",  # AWS, Azure, Google Cloud, OpenStack and more
    "169.254.170.2",  # AWS ECS, credentials of a task
    "169.254.170.23",  # AWS EKS Pod Identity
    "fd00:ec2::254",  # AWS over IPv6
    "fd00:ec2::23",  # AWS EKS Pod Identity over IPv6
    "168.63.129.16",  # Azure's agent endpoint
    "fd20:ce::254",  # Google Cloud over IPv6
    "100.100.100.200",  # Alibaba Cloud
    "192.0.0.192",  # Oracle Cloud
)
"""Where clouds hand out credentials to whoever asks from the node or the pod."""
