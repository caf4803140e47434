"""Presets: inputs for a graph that are kept to be run with again."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet

from execution.exceptions import PresetNotFoundError
from execution.models import Execution, OnInsufficientCredits, Preset
from execution.services import start_execution
from graphs.models import GraphVersion
from graphs.services import add_references, get_version
from graphs.store import lock_graph

_OVERLAID: Final = ("input_data", "nodes_input_masks", "input_credentials")


def find_presets(*, user_id: int) -> QuerySet[Preset]:
    """Return a user's presets, newest first."""
    return Preset.objects.filter(user_id=user_id)


def get_preset(*, user: AbstractBaseUser, preset_id: UUID) -> Preset:
    """Return a preset of the user's. Raises `PresetNotFoundError`."""
    preset = find_presets(user_id=user.pk).filter(pk=preset_id).first()
    if preset is None:
        raise PresetNotFoundError(f"There is no preset {preset_id}.")
    return preset


def create_preset(*, user: AbstractBaseUser, preset: Preset) -> Preset:
    """Save a new preset. Raises `GraphNotFoundError` unless graph and version are the user's.

    Whether its inputs fit is said when it is run: the graph may change until then.
    """
    with transaction.atomic():
        _lock_graph_of(preset, user=user)
        preset.user_id = user.pk
        preset.save(force_insert=True)
    return preset


def change_preset(*, user: AbstractBaseUser, preset: Preset, changes: Mapping[str, Any]) -> Preset:
    """Save these fields of a preset, and return it. Raises as `create_preset` does, and `PresetNotFoundError`."""
    with transaction.atomic():
        _change(preset, changes)
        _lock_graph_of(preset, user=user)
        locked = find_presets(user_id=user.pk).select_for_update(no_key=True).filter(pk=preset.pk).first()
        if locked is None:
            raise PresetNotFoundError(f"There is no preset {preset.pk}.")
        _change(locked, changes)
        locked.save()
    return locked


def _change(preset: Preset, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        setattr(preset, name, value)


def _lock_graph_of(preset: Preset, *, user: AbstractBaseUser) -> None:
    """Keep the preset's graph: whoever deletes it drops its presets, and would not find this one."""
    lock_graph(get_version(user=user, graph_id=preset.graph_id, version=preset.graph_version).graph)


def complete_with_preset(preset: Preset, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run is to be started with: what is `wanted`, and the preset's where that says nothing."""
    filled = {name: {**getattr(preset, name), **wanted[name]} for name in _OVERLAID}
    kept = {"max_cost": preset.max_cost, "on_insufficient_credits": preset.on_insufficient_credits}
    return {**kept, **wanted, **filled}


def execute_preset(
    *, user: AbstractBaseUser, preset: Preset, input_data: Mapping[str, Any], simulate: bool = False
) -> Execution:
    """Start a run with the preset's inputs, overlaid by `input_data`. Raises what `start_execution` does."""
    version: GraphVersion = get_version(user=user, graph_id=preset.graph_id, version=preset.graph_version)
    return start_execution(
        user=user,
        version=version,
        input_data={**preset.input_data, **input_data},
        max_cost=preset.max_cost,
        on_insufficient_credits=OnInsufficientCredits(preset.on_insufficient_credits),
        nodes_input_masks=add_references(version, masks=preset.nodes_input_masks, references=preset.input_credentials),
        simulate=simulate,
        preset_id=preset.pk,
    )
