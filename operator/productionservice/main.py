"""Puts the operator together and runs it: `python -m productionservice.main`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from http import HTTPStatus
from typing import Any

import kopf
import structlog
import uvloop

from productionservice import __version__, handlers, logs, metrics
from productionservice.admission import server as webhook
from productionservice.admission.advice import advise
from productionservice.admission.known import Known
from productionservice.children import BuildContext
from productionservice.children.context import EdgeGateway, Pods
from productionservice.config import PREFIX, ConfigError, OperatorConfig
from productionservice.engine import memory
from productionservice.engine.caches import CHILD_SELECTOR, POD_SELECTOR, PODS, RESOURCES, Caches
from productionservice.engine.client import Body, Client
from productionservice.engine.contents import SOURCES
from productionservice.engine.crds import watch_crds
from productionservice.engine.events import Recorder
from productionservice.engine.health import CannotListen, Figures, Health, measure_lag, serve
from productionservice.engine.leader import LeaderElector
from productionservice.engine.login import Login, LoginError, load_login
from productionservice.engine.queue import AsyncQueue
from productionservice.engine.reflector import Reflector
from productionservice.engine.resync import Resync
from productionservice.engine.stream import SERVICES, Names, StreamCheck
from productionservice.engine.triggers import Triggers
from productionservice.engine.worker import Workers
from productionservice.reconcile import Reconciler

log = structlog.get_logger(__name__)

FREED_TOGETHER = 500
"""Objects, of a kilobyte or so each, that are worth a look at the heap."""
DRAIN_SECONDS = 10.0
"""How long running passes may take to finish. With the release of the Lease it fits the chart's 30 s grace."""
EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


