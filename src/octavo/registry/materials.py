"""The bill of materials of a version: the model, its files, what it learned from and the libraries that made it.

References
----------
CycloneDX 1.6, with its model card: https://cyclonedx.org/docs/1.6/json
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from octavo.definitions.models import Task
from octavo.registry.bundles import BundleFile
from octavo.registry.card_documents import Interval, ModelCard

_SPACE = uuid.UUID("6f63746f-7661-4f00-8000-6d6174657269")
_APPROACH = "supervised"
_TASKS = {Task.REGRESSION: "regression", Task.BINARY: "classification"}


def bill_of_materials(
    card: ModelCard, *, version: str, files: Mapping[str, BundleFile], environment: str, digest: str = ""
) -> bytes:
    """A CycloneDX document, JSON; of the same version always the same.

    Parameters
    ----------
    version : str
        Its number, or before it has one the run that made it.
    files : mapping of name to BundleFile
        Those of the bundle.
    environment : str
        One ``name==version`` a line.
    digest : str
        Of the bundle; empty while there is none.
    """
    name = f"{card.project}/{card.model}"
    parts = [*_data(card), *_libraries(environment), *_files(files)]
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "group": card.project,
        "name": card.model,
        "version": version,
        "description": card.description or card.purpose or card.target,
        "modelCard": _model_card(card),
        "properties": [
            {"name": "octavo:format", "value": card.format},
            {"name": "octavo:format-tier", "value": card.tier},
            {"name": "octavo:risk", "value": "" if card.risk is None else card.risk.value},
            {"name": "octavo:run", "value": card.run},
            {"name": "octavo:code", "value": card.code},
        ],
    }
    if card.owner:
        model["authors"] = [{"name": card.owner}]
    if digest:
        model["hashes"] = [_hash(digest)]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, f'{name}/{version}/{digest}')}",
        "version": 1,
        "metadata": {"timestamp": f"{card.as_of:%Y-%m-%dT%H:%M:%SZ}", "component": model},
        "components": parts,
        "dependencies": [{"ref": "model", "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return msgspec.json.encode(document)


def _model_card(card: ModelCard) -> dict[str, Any]:
    return {
        "modelParameters": {
            "approach": {"type": _APPROACH},
            "task": _TASKS[card.task],
            "datasets": [{"ref": "dataset"}],
            "inputs": [{"format": name} for name in card.inputs],
            "outputs": [{"format": card.target}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                *(_metric(name, found, on="held-out rows") for name, found in card.metrics.items()),
                *(
                    _metric(name, found, on=f"held-out rows, baseline {baseline}")
                    for baseline, metrics in card.baselines.items()
                    for name, found in metrics.items()
                ),
            ]
        },
        "considerations": {
            "useCases": [card.purpose] if card.purpose else [],
            "technicalLimitations": [*card.limits, *card.caveats],
        },
    }


def _metric(name: str, found: Interval, *, on: str) -> dict[str, Any]:
    return {
        "type": name,
        "value": f"{found.value:.6g}",
        "slice": on,
        "confidenceInterval": {"lowerBound": f"{found.low:.6g}", "upperBound": f"{found.high:.6g}"},
    }


def _data(card: ModelCard) -> Iterator[dict[str, Any]]:
    window = card.learned_from or card.judged_on
    yield {
        "type": "data",
        "bom-ref": "dataset",
        "name": f"{card.model} training set",
        "version": card.dataset,
        "data": [
            {
                "type": "dataset",
                "name": card.dataset,
                "description": f"{window.rows:,} rows, decided {window.start:%Y-%m-%d %H:%M} to "
                f"{window.end:%Y-%m-%d %H:%M} UTC",
            }
        ],
    }


def _libraries(environment: str) -> Iterator[dict[str, Any]]:
    for line in environment.splitlines():
        name, _, version = line.partition("==")
        if name and version:
            purl = f"pkg:pypi/{name}@{version}"
            yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _files(files: Mapping[str, BundleFile]) -> Iterator[dict[str, Any]]:
    for name, entry in sorted(files.items()):
        yield {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": [_hash(entry.digest)]}


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}
