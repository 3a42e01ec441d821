"""Files of events as TensorBoard reads them: records with checksums, each a message in protocol-buffer form.

Source: the formats of ``TFRecord`` files and of the messages Event, Summary and HParamsPluginData.
"""

import struct

__all__ = ["EventFile", "message"]


def _varint(number):
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(*fields):
    """A message of (number, value) pairs; None and empty lists are left out.

    An int is a varint, a float 64 bits, ``(float, "float32")`` 32 bits, text and bytes (messages) are with their
    length; a list repeats its field.
    """
    out = bytearray()
    for number, value in fields:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                item = item.encode()
            if item is None:
                continue
            if isinstance(item, int):
                out += _varint(number << 3) + _varint(item)
            elif isinstance(item, float):
                out += _varint(number << 3 | 1) + struct.pack("<d", item)
            elif isinstance(item, tuple):
                out += _varint(number << 3 | 5) + struct.pack("<f", item[0])
            else:
                out += _varint(number << 3 | 2) + _varint(len(item)) + item
    return bytes(out)


def _table():
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        rows.append(byte)
    return rows


_TABLE = _table()


def crc32c(data):
    """The checksum by Castagnoli's polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


class EventFile:
    """A file of events, begun with its version.

    Args:
        path: of the new file.
        wall_time: seconds since 1970, of the first event.
    """

    def __init__(self, path, wall_time):
        self._file = open(path, "wb")
        self.write(message((1, float(wall_time)), (3, "brain.Event:2")))
        self.flush()

    def write(self, event):
        """Append an event, as bytes."""
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked(length) + event + _masked(event))

    def flush(self):
        """Let readers see what was written."""
        self._file.flush()

    def close(self):
        """End the file."""
        self._file.close()
