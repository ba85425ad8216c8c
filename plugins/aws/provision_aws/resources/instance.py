"""`ec2:Instance`: a machine."""

from collections.abc import Iterable
from typing import Any

from provision.errors import UserError
from provision.spi import Checked, CheckFailure, CheckRequest, ChoiceRequest, DataLoss, Operation
from provision_aws.errors import code_of
from provision_aws.kinds import INSTANCE, VOLUME
from provision_aws.reading import Live
from provision_aws.resources import launching, machine_reading
from provision_aws.resources.inside import Inside
from provision_aws.resources.instance_changes import bring_in_line
from provision_aws.resources.instance_model import InstanceInputs, InstanceOutputs
from provision_aws.resources.network_interface import refuse_taken_address
from provision_aws.resources.power import stop
from provision_aws.resources.volume import shrunk
from provision_aws.session import Session
from provision_aws.wanted import ImageSearch, InstanceRequirements


class Instance(Inside[InstanceInputs, InstanceOutputs]):
    """A machine. It is ready when EC2 says that it runs; what is in it may take longer."""

    token = "ec2:Instance"
    Inputs = InstanceInputs
    Outputs = InstanceOutputs
    kind = INSTANCE
    waits_until_gone = True

    def check(self, request: CheckRequest) -> Checked:
        """Its disk only ever grows."""
        disks = [inputs.get("root_disk") for inputs in (request.inputs, request.old_inputs or {})]
        failures = shrunk("size_gib", *disks) if all(isinstance(disk, dict) for disk in disks) else []
        return Checked(request.inputs, [CheckFailure("root_disk", one.reason) for one in failures])

    def loses_data(self, inputs: InstanceInputs) -> DataLoss:
        """A disk that goes with its machine has no other life than its own."""
        disk = inputs.root_disk
        if disk is not None and disk.disposable:
            return DataLoss.NEVER
        return DataLoss.REMOVED if disk is None or disk.delete_on_termination else DataLoss.REPLACED

    def choose(self, request: ChoiceRequest) -> str:
        """The smallest type that has what is asked for, and why it is that, or the image that is searched for.

        Raises:
            UserError: there is none.
        """
        from provision_aws.images import find
        from provision_aws.instance_types import choose

        session = request.operation.session
        if request.field == "image_id":
            image = request.inputs.get("image")
            if image is None:
                raise UserError("neither an image nor a search for one is given", "give either")
            return find(session, ImageSearch.model_validate(image))
        wanted = request.inputs.get("requirements")
        named = request.inputs.get("instance_type")
        if request.field == "type_reason" and (wanted is None or named is None):
            return f"{named or 'no type'} is named"
        if wanted is None:
            raise UserError("neither a type nor requirements of one are given", "give either")
        chosen, why = choose(session, InstanceRequirements.model_validate(wanted))
        if request.field == "type_reason":
            return why if chosen == named else f"{named} is named"
        request.operation.report(why)
        return chosen

    def around(self, inputs: InstanceInputs) -> Iterable[str]:
        """Its interfaces, or their subnets."""
        return [one for nic in inputs.nics for one in (nic.network_interface_id, nic.subnet_id) if one is not None]

    def make(self, session: Session, inputs: InstanceInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        from botocore.exceptions import ClientError

        try:
            answer = session.client().run_instances(**launching.request(session, inputs, tags), ClientToken=token)
        except ClientError as error:
            if code_of(error) == "InvalidIPAddress.InUse":
                for nic in inputs.nics:
                    if nic.subnet_id and nic.private_ip_address:
                        refuse_taken_address(session, nic.subnet_id, nic.private_ip_address, inputs.stack_id)
            raise
        made: Live = answer["Instances"][0]
        return made

    def ready(self, live: Live) -> bool | str:
        """It runs, or was switched off."""
        state = self.kind.state(live)
        if state in self.kind.gone:
            reason = live.get("StateReason") or {}
            return (
                f"it is {state}: {reason.get('Message') or live.get('StateTransitionReason') or 'EC2 does not say why'}"
            )
        return state in ("running", "stopped")

    def change(self, operation: Operation, live: Live, inputs: InstanceInputs, *, fresh: bool) -> bool:
        """What cannot be had by launching, and what may change later."""
        if fresh:
            changed = launching.checks_off(operation.session, live, inputs)
            if inputs.power == "stopped":
                stop(operation, str(live["InstanceId"]))
                changed = True
            return changed
        return bring_in_line(operation, live, inputs)

    def unfit(self, live: Any, wanted: Any) -> list[str]:
        """Also another number of interfaces."""
        fewer = ["nics"] if len(live.nics) != len(wanted.nics) else []
        return super().unfit(live, wanted) + fewer

    def seen(self, session: Session, live: Live, recorded: InstanceInputs | None) -> dict[str, Any]:
        """As described, together with its root volume where that is wanted in some way."""
        volume = None
        root = machine_reading.root_volume_id(live)
        if root is not None and recorded is not None and recorded.root_disk is not None:
            volume = session.reader.look(VOLUME, root, recorded.stack_id)
        return machine_reading.inputs(live, volume, recorded)

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its addresses."""
        return machine_reading.outputs(live)

    def over(self, live: Live) -> bool:
        """Its interfaces and volumes are free only then."""
        return self.kind.state(live) == "terminated"

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().terminate_instances(InstanceIds=[identity])
