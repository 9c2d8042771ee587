"""A model's way from events to a release as a DAG of Airflow: one file that people can read, and change.

Its tasks call the command line, so Airflow needs nothing of Octavo; tasks can be tried again, as each is idempotent.
"""

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import dedent, indent

from octavo.definitions.models import Model
from octavo.definitions.steps import Step
from octavo.definitions.triggers import TriggerKind
from octavo.errors import InvalidRequest
from octavo.training.parameters import parameters_of
from octavo.training.steps.tracing import TracedStep, steps_of

_GATE_FAILED, _CONFLICT = 9, 8
_TASKS = '''\
def octavo(task_id, *arguments, **settings):
    """A task that runs a command of Octavo. What Airflow fills in comes by variables, so that nothing in it is code."""
    return BashOperator(
        task_id=task_id,
        bash_command=" ".join(["exec", '"$OCTAVO"', *arguments]),
        cwd=PROJECT,
        env=VARIABLES,
        append_env=True,
        do_xcom_push=False,
        **settings,
    )


'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Airflow:
    """What a DAG is written for.

    Attributes
    ----------
    folder, command : str
        The project, and the program ``octavo``, where the tasks run.
    deployed : bool
        Whether some deployment takes the model.
    """

    project: str
    folder: str
    command: str
    deployed: bool


def dag_id(project: str, model: str) -> str:
    """What a model's DAG is called."""
    return f"octavo_{project}_{model}"


def dag_of(model: Model, into: Airflow) -> str:
    """The file of a model's DAG.

    Raises
    ------
    InvalidRequest
        If the model is to be retrained by the clocks of several zones, which a DAG cannot be.
    """
    steps = steps_of(model)
    tasks = [*_begin(model), *(_step(one) for one in steps or ()), _train()]
    tasks += [_release()] if into.deployed else []
    parts = [
        _heading(model, steps),
        _imports(model),
        _constants(model, into),
        _TASKS,
        f"with DAG(\n{indent(_settings(model, into), '    ')}\n):\n",
        indent("\n".join([*tasks, "", *_order(steps or (), released=into.deployed)]), "    ") + "\n",
    ]
    return "".join(parts)


def _heading(model: Model, steps: tuple[TracedStep, ...] | None) -> str:
    others = [trigger.name for trigger in model.retrain if trigger.kind is not TriggerKind.CRON]
    notes = [
        f"Trains {model.name}, and asks for the release of what passes its gates.",
        "",
        "Written by: octavo export airflow",
    ]
    if steps is None:
        notes += [
            "",
            "Its steps depend on the rows themselves, so they are run within the task `train`, several at a time.",
        ]
    if others:
        notes += ["", f"The worker (octavo up) retrains it besides: {', '.join(others)}."]
    return '"""' + "\n".join(notes) + '\n"""\n\n'


def _imports(model: Model) -> str:
    schedules = {0: (), 1: ("CronTriggerTimetable",)}.get(len(_crons(model)), ("MultipleCronTriggerTimetable",))
    params = ("Param",) if parameters_of(model.train) else ()
    names = ", ".join(sorted(["DAG", *params, *schedules], key=str.lower))
    return dedent(f"""\
        import os
        from datetime import timedelta

        from airflow.providers.standard.operators.bash import BashOperator
        from airflow.sdk import {names}

        """)


def _constants(model: Model, into: Airflow) -> str:
    variables = {
        "AS_OF": "{{ dag_run.run_after.isoformat() }}",
        "ONCE": "airflow {{ dag.dag_id }} {{ run_id }}",
        **{_variable(name): f"{{{{ params.{name} }}}}" for name in parameters_of(model.train)},
    }
    lines = "\n".join(f"    {_text(name)}: {_text(value)}," for name, value in variables.items())
    return (
        f"PROJECT = os.environ.get({_text('OCTAVO_PROJECT')}, {_text(into.folder)})\n"
        f"COMMAND = os.environ.get({_text('OCTAVO_COMMAND')}, {_text(into.command)})\n"
        f'VARIABLES = {{\n    "OCTAVO": COMMAND,\n{lines}\n}}\n'
        f"TRAIN = {_command(_training(model))}\n\n\n"
    )


def _settings(model: Model, into: Airflow) -> str:
    lines = [
        f"{_text(dag_id(into.project, model.name))},",
        f"description={_text(model.description.partition(chr(10))[0] or model.name)},",
        f"schedule={_schedule(model)},",
        "catchup=False,",
        "max_active_runs=1,",
        'default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "retry_exponential_backoff": True},',
        f"tags={_list(['octavo', into.project])},",
    ]
    if parameters := parameters_of(model.train):
        params = ", ".join(f"{_text(name)}: {_param(value)}" for name, value in parameters.items())
        lines.append(f"params={{{params}}},")
    return "\n".join(lines)


def _begin(model: Model) -> list[str]:
    """What comes before any step; where a worker runs it does the first."""
    return [
        f"""materialize = octavo("materialize", "materialize", skip_on_exit_code={_CONFLICT})""",
        _task(
            "dataset",
            _command(["datasets", "build", "--model", model.name, "--as-of", '"$AS_OF"']),
            'trigger_rule="none_failed"',
        ),
    ]


def _step(one: TracedStep) -> str:
    allowed = one.step.timeout_s and [f"execution_timeout=timedelta(seconds={_allowed_s(one.step)})"]
    return _task(_name(one), "TRAIN", _text(f"--step {one.number}"), *(allowed or ()))


def _allowed_s(step: Step) -> int:
    """For all tries of a step that the command itself makes, and what the rest of it takes."""
    assert step.timeout_s is not None
    return (step.retries + 1) * step.timeout_s + 600


def _train() -> str:
    return _task("train", "TRAIN")


def _release() -> str:
    return _task("release", "TRAIN", _text("--release --gates"), f"skip_on_exit_code={_GATE_FAILED}")


def _training(model: Model) -> list[str]:
    given = [f'--param "{name}=${_variable(name)}"' for name in parameters_of(model.train)]
    return ["train", model.name, "--as-of", '"$AS_OF"', "--once", '"$ONCE"', *given]


def _command(arguments: Iterable[str]) -> str:
    """Arguments of octavo for a shell, as Python writes the text: those that it fills in stand in quotes already."""
    return repr(" ".join(argument if '"' in argument else shlex.quote(argument) for argument in arguments))


def _task(name: str, *arguments: str) -> str:
    return f"{name} = octavo({', '.join([_text(name), *arguments])})"


def _order(steps: tuple[TracedStep, ...], *, released: bool) -> list[str]:
    names = {one.number: _name(one) for one in steps}
    needed = {number for one in steps for number in one.needs}
    lines = ["materialize >> dataset"]
    lines += [
        f"{_all(names[n] for n in one.needs) if one.needs else 'dataset'} >> {names[one.number]}" for one in steps
    ]
    last = [name for number, name in names.items() if number not in needed] or ["dataset"]
    lines.append(f"{_all(last)} >> train")
    return [*lines, "train >> release"] if released else lines


def _all(names: Iterable[str]) -> str:
    found = list(names)
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]"


def _name(one: TracedStep) -> str:
    return f"step_{one.number}_{one.step.name}"


def _crons(model: Model) -> list[str]:
    return [trigger.cron for trigger in model.retrain if trigger.cron is not None]


def _schedule(model: Model) -> str:
    crons = _crons(model)
    zones = sorted({trigger.zone for trigger in model.retrain if trigger.cron is not None})
    if not crons:
        return "None"
    if len(zones) > 1:
        raise InvalidRequest(
            f"model {model.name!r} is retrained by clocks of several zones ({', '.join(zones)}), and a DAG has one",
            field="model",
            fix="declare its crons in one zone",
        )
    kind = "CronTriggerTimetable" if len(crons) == 1 else "MultipleCronTriggerTimetable"
    return f"{kind}({', '.join(map(_text, crons))}, timezone={_text(zones[0])})"


def _param(value: bool | float | str | None) -> str:
    kinds = {bool: '"boolean"', int: '"integer"', float: '"number"', str: '"string"'}
    kind = kinds.get(type(value), '["null", "number", "string", "boolean"]')
    return f"Param({value if not isinstance(value, str) else _text(value)}, type={kind})"


def _variable(parameter: str) -> str:
    return f"PARAM_{parameter.upper()}"


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, texts))}]"


def _text(value: str) -> str:
    """A text as Python writes it, in double quotes."""
    return json.dumps(value, ensure_ascii=False)
