"""Configuration files of the services, and the clouds.yaml of whoever uses the lab."""

import base64
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openstack_lab.layout import HOST, PASSWORD, REGION, SERVICE_TYPES, Layout

Sections = Mapping[str, Mapping[str, Any]]

_COMMON = {"debug": "false", "use_stderr": "true"}
_POOL = {"connection_recycle_time": 3600, "max_pool_size": 10, "max_overflow": 40}
_NO_NOTIFICATIONS = {"oslo_messaging_notifications": {"driver": "noop"}}
_MESSAGES = {
    "oslo_messaging_rabbit": {"heartbeat_in_pthread": "false", "rabbit_retry_interval": 1},
    **_NO_NOTIFICATIONS,
}


def configure(layout: Layout, venv: Path) -> None:
    """Write everything that the services of a lab read."""
    for name in (
        "lock",
        "images",
        "glance-staging",
        "glance-tasks",
        "nova",
        "neutron",
        "cinder/coord",
        "log",
        "rabbit",
    ):
        (layout.directory / name).mkdir(parents=True, exist_ok=True)
    pastes = {
        name: _copied(layout, venv, name)
        for name in ("glance/glance-api-paste.ini", "nova/api-paste.ini", "neutron/api-paste.ini",
                     "cinder/api-paste.ini", "cinder/resource_filters.json")
    }  # fmt: skip
    _write(layout, "keystone/keystone.conf", _keystone(layout))
    _write(layout, "placement/placement.conf", _placement(layout))
    _write(layout, "glance/glance-api.conf", _glance(layout, pastes))
    _write(layout, "nova/nova.conf", _nova(layout, pastes))
    for host in layout.settings.hosts:
        _compute_host(layout, host)
    _write(layout, "neutron/neutron.conf", _neutron(layout, pastes))
    _write(layout, "neutron/plugins/ml2/ml2_conf.ini", _ml2())
    _write(layout, "cinder/cinder.conf", _cinder(layout, pastes))
    _keys(layout)
    _entry_points(layout)
    layout.faults.write_text("[]")
    users = {"lab": ("demo", "demo"), "lab-admin": ("admin", "admin")}
    write_clouds(layout, layout.clouds, users)


def write_clouds(
    layout: Layout, path: Path, users: Mapping[str, tuple[str, str]], regions: Sequence[str] = (REGION,)
) -> None:
    """Write a clouds.yaml: by name of the cloud, the user and the project; its first region is the usual one."""
    clouds = {
        cloud: {
            "regions": list(regions),
            "auth": {
                "auth_url": f"{layout.url('keystone')}/v3",
                "username": user,
                "password": PASSWORD,
                "project_name": project,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
        }
        for cloud, (user, project) in users.items()
    }
    path.write_text(json.dumps({"clouds": clouds}, indent=1))  # JSON is YAML


def _write(layout: Layout, name: str, sections: Sections) -> None:
    path = layout.etc / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for section, options in sections.items()
    )
    path.write_text("\n".join(lines))


def _copied(layout: Layout, venv: Path, name: str) -> Path:
    path = layout.etc / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(venv / "etc" / name, path)
    return path


def _login(layout: Layout, user: str, **more: str) -> dict[str, str]:
    return {
        "auth_url": layout.url("keystone"),
        "auth_type": "password",
        "username": user,
        "password": PASSWORD,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": REGION,
        **more,
    }


def _tokens(layout: Layout, user: str) -> dict[str, str]:
    return _login(
        layout,
        user,
        www_authenticate_uri=layout.url("keystone"),
        service_token_roles="service",
        service_token_roles_required="true",
        service_type=SERVICE_TYPES[user],
    )


def _database(layout: Layout, name: str) -> dict[str, Any]:
    return {**_POOL, "connection": layout.database(name)}


def _keystone(layout: Layout) -> Sections:
    keys = layout.etc / "keystone"
    return {
        "DEFAULT": {**_COMMON, "transport_url": layout.broker, "public_endpoint": layout.url("keystone")},
        "database": _database(layout, "keystone"),
        "token": {"provider": "fernet", "expiration": 14400, "allow_expired_window": 14400},
        "fernet_tokens": {"key_repository": keys / "fernet-keys"},
        "fernet_receipts": {"key_repository": keys / "fernet-keys"},
        "credential": {"key_repository": keys / "credential-keys"},
        "identity": {"password_hash_rounds": 4},
        "cache": {"enabled": "true", "backend": "oslo_cache.dict"},
        **_NO_NOTIFICATIONS,
    }


