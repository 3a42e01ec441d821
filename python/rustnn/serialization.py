"""Files. (First form; the full one follows.)"""


def save(obj, f):
    raise NotImplementedError("save")


def load(f):
    raise NotImplementedError("load")