class Operator:
    """All parts, wired. Every task that lives long is made before kopf starts: kopf ends all later ones itself."""

    def __init__(self, config: OperatorConfig, client: Client) -> None:
        self._config, self._client = config, client
        self.stopping = asyncio.Event()
        self.exit_code = EXIT_OK
        self._tasks: list[asyncio.Task[None]] = []
        self._leader: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        caches, queue = Caches(), AsyncQueue()
        self._caches = caches
        self.triggers = Triggers(caches, queue)
        namespaces = config.namespaces or (None,)
        self._reflectors: list[Reflector[Any]] = [
            reflector for namespace in namespaces for reflector in self._reflect(caches, namespace)
        ]
        self.resync = Resync(
            client, caches, self.triggers, namespaces=config.namespaces, seconds=config.resync_seconds,
            relist_seconds=config.relist_seconds,
        )  # fmt: skip
        self._recorder = Recorder(client, config.identity)
        context = BuildContext(
            dns_namespace=config.dns_namespace, dns_labels=dict(config.dns_labels),
            dns_ports=config.dns_ports, dns_addresses=tuple(map(str, config.dns_addresses)),
            monitoring_namespace=config.monitoring_namespace, monitor_labels=dict(config.monitor_labels),
            **_edge(config),
        )  # fmt: skip
        self._workers = Workers(queue, Reconciler(client, caches, self._recorder, context), config.workers)
        self._elector = LeaderElector(
            client, namespace=config.lease_namespace, name=config.lease_name, identity=config.identity
        )
        self._stream = StreamCheck(caches.parents, self.resync.relist)
        # CRDs are the cluster's: a confined operator may not look, and finds a new kind by the periodic look only.
        crds = () if config.namespaces else (watch_crds(client, self._reflectors),)
        watched = [*self._reflectors, *crds, *self._names(caches)]
        self.health = Health(client, watched, self.resync, self._stream)
        self.figures = Figures(self.health, watched, queue, caches.parents)
        self._watched = watched
        known = Known(caches, complete=lambda: not self.health.faults())
        self.advise = functools.partial(advise, world=known, zones=config.zones or None, context=context)

    def _reflect(self, caches: Caches, namespace: str | None) -> list[Reflector[Any]]:
        reflector = functools.partial(
            Reflector[Any], self._client, namespace=namespace, relist_seconds=self._config.relist_seconds
        )
        children = {
            kind: reflector(RESOURCES[kind], store, self.triggers.child, selector=CHILD_SELECTOR)
            for kind, store in caches.children.items()
        }
        contents = {
            kind: reflector(SOURCES[kind], store, functools.partial(self.triggers.contents, kind))
            for kind, store in caches.contents.items()
        }
        for kind, found in (*children.items(), *contents.items()):
            found.on_served = functools.partial(self._served, caches, kind, namespace, found)
        pods = reflector(PODS, caches.pods, self.triggers.pod, selector=POD_SELECTOR)
        return [*children.values(), *contents.values(), pods]

    def _served(self, caches: Caches, kind: str, namespace: str | None, reflector: Reflector[Any]) -> None:
        """A kind has come or gone: every service may want something of it."""
        caches.serve(kind, namespace, reflector.unserved)
        self.triggers.resync()

    def start(self) -> None:
        """Start everything but kopf."""
        for reflector in self._watched:
            self._run(reflector.run(), f"reflector-{reflector.resource.plural}")
        self._run(self.resync.run(), "resync")
        self._run(self._check_stream(), "stream")
        self._run(measure_lag(), "lag")
        self._run(self._recorder.run(), "events")
        self._run(memory.trim_after_bursts(self._freed), "memory")
        self._workers.start(self._may_work)
        for task in self._workers.tasks:
            task.add_done_callback(self._on_end)
        if self._config.leader_election:
            self._client.fence = self._elector.fence
            self._leader = self._run(self._elector.run(), "leader")
        else:
            metrics.LEADER.labels(self._config.lease_name).set(1)  # alone, and at work

    def _names(self, caches: Caches) -> list[Reflector[None]]:
        """Reflectors of the names of all services, beside kopf's stream."""
        names, relist = Names(caches.parents), self._config.relist_seconds
        return [
            Reflector(
                self._client,
                SERVICES,
                names,
                self._stream.changed,
                namespace=namespace,
                relist_seconds=relist,
            )
            for namespace in self._config.namespaces or (None,)
        ]

    async def _check_stream(self) -> None:
        """The stream begins once all services are known."""
        await self.resync.synced.wait()
        await self._stream.run()

    def parent_event(self, kind: str | None, body: Body) -> None:
        """An event of kopf's stream of services."""
        self._stream.heard()
        self.triggers.parent_event(kind, body)

    def _freed(self) -> float:
        """Grows with what frees much memory: complete lists, and content that is known to be as wanted."""
        return (
            sum(reflector.lists for reflector in self._reflectors) + self._caches.unpacked // FREED_TOGETHER
        )

    def take_signals(self) -> None:
        """SIGTERM and SIGINT begin the drain at once: another replica leads while kopf still tidies up."""
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._begin_drain)

    async def drain(self) -> None:
        """Finish running passes, then let another replica lead. Whoever asks again waits for the same end."""
        await asyncio.shield(self._begin_drain())

    def _begin_drain(self) -> asyncio.Task[None]:
        if self._draining is None:
            self.health.stopping = True
            self.stopping.set()  # kopf waits five seconds for whoever still waits for its stop flag
            self._draining = asyncio.create_task(self._drain(), name="drain")
        return self._draining

    async def _drain(self) -> None:
        await self._workers.drain(DRAIN_SECONDS)
        if self._leader is not None:
            led = self._elector.leading.is_set()
            self._leader.cancel()  # or it would take the Lease again
            await asyncio.gather(self._leader, return_exceptions=True)
            if led:
                await self._elector.release()

    async def stop(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _may_work(self) -> None:
        """Until everything has been listed and this replica leads."""
        for reflector in self._reflectors:
            await reflector.synced.wait()
        await self.resync.synced.wait()
        if not self.triggers.warm:
            self.triggers.warm = True
            memory.settle()
        if self._config.leader_election:
            await self._elector.leading.wait()

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_end)
        self._tasks.append(task)
        return task

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """No part ends by itself, except when the Lease is lost: stop, and let a new process start."""
        if task.cancelled() or self.stopping.is_set() or self.health.stopping:
            return
        log.error(
            "a part of the operator has ended: stopping", part=task.get_name(), error=repr(task.exception())
        )
        self.exit_code = EXIT_FAILED
        self._workers.cancel()  # without the Lease each further write could cross another leader's
        self.stopping.set()


