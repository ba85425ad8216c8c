"""Stack files that the kit translates, with everything that the plugin carries out."""

from collections.abc import Mapping

from provision.testing import StackSample
from provision_aws.capabilities import BEST

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8J0T5nQeYbK8XyzvW5pF0u1q2w3e4r5t6y7u8i9o0p kit@example.org"

_WHOLE = f"""
version: 1
images:
  own: {{sources: {{aws: {{kind: named, name: ami-0123456789abcdef0}}}}, user: admin}}
  found: {{sources: {{aws: {{kind: search, owner: "123456789012", name: "app-*", refresh: true}}}}}}
  told: {{sources: {{aws: {{kind: ssm, parameter: /app/image, refresh: true}}}}}}
  small: {{sources: {{aws: {{kind: builtin, name: micro, refresh: true}}}}}}
networks:
  front: {{cidr: 10.20.1.0/24, cidr6: "fd00:20:1::/64", internet: routed, gateway: 10.20.1.1, dhcp: {{enabled: true}}}}
  back:
    cidr: 10.20.2.0/24
    internet: nat
    overrides: {{aws: {{availability_zones: [us-east-2b], tags: {{tier: back}}}}}}
machines:
  web:
    image: own
    cpus: 2
    memory: 4GiB
    count: 2
    labels: {{tier: web}}
    nics: [{{network: front, public: true}}]
    ssh_keys: [{_KEY}]
    user_data: "#!/bin/sh\\necho hello\\n"
    cloud_init: {{packages: [nginx]}}
    power: stopped
    delete_protection: true
    overrides: {{aws: {{detailed_monitoring: true, key_name: admin, iam_instance_profile: web}}}}
  db:
    image: found
    memory: 8GiB
    size: {{aws: r6a.large}}
    root: {{size: 20GiB, type: gp3, encrypted: true, disposable: true}}
    disks:
      data:
        size: 100GiB
        type: gp3
        iops: 6000
        throughput: 250MiB/s
        encrypted: true
        keep_on_delete: true
        image: told
        overrides: {{aws: {{tags: {{keep: "yes"}}}}}}
    nics: [{{network: back, address: 10.20.2.10, connected: true}}]
  told:
    image: told
    memory: 1GiB
    nics: [{{network: front, address6: "fd00:20:1::10"}}]
  small:
    image: small
    memory: 1GiB
    nics: [{{network: back}}]
isolation:
  default: deny
  services: {{dhcp: true, dns: true, metadata: true, nd: true, ntp: true}}
  policies:
    world: {{kind: traffic, from: [outside], to: [machine.web], allow: [tcp/443], order: 20, revoke: keep}}
    not-there: {{kind: traffic, from: [203.0.113.0/24], to: [machine.web], deny: [tcp/443], order: 10}}
    own-identity: {{kind: anti_spoofing, machines: [machine.*], mac: true, ip: true, arp: true}}
    apart: {{kind: peer_isolation, machines: [machine.web]}}
    indoors: {{kind: no_internet, machines: [machine.db]}}
    hands-off: {{kind: no_host_access, machines: [machine.*]}}
    token: {{kind: metadata, machines: [machine.web], access: token, hop_limit: 2}}
    spread-out: {{kind: spread, machines: [machine.web], over: rack, max_per: 2}}
    together: {{kind: pack, machines: [machine.small], over: rack}}
    alone: {{kind: single_tenancy, machines: [machine.db]}}
    cores: {{kind: dedicated_cpus, machines: [machine.db], smt: isolate, emulator: true, numa: false}}
    sealed: {{kind: disk_encryption, machines: [machine.db], key: alias/db}}
    secret: {{kind: memory_encryption, machines: [machine.db], technology: sev-snp}}
"""

_BY_ITSELF = "it holds on EC2 whether asked for or not"
_REACHED = "nobody can close it, and negotiation says so"
_SILENT: Mapping[str, str] = {
    "images.user": "it is for people",
    "isolation.default": "deny is the default",
    "isolation.policies.anti_spoofing": _BY_ITSELF,
    "isolation.policies.anti_spoofing.arp": _BY_ITSELF,
    "isolation.policies.anti_spoofing.ip": _BY_ITSELF,
    "isolation.policies.anti_spoofing.mac": _BY_ITSELF,
    "isolation.policies.dedicated_cpus.emulator": _BY_ITSELF,
    "isolation.policies.dedicated_cpus.numa": "false is the default",
    "isolation.policies.memory_encryption.technology": "EC2 has one",
    "isolation.policies.no_host_access": _BY_ITSELF,
    "isolation.policies.no_internet": "nothing else lets it out here",
    "isolation.policies.peer_isolation": "nothing else lets them talk here",
    "isolation.policies.spread.over": "placement groups keep hosts and racks apart alike",
    "isolation.policies.traffic.order": "the other policy is decided first all the same",
    "isolation.policies.traffic.revoke": "EC2 keeps what was let in",
    "isolation.services.dhcp": _REACHED,
    "isolation.services.nd": _REACHED,
    "isolation.services.ntp": _REACHED,
    "machines.disks.encrypted": _BY_ITSELF,
    "machines.disks.keep_on_delete": "true is the default",
    "machines.disks.type": "gp3 is the default",
    "machines.memory": "a type is named",
    "machines.nics.connected": "true is the default",
    "machines.root.disposable": "the framework's",
    "machines.root.encrypted": _BY_ITSELF,
    "machines.root.type": "gp3 is the default",
    "networks.dhcp.enabled": _REACHED,
    "networks.gateway": "it is where EC2's is",
    "sharing.shares.machines": "a share of nothing",
}

STACKS = (StackSample("whole", _WHOLE, facts=BEST, silent=_SILENT),)
