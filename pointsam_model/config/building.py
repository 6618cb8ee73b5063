"""Builds configs from plain values, from a file or from parameters, and checks them.

A `setting` declares its description, unit and range: ROS parameters, `config/segment.yaml` and the
command line are generated from it, and `validate` checks its value. Configs read from files
(`built`) are checked by the types of their fields.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, fields
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from pointsam_model.errors import ConfigError


def setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    lengths: tuple[int, ...] = (),
) -> Any:
    """Declares a config field with its description and range.

    Args:
        default: the default value; its type is the setting's type.
        description: what it does, in one sentence, with the unit.
        low, high: least and greatest allowed number, both included.
        choices: the allowed strings, for a string setting.
        lengths: the allowed lengths, for a list setting.
    """
    metadata = {
        "description": description,
        "low": low,
        "high": high,
        "choices": choices,
        "lengths": lengths,
    }
    return field(default=default, metadata=metadata)


def settings(config: Any) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yields (name, value, metadata) of each setting; nested configs give dotted names."""
    for item in fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            for name, inner, metadata in settings(value):
                yield f"{item.name}.{name}", inner, metadata
        elif "description" in item.metadata:
            yield item.name, value, item.metadata


Config = TypeVar("Config")


def configured(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of `config` with the settings named in `values` (dotted names) changed and checked.

    Raises:
        ConfigError: unknown name, wrong type, or out of range; says what is allowed.
    """
    known = {name: (value, metadata) for name, value, metadata in settings(config)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}; known: {', '.join(sorted(known))}")
        default, metadata = known[name]
        config = _replaced(config, name.split("."), validate(name, value, default, metadata))
    return config


def validate(name: str, value: Any, default: Any, metadata: Mapping[str, Any]) -> Any:
    """Converts `value` to the type of `default`.

    Raises:
        ConfigError: wrong type, or out of range; names the value and what is allowed.
    """
    if isinstance(default, tuple):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ConfigError(f"{name} is {value!r}; it takes a list of numbers")
        values = tuple(value)
        if len(values) not in metadata["lengths"]:
            allowed = " or ".join(str(length) for length in metadata["lengths"])
            raise ConfigError(f"{name} has {len(values)} values; it takes {allowed}")
        return tuple(validate(name, item, 0.0, {**metadata, "lengths": ()}) for item in values)
    if isinstance(default, bool) or isinstance(value, bool):
        if isinstance(default, bool) and isinstance(value, bool):
            return value
        raise ConfigError(f"{name} is {value!r}; it takes {_kind(default)}")
    if isinstance(default, str):
        if not isinstance(value, str):
            raise ConfigError(f"{name} is {value!r}; it takes {_kind(default)}")
        if metadata["choices"] and value not in metadata["choices"]:
            raise ConfigError(f"{name} is {value!r}; it takes {' or '.join(metadata['choices'])}")
        return value
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not isinstance(value, (int, float)) or (isinstance(default, int) and not whole):
        raise ConfigError(f"{name} is {value!r}; it takes {_kind(default)}")
    low, high = metadata["low"], metadata["high"]
    number = type(default)(value)
    if math.isnan(number) or (low is not None and number < low) or _above(number, high):
        raise ConfigError(f"{name} is {value!r}; it takes {_kind(default)} from {low} to {high}")
    return number


def _above(number: float, high: float | None) -> bool:
    return high is not None and number > high


def _kind(default: Any) -> str:
    kinds = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text in quotes",
    }
    return kinds[type(default)]


def _replaced(config: Any, path: list[str], value: Any) -> Any:
    if len(path) > 1:
        value = _replaced(getattr(config, path[0]), path[1:], value)
    return dataclasses.replace(config, **{path[0]: value})


def built(cls: type[Config], values: object, where: str) -> Config:
    """Builds a config of class `cls` from nested plain values; checks every key and type.

    Args:
        cls: a dataclass.
        values: a mapping, as read from JSON or YAML.
        where: the file, or the part of it, named in errors.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}; it takes a mapping of keys to values")
    kinds = get_type_hints(cls)
    unknown = [key for key in values if key not in kinds]
    if unknown:
        raise ConfigError(f"{where} has the unknown key {unknown[0]!r}; known: {', '.join(kinds)}")
    missing = {item.name for item in fields(cls) if _is_needed(item)} - set(values)  # type: ignore[arg-type]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(sorted(missing))}")
    return cls(
        **{key: _value(kinds[key], value, f"{where}: {key}") for key, value in values.items()}
    )


def _is_needed(item: dataclasses.Field[Any]) -> bool:
    return item.default is item.default_factory is dataclasses.MISSING


def _value(kind: Any, value: Any, where: str) -> Any:
    """Converts a value to the type of its field."""
    if dataclasses.is_dataclass(kind):
        return built(cast("type", kind), value, where)
    if isinstance(kind, types.UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        kind = next(choice for choice in get_args(kind) if choice is not type(None))
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        raise ConfigError(f"{where} is {value!r}; it takes {' or '.join(get_args(kind))}")
    if get_origin(kind) is tuple:
        return _items(get_args(kind), value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
        return value
    hint = " (YAML reads 1e-3 as a text, 1.0e-3 as a number)" if isinstance(value, str) else ""
    raise ConfigError(f"{where} is {value!r}; it takes {_kind(kind())}{hint}")


def _items(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where} is {value!r}; it takes a list")
    if kinds[1:] == (Ellipsis,):
        return tuple(
            _value(kinds[0], item, f"{where} {number}") for number, item in enumerate(value)
        )
    if len(value) != len(kinds):
        raise ConfigError(f"{where} has {len(value)} values; it takes {len(kinds)}")
    return tuple(_value(kind, item, where) for kind, item in zip(kinds, value, strict=True))
