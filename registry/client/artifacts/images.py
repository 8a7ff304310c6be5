"""Pictures: NumPy arrays and Pillow's images as one thing, and their bytes.

Owns what arrays may mean; leaves formats to Pillow, which is imported on first use. Invariant: pixels are stored as
they are given, or the call fails; only floats outside 0 to 1 are scaled, with a warning.
"""

import io
import os
import warnings
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, InvalidTypeError
from registry.flavors.optional_imports import optional_import

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as PillowImage

THUMBNAIL: Final = 256
_KINDS: Final = "biuf"
_MAX_PIXEL: Final = 255


class Image:
    """A picture for `log_image` and `log_table`: from an array, nested lists, a Pillow image, or an image file."""

    def __init__(self, image: "np.ndarray[Any, Any] | PillowImage | str | Path | list[Any]") -> None:
        import numpy

        if isinstance(image, str | Path):
            self.image = _opened(Path(image))
        else:
            self.image = as_pillow(numpy.array(image) if isinstance(image, list) else image)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    def to_list(self) -> list[Any]:
        """The pixels row by row: numbers, or tuples of the channels."""
        pixels = self.to_array()
        if pixels.ndim == 2:
            return list(pixels.ravel().tolist())
        return [tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1]).tolist()]

    def to_array(self) -> "np.ndarray[Any, Any]":
        """The pixels as an array: height × width, or height × width × channels."""
        import numpy

        return numpy.array(self.image)

    def to_pil(self) -> "PillowImage":
        """The picture as Pillow's image."""
        return self.image

    def save(self, path: str | Path) -> None:
        """Write the picture to a file, in the format of its ending."""
        Path(path).write_bytes(encoded(self.image, os.fspath(path)))

    def resize(self, size: tuple[int, int]) -> "Image":
        """A copy of another size, (width, height) in pixels."""
        return Image(self.image.resize(size))


def is_image(value: Any) -> bool:
    """Whether a value is a picture, arrays aside."""
    if isinstance(value, Image):
        return True
    # A Pillow image has these; asking so imports nothing.
    return (
        callable(getattr(value, "save", None)) and callable(getattr(value, "resize", None)) and hasattr(value, "size")
    )


def as_pillow(image: Any) -> "PillowImage":
    """A picture as Pillow's image.

    Arrays are height × width, or height × width × 1, 3 (RGB) or 4 (RGBA); whole numbers from 0 to 255, floats from 0 to
    1, or truth values.

    Raises:
        InvalidTypeError: it is no picture, or an array of another type.
        InvalidParameterError: an array of another shape, with whole numbers outside 0 to 255, or with NaN.
        MissingDependencyError: Pillow is not installed.
    """
    import numpy

    pillow = optional_import("PIL.Image", "plots")
    if isinstance(image, Image):
        return image.image
    if isinstance(image, pillow.Image):
        return image  # type: ignore[no-any-return]  # the module was imported by name
    if isinstance(image, numpy.ndarray):
        return pillow.fromarray(_pixels(image))  # type: ignore[no-any-return]  # as above
    raise InvalidTypeError(
        f"Unsupported image object type: {type(image)}. It must be a NumPy array, a Pillow image or registry.Image."
    )


def thumbnail(image: "PillowImage") -> "PillowImage":
    """A copy whose longer side is 256 pixels."""
    width, height = image.size
    scale = THUMBNAIL / max(width, height, 1)
    return image.resize((max(1, int(width * scale)), max(1, int(height * scale))))


def encoded(image: "PillowImage", path: str) -> bytes:
    """The bytes of a picture in the format that the ending of `path` names.

    Raises:
        InvalidParameterError: the ending is unknown, or the format cannot hold such pixels.
    """
    pillow = optional_import("PIL.Image", "plots")
    suffix = PurePosixPath(path).suffix.lower()
    kind = pillow.registered_extensions().get(suffix)
    if kind not in pillow.SAVE:
        raise InvalidParameterError(f"{path!r} does not end like an image file; use '.png', '.jpg' or '.webp'.")
    buffer = io.BytesIO()
    try:
        image.save(buffer, format=kind)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidParameterError(f"An image of mode {image.mode!r} cannot be stored as {kind}: {error}") from error
    return buffer.getvalue()


def decoded(data: bytes, path: str) -> "PillowImage":
    """The picture that a file holds.

    Raises:
        InvalidParameterError: it is not an image.
    """
    pillow = optional_import("PIL.Image", "plots")
    try:
        image: PillowImage = pillow.open(io.BytesIO(data))
        image.load()
    except Exception as error:
        # Pillow's decoders raise whatever their format makes them stumble over.
        raise InvalidParameterError(f"The file {path!r} is not an image: {error}", error_code="BAD_REQUEST") from error
    return image


def _opened(path: Path) -> "PillowImage":
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ArtifactNotFoundError(f"The image file {str(path)!r} cannot be read: {error}") from error
    return decoded(data, str(path))


def _pixels(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The pixels of an array as bytes."""
    if array.dtype.kind not in _KINDS:
        raise InvalidTypeError(f"Invalid array data type: {array.dtype}. Pixels are integers, floats or booleans.")
    if array.ndim not in (2, 3) or array.size == 0:
        raise InvalidParameterError(
            f"An image is an array of height × width (× channels), but got image shape {array.shape}."
        )
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        raise InvalidParameterError(f"Invalid channel length: {array.shape[2]}. Must be one of [1, 3, 4].")
    flat = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return _whole_pixels(flat) if flat.dtype.kind in "iu" else _scaled_pixels(flat)


def _whole_pixels(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    if array.min() < 0 or array.max() > _MAX_PIXEL:
        raise InvalidParameterError(
            f"Integer pixel values out of acceptable range [0, 255]: from {array.min()} to {array.max()}."
        )
    return array.astype("uint8")


def _scaled_pixels(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    pixels = array.astype("float64")
    low, high = float(pixels.min()), float(pixels.max())
    if not (float("-inf") < low and high < float("inf")):  # NaN compares as False
        raise InvalidParameterError("Float pixel values must be finite; there is NaN or infinity among them.")
    if low < 0 or high > 1:
        warnings.warn(
            f"Float pixel values out of acceptable range [0.0, 1.0]: from {low} to {high}. They are scaled to it.",
            stacklevel=2,
        )
        pixels = (pixels - low) / ((high - low) or 1)
    return (pixels * _MAX_PIXEL).astype("uint8")
