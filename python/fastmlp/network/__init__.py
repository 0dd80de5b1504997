"""A network without its training: its parts, and what is computed from them."""

from fastmlp.network.network import Network

__all__ = ["Network"]
