"""What our description for the Pulumi Kubernetes Operator may say: its objects of release 2, as far as we use them.

A field that the operator does not have would be dropped by the cluster without a word; here it is an error.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(_Object):
    name: str
    key: str


class Reference(_Object):
    type: Literal["Secret"]
    secret: Secret


class VolumeMount(_Object):
    name: str
    mountPath: str


class SecurityContext(_Object):
    readOnlyRootFilesystem: bool


class Container(_Object):
    name: Literal["pulumi"]  # the operator's own, which ours is merged into
    securityContext: SecurityContext
    volumeMounts: list[VolumeMount]


class EmptyDir(_Object):
    pass


class Volume(_Object):
    name: str
    emptyDir: EmptyDir


class Pod(_Object):
    containers: list[Container] = Field(min_length=1, max_length=1)
    volumes: list[Volume]


class PodTemplate(_Object):
    spec: Pod


class Resources(_Object):
    requests: dict[Literal["cpu", "memory"], str]
    limits: dict[Literal["cpu", "memory"], str]


class Workspace(_Object):
    image: str
    securityProfile: Literal["restricted", "baseline"]
    resources: Resources
    podTemplate: PodTemplate


class WorkspaceTemplate(_Object):
    spec: Workspace


class Stack(_Object):
    """The `spec` of a `Stack` of `pulumi.com/v1`."""

    serviceAccountName: str
    projectRepo: str
    branch: str
    repoDir: str
    shallow: bool
    resyncFrequencySeconds: int = Field(ge=60)  # what is less counts as 60
    stack: str
    backend: str
    envRefs: dict[str, Reference]
    config: dict[str, Any]
    refresh: bool
    destroyOnFinalize: bool
    workspaceTemplate: WorkspaceTemplate

    @property
    def container(self) -> Container:
        return self.workspaceTemplate.spec.podTemplate.spec.containers[0]

    @property
    def volumes(self) -> list[Volume]:
        return self.workspaceTemplate.spec.podTemplate.spec.volumes

    def with_backend(self, url: str) -> "Stack":
        """The same, with its state elsewhere."""
        return self.model_copy(update={"backend": url})


class Metadata(_Object):
    name: str
    namespace: str | None = None


class ServiceAccount(_Object):
    apiVersion: Literal["v1"]
    kind: Literal["ServiceAccount"]
    metadata: Metadata


class RoleRef(_Object):
    apiGroup: Literal["rbac.authorization.k8s.io"]
    kind: Literal["ClusterRole"]
    name: str


class Subject(_Object):
    kind: Literal["ServiceAccount"]
    name: str
    namespace: str


class ClusterRoleBinding(_Object):
    apiVersion: Literal["rbac.authorization.k8s.io/v1"]
    kind: Literal["ClusterRoleBinding"]
    metadata: Metadata
    roleRef: RoleRef
    subjects: list[Subject]


class StackObject(_Object):
    apiVersion: Literal["pulumi.com/v1"]
    kind: Literal["Stack"]
    metadata: Metadata
    spec: Stack


Document = Annotated[ServiceAccount | ClusterRoleBinding | StackObject, Field(discriminator="kind")]
DOCUMENT: TypeAdapter[Document] = TypeAdapter(Document)


def objects(file: Path) -> list[dict[str, Any]]:
    """All objects of a manifest."""
    return list(yaml.safe_load_all(file.read_text()))


def described(file: Path) -> Stack:
    """The one stack of a manifest, every object of which is as the cluster wants it."""
    (found,) = [one for one in map(DOCUMENT.validate_python, objects(file)) if isinstance(one, StackObject)]
    return found.spec
