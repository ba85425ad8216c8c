"""The conformance kit: drives a provider plugin as the engine does and says where it breaks the interface's promises.

One module for each family of checks; `suite` is what an author subclasses, `bench` what checks work with.
"""
