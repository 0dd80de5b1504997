"""One limit for all that is compressed: how much may come out of a file of a given size."""

from __future__ import annotations

from fastmlp.errors import FormatError

__all__ = ["ALWAYS_ALLOWED_BYTES", "MOST_RATIO", "most_bytes_from", "require_ratio"]

# Text shrinks to a tenth, the images of MNIST to an eighth, a table of zeros to a two-hundredth, a
# bomb to a thousandth.
MOST_RATIO = 200
# Labels of a single class and other small files shrink to next to nothing, and do no harm.
ALWAYS_ALLOWED_BYTES = 1 << 24


def most_bytes_from(packed: int) -> int:
    """Bytes that may come out of `packed` compressed ones."""
    return max(MOST_RATIO * packed, ALWAYS_ALLOWED_BYTES)


def require_ratio(origin: str, packed: int, unpacked: int) -> None:
    """Require that `packed` bytes do not turn into unreasonably many.

    Parameters
    ----------
    origin : str
        Of the bytes, for the message.
    packed, unpacked : int
        Bytes before and after decompression; the latter may be a lower bound.

    Raises
    ------
    FormatError
        They grow by more than `MOST_RATIO`, to more than `ALWAYS_ALLOWED_BYTES`.
    """
    if unpacked > most_bytes_from(packed):
        raise FormatError(
            f"{origin}: decompressed size: is {unpacked / max(packed, 1):.0f} times that of the "
            f"file or more, at most {MOST_RATIO} times is allowed beyond "
            f"{ALWAYS_ALLOWED_BYTES >> 20} MiB; store it without compression if it is to be trusted"
        )
