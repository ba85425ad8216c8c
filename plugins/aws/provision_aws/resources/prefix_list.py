"""`ec2:PrefixList`: a named set of ranges."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from provision.packets.prefixes import without
from provision.spi import Operation
from provision_aws.errors import explained
from provision_aws.kinds import PREFIX_LIST
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.group_model import PrefixListInputs, PrefixListOutputs
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.resources.spelling import canonical
from provision_aws.session import Session

_MOST_CHANGES = 100  # entries of one call (EC2 API Reference, ModifyManagedPrefixList)


class PrefixList(Native[PrefixListInputs, PrefixListOutputs]):
    """A prefix list."""

    token = "ec2:PrefixList"
    Inputs = PrefixListInputs
    Outputs = PrefixListOutputs
    Query = TaggedQuery
    kind = PREFIX_LIST
    waits_until_gone = True

    def make(self, session: Session, inputs: PrefixListInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        made: Live = session.client().create_managed_prefix_list(
            PrefixListName=inputs.prefix_list_name,
            AddressFamily=inputs.address_family,
            MaxEntries=inputs.max_entries,
            Entries=[_entry(*item) for item in list(_wanted(inputs).values())[:_MOST_CHANGES]],
            TagSpecifications=tags,
            ClientToken=token,
        )["PrefixList"]
        return made

    def ready(self, live: Live) -> bool | str:
        """No change is under way."""
        state = self.kind.state(live)
        if state.endswith("-failed"):
            return f"it is {state}: {live.get('StateMessage') or 'EC2 does not say why'}"
        return state.endswith("-complete")

    def change(self, operation: Operation, live: Live, inputs: PrefixListInputs, *, fresh: bool) -> bool:
        """How many entries it may hold, its name, and its entries: each by calls of their own."""
        if fresh and len(_wanted(inputs)) <= _MOST_CHANGES:
            return False
        session: Session = operation.session
        identity = str(live["PrefixListId"])
        changed = False
        have = {canonical(cidr): (cidr, text) for cidr, text in _entries(session, identity)}
        want = _wanted(inputs)
        if int(live.get("MaxEntries", 0)) < inputs.max_entries:
            live, changed = self._modified(operation, live, MaxEntries=inputs.max_entries), True
        more = [_entry(*item) for key, item in want.items() if have.get(key, (None, None))[1] != item[1]]
        fewer = [{"Cidr": item[0]} for key, item in have.items() if key not in want]
        name = inputs.prefix_list_name
        if live["PrefixListName"] != name and not (more or fewer):
            live, changed = self._modified(operation, live, PrefixListName=name), True
        # EC2 takes no range in both lists of one call, so one with other words goes before it comes again.
        fewer += [{"Cidr": have[key][0]} for key, item in want.items() if key in have and have[key][1] != item[1]]
        for field, entries in (("RemoveEntries", fewer), ("AddEntries", more)):
            for start in range(0, len(entries), _MOST_CHANGES):
                change = {field: entries[start : start + _MOST_CHANGES]}
                live = self._modified(operation, live, PrefixListName=name, CurrentVersion=live["Version"], **change)
                changed = True
        if int(live.get("MaxEntries", 0)) > inputs.max_entries:
            live, changed = self._modified(operation, live, MaxEntries=inputs.max_entries), True
        return changed

    def _modified(self, operation: Operation, live: Live, **change: Any) -> Live:
        identity = str(live["PrefixListId"])
        operation.session.client().modify_managed_prefix_list(PrefixListId=identity, **change)
        return self.settled(operation, identity)

    def seen(self, session: Session, live: Live, recorded: PrefixListInputs | None) -> dict[str, Any]:
        """Its entries, in the recorded order and spelling as far as they are recorded."""
        found = {canonical(cidr): (cidr, text) for cidr, text in _entries(session, str(live["PrefixListId"]))}
        whole = {
            "prefix_list_name": live["PrefixListName"],
            "address_family": live["AddressFamily"],
            "max_entries": live.get("MaxEntries") or 1,
        }
        if recorded is not None and recorded.left_out and found.keys() == _wanted(recorded).keys():
            return {**whole, "entries": recorded.entries, "left_out": recorded.left_out}
        spelt = _wanted(recorded) if recorded is not None else {}
        order = [key for key in spelt if key in found] + [key for key in found if key not in spelt]
        return {
            **whole,
            "entries": [{"cidr": spelt.get(key, found[key])[0], "description": found[key][1]} for key in order],
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its version."""
        return {"version": live.get("Version") or 1, "arn": live.get("PrefixListArn", "")}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().delete_managed_prefix_list(PrefixListId=identity)


def _entries(session: Session, identity: str) -> Iterator[tuple[str, str]]:
    asked: dict[str, Any] = {"PrefixListId": identity, "MaxResults": 100}
    with explained(f"reading the prefix list {identity}"):
        while True:
            answer = session.client().get_managed_prefix_list_entries(**asked)
            for entry in answer.get("Entries", ()):
                yield str(entry["Cidr"]), str(entry.get("Description") or "")
            if not answer.get("NextToken"):
                return
            asked["NextToken"] = answer["NextToken"]


def _wanted(inputs: PrefixListInputs) -> dict[str, tuple[str, str]]:
    if inputs.left_out:
        left = without(map(ip_network, [entry.cidr for entry in inputs.entries]), map(ip_network, inputs.left_out))
        return {str(one): (str(one), "") for one in left}
    return {canonical(entry.cidr): (entry.cidr, entry.description) for entry in inputs.entries}


def _entry(cidr: str, description: str) -> dict[str, str]:
    return {"Cidr": cidr, "Description": description} if description else {"Cidr": cidr}