def _placement(layout: Layout) -> Sections:
    return {
        "DEFAULT": _COMMON,
        "api": {"auth_strategy": "keystone"},
        "placement_database": _database(layout, "placement"),
        "keystone_authtoken": _tokens(layout, "placement"),
        "oslo_policy": {"enforce_scope": "false"},
    }


def _glance(layout: Layout, pastes: Mapping[str, Path]) -> Sections:
    return {
        "DEFAULT": {
            **_COMMON,
            "enabled_backends": "fs:file",
            "bind_host": HOST,
            "bind_port": layout.ports["glance"],
            "worker_self_reference_url": layout.url("glance"),
            "transport_url": layout.broker,
            "enabled_import_methods": "[glance-direct]",
            "node_staging_uri": f"file://{layout.directory}/glance-staging",
        },
        "os_glance_staging_store": {"filesystem_store_datadir": layout.directory / "glance-staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": layout.directory / "glance-tasks"},
        "database": _database(layout, "glance"),
        "glance_store": {"default_backend": "fs"},
        "fs": {"filesystem_store_datadir": layout.directory / "images"},
        "keystone_authtoken": _tokens(layout, "glance"),
        "paste_deploy": {"flavor": "keystone", "config_file": pastes["glance/glance-api-paste.ini"]},
        "oslo_concurrency": {"lock_path": layout.directory / "lock"},
        **_NO_NOTIFICATIONS,
    }


def _nova(layout: Layout, pastes: Mapping[str, Path]) -> Sections:
    quotas = ("instances", "cores", "ram", "key_pairs", "server_groups", "server_group_members")
    return {
        "DEFAULT": {
            **_COMMON,
            "transport_url": layout.broker,
            "my_ip": HOST,
            "state_path": layout.directory / "nova",
            "compute_driver": "labvirt.LabDriver",
            "host": "controller",
            "service_down_time": 90,  # a loaded machine is slow to report
            "report_interval": 5,
            "allow_resize_to_same_host": "true",
            "rpc_response_timeout": 60,
            "vif_plugging_is_fatal": "false",
            "vif_plugging_timeout": 0,
            "max_concurrent_builds": 10,
            "heal_instance_info_cache_interval": 600,
            "update_resources_interval": 300,
        },
        "api": {"auth_strategy": "keystone"},
        "api_database": _database(layout, "nova_api"),
        "database": _database(layout, "nova_cell1"),
        "keystone_authtoken": _tokens(layout, "nova"),
        "service_user": _login(layout, "nova", send_service_user_token="true"),
        "placement": _login(layout, "nova"),
        "neutron": _login(layout, "nova", service_metadata_proxy="false"),
        "glance": _login(layout, "nova"),
        "cinder": _login(layout, "nova", os_region_name=REGION),
        "wsgi": {"api_paste_config": pastes["nova/api-paste.ini"]},
        # Creations in one group that keeps apart race with each other, and the loser is scheduled again.
        "scheduler": {"workers": 1, "max_attempts": 8, "discover_hosts_in_cells_interval": -1},
        "filter_scheduler": {
            "enabled_filters": "ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,"
            "ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,AggregateInstanceExtraSpecsFilter,"
            "SameHostFilter,DifferentHostFilter",
            "shuffle_best_same_weighed_hosts": "true",
            "track_instance_changes": "false",
            "build_failure_weight_multiplier": 0,
        },
        "conductor": {"workers": 1},
        "quota": dict.fromkeys(quotas, layout.settings.quota),
        "vnc": {"enabled": "true", "novncproxy_base_url": f"http://{HOST}:6080/vnc_auto.html"},
        "oslo_concurrency": {"lock_path": layout.directory / "lock"},
        "oslo_policy": {"enforce_scope": "true"},
        **_MESSAGES,
    }


def _compute_host(layout: Layout, host: str) -> None:
    place = layout.directory / "compute" / host
    (place / "lock").mkdir(parents=True, exist_ok=True)
    (place / "compute_id").write_text(str(uuid.uuid5(uuid.NAMESPACE_DNS, f"oslab-node-{host}")))
    sections = {"DEFAULT": {"host": host, "state_path": place}, "oslo_concurrency": {"lock_path": place / "lock"}}
    _write(layout, f"compute/{host}.conf", sections)


