"""numba's cache on disk, made safe: what is damaged, or was compiled under other settings, is compiled anew.

numba compiles anew where a file is missing or outdated. But at a file that a crash or a full disk cut short it raises,
each time; and it loads what was compiled with `NUMBA_OPT=0` for a process that wants optimised code.
"""

import os
from typing import Any

from numba.core import caching

# Settings that change no code, or are in numba's own key.
NOT_OF_CODE = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
CACHE: Any = caching.FunctionCache  # of one function: an index, and a file for each signature
read, key_of = CACHE.load_overload, CACHE._index_key


def make_safe() -> None:
    """Have every function that this process compiles from now on kept and looked up as this module says."""
    CACHE.load_overload = read_or_none
    CACHE._index_key = key_with_settings


def read_or_none(cache: Any, signature: Any, target: Any) -> Any:
    """What is kept of a function for a signature; None where that cannot be read, and then nothing is kept of it."""
    try:
        return read(cache, signature, target)
    except Exception:  # whatever pickle, numba and LLVM make of a damaged file
        cache.flush()
        return None


def key_with_settings(cache: Any, signature: Any, codegen: Any) -> tuple[Any, ...]:
    """numba's key, and where there are any, the variables that say how to compile."""
    named = (name for name in sorted(os.environ) if name.startswith("NUMBA_") and name not in NOT_OF_CODE)
    settings = tuple((name, os.environ[name]) for name in named)
    key: tuple[Any, ...] = key_of(cache, signature, codegen)
    return (*key, settings) if settings else key
