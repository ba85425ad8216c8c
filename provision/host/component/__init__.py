"""The package `provision` of Pulumi: a stack file as one component among the other resources of any Pulumi program.

The engine asks the process of this package to *construct* `provision:index:Stack`. What is below the component is then
registered with the engine exactly as the language host does it.
"""
