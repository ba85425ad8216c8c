"""From a stack to native resources of libvirt: pure, and in time proportional to the stack.

What is asked about a stack before it is translated needs some modules of this package, and not the translation itself.
"""

from provision.spi import ResourceGraph, TranslationRequest

__all__ = ["translate"]


def translate(request: TranslationRequest) -> ResourceGraph:
    """Native resources of a stack.

    Raises:
        provision.errors.ProvisionError: the stack says what cannot be made here.
    """
    from provision_libvirt.translate.stack import translate as translated

    return translated(request)
