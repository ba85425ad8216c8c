"""What each type of resource asks AWS to do, beside the looks that its kind of object needs."""

from collections.abc import Mapping

ACTIONS: Mapping[str, tuple[str, ...]] = {
    "ec2:Vpc": (
        "CreateVpc", "DeleteVpc", "DescribeVpcAttribute", "ModifyVpcAttribute", "AssociateVpcCidrBlock",
        "DisassociateVpcCidrBlock", "DescribeSecurityGroups", "DeleteSecurityGroup", "DescribeTags",
    ),
    "ec2:Subnet": ("CreateSubnet", "DeleteSubnet", "ModifySubnetAttribute"),
    "ec2:RouteTable": ("CreateRouteTable", "DeleteRouteTable"),
    "ec2:Route": ("CreateRoute", "ReplaceRoute", "DeleteRoute"),
    "ec2:RouteTableAssociation": ("AssociateRouteTable", "DisassociateRouteTable"),
    "ec2:InternetGateway": (
        "CreateInternetGateway", "AttachInternetGateway", "DetachInternetGateway", "DeleteInternetGateway",
    ),
    "ec2:NatGateway": ("CreateNatGateway", "DeleteNatGateway"),
    "ec2:EgressOnlyGateway": ("CreateEgressOnlyInternetGateway", "DeleteEgressOnlyInternetGateway"),
    "ec2:SecurityGroup": (
        "CreateSecurityGroup", "DeleteSecurityGroup", "DescribeSecurityGroupRules", "RevokeSecurityGroupIngress",
        "RevokeSecurityGroupEgress",
    ),
    "ec2:SecurityGroupRule": (
        "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress", "ModifySecurityGroupRules",
        "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress",
    ),
    "ec2:PrefixList": (
        "CreateManagedPrefixList", "ModifyManagedPrefixList", "DeleteManagedPrefixList",
        "GetManagedPrefixListEntries",
    ),
    "ec2:NetworkInterface": ("CreateNetworkInterface", "ModifyNetworkInterfaceAttribute", "DeleteNetworkInterface"),
    "ec2:VpcEndpoint": (
        "CreateVpcEndpoint", "ModifyVpcEndpoint", "DeleteVpcEndpoints", "DescribeManagedPrefixLists",
    ),
    "ec2:ElasticIp": ("AllocateAddress", "ReleaseAddress"),
    "ec2:ElasticIpAssociation": ("AssociateAddress", "DisassociateAddress"),
    "ec2:KeyPair": ("ImportKeyPair", "DeleteKeyPair"),
    "ec2:PlacementGroup": ("CreatePlacementGroup", "DeletePlacementGroup"),
    "ec2:DedicatedHost": ("AllocateHosts", "ModifyHosts", "ReleaseHosts"),
    "ec2:Volume": ("CreateVolume", "ModifyVolume", "DeleteVolume", "DescribeImages", "DescribeSnapshots"),
    "ec2:VolumeAttachment": (
        "AttachVolume", "DetachVolume", "DescribeInstances", "StopInstances", "StartInstances",
    ),
    "ec2:Instance": (
        "RunInstances", "TerminateInstances", "StartInstances", "StopInstances", "ModifyInstanceAttribute",
        "ModifyInstanceMetadataOptions", "MonitorInstances", "UnmonitorInstances", "DescribeInstanceAttribute",
        "DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "DescribeImages", "DescribeVolumes",
        "ModifyVolume", "ModifyNetworkInterfaceAttribute", "AttachNetworkInterface", "DetachNetworkInterface",
        "DescribeNetworkInterfaces",
    ),
}  # fmt: skip
"""By type, actions of EC2."""

ASKED = (
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeImageAttribute",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeVpcBlockPublicAccessOptions",
    "servicequotas:GetServiceQuota",
)
"""What a preview asks of the account: whatever is in the stack file, and what that refers to."""

VERIFIED = (
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeNatGateways",
    "ec2:DescribePlacementGroups",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeSubnets",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcs",
    "ec2:GetManagedPrefixListEntries",
)
"""What a verification of a deployed stack looks at."""

DESTROYING = (
    "Delete", "Release", "Revoke", "Terminate",
)  # fmt: skip
"""How the names of actions begin after which something is gone: they are for what carries a stack's marker alone."""

OF_MANY = ("DeleteTags", "DeleteRoute")
"""Actions with such names that take nothing away but what belongs to something else, or are told of apart."""

KEYS = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*")
"""What EC2 does with a key of the account's own in the name of who makes the disk (EBS User Guide, "Permissions")."""
