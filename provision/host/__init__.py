"""The host: everything that speaks with the Pulumi engine, and the only importer of Pulumi."""

import os

# Nothing here forks and goes on with gRPC in the child. With gRPC's handlers for that, which are on by default, a child
# of any library (such as the `ssh` of libvirt) may end before it becomes a program. Read when gRPC is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
