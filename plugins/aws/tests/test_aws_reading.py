"""How EC2 is asked: calls grow with pages, not with objects."""

from provision_aws import kinds
from provision_aws.reading import Reader


class Ec2:
    """Describes VPCs, and counts."""

    def __init__(self):
        self.calls = []
        self.vpcs = {f"vpc-{index}": self._vpc(index) for index in range(50)}

    def _vpc(self, index):
        return {"VpcId": f"vpc-{index}", "Tags": [{"Key": "provision:stack", "Value": "mine"}]}

    def describe_vpcs(self, **asked):
        self.calls.append(asked)
        wanted = asked["Filters"][0]
        if wanted["Name"] == "vpc-id":
            return {"Vpcs": [self.vpcs[one] for one in wanted["Values"] if one in self.vpcs]}
        begin = int(asked.get("NextToken", 0))
        found = list(self.vpcs.values())[begin : begin + 20]
        more = {"NextToken": str(begin + 20)} if begin + 20 < len(self.vpcs) else {}
        return {"Vpcs": found, **more}


class Sessions:
    """What a reader needs of a session."""

    def __init__(self):
        self.ec2 = Ec2()
        self.changed = set()

    def client(self):
        return self.ec2

    def is_touched(self, identity):
        return identity in self.changed


def test_several_objects_are_asked_for_by_one_call():
    session = Sessions()

    found = Reader(session).shown(kinds.VPC, ["vpc-1", "vpc-2", "vpc-nothing"])

    assert set(found) == {"vpc-1", "vpc-2"}
    assert len(session.ec2.calls) == 1


def test_a_refresh_costs_one_call_for_each_page():
    session = Sessions()
    reader = Reader(session)

    for index in range(50):
        assert reader.look(kinds.VPC, f"vpc-{index}", "mine") is not None

    assert len(session.ec2.calls) == 3


def test_an_object_without_the_tag_of_the_stack_is_found_by_its_id():
    session = Sessions()
    reader = Reader(session)
    reader.look(kinds.VPC, "vpc-1", "mine")
    session.ec2.vpcs["vpc-foreign"] = {"VpcId": "vpc-foreign"}

    assert reader.look(kinds.VPC, "vpc-foreign", "mine") == {"VpcId": "vpc-foreign"}
