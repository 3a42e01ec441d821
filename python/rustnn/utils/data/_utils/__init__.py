"""The parts of the loader: collating, fetching, working threads."""

from . import collate, fetch, worker

__all__ = ["collate", "fetch", "worker"]
