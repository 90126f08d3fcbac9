"""Writes the data of the installed package genai-prices as its own data.json (version 2), for `purser prices import`.

The package carries the data as a Python module. Prices are written as texts, so that none passes a float.
"""

import dataclasses
import datetime
import decimal
import json
import sys
import types

# What the package fetches updates with; nothing is fetched here.
sys.modules.setdefault("httpx2", types.ModuleType("httpx2"))

from genai_prices import data  # noqa: E402
from genai_prices import types as kinds  # noqa: E402

CLAUSES = {
    kinds.ClauseEquals: "equals",
    kinds.ClauseStartsWith: "starts_with",
    kinds.ClauseEndsWith: "ends_with",
    kinds.ClauseContains: "contains",
    kinds.ClauseRegex: "regex",
    kinds.ClauseOr: "or_",
    kinds.ClauseAnd: "and_",
}


def plain(it):
    if type(it) in CLAUSES:
        name = CLAUSES[type(it)]
        return {name.rstrip("_"): plain(getattr(it, name))}
    if isinstance(it, kinds.ModelPrice):
        return {name: plain(value) for name, value in vars(it).items() if value is not None}
    if dataclasses.is_dataclass(it):
        fields = {field.name: getattr(it, field.name) for field in dataclasses.fields(it) if not field.name.startswith("_")}
        return {name: plain(value) for name, value in fields.items() if value is not None and name != "extractors"}
    if isinstance(it, (list, tuple)):
        return [plain(item) for item in it]
    if isinstance(it, dict):
        return {name: plain(value) for name, value in it.items()}
    if isinstance(it, decimal.Decimal):
        return format(it, "f")
    if isinstance(it, (datetime.date, datetime.time)):
        return it.isoformat()
    return it


json.dump(plain(data.providers), sys.stdout)
