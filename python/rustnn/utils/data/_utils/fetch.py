"""From indices to a batch."""

from .collate import default_collate

__all__ = ["fetcher_of"]


def fetcher_of(dataset, is_iterable, auto_collation, collate_fn, drop_last):
    """The function from what the sampler gives (an index, or a list of them) to a collated batch."""
    if is_iterable:
        return _iterable_fetcher(dataset, auto_collation, collate_fn, drop_last)
    if not auto_collation:
        return lambda index: collate_fn(dataset[index])
    if getattr(dataset, "__getitems__", None):
        collated = getattr(dataset, "_batch", None) if collate_fn is default_collate else None

        def fetch(indices):
            batch = collated(indices) if collated is not None else None
            return collate_fn(dataset.__getitems__(indices)) if batch is None else batch

        return fetch
    return lambda indices: collate_fn([dataset[index] for index in indices])


def _iterable_fetcher(dataset, auto_collation, collate_fn, drop_last):
    samples = iter(dataset)
    ended = False

    def fetch(indices):
        nonlocal ended
        if ended:
            raise StopIteration
        if not auto_collation:
            return collate_fn(next(samples))
        batch = []
        for _ in indices:
            try:
                batch.append(next(samples))
            except StopIteration:
                ended = True
                break
        if not batch or (drop_last and len(batch) < len(indices)):
            raise StopIteration
        return collate_fn(batch)

    return fetch
