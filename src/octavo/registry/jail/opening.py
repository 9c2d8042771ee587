"""Where a project opens pickles, if it does. Light: a predictor imports it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Self

from octavo.config import Config
from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan
from octavo.definitions.types import size_bytes
from octavo.errors import ConfigurationError, InvalidDefinition
from octavo.registry.jail.messages import Begin
from octavo.registry.jail.process import JailedModel

_PROJECT = "octavo_project_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """What the process of each pickle may do.

    Attributes
    ----------
    hidden : Path
        The platform's own folder, with its keys, of which they see nothing.
    """

    memory_bytes: int
    timeout_s: float
    hidden: Path

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """As ``[models]`` says; None where pickles are off.

        Raises
        ------
        ConfigurationError
            If `pickle_memory` is no size.
        """
        settings = config.models
        if not settings.allow_pickle:
            return None
        try:
            memory_bytes = size_bytes(settings.pickle_memory)
        except InvalidDefinition as error:
            raise ConfigurationError(
                f"[models] pickle_memory: {error.message}", setting="models.pickle_memory"
            ) from error
        return cls(memory_bytes=memory_bytes, timeout_s=settings.pickle_timeout_ms / 1000, hidden=config.home.resolve())

    def open(self, data: bytes, plan: LookupPlan, *, code: Mapping[str, bytes]) -> JailedModel:
        """Open a pickle.

        Parameters
        ----------
        code : mapping of file name to source
            The project's modules, to which it may refer.

        Raises
        ------
        IntegrityError
            If it cannot be opened.
        """
        refers = _PROJECT.encode() in data
        begin = Begin(
            data=data,
            modules=tuple((f"{_PROJECT}{PurePath(file).stem}", source) for file, source in sorted(code.items()))
            if refers
            else (),
            hidden=(str(self.hidden),),
            memory_bytes=self.memory_bytes,
            columns=tuple(plan.inputs),
            categories={name: tuple(words) for name, words in plan.categories.items()},
            is_binary=plan.task is Task.BINARY,
        )
        return JailedModel(begin, timeout_s=self.timeout_s, of=f"model {plan.model!r}")