def _edge(config: OperatorConfig) -> dict[str, Any]:
    """Through what services are reached from outside."""
    namespace, _, name = config.edge_gateway.partition("/")
    pods = Pods(config.edge_namespace, dict(config.edge_labels))
    own = EdgeGateway(namespace, name, config.edge_listener, config.edge_gateway_class, pods)
    further = tuple(
        EdgeGateway(
            each.namespace, each.name, each.listener, each.class_name,
            Pods(each.pods.namespace, dict(each.pods.labels)) if each.pods else pods,
        )
        for each in config.edge_gateways
    )  # fmt: skip
    return {
        "edge_gateway": own if name else None,
        "edge_gateways": further,
        "edge_ingress_class": config.edge_ingress_class,
        "edge_pods": pods,
    }


@contextlib.asynccontextmanager
async def running(config: OperatorConfig, login: Login) -> AsyncIterator[Operator]:
    """An operator whose parts run, and are ended in order."""
    async with Client(login) as client:
        operator = Operator(config, client)
        async with (
            serve(operator.health, operator.figures, config.http_host, config.http_port),
            webhook.serve(
                operator.advise, config.webhook_certificates, config.http_host, config.webhook_port
            ),
        ):
            operator.start()
            try:
                yield operator
            finally:
                await operator.drain()
                await operator.stop()


async def run(config: OperatorConfig, login: Login) -> int:
    """Run until SIGTERM or SIGINT, or until a part fails. Returns the exit code."""
    async with running(config, login) as operator:
        operator.take_signals()
        # kopf looks for the CRD once, when it starts.
        waits = [asyncio.create_task(event.wait()) for event in (operator.resync.synced, operator.stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not operator.stopping.is_set():
            await _run_kopf(config, login, operator)
    return operator.exit_code


async def _run_kopf(config: OperatorConfig, login: Login, operator: Operator) -> None:
    try:
        await kopf.operator(
            registry=handlers.REGISTRY, standalone=True, clusterwide=not config.namespaces,
            namespaces=config.namespaces, stop_flag=operator.stopping,
            memo=handlers.Shell(login, operator.parent_event, operator.drain, operator.take_signals),
        )  # fmt: skip
    except Exception as error:
        if getattr(error, "status", None) == HTTPStatus.NOT_FOUND:  # kopf's APIError
            log.error("the CRD of ProductionServices is gone: stopping")  # noqa: TRY400 - kopf's traceback says no more
        else:
            log.exception("the stream of services has ended: stopping")
        operator.exit_code = EXIT_FAILED


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Exit codes: 0 stopped by a signal, 1 a part failed or the Lease was lost, 2 wrong settings."""
    settings = "\n".join(
        f"  {PREFIX}{name.upper()}: {field.description}"
        for name, field in OperatorConfig.model_fields.items()
    )
    parser = argparse.ArgumentParser(
        prog="productionservice-operator",
        description=f"Runs the ProductionService operator until SIGTERM. Settings, in the environment:\n{settings}",
        epilog=f"example: KUBECONFIG=~/.kube/config {PREFIX}LEADER_ELECTION=false productionservice-operator",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    try:
        config = OperatorConfig.from_environment()
        login = load_login(config)
    except (ConfigError, LoginError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - before logging is set up, for whoever starts us
        return EXIT_USAGE
    logs.configure(config.log_level)
    log.info(
        "starting", version=__version__, identity=config.identity, namespaces=config.namespaces or "all",
        workers=config.workers,
    )  # fmt: skip
    memory.keep_small()
    metrics.MEMORY_LIMIT.set(memory.limit())
    try:
        return uvloop.run(run(config, login))
    except CannotListen as error:
        print(f"error: {error}: set {PREFIX}{error.setting} to a free port", file=sys.stderr)  # noqa: T201 - as above
        return EXIT_USAGE
    except Exception:
        log.exception("the operator has ended")
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
