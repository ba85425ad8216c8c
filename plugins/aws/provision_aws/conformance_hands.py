"""What people do to an account by hand while a stack is there."""

from collections.abc import Callable, Mapping
from typing import Any

from provision.testing import Foreign
from provision_aws import kinds
from provision_aws.kinds import Kind

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8J0T5nQeYbK8XyzvW5pF0u1q2w3e4r5t6y7u8i9o0p kit@example.org"


class Account:
    """An account on an emulated EC2, reached without the plugin."""

    def __init__(self, url: str, region: str) -> None:
        """Reach it."""
        import boto3

        self.ec2: Any = boto3.client("ec2", region_name=region, endpoint_url=url)
        self.region = region
        self.image = self._image()

    def look(self, kind: Kind, identity: str) -> Any:
        """All that EC2 says of an object; None when there is none."""
        describe = getattr(self.ec2, kind.describe)
        if kind.id_filter:
            answer = describe(**{kind.filters: [{"Name": kind.id_filter, "Values": [identity]}]})
        else:
            answer = describe()
        found = answer.get(kind.answer) or [
            one for reservation in answer.get("Reservations", ()) for one in reservation["Instances"]
        ]
        return next((one for one in found if one.get(kind.id) == identity), None)

    def _image(self) -> Mapping[str, Any]:
        images = self.ec2.describe_images(Owners=["amazon"])["Images"]
        chosen: Mapping[str, Any] = next(
            one for one in images if one["Architecture"] == "x86_64" and one["RootDeviceType"] == "ebs"
        )
        return chosen


def alike(
    kind: Kind,
    make: Callable[[Any, Mapping[str, Any]], str],
    remove: Callable[[Any, str], Any],
) -> Callable[[Account, Mapping[str, Any]], Foreign]:
    """An object by hand as like the wanted one as EC2 lets there be."""

    def foreign(account: Account, inputs: Mapping[str, Any]) -> Foreign:
        identity = make(account.ec2, inputs)
        return Foreign(
            look=lambda: account.look(kind, identity), remove=lambda: remove(account.ec2, identity), id=identity
        )

    return foreign


foreign_vpc = alike(
    kinds.VPC,
    lambda ec2, inputs: str(ec2.create_vpc(CidrBlock=inputs["cidrBlock"])["Vpc"]["VpcId"]),
    lambda ec2, identity: ec2.delete_vpc(VpcId=identity),
)
foreign_subnet = alike(
    kinds.SUBNET,
    lambda ec2, inputs: str(
        ec2.create_subnet(VpcId=inputs["vpcId"], CidrBlock=inputs["cidrBlock"])["Subnet"]["SubnetId"]
    ),
    lambda ec2, identity: ec2.delete_subnet(SubnetId=identity),
)
foreign_table = alike(
    kinds.ROUTE_TABLE,
    lambda ec2, inputs: str(ec2.create_route_table(VpcId=inputs["vpcId"])["RouteTable"]["RouteTableId"]),
    lambda ec2, identity: ec2.delete_route_table(RouteTableId=identity),
)
foreign_internet_gateway = alike(
    kinds.INTERNET_GATEWAY,
    lambda ec2, inputs: str(ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]),
    lambda ec2, identity: ec2.delete_internet_gateway(InternetGatewayId=identity),
)
foreign_egress_only = alike(
    kinds.EGRESS_ONLY_GATEWAY,
    lambda ec2, inputs: str(
        ec2.create_egress_only_internet_gateway(VpcId=inputs["vpcId"])["EgressOnlyInternetGateway"][
            "EgressOnlyInternetGatewayId"
        ]
    ),
    lambda ec2, identity: ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=identity),
)
foreign_nat = alike(
    kinds.NAT_GATEWAY,
    lambda ec2, inputs: str(
        ec2.create_nat_gateway(SubnetId=inputs["subnetId"], ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    ),
    lambda ec2, identity: ec2.delete_nat_gateway(NatGatewayId=identity),
)
foreign_group = alike(
    kinds.SECURITY_GROUP,
    lambda ec2, inputs: str(
        ec2.create_security_group(GroupName=inputs["groupName"], Description="by hand", VpcId=inputs["vpcId"])[
            "GroupId"
        ]
    ),
    lambda ec2, identity: ec2.delete_security_group(GroupId=identity),
)
foreign_prefix_list = alike(
    kinds.PREFIX_LIST,
    lambda ec2, inputs: str(
        ec2.create_managed_prefix_list(
            PrefixListName=inputs["prefixListName"], MaxEntries=5, AddressFamily=inputs["addressFamily"]
        )["PrefixList"]["PrefixListId"]
    ),
    lambda ec2, identity: ec2.delete_managed_prefix_list(PrefixListId=identity),
)
foreign_interface = alike(
    kinds.NETWORK_INTERFACE,
    lambda ec2, inputs: str(
        ec2.create_network_interface(SubnetId=inputs["subnetId"])["NetworkInterface"]["NetworkInterfaceId"]
    ),
    lambda ec2, identity: ec2.delete_network_interface(NetworkInterfaceId=identity),
)
foreign_endpoint = alike(
    kinds.VPC_ENDPOINT,
    lambda ec2, inputs: str(
        ec2.create_vpc_endpoint(VpcId=inputs["vpcId"], ServiceName=inputs["serviceName"], VpcEndpointType="Gateway")[
            "VpcEndpoint"
        ]["VpcEndpointId"]
    ),
    lambda ec2, identity: ec2.delete_vpc_endpoints(VpcEndpointIds=[identity]),
)
foreign_address = alike(
    kinds.ELASTIC_IP,
    lambda ec2, inputs: str(ec2.allocate_address(Domain="vpc")["AllocationId"]),
    lambda ec2, identity: ec2.release_address(AllocationId=identity),
)
foreign_key = alike(
    kinds.KEY_PAIR,
    lambda ec2, inputs: str(
        ec2.import_key_pair(KeyName=inputs["keyName"], PublicKeyMaterial=KEY.encode())["KeyPairId"]
    ),
    lambda ec2, identity: ec2.delete_key_pair(KeyName="kit-key"),  # moto knows no other way
)
foreign_host = alike(
    kinds.DEDICATED_HOST,
    lambda ec2, inputs: str(
        ec2.allocate_hosts(AvailabilityZone=inputs["availabilityZone"], InstanceType="m5.large", Quantity=1)["HostIds"][
            0
        ]
    ),
    lambda ec2, identity: ec2.release_hosts(HostIds=[identity]),
)
foreign_volume = alike(
    kinds.VOLUME,
    lambda ec2, inputs: str(ec2.create_volume(AvailabilityZone=inputs["availabilityZone"], Size=1)["VolumeId"]),
    lambda ec2, identity: ec2.delete_volume(VolumeId=identity),
)
foreign_machine = alike(
    kinds.INSTANCE,
    lambda ec2, inputs: str(
        ec2.run_instances(
            ImageId=inputs["imageId"],
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            SubnetId=inputs["nics"][0]["subnetId"],
        )["Instances"][0]["InstanceId"]
    ),
    lambda ec2, identity: ec2.terminate_instances(InstanceIds=[identity]),
)


def foreign_placement_group(account: Account, inputs: Mapping[str, Any]) -> Foreign:
    """A group of the same name."""
    made = account.ec2.create_placement_group(GroupName=inputs["groupName"], Strategy="cluster")["PlacementGroup"]
    return Foreign(
        look=lambda: account.look(kinds.PLACEMENT_GROUP, made["GroupId"]),
        remove=lambda: account.ec2.delete_placement_group(GroupName=inputs["groupName"]),
        id=made["GroupId"],
    )


def foreign_rule(account: Account, inputs: Mapping[str, Any]) -> Foreign:
    """The very rule, made by hand."""
    ec2, group = account.ec2, inputs["securityGroupId"]
    permission = {
        "IpProtocol": inputs["ipProtocol"],
        "FromPort": inputs["fromPort"],
        "ToPort": inputs["toPort"],
        "IpRanges": [{"CidrIp": inputs["cidrIpv4"]}],
    }
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])["SecurityGroupRules"][0]
    identity = made["SecurityGroupRuleId"]
    return Foreign(
        look=lambda: account.look(kinds.SECURITY_GROUP_RULE, identity),
        remove=lambda: ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[identity]),
        id=identity,
    )


