"""The smallest type of machine that has what is asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

from provision.errors import UserError
from provision_aws.errors import explained
from provision_aws.session import Session
from provision_aws.wanted import InstanceRequirements

_SPECIAL = ("GpuInfo", "FpgaInfo", "InferenceAcceleratorInfo", "NeuronInfo", "MediaAcceleratorInfo")
"""What a machine is not given that did not ask for it: such types cost much more."""

_LADDER = (1, 2, 4, 8, 12, 16, 24, 32, 36, 40, 48, 64, 72, 80, 96, 112, 128, 192, 224, 256, 384, 448, 512, 768, 896)
"""Numbers of CPUs that types have."""

_STEP, _STEPS = 2, 2
"""How many of them are asked for at once, and how often, before all types are."""

Type = Mapping[str, Any]


def choose(session: Session, requirements: InstanceRequirements) -> tuple[str, str]:
    """Name of the type with the fewest CPUs, then the least memory, that fits; the first by name of several. And why.

    Raises:
        UserError: none fits; the message says what comes closest.
    """
    offered = _offered(session, requirements.availability_zone)
    seen: list[Type] = []
    for sizes in _sizes(requirements.cpus):
        found = types(session, _filters(requirements, sizes))
        seen += [one for one in found if offered is None or one["InstanceType"] in offered]
        fitting = [one for one in seen if not list(lacks(one, requirements))]
        if fitting:
            best = min(fitting, key=_size)
            cpus, memory, name = _size(best)
            told = f"{name} ({cpus} CPU{'s' * (cpus != 1)}, {memory} MiB)"
            return name, f"{told} is the smallest type that has what is asked for: {_asked(requirements)}"
    raise UserError(
        f"no instance type has what is asked for: {_asked(requirements)}; {_closest(seen, requirements)}",
        "ask for less, or name a type (`size: {aws: TYPE}` of a machine, `instanceType` of the resource)",
    )


def _asked(wanted: InstanceRequirements) -> str:
    """What a type must have, in words."""
    words = {
        f"{'one thread' if wanted.threads_per_core == 1 else 'two threads'} for each core": wanted.threads_per_core,
        "CPUs of its own": not wanted.burstable,
        "AMD SEV-SNP": wanted.amd_sev_snp,
        "NitroTPM": wanted.nitro_tpm,
        "room on dedicated hosts": wanted.dedicated_host,
        "the Nitro system": wanted.nitro,
        f"{wanted.nics} network cards": wanted.nics > 1,
        "IPv6": wanted.ipv6,
    }
    more = [word for word, asked in words.items() if asked]
    where = f", in {wanted.availability_zone}" if wanted.availability_zone else ""
    size = [f"{wanted.cpus} CPU{'s' * (wanted.cpus != 1)}", f"{wanted.memory_mib} MiB", wanted.architecture]
    return ", ".join([*size, *more]) + where


def _sizes(cpus: int) -> Iterator[tuple[int, ...]]:
    """Numbers of CPUs to look at, the fewest first; none in the end: then all types are looked at."""
    left = [size for size in _LADDER if size >= cpus]
    for start in range(0, min(len(left), _STEPS * _STEP), _STEP):
        yield tuple(left[start : start + _STEP])
    yield ()


def _filters(wanted: InstanceRequirements, sizes: tuple[int, ...]) -> Mapping[str, tuple[str, ...]]:
    """What EC2 itself can leave out of its answer, which is megabytes otherwise."""
    found: dict[str, tuple[str, ...]] = {"current-generation": ("true",), "bare-metal": ("false",)}
    found["processor-info.supported-architecture"] = (wanted.architecture,)
    if wanted.nitro:
        found["hypervisor"] = ("nitro",)
    if sizes:
        found["vcpu-info.default-vcpus"] = tuple(map(str, sizes))
    return found


def cores(session: Session, name: str) -> int:
    """How many cores a type has.

    Raises:
        UserError: there is no such type.
    """

    def ask() -> int:
        found = list(_paged(session, "types", {"InstanceTypes": [name]}))
        if not found:
            raise UserError(f"there is no instance type '{name}' in {session.region}", "take another one")
        return int(found[0]["VCpuInfo"]["DefaultCores"])

    counted: int = session.once(("cores", name), ask)
    return counted


def lacks(kind: Type, wanted: InstanceRequirements) -> Iterator[str]:
    """What a type does not have, in words."""
    cpu, processor, network = kind.get("VCpuInfo", {}), kind.get("ProcessorInfo", {}), kind.get("NetworkInfo", {})
    checks = {
        "enough CPUs": (cpu.get("DefaultCores", 0) if wanted.threads_per_core == 1 else cpu.get("DefaultVCpus", 0))
        >= wanted.cpus,
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
        "the Nitro system": not wanted.nitro or kind.get("Hypervisor") == "nitro",
        "a current generation": kind.get("CurrentGeneration", True),
        "nothing special": not any(kind.get(special) for special in _SPECIAL),
    }
    return (name for name, holds in checks.items() if not holds)


def _closest(types: list[Type], wanted: InstanceRequirements) -> str:
    if not types:
        return "no types are offered there"
    nearest = min(types, key=lambda one: (len(list(lacks(one, wanted))), _shortage(one, wanted), _size(one)))
    return f"{nearest['InstanceType']} comes closest and lacks {', '.join(lacks(nearest, wanted))}"


def _shortage(kind: Type, wanted: InstanceRequirements) -> float:
    """How far a type is from the size that is wanted, as parts of it."""
    cpus, memory, _ = _size(kind)
    return max(0.0, 1 - cpus / wanted.cpus) + max(0.0, 1 - memory / wanted.memory_mib)


def _size(kind: Type) -> tuple[int, int, str]:
    return kind["VCpuInfo"]["DefaultVCpus"], kind["MemoryInfo"]["SizeInMiB"], str(kind["InstanceType"])


def types(session: Session, filters: Mapping[str, tuple[str, ...]]) -> list[Type]:
    """Types of the region by EC2's filters, asked once."""
    asked = {"Filters": [{"Name": name, "Values": list(values)} for name, values in filters.items()]}
    key = ("instance types", tuple(sorted(filters.items())))
    found: list[Type] = session.once(key, lambda: list(_paged(session, "types", asked)))
    return found


def offered_in(session: Session, names: tuple[str, ...]) -> Mapping[str, list[str]]:
    """By type, the zones that have it."""
    asked = {"LocationType": "availability-zone", "Filters": [{"Name": "instance-type", "Values": list(names)}]}
    found: dict[str, list[str]] = {}
    for one in _paged(session, "type_offerings", asked):
        found.setdefault(str(one["InstanceType"]), []).append(str(one["Location"]))
    return {name: sorted(zones) for name, zones in found.items()}


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
