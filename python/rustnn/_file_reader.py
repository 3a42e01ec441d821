"""The records of a checkpoint file, one by one."""

import zipfile

from . import _core

__all__ = ["PyTorchFileReader"]


class PyTorchFileReader:
    """Reads the records of a ``.pt`` archive without loading it.

    Args:
        name_or_buffer: a path, or a binary file that can be sought.
    Raises: RuntimeError for what is no archive, and for records that it lacks.
    """

    def __init__(self, name_or_buffer):
        try:
            self._archive = zipfile.ZipFile(name_or_buffer)
        except zipfile.BadZipFile as error:
            raise RuntimeError(f"PytorchStreamReader failed reading zip archive: {error}") from None
        names = self._archive.namelist()
        # All records lie in one folder, whose name is the archive's.
        self._folder = names[0].partition("/")[0] + "/" if names else ""

    def get_all_records(self):
        """Their names."""
        return [name.removeprefix(self._folder) for name in self._archive.namelist()]

    def has_record(self, name):
        """Whether there is a record of this name."""
        return self._folder + name in self._archive.NameToInfo

    def get_record(self, name):
        """Its bytes."""
        if not self.has_record(name):
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found")
        return self._archive.read(self._folder + name)

    def get_record_size(self, name):
        """How many bytes it has."""
        if not self.has_record(name):
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found")
        return self._archive.NameToInfo[self._folder + name].file_size

    def get_storage_from_record(self, name, numel, dtype):
        """A vector of its numbers."""
        return _core.frombuffer(bytearray(self.get_record(name)), dtype=dtype, count=numel)

    def serialization_id(self):
        """What the archive calls itself."""
        name = ".data/serialization_id"
        return self.get_record(name).decode() if self.has_record(name) else ""

    def version(self):
        """The format's version."""
        return int(self.get_record("version"))
