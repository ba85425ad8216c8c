"""Native calls of OpenStack's APIs, as whoever watches a run is told of them."""

import pytest
from fake_cloud import FakeCloud
from provision_openstack.config import OpenStackConfig
from provision_openstack.errors import ApiError
from provision_openstack.session import Session

from provision.spi.calls import watch_calls


def test_every_call_is_told_with_its_status_and_without_ids(tmp_path, monkeypatch):
    told = []
    with FakeCloud() as cloud:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds(tmp_path)))
        monkeypatch.delenv("OS_CLOUD", raising=False)
        cloud.lay("POST", "/network/v2.0/networks", (409, {"NeutronError": {"type": "NetworkInUse", "message": "no"}}))
        session = Session(OpenStackConfig(cloud="fake"))
        watch_calls(lambda *call: told.append(call))
        try:
            with pytest.raises(ApiError):
                session.network.post("/networks", {})
            with pytest.raises(ApiError):
                session.network.get(f"/networks/{'a' * 32}")
        finally:
            watch_calls(None)
            session.close()
    assert [(name, failure) for name, _, _, _, failure in told] == [
        ("network.POST /networks", "409"), ("network.GET /networks/ID", "404"),
    ]  # fmt: skip
