"""Settings that a broker takes while it runs, and what of it takes them."""

from __future__ import annotations

from broker.access.policy import check_door, is_local
from broker.catalogue import Catalogue
from broker.front.context import Context
from broker.front.ice_servers import IceServers
from broker.front.serving import SPARE_FILES
from common.config import Config
from common.config_limits import LimitsConfig
from common.live import Live
from common.log import get_logger
from common.process import raise_file_limit

log = get_logger()


def register(live: Live, catalogue: Catalogue, front: Context, *, loopback: bool) -> None:
    """Have cameras, limits and what the front door goes by follow the configuration. ``loopback``: it listens there."""

    def limits(new: Config) -> None:
        front.quotas.limit(within_files(new.limits))
        front.memory.limit(new.limits.free_memory << 20)
        front.control.director.limit(new.limits.egress_viewers)
        catalogue.limit(new.limits.cameras)

    def hosts(new: Config) -> None:
        front.guard.hosts = [host.lower() for host in new.http.hosts]
        front.desk.reached(local=is_local(new.http, loopback=loopback))

    def ice_servers(new: Config) -> None:
        front.ice_servers = IceServers.of(new.http)

    def check_auth(new: Config) -> None:
        check_door(new, local=is_local(new.http, loopback=loopback))

    live.on("limits", take=limits)
    live.on(
        *("auth.mode", "auth.tokens", "auth.groups", "auth.session_hours"),
        take=lambda new: front.desk.take(new.auth),
        check=check_auth,
    )
    live.on("http.hosts", take=hosts, check=check_auth)
    live.on("http.ice_servers", "http.turn_secret", "http.turn_hours", take=ice_servers)
    live.on("cameras", "sources", take=catalogue.take, always=True)


def within_files(limits: LimitsConfig) -> LimitsConfig:
    """The limits, with no more connections than this process may have files open."""
    most = max(1, raise_file_limit() - SPARE_FILES)
    if 0 < limits.connections <= most:
        return limits
    if limits.connections:
        log.warning("fewer connections than limits.connections: raise the limit of open files", connections=most)
    return limits.model_copy(update={"connections": most})
