"""What is in trouble or well again, and whose it is: units, sources over their budget, sensors."""

from contextlib import suppress

from afresh.assets.errors import UsageError
from afresh.assets.partition import format_ref, parse_ref
from afresh.assets.planner.look import Looks
from afresh.assets.planner.nodes import Node
from afresh.assets.planner.topology import Plan
from afresh.daemon.notifiers.alerts import Alerts
from afresh.daemon.reactor import Reactor
from afresh.sensors.base import Health, Sensor


def tell_trouble(alerts: Alerts, reactor: Reactor, node: Node, well: bool) -> None:
    """A unit failed for good, or is well again: to its owner, with the why."""
    looks, now = Looks(reactor.planner), reactor.ports.now()
    for asset in node.plan.assets:
        subject = format_ref(asset, node.key)
        owner = owner_of(node.plan, asset)
        if well:
            alerts.recovered(subject, owner)
            continue
        unit = looks.look(asset, node.key, now)
        if unit.state == "failed":
            why = tuple(reason.detail for reason in unit.reasons)
            alerts.failed(subject, why[0] if why else "failed", why, owner)


def tell_missed(alerts: Alerts, reactor: Reactor) -> None:
    """Units that failed or became well and whose alert a kill cut off before it was recorded."""
    planner = reactor.planner
    for nodes in planner.graph.nodes.values():
        for node in nodes.values():
            if node.trouble is not None:
                tell_trouble(alerts, reactor, node, well=False)
    for subject in alerts.open_subjects:
        with suppress(UsageError, KeyError):
            ref = parse_ref(subject)
            plan, _ = planner.topology.assets[ref.asset]
            found = planner.graph.get(plan, ref.partition or "")
            if found is not None and found.trouble is None:
                alerts.recovered(subject, owner_of(plan, ref.asset))


def tell_storm(alerts: Alerts, reactor: Reactor, name: str, budget: str, waiting: int) -> None:
    """A source brings more than its budget, or no longer does."""
    owner = owner_of(reactor.planner.topology.plans.get(name))
    if waiting:
        error = f"more arrives than its budget of {budget}: what is recorded is read later"
        alerts.failed(f"source {name}", error, (error,), owner)
    else:
        alerts.recovered(f"source {name}", owner)


def tell_health(alerts: Alerts, reactor: Reactor, sensor: Sensor, health: Health) -> None:
    """A sensor failed, or is well again: to the owner of its source."""
    owner = owner_of(reactor.planner.topology.plans.get(sensor.name))
    if health.state == "failed":
        alerts.failed(f"sensor {sensor.name}", health.error, (health.error, health.hint), owner)
    else:
        alerts.recovered(f"sensor {sensor.name}", owner)


def owner_of(plan: Plan | None, asset: str = "") -> str:
    """Give the owner of a source, or of an asset that a function makes: its first by default."""
    if plan is None:
        return ""
    if plan.source is not None:
        return plan.source.owner
    outputs = plan.function.outputs if plan.function is not None else ()
    return next((output.owner for output in outputs if asset in {"", output.asset}), "")
