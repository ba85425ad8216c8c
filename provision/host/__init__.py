"""The host: everything that speaks with the Pulumi engine, and the only importer of Pulumi."""
