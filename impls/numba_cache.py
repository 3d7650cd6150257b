"""numba's cache on disk, made safe: what is damaged, or was compiled under other settings, is compiled anew.

numba compiles anew where a file is missing or outdated. But at a file that a crash or a full disk cut short it raises,
each time, or runs what is left of the machine code; and it loads what was compiled with `NUMBA_OPT=0` for a process
that wants optimised code. So what is kept ends with its checksum, which pickle, and a plain numba, do not read. Where a
full disk keeps it from being written, numba raises as well; here a line says so, and the code is used without.
"""

import contextlib
import hashlib
import logging
import os
import pickle
from pathlib import Path
from typing import Any

from numba.core import caching

# Settings that change no code, or are in numba's own key.
NOT_OF_CODE = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
CACHE: Any = caching.FunctionCache  # of one function: an index, and a file for each signature
FILES: Any = caching.IndexDataCacheFile
read, save, key_of, pickled = CACHE.load_overload, CACHE.save_overload, CACHE._index_key, FILES._dump
CHECKSUM = hashlib.sha256
LENGTH = CHECKSUM().digest_size
logger = logging.getLogger(__name__)


def make_safe() -> None:
    """Have every function that this process compiles from now on kept and looked up as this module says."""
    CACHE.load_overload = read_or_none
    CACHE.save_overload = save_or_tell
    CACHE._index_key = key_with_settings
    FILES._dump = pickled_with_checksum
    FILES._load_data = unpickled


def pickled_with_checksum(files: Any, content: object) -> bytes:
    """What numba writes for this, and its checksum."""
    data: bytes = pickled(files, content)
    return data + CHECKSUM(data).digest()


def unpickled(files: Any, name: str) -> Any:
    """What the file of this name holds. Raises ValueError where its checksum is missing or wrong."""
    content = Path(files._data_path(name)).read_bytes()
    data, checksum = content[:-LENGTH], content[-LENGTH:]
    if CHECKSUM(data).digest() != checksum:
        raise ValueError(f"{name}: its checksum is wrong")
    return pickle.loads(data)


def read_or_none(cache: Any, signature: Any, target: Any) -> Any:
    """What is kept of a function for a signature; None where that cannot be read, and then nothing is kept of it."""
    try:
        return read(cache, signature, target)
    except Exception:  # whatever pickle, numba and LLVM make of a damaged file
        with contextlib.suppress(OSError):  # the disk is full; `save_or_tell` says so
            cache.flush()
        return None


def save_or_tell(cache: Any, signature: Any, code: Any) -> None:
    """Keep what was compiled for a signature; where it cannot be written, a line says so."""
    try:
        save(cache, signature, code)
    except OSError as error:
        reason, remedy = error.strerror or error, "make room, or name another folder in NUMBA_CACHE_DIR"
        logger.warning("%s: compiled code cannot be kept there (%s); %s", cache.cache_path, reason, remedy)


def key_with_settings(cache: Any, signature: Any, codegen: Any) -> tuple[Any, ...]:
    """numba's key, and where there are any, the variables that say how to compile."""
    named = (name for name in sorted(os.environ) if name.startswith("NUMBA_") and name not in NOT_OF_CODE)
    settings = tuple((name, os.environ[name]) for name in named)
    key: tuple[Any, ...] = key_of(cache, signature, codegen)
    return (*key, settings) if settings else key
