"""Types for annotations, as old programs import them from here."""

from concurrent.futures import Future  # noqa: F401
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union  # noqa: F401, UP035

from rustnn._core import Tensor  # noqa: F401

# A list of so many, or one for all; for annotations only.
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = List  # noqa: UP006
BroadcastingList4 = BroadcastingList5 = BroadcastingList6 = List  # noqa: UP006
