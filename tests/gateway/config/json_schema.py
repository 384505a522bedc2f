"""As much of a JSON Schema validator as our schema needs. A keyword it does not know is an error, never ignored."""

import re

ANNOTATIONS = {"$schema", "$defs", "title", "description", "default"}
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def mistakes(schema, value, root=None, where="$"):
    """What in the value breaks the schema, as texts; nothing where it is valid."""
    root = root or schema
    found = []
    for keyword, rule in schema.items():
        if keyword not in ANNOTATIONS:
            found += CHECKS[keyword](rule, value, root, where, schema)
    return found


def _ref(rule, value, root, where, _schema):
    return mistakes(root["$defs"][rule.removeprefix("#/$defs/")], value, root, where)


def _type(rule, value, _root, where, _schema):
    right = isinstance(value, TYPES[rule]) and (rule == "boolean" or not isinstance(value, bool))
    return [] if right else [f"{where} is no {rule}"]


def _properties(rule, value, root, where, _schema):
    if not isinstance(value, dict):
        return []
    return [text for key in rule if key in value for text in mistakes(rule[key], value[key], root, f"{where}.{key}")]


def _additional(rule, value, root, where, schema):
    more = [key for key in value if key not in schema.get("properties", {})] if isinstance(value, dict) else []
    if rule is False:
        return [f"{where} has the unknown key {key}" for key in more]
    return [text for key in more for text in mistakes(rule, value[key], root, f"{where}.{key}")]


def _required(rule, value, _root, where, _schema):
    return [f"{where} lacks {key}" for key in rule if isinstance(value, dict) and key not in value]


def _items(rule, value, root, where, _schema):
    items = enumerate(value) if isinstance(value, list) else ()
    return [text for index, item in items for text in mistakes(rule, item, root, f"{where}[{index}]")]


def _any_of(rule, value, root, where, _schema):
    results = [mistakes(option, value, root, where) for option in rule]
    return [] if any(not result for result in results) else [text for result in results for text in result]


def _one_of(rule, value, root, where, _schema):
    results = [mistakes(option, value, root, where) for option in rule]
    right = sum(not result for result in results)
    return [] if right == 1 else [f"{where} fits {right} of {len(rule)}", *(text for one in results for text in one)]


def _not(rule, value, root, where, _schema):
    return [] if mistakes(rule, value, root, where) else [f"{where} is what it must not be"]


def _limit(kind, right):
    def check(rule, value, _root, where, _schema):
        if not isinstance(value, kind) or isinstance(value, bool):
            return []
        return [] if right(value, rule) else [f"{where} breaks the limit {rule}"]

    return check


NUMBER = (int, float)
CHECKS = {
    "$ref": _ref,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "required": _required,
    "items": _items,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "allOf": lambda rule, value, root, where, _: [text for one in rule for text in mistakes(one, value, root, where)],
    "not": _not,
    "const": lambda rule, value, _root, where, _: [] if value == rule else [f"{where} is not {rule}"],
    "enum": lambda rule, value, _root, where, _: [] if value in rule else [f"{where} is none of {rule}"],
    "minimum": _limit(NUMBER, lambda value, limit: value >= limit),
    "maximum": _limit(NUMBER, lambda value, limit: value <= limit),
    "exclusiveMinimum": _limit(NUMBER, lambda value, limit: value > limit),
    "exclusiveMaximum": _limit(NUMBER, lambda value, limit: value < limit),
    "minLength": _limit(str, lambda value, limit: len(value) >= limit),
    "maxLength": _limit(str, lambda value, limit: len(value) <= limit),
    "pattern": _limit(str, lambda value, pattern: re.search(pattern, value)),
    "minItems": _limit(list, lambda value, limit: len(value) >= limit),
}
