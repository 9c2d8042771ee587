"""Keeps a predictor's composites up to date: follows their manifests, fetches the code of their functions, swaps.

What was applied is kept on the predictor's own disk, the code too, so that it starts without the artifacts.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from octavo.config import Config
from octavo.registry.bundles import verify
from octavo.release.composites import FOLDER, PURPOSE, CompositeManifest
from octavo.serving.code import Code, OpenFunctions, run_here
from octavo.serving.composed import ServedComposite
from octavo.serving.following import Following, Kind
from octavo.serving.functions import Functions, FunctionsHere
from octavo.serving.status import CompositeStatus, write_atomically
from octavo.stores.ports import Artifacts

_CODE = "code"
_KIND = Kind(
    folder=FOLDER,
    purpose=PURPOSE,
    manifest=CompositeManifest,
    named=lambda manifest: manifest.composite,
    said="composite",
)


class CompositeWatcher:
    """Follows the published composites of a project.

    Parameters
    ----------
    config : Config
    artifacts : Artifacts
    open_functions : callable
        How the code of functions is run.

    Attributes
    ----------
    served : dict of composite name to ServedComposite
        Each value is replaced as a whole.
    """

    def __init__(self, config: Config, artifacts: Artifacts, *, open_functions: OpenFunctions = run_here) -> None:
        self.served: dict[str, ServedComposite] = {}
        self._errors: dict[str, str] = {}
        self._artifacts = artifacts
        self._open_functions = open_functions
        self._home = config.home / "predictor"
        self._following = Following(
            config, artifacts, kind=_KIND, prepare=self._prepared, refused=self._errors.__setitem__
        )

    @property
    def statuses(self) -> dict[str, CompositeStatus]:
        """What is served, and why nothing newer."""
        served, errors = dict(self.served), dict(self._errors)
        refused = {name: CompositeStatus(error=errors[name]) for name in errors.keys() - served.keys()}
        return refused | {
            name: CompositeStatus(version=one.manifest.version, error=errors.get(name)) for name, one in served.items()
        }

    def restore(self) -> None:
        """Apply what is on the predictor's own disk."""
        self._following.restore()

    def look(self) -> None:
        """Look for new manifests once and apply them.

        Raises
        ------
        OctavoError
            If the artifacts cannot be reached.
        """
        self._following.look()

    def _prepared(self, name: str, manifest: CompositeManifest) -> Callable[[], None]:
        ready = ServedComposite(manifest=manifest, functions=self._functions(manifest))
        return lambda: self._put_live(name, ready)

    def _put_live(self, name: str, ready: ServedComposite) -> None:
        self.served[name] = ready
        self._errors.pop(name, None)

    def _functions(self, manifest: CompositeManifest) -> Functions:
        """Those that the graph names, from the code that it names by digest.

        Raises
        ------
        IntegrityError
            If the code does not load, or lacks one.
        """
        plan, code = manifest.plan, sorted(manifest.plan.code.items())
        planned = dict.fromkeys(part for node in plan.nodes for part in (node.function, node.when) if part is not None)
        if not planned:
            return FunctionsHere()
        return self._open_functions(
            Code(
                of=f"composite {manifest.composite!r}",
                modules=tuple(
                    (f"octavo_code_{digest[7:23]}_{Path(name).stem}", *self._code(digest)) for name, digest in code
                ),
                functions=tuple((function.name, function.inputs) for function in planned),
                dtypes={one.name: one.dtype for one in plan.fields},
                digest=hashlib.sha256("".join(digest for _, digest in code).encode()).hexdigest(),
                is_chained=False,
            )
        )

    def _code(self, digest: str) -> tuple[str, bytes]:
        """A module's place on the predictor's own disk, and its proven bytes."""
        path = self._home / _CODE / f"{digest.removeprefix('sha256:')}.py"
        what = "the code of a composite"
        if not path.is_file():
            data = self._artifacts.get(digest)
            verify(data, digest, what=what)
            write_atomically(path, data)
        source = path.read_bytes()
        verify(source, digest, what=what)
        return str(path), source
