"""Images from NumPy arrays, Pillow images and files, and their bytes.

Pillow knows the formats and is imported on first use. Guarantees: pixels are stored unchanged or the call fails; only
floats outside 0 to 1 are scaled, with a warning.
"""

import io
import os
import warnings
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, InvalidTypeError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as PillowImage

THUMBNAIL: Final = 256
_KINDS: Final = "biuf"
_MAX_PIXEL: Final = 255


class Image:
    """An image for `log_image` and `log_table`: from an array, nested lists, a Pillow image, or an image file.

    Args:
        image: An array (height, width) or (height, width, 1, 3 or 4), nested lists of that shape, a Pillow image, or
            the path of an image file. Integers are 0 to 255, floats 0 to 1.

    Raises:
        InvalidTypeError: The value is not an image, or an array of another type.
        InvalidParameterError: The array has another shape, or values out of range.
        ArtifactNotFoundError: The file cannot be read.

    Example:
        >>> image = mlflow.Image(np.zeros((4, 6, 3), dtype="uint8"))
        >>> image.size, image.resize((3, 2)).to_array().shape
        ((6, 4), (2, 3, 3))
    """

    def __init__(self, image: "np.ndarray[Any, Any] | PillowImage | str | Path | list[Any]") -> None:
        import numpy

        if isinstance(image, str | Path):
            self.image = _read_image(Path(image))
        else:
            self.image = as_pillow(numpy.array(image) if isinstance(image, list) else image)

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return self.image.size

    def to_list(self) -> list[Any]:
        """Return the pixels row by row: numbers, or tuples of channels."""
        pixels = self.to_array()
        if pixels.ndim == 2:
            return list(pixels.ravel().tolist())
        return [tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1]).tolist()]

    def to_array(self) -> "np.ndarray[Any, Any]":
        """Return the pixels as an array (height, width) or (height, width, channels)."""
        import numpy

        return numpy.array(self.image)

    def to_pil(self) -> "PillowImage":
        """Return the Pillow image."""
        return self.image

    def save(self, path: str | Path) -> None:
        """Write the image to a file, in the format of the file's ending."""
        Path(path).write_bytes(encode_image(self.image, os.fspath(path)))

    def resize(self, size: tuple[int, int]) -> "Image":
        """Return a copy of another size, (width, height) in pixels."""
        return Image(self.image.resize(size))


def is_image(value: Any) -> bool:
    """Tell whether a value is an image. Arrays do not count."""
    if isinstance(value, Image):
        return True
    # Recognise a Pillow image by its attributes, without importing Pillow.
    return (
        callable(getattr(value, "save", None)) and callable(getattr(value, "resize", None)) and hasattr(value, "size")
    )


def as_pillow(image: Any) -> "PillowImage":
    """Convert an array or image to a Pillow image.

    Arrays are (height, width) or (height, width, 1, 3 (RGB) or 4 (RGBA)): integers from 0 to 255, floats from 0 to 1,
    or booleans.

    Raises:
        InvalidTypeError: The value is not an image, or an array of another type.
        InvalidParameterError: The array has another shape, integers outside 0 to 255, or NaN.
        MissingDependencyError: Pillow is not installed.
    """
    import numpy

    from registry.flavors.optional_imports import optional_import

    pillow = optional_import("PIL.Image", "plots")
    if isinstance(image, Image):
        return image.image
    if isinstance(image, pillow.Image):
        return image  # type: ignore[no-any-return]  # the module was imported by name
    if isinstance(image, numpy.ndarray):
        return pillow.fromarray(_to_pixels(image))  # type: ignore[no-any-return]  # as above
    raise InvalidTypeError(
        f"Unsupported image object type: {type(image)}. It must be a NumPy array, a Pillow image or registry.Image."
    )


def thumbnail(image: "PillowImage") -> "PillowImage":
    """Return a copy whose longer side has 256 pixels."""
    width, height = image.size
    scale = THUMBNAIL / max(width, height, 1)
    return image.resize((max(1, int(width * scale)), max(1, int(height * scale))))


def encode_image(image: "PillowImage", path: str) -> bytes:
    """Return the bytes of an image in the format that the ending of `path` names.

    Raises:
        InvalidParameterError: The ending is unknown, or the format cannot hold such pixels.
    """
    from registry.flavors.optional_imports import optional_import

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


def decode_image(data: bytes, path: str) -> "PillowImage":
    """Return the image in a file's bytes.

    Raises:
        InvalidParameterError: They are not an image.
    """
    from registry.flavors.optional_imports import optional_import

    pillow = optional_import("PIL.Image", "plots")
    try:
        image: PillowImage = pillow.open(io.BytesIO(data))
        image.load()
    except Exception as error:
        # Pillow's decoders raise many kinds of exceptions.
        raise InvalidParameterError(f"The file {path!r} is not an image: {error}", error_code="BAD_REQUEST") from error
    return image


def _read_image(path: Path) -> "PillowImage":
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ArtifactNotFoundError(f"The image file {str(path)!r} cannot be read: {error}") from error
    return decode_image(data, str(path))


def _to_pixels(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Convert an array to pixels of one byte per channel."""
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
