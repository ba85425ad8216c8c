"""The way to one project of one cloud."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from provision.errors import EnvironmentProblem
from provision.spi import native_call
from provision.spi.cloud import CloudSession
from provision_openstack.config import OpenStackConfig
from provision_openstack.errors import ApiError, explain, explained, is_absent
from provision_openstack.reading import Reader
from provision_openstack.services import Run, Service
from provision_openstack.turns import Turns

_MOST_CONNECTIONS = 256
_LOG_IN = (
    "look at clouds.yaml and OS_CLOUD, or the variables OS_*; `pulumi config set provision-openstack:cloud NAME` "
    "chooses an entry, and `openstack token issue` shows whether it does"
)
_REGION = (
    "write another one as `provision-openstack:region`, or name it under `regions` of the cloud's entry in clouds.yaml "
    "(`region_name` there allows no other)"
)


class Session(CloudSession):
    """The services of one project, and what this process knows to have made there; used by several threads.

    Attributes:
        config: how it was configured.
        region: name of the region; empty for a cloud without.
        regions: names of the regions that the user's catalogue has, sorted.
        project_id: the project.
        user_id: who is logged in.
        roles: names of the user's roles in the project, sorted.
    """

    reader: Reader

    def __init__(self, config: OpenStackConfig) -> None:
        """Log in.

        Raises:
            EnvironmentProblem: there are no credentials, they are refused, or the cloud does not answer.
        """
        super().__init__()
        self.config = config
        self._services: dict[str, Service] = {}
        self._new: set[str] = set()
        self._run: Run = _told
        self._turns = Turns()
        self._cloud = _found(config)
        self.region = str(self._cloud.get_region_name() or "")
        self.regions: list[str] = []
        self.project_id, self.user_id, self.roles = self._logged_in()
        self.reader = Reader(self)

    # --- services

    def service(self, name: str) -> Service:
        """The API of a type: `network`, `compute`, `image`, `block-storage`, `identity` or `placement`.

        Raises:
            EnvironmentProblem: the cloud has none.
        """
        with self._lock:
            if name not in self._services:
                self._services[name] = Service(name, self._adapter(name), partial(self._called, name))
            return self._services[name]

    @property
    def network(self) -> Service:
        """Neutron."""
        return self.service("network")

    @property
    def compute(self) -> Service:
        """Nova."""
        return self.service("compute")

    @property
    def image(self) -> Service:
        """Glance."""
        return self.service("image")

    @property
    def volume(self) -> Service:
        """Cinder."""
        return self.service("block-storage")

    def has(self, name: str) -> bool:
        """Whether the cloud has a service of this type in the region."""
        try:
            self.service(name)
        except EnvironmentProblem:
            return False
        return True

    def _called(self, service: str, title: str, call: Callable[[], Any]) -> Any:
        with self._turns.turn(service):
            return self._run(title, call)

    def stand_between(self, run: Run) -> None:
        """Have every call made by `run`, which gets its name and what makes it: for tests of what goes wrong."""
        self._run = run

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            self._services = {}
        self._cloud.get_session().session.close()

    # --- what this process has made

    def made(self, identity: str) -> None:
        """This process has just made the object: it did not find it."""
        with self._lock:
            self._new.add(identity)

    def is_new(self, identity: str) -> bool:
        """Whether nothing that an earlier process made can be inside of the object."""
        with self._lock:
            return identity in self._new

    # --- errors

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """As `errors.explained`."""
        return explained(doing)

    def is_absent(self, error: Exception) -> bool:
        """By the status of the answer."""
        return is_absent(error)

    # --- the SDK

    def _adapter(self, name: str) -> Any:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            adapter = self._cloud.get_session_client(name, constructor=_plain)
            found = adapter.endpoint_override or self._cloud.get_session().get_endpoint(
                service_type=adapter.service_type,
                service_name=adapter.service_name,
                interface=adapter.interface,
                region_name=adapter.region_name,
                skip_discovery=True,
            )
        except (ClientException, SDKException, AssertionError) as error:
            raise self._absent(name, str(error)) from None
        if not found:
            raise self._absent(name, "the catalogue has none")
        return adapter

    def _absent(self, name: str, why: str) -> EnvironmentProblem:
        if self.region and self.regions and self.region not in self.regions:
            return EnvironmentProblem(
                f"the cloud has no region '{self.region}'; its regions are: {', '.join(self.regions)}",
                "write one of them as `provision-openstack:region`, in clouds.yaml or as OS_REGION_NAME",
            )
        where = f" in the region {self.region}" if self.region else ""
        return EnvironmentProblem(
            f"the cloud has no service of the type '{name}'{where} ({why or 'the catalogue has none'})",
            "`openstack catalog list` shows which there are, with their regions; "
            "`provision-openstack:region` and `provision-openstack:endpoints` choose others",
        )

    def _logged_in(self) -> tuple[str, str, list[str]]:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            way = self._cloud.get_session()
            _pool(way)
            access = way.auth.get_access(way) if hasattr(way.auth, "get_access") else None
            project, user = way.get_project_id(), way.get_user_id()
        except (ClientException, SDKException) as error:
            raise self._refused(error) from None
        if not project:
            raise EnvironmentProblem(
                "the credentials that were found are not of a project",
                "set OS_PROJECT_NAME, or `project_name` in clouds.yaml",
            )
        if self.config.project_ids and project not in self.config.project_ids:
            raise EnvironmentProblem(
                f"the credentials that were found are of the project {project}, and only "
                f"{', '.join(self.config.project_ids)} may be worked in",
                "take another cloud (`provision-openstack:cloud`, OS_CLOUD), or mend `provision-openstack:projectIds`",
            )
        if access is None:
            return str(project), str(user or ""), []
        self.regions = _regions(access)
        return str(project), str(user or ""), sorted(access.role_names)

    def _refused(self, error: Exception) -> EnvironmentProblem:
        status = int(getattr(error, "http_status", 0) or 0)
        where = str(self._cloud.config.get("auth", {}).get("auth_url") or "the cloud")
        text = " ".join(str(error).split())[:300]
        if status == 401:
            problem = explain(f"logging in at {where}", ApiError("identity", "POST", "/auth/tokens", 401, text))
            return EnvironmentProblem(problem.summary, problem.fix)
        return EnvironmentProblem(f"logging in at {where}: {text}", f"check that {where} can be reached; {_LOG_IN}")


def _told(name: str, call: Callable[[], Any]) -> Any:
    """Make a call, and have it told of where that is wanted."""
    return native_call(name, call, failed=_refusal)


def _refusal(answer: Any) -> str:
    """The status of an answer that is a refusal."""
    status = getattr(answer, "status_code", 0)
    return str(status) if isinstance(status, int) and status >= 400 else ""


def preload() -> None:
    """Import early what every session needs: it takes longer than to log in."""
    from keystoneauth1.loading._plugins.identity import generic  # noqa: F401 - how people log in
    from openstack import config, exceptions  # noqa: F401


def _found(config: OpenStackConfig) -> Any:
    """The cloud's entry, as all of OpenStack's tools find it."""
    import openstack.config
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    for noisy in ("keystoneauth", "openstack", "urllib3"):  # below that they show requests, and with them user data
        logging.getLogger(noisy).setLevel(logging.WARNING)
    chosen: dict[str, Any] = {
        "cloud": config.cloud,
        "region_name": config.region,
        "interface": config.interface,
        "cacert": config.ca_file,
        **{f"{name.replace('-', '_')}_endpoint_override": url for name, url in config.endpoints.items()},
    }
    try:
        files = openstack.config.OpenStackConfig(app_name="provision-openstack")
        return files.get_one(**{key: value for key, value in chosen.items() if value is not None})
    except (ClientException, SDKException, OSError, ValueError) as error:
        text = " ".join(str(error).split())
        fix = _REGION if "not a valid region" in text else _LOG_IN
        raise EnvironmentProblem(f"no cloud of OpenStack can be chosen: {text}", fix) from None


def _regions(access: Any) -> list[str]:
    """Names of the regions in a user's catalogue."""
    services = access.service_catalog.catalog if access.has_service_catalog() else ()
    ends = [end for service in services for end in service.get("endpoints") or ()]
    return sorted({str(end.get("region_id") or end.get("region") or "") for end in ends} - {""})


def _plain(**arguments: Any) -> Any:
    """A keystoneauth adapter instead of the SDK's own, which needs a whole connection and retries by itself."""
    from keystoneauth1.adapter import Adapter

    ours = ("statsd_", "prometheus_", "influxdb_")
    return Adapter(**{key: value for key, value in arguments.items() if not key.startswith(ours)})


def _pool(way: Any) -> None:
    """Room for as many connections as there are threads; more than ten are thrown away otherwise."""
    from keystoneauth1.session import TCPKeepAliveAdapter

    for scheme in ("http://", "https://"):
        way.session.mount(scheme, TCPKeepAliveAdapter(pool_connections=32, pool_maxsize=_MOST_CONNECTIONS))
