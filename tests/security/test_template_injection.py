"""What anybody wrote is no template, no format string and no command."""

import ast
from pathlib import Path

import pytest

import octavo
from tests.security.sites import parsed, post
from tests.showrooms import Showroom, full_showroom, run_id
from tests.showrooms.doors import Html, api, browser

PACKAGE = Path(octavo.__file__).parent
TEMPLATES = [
    "{{7*7}}", "{% for x in y %}1{% endfor %}", "${7*7}", "#{7*7}", "{0.__class__}", "{visit.principal}", "%(name)s",
    "%s%n%x", "{{ cycler.__init__.__globals__.os.popen('id').read() }}", "$(id)", "`id`", "; id", "| id", "{!r}",
]  # fmt: skip


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return full_showroom(tmp_path_factory.mktemp("project"), text=" ".join(TEMPLATES))


@pytest.mark.parametrize(
    "path", ["/audit?show=all", "/deployments/eta", "/models/arrival_delay/2", f"/runs/{run_id(5)}"]
)
def test_it_is_shown_as_it_was_written(room: Showroom, path: str) -> None:
    text = Html(browser(room).get(path).text).text
    assert " ".join(TEMPLATES) in text
    assert not any(word in text for word in ("uid=0", "<class 'str'>", "Principal("))
    assert "49" not in text.split()


@pytest.mark.parametrize("text", TEMPLATES)
def test_it_comes_back_as_it_was_sent(room: Showroom, text: str) -> None:
    admin = api(room)
    run = post(admin, "runs.create", name=text, experiment="e")
    post(admin, "runs.log", run=run["id"], tags={"t": text}, params={"p": text})
    found = post(admin, "runs.show", run=run["id"])
    assert (found["name"], found["tags"]["t"], found["params"]["p"]) == (text, text, text)
    answer = admin.post("/api/models.show", json={"model": text})
    assert text in answer.json()["detail"]


def test_no_template_and_no_command_is_made_of_text() -> None:
    """Templates are files of ours; commands are lists of words, and no shell reads them."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            assert name.rpartition(".")[2] not in ("from_string", "render_template_string", "popen", "getoutput"), path
            assert name not in ("os.system", "jinja2.Template", "eval", "__import__"), path
            shell = [keyword for keyword in node.keywords if keyword.arg == "shell"]
            assert not shell, path
            if (
                path.relative_to(PACKAGE).parts[0] in ("api", "console", "serving", "monitoring", "governance")
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "format"
                and not isinstance(node.func.value, ast.Constant)
            ):
                of = ast.unparse(node.func.value)  # a constant of the module's, or markup that escapes what it is given
                assert of.startswith("Markup(") or of.isupper(), (path, name)
