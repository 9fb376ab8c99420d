"""ConsumerGroupDescribe (KIP-848), which kafka-python 3.0 does not have: who is in a group whose members run the new
protocol. Where the group is a classic one, the broker says that it knows of no such group."""

from typing import Any

from kafka.protocol.api_message import ApiMessage


def _field(name: str, kind: str, fields: list[dict[str, Any]] | None = None, *, null: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "type": kind, "versions": "0+"}
    if null:
        made |= {"nullableVersions": "0+", "default": "null"}
    return made | ({"fields": fields} if fields else {})


def _message(kind: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    name = "ConsumerGroupDescribe" + kind.capitalize()
    return {"apiKey": 69, "type": kind, "name": name, "validVersions": "0", "flexibleVersions": "0+", "fields": fields}


_ASSIGNMENT = [
    _field(
        "TopicPartitions",
        "[]TopicPartitions",
        [_field("TopicId", "uuid"), _field("TopicName", "string"), _field("Partitions", "[]int32")],
    )
]
_MEMBER = [
    _field("MemberId", "string"),
    _field("InstanceId", "string", null=True),
    _field("RackId", "string", null=True),
    _field("MemberEpoch", "int32"),
    _field("ClientId", "string"),
    _field("ClientHost", "string"),
    _field("SubscribedTopicNames", "[]string"),
    _field("SubscribedTopicRegex", "string", null=True),
    _field("Assignment", "Assignment", _ASSIGNMENT),
    _field("TargetAssignment", "Assignment", _ASSIGNMENT),
]
_GROUP = [
    _field("ErrorCode", "int16"),
    _field("ErrorMessage", "string", null=True),
    _field("GroupId", "string"),
    _field("GroupState", "string"),
    _field("GroupEpoch", "int32"),
    _field("AssignmentEpoch", "int32"),
    _field("AssignorName", "string"),
    _field("Members", "[]Member", _MEMBER),
    _field("AuthorizedOperations", "int32"),
]


# The library reads a message's fields from a file that is named as the class, and lets json_patch replace them.
class DescribeGroupsRequest(ApiMessage):  # type: ignore[misc]
    @classmethod
    def json_patch(cls, json: object) -> dict[str, Any]:  # noqa: ARG003
        return _message("request", [_field("GroupIds", "[]string"), _field("IncludeAuthorizedOperations", "bool")])


class DescribeGroupsResponse(ApiMessage):  # type: ignore[misc]
    @classmethod
    def json_patch(cls, json: object) -> dict[str, Any]:  # noqa: ARG003
        return _message("response", [_field("ThrottleTimeMs", "int32"), _field("Groups", "[]DescribedGroup", _GROUP)])


async def describe(admin: Any, group: str) -> Any:
    """The broker's answer about the group, as its fields. To be run by the admin client's own loop."""
    coordinator = await admin._find_coordinator_id(group)
    request = DescribeGroupsRequest(group_ids=[group], include_authorized_operations=False)
    response = await admin._manager.send(request, node_id=coordinator)
    return response.groups[0].to_dict()
