"""What the documents say of the project is so."""

import re
import tomllib
from typing import Any

import pytest
from pytest_django import Settings

from config.local import BASE_DIR
from config.management.commands.demo import DEFAULT


def contract_of(app: str) -> list[set[str]]:
    """Return the layers of an app, topmost first, as the import contract has them."""
    project: dict[str, Any] = tomllib.loads((BASE_DIR / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("containers") == [app])
    return [set(re.findall(r"\w+", layer)) for layer in layers]


def described_layers_of(app: str) -> list[set[str]]:
    """Return the layers of an app as CONTRIBUTING draws them."""
    text = (BASE_DIR / "CONTRIBUTING.md").read_text("utf-8")
    drawn = re.search(rf"^{app} +(urls → .*(?:\n +→ .*)*)", text, re.MULTILINE)
    assert drawn
    return [set(re.findall(r"\w+", layer)) for layer in drawn[1].split("→") if layer.strip()]


@pytest.mark.parametrize("app", ["execution", "graphs", "scheduling", "credits"])
def test_the_layers_that_contributors_are_told_are_those_of_the_contract(app: str) -> None:
    contract, described = contract_of(app), described_layers_of(app)

    places = [[place for place, layer in enumerate(contract) if modules <= layer] for modules in described]

    assert all(len(place) == 1 for place in places), places
    assert places == sorted(places)


def test_the_readme_names_the_example_that_the_demo_runs() -> None:
    assert f"run `examples/{DEFAULT.name}` through" in (BASE_DIR / "README.md").read_text("utf-8")


def test_what_the_system_does_by_itself_is_what_the_settings_define(settings: Settings) -> None:
    text = (BASE_DIR / "docs/scheduling.md").read_text("utf-8").partition("## What the system does by itself")[2]
    told = re.findall(r"^\| `([\w.]+)` \|", text.partition("\n## ")[0], re.MULTILINE)

    assert sorted(told) == sorted(each["task"] for each in settings.CELERY_BEAT_SCHEDULE.values())
