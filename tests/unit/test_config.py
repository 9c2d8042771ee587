from pathlib import Path

import pytest

from octavo.config import find_root, load_config
from octavo.errors import ConfigurationError


def write(folder: Path, text: str) -> Path:
    (folder / "octavo.toml").write_text(text, encoding="utf-8")
    return folder


def test_defaults_keep_everything_below_the_project(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[project]\nname = "trips"\n'), {})
    assert config.path(config.stores.metadata) == tmp_path / ".octavo/metadata.db"
    assert config.path(config.stores.online) == tmp_path / ".octavo/online"
    assert config.path(config.stores.tables) == tmp_path / ".octavo/tables"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    root = write(tmp_path, "[control]\nport = 9000\n")
    assert load_config(root, {"OCTAVO_CONTROL_PORT": "9001"}).control.port == 9001


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[contrl]\nport = 1\n", "contrl"),
        ("[control]\nprot = 1\n", "prot"),
        ('[control]\nport = "http"\n', "port"),
        ("[control\n", "octavo.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, names: str) -> None:
    with pytest.raises(ConfigurationError, match=names):
        load_config(write(tmp_path, text), {})


def test_a_list_stands_in_the_environment_with_spaces_between(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, ""), {"OCTAVO_PREDICTOR_CALLBACKS": "https://a.example/x https://b.example/"})
    assert config.predictor.callbacks == ("https://a.example/x", "https://b.example/")


def test_the_root_is_found_from_a_folder_below(tmp_path: Path) -> None:
    below = write(tmp_path, "") / "a" / "b"
    below.mkdir(parents=True)
    assert find_root(below) == tmp_path


def test_outside_a_project_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="octavo new"):
        find_root(tmp_path)
