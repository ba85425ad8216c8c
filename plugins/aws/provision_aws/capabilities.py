"""What an account and region can do, asked once: several questions at the same time."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from provision.errors import ProvisionError
from provision.spi import Capabilities
from provision_aws.errors import explained
from provision_aws.instance_types import types
from provision_aws.session import Session

if TYPE_CHECKING:  # whoever asks for a stack has the models already
    from provision.models import Stack

GROUPS_PER_INTERFACE, RULES_PER_GROUP = 5, 60
"""What accounts have that asked for no more (VPC User Guide, "Amazon VPC quotas")."""

_QUOTAS = {"groups_per_interface": "L-2AFB9258", "rules_per_group": "L-0EA8095F"}
_USUAL = {"groups_per_interface": GROUPS_PER_INTERFACE, "rules_per_group": RULES_PER_GROUP}

_SNP = ("m6a.large",)
"""The type whose description tells whether the region has AMD SEV-SNP."""

BEST: Mapping[str, Any] = {
    "account": "123456789012",
    "region": "us-east-2",
    "zones": ["us-east-2a", "us-east-2b", "us-east-2c"],
    "limits": _USUAL,
    "block_public_access": "off",
    "amd_sev_snp": True,
    "uefi_images": {},
}
"""Facts of an account and region that lack nothing."""


def ask(session: Session) -> Capabilities:
    """Ask the account and region.

    Raises:
        provision.errors.ProvisionError: it does not tell its zones or types of machines.
    """
    return _asked(session, _questions(session))


def ask_for(session: Session, stack: "Stack") -> Capabilities:
    """Ask what a stack depends on; of quotas what every account has is taken where the stack is far from them.

    Raises:
        provision.errors.ProvisionError: the account and region do not tell.
    """
    kinds = {policy.kind for policy in stack.isolation.policies.values()}
    needed = {
        "zones": True,
        "limits": _is_near_quotas(stack),
        "block_public_access": any(one.internet != "none" for one in stack.networks.values()),
        "amd_sev_snp": "memory_encryption" in kinds,
        "uefi_images": "secure_boot" in kinds,
    }
    asked = {name: question for name, question in _questions(session).items() if needed[name]}
    told = _asked(session, asked)
    return replace(told, facts={"limits": dict(_USUAL), **told.facts})


def _is_near_quotas(stack: "Stack") -> bool:
    """Whether a stack comes to more than half of the groups or rules that every account has."""
    from provision_aws.translate.objections import groups_of

    half = {name: number // 2 for name, number in _USUAL.items()}
    made = groups_of(stack, half)
    return made is None or bool(made.objections) or any(len(parts) > 1 for parts in made.parts.values())


def _questions(session: Session) -> Mapping[str, Callable[[], Any]]:
    return {
        "zones": lambda: sorted(_zones(session)),
        "limits": lambda: {name: _quota(session, name) for name in sorted(_QUOTAS)},
        "block_public_access": lambda: _blocked(session),
        "amd_sev_snp": lambda: any(_has_snp(kind) for kind in types(session, {"instance-type": _SNP})),
        "uefi_images": lambda: dict(sorted(_uefi_images(session))),
    }


def _asked(session: Session, questions: Mapping[str, Callable[[], Any]]) -> Capabilities:
    session.client()  # made once, before several ask
    with ThreadPoolExecutor(max_workers=len(questions)) as pool:
        asked = {name: pool.submit(question) for name, question in questions.items()}
        facts = {name: answer.result() for name, answer in asked.items()}
    chosen = {"exclusive_groups": True} if session.config.exclusive_groups else {}
    return Capabilities(
        "aws",
        {"account": session.account, "region": session.region, **facts, **chosen},
        identity=f"{session.account}/{session.region}",
    )


def _zones(session: Session) -> Iterator[str]:
    with explained("looking at the zones"):
        answer = session.client().describe_availability_zones()
    for zone in answer["AvailabilityZones"]:
        if zone["State"] == "available" and zone.get("ZoneType", "availability-zone") == "availability-zone":
            yield str(zone["ZoneName"])


def _quota(session: Session, name: str) -> int:
    """A quota; where nobody may ask for it, what every account has at least."""

    def answer() -> int:
        with explained("looking at quotas"):
            told = session.client("service-quotas").get_service_quota(ServiceCode="vpc", QuotaCode=_QUOTAS[name])
        return int(told["Quota"]["Value"])

    return int(_or(answer, _USUAL[name]))


def _blocked(session: Session) -> str:
    """Whether the account keeps its VPCs from the internet: `off`, `block-ingress` or `block-bidirectional`."""

    def answer() -> str:
        with explained("looking at VPC Block Public Access"):
            told = session.client().describe_vpc_block_public_access_options()
        return str(told["VpcBlockPublicAccessOptions"].get("InternetGatewayBlockMode", "off"))

    return str(_or(answer, "unknown"))


def _uefi_images(session: Session) -> Iterator[tuple[str, dict[str, Any]]]:
    """The account's own images that start by UEFI: whether they have keys enrolled, and a TPM."""

    def answer() -> Any:
        with explained("looking at the account's images"):
            filters = [{"Name": "boot-mode", "Values": ["uefi", "uefi-preferred"]}]
            return session.client().describe_images(Owners=["self"], Filters=filters)["Images"]

    for image in _or(answer, ()):
        if image.get("BootMode") != "uefi":
            continue
        identity = str(image["ImageId"])
        yield identity, {"enrolled": _enrolled(session, identity), "tpm": image.get("TpmSupport") == "v2.0"}


def _enrolled(session: Session, image_id: str) -> bool:
    def answer() -> bool:
        with explained("looking at an image's variables of UEFI"):
            told = session.client().describe_image_attribute(ImageId=image_id, Attribute="uefiData")
        return bool((told.get("UefiData") or {}).get("Value"))

    return bool(_or(answer, False))


def _has_snp(kind: Mapping[str, Any]) -> bool:
    return "amd-sev-snp" in (kind.get("ProcessorInfo") or {}).get("SupportedFeatures", ())


def _or(ask_it: Callable[[], Any], otherwise: Any) -> Any:
    """The answer, or what is taken for it where nobody answers: no permission for it is asked of everybody."""
    try:
        return ask_it()
    except ProvisionError:
        return otherwise
