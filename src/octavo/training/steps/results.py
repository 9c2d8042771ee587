"""Results of steps on record, found by what they were made of."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from octavo.errors import IntegrityError, NotFound
from octavo.operations import Context
from octavo.stores.names import digest_of
from octavo.training.steps.values import blobs_of, decode_node, encode_node

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step returned.

    Attributes
    ----------
    key : str
        Digest of its code, its inputs and the libraries, and of its run where it holds for that alone.
    result : str
        Digest of the document among the artifacts.
    run : str
        The run of the step that made it.
    parent : str
        The training that it was a part of.
    """

    kind: ClassVar[str] = "step_result"

    key: str
    step: str
    result: str
    run: str
    parent: str
    made_at: datetime


def key_of(*parts: str) -> str:
    """The key of what is made of some parts."""
    return digest_of("".join(f"{len(part)}:{part}" for part in parts).encode())


def find_result(context: Context, key: str, *, take: Callable[[str, bytes], None]) -> tuple[StepResult, Any] | None:
    """A result and its document; None if there is none, or not all of it can be read any more.

    Parameters
    ----------
    take : callable
        Is given each blob of it, by its digest.
    """
    with context.transaction() as tx:
        found = tx.get(StepResult, key)
    if found is None:
        return None
    try:
        node = decode_node(context.stores.artifacts.get(found.result))
        for digest in blobs_of(node):
            take(digest, context.stores.artifacts.get(digest))
    except (NotFound, IntegrityError) as error:
        log.warning("the result of step %s on record is not used: %s", found.step, error.message)
        return None
    return found, node


def keep_result(
    context: Context, key: str, node: Any, *, step: str, run: str, parent: str, blob: Callable[[str], bytes]
) -> StepResult:
    """Put a result on record, after all of its bytes.

    Parameters
    ----------
    blob : callable
        The bytes of a digest.
    """
    artifacts = context.stores.artifacts
    for digest in blobs_of(node):
        if artifacts.put(blob(digest)) != digest:
            raise IntegrityError(f"what step {step!r} left is not what its digest says; train again")
    made = StepResult(
        key=key, step=step, result=artifacts.put(encode_node(node)), run=run, parent=parent, made_at=context.clock.now()
    )
    with context.transaction() as tx:
        tx.put(made)
    return made
