"""Data functions: what programs may ask of an account."""

from typing import Annotated

from pydantic import Field

from provision.spi import Function, FunctionRequest, Properties
from provision_aws.keys import described


class GetKeyArguments(Properties):
    """Arguments of `kms:getKey`."""

    key: Annotated[str, Field(description="Id, ARN, alias (alias/NAME) or ARN of an alias.", min_length=1)]


class GetKeyResult(Properties):
    """A key, as KMS describes it; of the key itself nobody is told anything."""

    id: Annotated[str, Field(description="Its id.")]
    arn: Annotated[str, Field(description="Its ARN.")]
    enabled: Annotated[bool, Field(description="Whether it can be used now.")]
    manager: Annotated[str, Field(description="`AWS` or `CUSTOMER`: who manages it.")]


class GetKey(Function[GetKeyArguments, GetKeyResult]):
    """Looks up a key of KMS, such as for `kmsKeyId` of a volume. The plugin makes no keys."""

    token = "kms:getKey"
    Arguments = GetKeyArguments
    Result = GetKeyResult
    service = "kms"

    def call(self, request: FunctionRequest[GetKeyArguments]) -> GetKeyResult:
        """Ask KMS.

        Raises:
            UserError: there is no such key.
        """
        told = described(request.operation.session, request.arguments.key)
        return GetKeyResult(
            id=told["KeyId"], arn=told["Arn"], enabled=bool(told.get("Enabled")), manager=told.get("KeyManager", "")
        )


FUNCTIONS = (GetKey,)
