"""Users, roles, services and endpoints of a new lab: python -m oslab.register URLS, by service, as JSON."""

import json
import sys

import openstack

PASSWORD = "lab"


def main():
    identity = openstack.connect(cloud="lab-admin").identity
    service = identity.create_project(name="service", domain_id="default")
    demo = identity.create_project(name="demo", domain_id="default")
    roles = {role.name: role for role in identity.roles()}
    roles.setdefault("service", None)
    roles["service"] = roles["service"] or identity.create_role(name="service")
    for name, (kind, url) in json.loads(sys.argv[1]).items():
        user = identity.create_user(name=name, password=PASSWORD, domain_id="default")
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(service, user, roles[role])
        made = identity.create_service(name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            identity.create_endpoint(service_id=made.id, interface=interface, url=url, region_id="RegionOne")
    user = identity.create_user(name="demo", password=PASSWORD, domain_id="default")
    for role in ("member", "reader"):
        identity.assign_project_role_to_user(demo, user, roles[role])
    identity.assign_project_role_to_user(demo, identity.find_user("admin"), roles["admin"])


if __name__ == "__main__":
    main()