def _neutron(layout: Layout, pastes: Mapping[str, Path]) -> Sections:
    kinds = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule", "subnetpool",
             "trunk")  # fmt: skip
    return {
        "DEFAULT": {
            **_COMMON,
            "transport_url": layout.broker,
            "core_plugin": "ml2",
            "auth_strategy": "keystone",
            "state_path": layout.directory / "neutron",
            "service_plugins": "router,qos,trunk,network_ip_availability",
            "notify_nova_on_port_status_changes": "false",
            "notify_nova_on_port_data_changes": "false",
            "api_paste_config": pastes["neutron/api-paste.ini"],
            "rpc_workers": 0,
            "l3_ha": "false",
            "host": "controller",
            "dhcp_agent_notification": "false",
        },
        "database": _database(layout, "neutron"),
        "keystone_authtoken": _tokens(layout, "neutron"),
        "nova": _login(layout, "neutron"),
        "placement": _login(layout, "neutron"),
        "oslo_concurrency": {"lock_path": layout.directory / "lock"},
        "quotas": {"default_quota": layout.settings.quota} | {f"quota_{kind}": layout.settings.quota for kind in kinds},
        **_MESSAGES,
    }


def _ml2() -> Sections:
    return {
        "ml2": {
            "type_drivers": "flat,vlan,vxlan,local",
            "tenant_network_types": "vxlan",
            "mechanism_drivers": "openvswitch,lab",
            "extension_drivers": "port_security,qos",
            "overlay_ip_version": 4,
        },
        "ml2_type_flat": {"flat_networks": "*"},
        "ml2_type_vlan": {"network_vlan_ranges": "physnet1:100:999"},
        "ml2_type_vxlan": {"vni_ranges": "1:20000"},
        "securitygroup": {"enable_security_group": "true"},
    }


def _cinder(layout: Layout, pastes: Mapping[str, Path]) -> Sections:
    return {
        "DEFAULT": {
            **_COMMON,
            "transport_url": layout.broker,
            "auth_strategy": "keystone",
            "state_path": layout.directory / "cinder",
            "my_ip": HOST,
            "host": "controller",
            "enabled_backends": "fake",
            "default_volume_type": "__DEFAULT__",
            "glance_api_servers": layout.url("glance"),
            "api_paste_config": pastes["cinder/api-paste.ini"],
            "osapi_volume_listen": HOST,
            "osapi_volume_listen_port": layout.ports["cinder"],
            "osapi_volume_workers": 1,
            "resource_query_filters_file": pastes["cinder/resource_filters.json"],
            **{f"quota_{kind}": layout.settings.quota for kind in ("volumes", "gigabytes", "snapshots")},
        },
        "database": _database(layout, "cinder"),
        "keystone_authtoken": _tokens(layout, "cinder"),
        "service_user": _login(layout, "cinder", send_service_user_token="true"),
        "nova": _login(layout, "cinder"),
        "fake": {"volume_driver": "oslab.labvolumes.LabVolumeDriver", "volume_backend_name": "fake"},
        "oslo_concurrency": {"lock_path": layout.directory / "lock"},
        "coordination": {"backend_url": f"file://{layout.directory}/cinder/coord"},
        # One key for all volumes of types that encrypt: there is no Barbican, and no data to encrypt.
        "key_manager": {"backend": "cinder.keymgr.conf_key_mgr.ConfKeyManager", "fixed_key": "0" * 64},
        **_MESSAGES,
    }


def _keys(layout: Layout) -> None:
    for name in ("fernet-keys", "credential-keys"):
        place = layout.etc / "keystone" / name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in "01":
            path = place / number
            path.touch(0o600)
            path.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))


def _entry_points(layout: Layout) -> None:
    """A distribution by which Neutron finds the lab's driver."""
    place = layout.directory / "python" / "openstack_lab-0.dist-info"
    place.mkdir(parents=True, exist_ok=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: openstack-lab\nVersion: 0\n")
    (place / "entry_points.txt").write_text("[neutron.ml2.mechanism_drivers]\nlab = oslab.mech:LabMechanismDriver\n")
