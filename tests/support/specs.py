"""Valid specs of every shape, for hypothesis. In JSON form, as users write them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from productionservice.api.v1alpha1 import Environment, Protocol, ZoneSpread
from productionservice.children.pod import TMP_PATH
from productionservice.contract import RESERVE_SECONDS

names = st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
"""DNS labels: names of services, objects and namespaces."""
ports = st.integers(1, 65535)
paths = st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
quantities = st.one_of(
    st.integers(0, 4096).map(str),
    st.builds(
        "{}.{}{}".format, st.integers(0, 999), st.integers(0, 999), st.sampled_from(["", "M", "Mi", "Gi"])
    ),
    st.builds("{}{}".format, st.integers(0, 10**6), st.sampled_from(["m", "k", "M", "G", "Ki", "Mi", "Gi"])),
)
addresses = st.sampled_from(
    ["10.20.0.0/16", "192.0.2.10/32", "0.0.0.0/0", "169.0.0.0/8", "2001:db8::/32", "::/0"]
)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=40)


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any part of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _key_ref() -> st.SearchStrategy[dict[str, Any]]:
    key = st.from_regex(r"(?![.]([.]|$))[-._a-zA-Z0-9]{1,20}", fullmatch=True)  # neither "." nor "..data"
    return st.fixed_dictionaries({"name": names, "key": key})


_sources = st.one_of(
    _key_ref().map(lambda ref: {"secretKeyRef": ref}),
    _key_ref().map(lambda ref: {"configMapKeyRef": ref}),
    st.sampled_from(["metadata.name", "status.podIP", "spec.nodeName"]).map(
        lambda path: {"fieldRef": {"fieldPath": path}}
    ),
)
_variable_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
_variables = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": _variable_names, "value": texts}),
        st.fixed_dictionaries({"name": _variable_names, "valueFrom": _sources}),
    ),
    max_size=6,
    unique_by=lambda variable: str(variable["name"]),
)
_scratch = _some(size=quantities, memory=st.booleans())
_mounts = st.lists(
    st.one_of(
        st.fixed_dictionaries({"path": paths, "configMap": names}),
        st.fixed_dictionaries({"path": paths, "secret": names}),
        st.fixed_dictionaries({"path": st.one_of(paths, st.just(TMP_PATH)), "scratch": _scratch}),
    ),
    max_size=5,
    unique_by=lambda mount: str(mount["path"]),
)
_images = st.builds(
    lambda tag, digest, secrets: {"repository": "registry.example/shop/catalog", **tag, **digest, **secrets},
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,80}", fullmatch=True).map(lambda tag: {"tag": tag}),
    st.one_of(st.just({}), st.just({"digest": f"sha256:{'9f86d081' * 8}"})),
    _some(pullSecrets=st.lists(names, max_size=3, unique=True)),
)
_replicas = st.one_of(
    st.just({}),
    st.integers(1, 50).map(lambda low: {"min": low}),
    st.integers(1, 50).map(lambda high: {"max": high}),
    st.builds(
        lambda low, more, cpu: {"min": low, "max": low + more, "cpuPercent": cpu, "scaleDownSeconds": cpu * 36},
        st.integers(1, 50), st.integers(0, 50), st.integers(1, 100),
    ),
)  # fmt: skip
_shutdown = st.builds(
    lambda wait, drain, spare: {
        "propagationSeconds": wait,
        "drainSeconds": drain,
        "maxSeconds": wait + drain + RESERVE_SECONDS + spare,
    },
    st.integers(0, 300), st.integers(1, 3600), st.integers(0, 300),
)  # fmt: skip
# A limit never below the request, which the API server would refuse.
_resources = st.builds(
    lambda cpu, memory, limits: {
        "requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"},
        "limits": {k: limits[k](cpu, memory) for k in limits},
    },
    st.integers(1, 4000), st.integers(1, 8192),
    st.sampled_from([{}, {"memory": lambda _c, m: f"{2 * m}Mi"}, {"cpu": lambda c, _m: f"{c}m"}]),
)  # fmt: skip
_allow_from = st.one_of(names.map(lambda name: {"service": name}), addresses.map(lambda cidr: {"cidr": cidr}))
_allow_to = st.one_of(
    names.map(lambda name: {"service": name}),
    st.fixed_dictionaries(
        {"cidr": addresses, "port": ports}, optional={"protocol": st.sampled_from([*map(str, Protocol)])}
    ),
    st.fixed_dictionaries(
        {
            "fqdn": st.from_regex(
                r"([*][.])?([a-z]([a-z0-9-]{0,20}[a-z0-9])?[.]){1,3}example", fullmatch=True
            ),
            "port": ports,
        },
        optional={"protocol": st.sampled_from([*map(str, Protocol)])},
    ),
)
_hosts = st.lists(
    st.from_regex(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?([.][a-z]([a-z0-9-]{0,30}[a-z0-9])?){1,3}", fullmatch=True),
    min_size=1, max_size=3, unique=True,
)  # fmt: skip
_ways: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    names.map(lambda name: {"ingress": {"className": name}}),
    st.sampled_from(["public", "theirs"]).map(lambda name: {"gateway": {"namespace": "edge", "name": name}}),
)
_issuer = st.fixed_dictionaries(
    {"name": names}, optional={"kind": st.sampled_from(["Issuer", "ClusterIssuer"])}
)
_headers = st.lists(
    st.fixed_dictionaries({
        "name": st.from_regex(r"X-[A-Za-z0-9-]{1,20}", fullmatch=True),
        "value": st.from_regex(r"[!-~]([ -~]{0,40}[!-~])?", fullmatch=True),
    }),
    max_size=12, unique_by=lambda header: str(header["name"]).lower(),
)  # fmt: skip
_expose = st.builds(
    lambda way, rest: {**way, **rest},
    _ways,
    st.fixed_dictionaries(
        {"hosts": _hosts},
        optional={
            "tls": st.fixed_dictionaries({"issuer": _issuer}),
            "headers": _headers,
            "timeoutSeconds": st.integers(1, 3600),
        },
    ),
)
_probes = _some(
    port=ports,
    startupPath=paths,
    readinessPath=paths,
    livenessPath=paths,
    startupSeconds=st.integers(5, 3600),
)

specs = st.fixed_dictionaries(
    {"image": _images},
    optional={
        "environment": st.sampled_from([*map(str, Environment)]),
        "command": st.lists(texts.filter(bool), max_size=3),
        "args": st.lists(texts, max_size=3),
        "port": ports,
        "adminPort": ports,
        "probes": _probes,
        "env": _variables,
        "mounts": _mounts,
        "replicas": _replicas,
        "resources": _resources,
        "shutdown": _shutdown,
        "expose": _expose,
        "availability": _some(
            maxUnavailable=st.integers(1, 499), zones=st.sampled_from([*map(str, ZoneSpread)])
        ),
        "network": _some(
            allowFrom=st.lists(_allow_from, max_size=4), allowTo=st.lists(_allow_to, max_size=4)
        ),
    },
)
"""The `spec` of a ProductionService, as the models read it. Rules between fields refuse a third of them today; one that
was stored before such a rule has to be rendered all the same."""
