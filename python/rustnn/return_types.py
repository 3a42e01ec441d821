"""Named tuples that ops with several results return, as ``torch.return_types``."""

_made = {}


def __getattr__(name):
    if not name.startswith("_"):
        from . import linalg  # which makes those of its functions  # noqa: F401

        if name in globals():
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _make(name, fields):
    """The class for the results of op ``name``; one per name."""
    key = (name, fields)
    made = _made.get(key)
    if made is None:
        made = _made[key] = _class(name, fields)
        globals().setdefault(name, made)
    return made


def _class(name, fields):
    def new(cls, items):
        items = tuple(items)
        if len(items) != len(fields):
            raise TypeError(f"torch.return_types.{name}() takes a {len(fields)}-sequence ({len(items)}-sequence given)")
        return tuple.__new__(cls, items)

    def show(self):
        body = ",\n".join(f"{field}={item!r}" for field, item in zip(fields, self, strict=True))
        return f"torch.return_types.{name}(\n{body})"

    def field(at):
        return property(lambda self: self[at])

    members = {field_name: field(i) for i, field_name in enumerate(fields)}
    members |= {
        "__slots__": (),
        "__new__": new,
        "__repr__": show,
        "__reduce__": lambda self: (_rebuild, (name, fields, tuple(self))),
        "__module__": __name__,
        "__match_args__": fields,
        "n_fields": len(fields),
        "_fields": fields,
    }
    return type(name, (tuple,), members)


def _rebuild(name, fields, items):
    return _make(name, fields)(items)
