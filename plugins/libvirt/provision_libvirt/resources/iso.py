"""ISO 9660 images of a few small texts, as NoCloud seeds are."""

import io
from collections.abc import Mapping

import pycdlib


def iso_image(files: Mapping[str, str]) -> bytes:
    """An ISO 9660 image with Rock Ridge and Joliet names, labelled `cidata`."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for name, text in files.items():
        data = text.encode()
        iso.add_fp(
            io.BytesIO(data),
            len(data),
            f"/{name.upper().replace('-', '_')[:8]}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    image = io.BytesIO()
    iso.write_fp(image)
    iso.close()
    return image.getvalue()


def iso_files(image: bytes) -> dict[str, str]:
    """The files at the top of an ISO 9660 image, by their Joliet names.

    Raises:
        ValueError: it is no such image, or holds something else than texts.
    """
    iso = pycdlib.PyCdlib()
    try:
        iso.open_fp(io.BytesIO(image))
        found: dict[str, str] = {}
        for child in iso.list_children(joliet_path="/"):
            if child is None or child.is_dir():
                continue
            name = child.file_identifier().decode("utf-16-be").partition(";")[0]
            content = io.BytesIO()
            iso.get_file_from_iso_fp(content, joliet_path=f"/{name}")
            found[name] = content.getvalue().decode()
        return found
    except pycdlib.pycdlibexception.PyCdlibException as error:
        raise ValueError(str(error)) from None