def foreign_route(account: Account, inputs: Mapping[str, Any]) -> Foreign:
    """A route to the same destination and another target."""
    ec2, table = account.ec2, inputs["routeTableId"]
    live = account.look(kinds.ROUTE_TABLE, table)
    subnet = ec2.create_subnet(VpcId=live["VpcId"], CidrBlock="10.20.77.0/24")["Subnet"]["SubnetId"]
    nic = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock=inputs["destination"], NetworkInterfaceId=nic)

    def remove() -> None:
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock=inputs["destination"])
        ec2.delete_network_interface(NetworkInterfaceId=nic)
        ec2.delete_subnet(SubnetId=subnet)

    return Foreign(look=lambda: account.look(kinds.ROUTE_TABLE, table)["Routes"], remove=remove)


def foreign_address_association(account: Account, inputs: Mapping[str, Any]) -> Foreign:
    """The address is with another interface."""
    ec2, allocation = account.ec2, inputs["allocationId"]
    subnet = account.look(kinds.NETWORK_INTERFACE, inputs["networkInterfaceId"])["SubnetId"]
    nic = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    association = ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=nic)["AssociationId"]

    def remove() -> None:
        ec2.disassociate_address(AssociationId=association)
        ec2.delete_network_interface(NetworkInterfaceId=nic)

    return Foreign(look=lambda: account.look(kinds.ELASTIC_IP, allocation), remove=remove)


def foreign_table_association(account: Account, inputs: Mapping[str, Any]) -> Foreign:
    """The subnet uses another table."""
    ec2, subnet = account.ec2, inputs["subnetId"]
    vpc = account.look(kinds.SUBNET, subnet)["VpcId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]

    def remove() -> None:
        ec2.disassociate_route_table(AssociationId=association)
        ec2.delete_route_table(RouteTableId=table)

    return Foreign(look=lambda: account.look(kinds.ROUTE_TABLE, table)["Associations"], remove=remove)


def foreign_attachment(account: Account, inputs: Mapping[str, Any]) -> Foreign:
    """Another machine has the volume."""
    ec2, volume = account.ec2, inputs["volumeId"]
    subnet = account.look(kinds.INSTANCE, inputs["instanceId"])["SubnetId"]
    made = ec2.run_instances(
        ImageId=account.image["ImageId"], InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet
    )
    machine = made["Instances"][0]["InstanceId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=machine, Device="/dev/sdf")

    def remove() -> None:
        ec2.detach_volume(VolumeId=volume, InstanceId=machine)
        ec2.terminate_instances(InstanceIds=[machine])

    return Foreign(look=lambda: account.look(kinds.VOLUME, volume)["Attachments"], remove=remove)
