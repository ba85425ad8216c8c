"""The smallest type of machine that has what is asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

from provision.errors import UserError
from provision_aws.errors import explained
from provision_aws.resources.instance_model import InstanceRequirements
from provision_aws.session import Session

_SPECIAL = ("GpuInfo", "FpgaInfo", "InferenceAcceleratorInfo", "NeuronInfo", "MediaAcceleratorInfo")
"""What a machine is not given that did not ask for it: such types cost much more."""

Type = Mapping[str, Any]


def choose(session: Session, requirements: InstanceRequirements) -> str:
    """Name of the type with the fewest CPUs, then the least memory, that fits; the first by name of several.

    Raises:
        UserError: none fits; the message says what comes closest.
    """
    offered = _offered(session, requirements.availability_zone)
    types = [one for one in _types(session) if offered is None or one["InstanceType"] in offered]
    fitting = [one for one in types if not list(lacks(one, requirements))]
    if fitting:
        return str(min(fitting, key=_size)["InstanceType"])
    where = f" in {requirements.availability_zone}" if requirements.availability_zone else ""
    raise UserError(
        f"no instance type{where} has what is asked for: {requirements.cpus} CPUs, {requirements.memory_mib} MiB and "
        f"the rest; {_closest(types, requirements)}",
        "ask for less, or name a type (`instanceType`)",
    )


def lacks(kind: Type, wanted: InstanceRequirements) -> Iterator[str]:
    """What a type does not have, in words."""
    cpu, processor, network = kind.get("VCpuInfo", {}), kind.get("ProcessorInfo", {}), kind.get("NetworkInfo", {})
    checks = {
        "enough CPUs": cpu.get("DefaultVCpus", 0) >= wanted.cpus,
        "enough memory": kind.get("MemoryInfo", {}).get("SizeInMiB", 0) >= wanted.memory_mib,
        f"the architecture {wanted.architecture}": wanted.architecture in processor.get("SupportedArchitectures", ()),
        f"{wanted.threads_per_core} threads per core": wanted.threads_per_core is None
        or wanted.threads_per_core in cpu.get("ValidThreadsPerCore", ()),
        "CPUs of its own": wanted.burstable or not kind.get("BurstablePerformanceSupported", False),
        "AMD SEV-SNP": not wanted.amd_sev_snp or "amd-sev-snp" in processor.get("SupportedFeatures", ()),
        "NitroTPM": not wanted.nitro_tpm or kind.get("NitroTpmSupport") == "supported",
        "room on dedicated hosts": not wanted.dedicated_host or kind.get("DedicatedHostsSupported", False),
        "enough interfaces": network.get("MaximumNetworkInterfaces", 0) >= wanted.nics,
        "IPv6": not wanted.ipv6 or network.get("Ipv6Supported", False),
        "a hypervisor": not kind.get("BareMetal", False),
        "a current generation": kind.get("CurrentGeneration", True),
        "nothing special": not any(kind.get(special) for special in _SPECIAL),
    }
    return (name for name, holds in checks.items() if not holds)


def _closest(types: list[Type], wanted: InstanceRequirements) -> str:
    if not types:
        return "no types are offered there"
    nearest = min(types, key=lambda one: (len(list(lacks(one, wanted))), _size(one)))
    return f"{nearest['InstanceType']} comes closest and lacks {', '.join(lacks(nearest, wanted))}"


def _size(kind: Type) -> tuple[int, int, str]:
    return kind["VCpuInfo"]["DefaultVCpus"], kind["MemoryInfo"]["SizeInMiB"], str(kind["InstanceType"])


def _types(session: Session) -> list[Type]:
    found: list[Type] = session.once("instance types", lambda: list(_paged(session, "types", {})))
    return found


def _offered(session: Session, zone: str | None) -> set[str] | None:
    if zone is None:
        return None
    asked = {"LocationType": "availability-zone", "Filters": [{"Name": "location", "Values": [zone]}]}

    def ask() -> set[str]:
        return {str(one["InstanceType"]) for one in _paged(session, "type_offerings", asked)}

    found: set[str] = session.once(("instance types", zone), ask)
    return found


def _paged(session: Session, what: str, asked: Mapping[str, Any]) -> Iterator[Type]:
    describe = getattr(session.client(), f"describe_instance_{what}")
    more: dict[str, Any] = {}
    while True:
        with explained("looking at instance types"):
            answer = describe(**asked, **more)
        yield from answer.get("InstanceTypes") or answer.get("InstanceTypeOfferings") or ()
        if not answer.get("NextToken"):
            return
        more = {"NextToken": answer["NextToken"]}
