"""OPA policies (Rego), decided in this process by rego-cpp: about 0.3 ms a decision, and no server.

Invariants
- The policy is read and compiled once, at `load`. A file that cannot work is refused there, not at the first command.
- Allowed is what the rule makes `true`, and nothing else; a rule `deny` beside it that gives a reason wins over it.
- Each error of the evaluation denies, those of built-in functions included (by itself Rego takes them for undefined,
  and a `deny` rule that fails on an odd value would then let it pass).

The input goes in as JSON text. As Python objects, regopy would cut a text at its first NUL, and wrap an integer beyond
64 bits round to another one, which is then judged in place of the real one.

This module is imported only where a policy file is configured: importing it loads regopy.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from regopy import Bundle, Interpreter, LogLevel, Output, RegoError

from gateway.config.models import Action
from gateway.config.words import alternatives, found
from gateway.errors import ConfigError, Problem
from gateway.policy.contract import Decision, Device, Request, User, document
from gateway.policy.rego_errors import RegoTrouble, troubles

__all__ = ["LONGEST_DECISION_S", "MAX_POLICY_BYTES", "RegoPolicy"]

MAX_POLICY_BYTES: Final = 1_000_000
LONGEST_DECISION_S: Final = 0.25
"""A decision that took longer is a denial. It holds up the event loop, and with it the readings of every device."""

_MOST_REMEMBERED: Final = 1024
_LONGEST_REASON: Final = 500
_UNREADABLE: Final = "its result is no JSON; keep quotes and line ends out of what deny and reason put together"
_RULE: Final = re.compile(r"data(\.[A-Za-z_][A-Za-z0-9_]*){2,}")
_PACKAGE: Final = re.compile(r"^[ \t]*package[ \t]+([\w.]+)", re.MULTILINE)


class _Failed(Exception):
    """An evaluation that gave no result. `of_policy`: because of how the policy is written, not of this input."""

    def __init__(self, told: list[RegoTrouble], *, of_policy: bool) -> None:
        super().__init__("; ".join(trouble.what for trouble in told))
        self.of_policy = of_policy


class RegoPolicy:
    """One policy file. Made by `load`. Not for several threads.

    Args:
        interpreter: holds the policy.
        bundle: the compiled query.
        query: the rule that must be true.
        clock: seconds of a steady clock.
    """

    def __init__(self, interpreter: Interpreter, bundle: Bundle, *, query: str, clock: Callable[[], float]) -> None:
        self._interpreter = interpreter
        self._bundle = bundle
        self._query = query
        self._clock = clock
        self._collect: dict[Request, Decision] = {}

    @classmethod
    def load(cls, path: Path, *, query: str, clock: Callable[[], float] = time.perf_counter) -> RegoPolicy:
        """Reads and compiles a policy, and tries it on a made-up request of each action.

        Args:
            path: the file.
            query: the rule that must be true, such as data.industrial.allow.
            clock: seconds of a steady clock.

        Raises:
            ConfigError: it cannot be read, compiled or evaluated, or has no such rule. Its source is the file; `where`
                of a problem is the line, or `query`.
        """
        if _RULE.fullmatch(query) is None:
            what = f"found {found(query)}, expected the path of a rule, such as data.industrial.allow"
            raise ConfigError(str(path), [Problem("query", what)])
        source = _read(path)
        interpreter = Interpreter()
        interpreter.log_level = LogLevel.NONE  # It would write to our standard error; what it says comes as an error.
        interpreter.strict_built_in_errors = True
        package, _, _ = query.rpartition(".")
        try:
            interpreter.add_module(path.name, source)
            bundle = interpreter.build(
                f"allow = [x | x = {query}]; deny = [x | x = {package}.deny]; reason = [x | x = {package}.reason]"
            )
        except RegoError as error:
            raise ConfigError(str(path), _problems(troubles(str(error), source))) from None
        _require_rule(path, source, query)
        policy = cls(interpreter, bundle, query=query, clock=clock)
        policy._try(path)
        return policy

    def decide(self, request: Request) -> Decision:
        """The decision on this request. Those on `collect` are made once for each device, and kept."""
        if request.action != "collect":
            return self._decide(request)
        decision = self._collect.get(request)
        if decision is None:
            if len(self._collect) >= _MOST_REMEMBERED:
                self._collect.clear()
            decision = self._collect[request] = self._decide(request)
        return decision

    def _decide(self, request: Request) -> Decision:
        began_s = self._clock()
        try:
            bindings = self._evaluate(request)
        except _Failed as failure:
            return Decision(False, f"the policy could not be evaluated: {failure}")
        took_s = self._clock() - began_s
        if took_s > LONGEST_DECISION_S:
            return Decision(
                False,
                f"the policy took {took_s:.2f} s to decide and {LONGEST_DECISION_S:g} s are allowed, because readings "
                "wait meanwhile; make it simpler",
            )
        return _judged(bindings, query=self._query)

    def _evaluate(self, request: Request) -> dict[str, Any]:
        try:
            self._interpreter.set_input_term(json.dumps(document(request), ensure_ascii=False, allow_nan=False))
            output = self._interpreter.query_bundle(self._bundle)
            if output.ok():
                return _bindings(output)
        except json.JSONDecodeError as error:
            # What the interpreter says about a policy it cannot run (an unknown function, a recursion) is no JSON; and
            # a text that a function decoded comes out with its quotes bare.
            said = troubles(error.doc) if error.doc.startswith("(") else [RegoTrouble(0, _UNREADABLE)]
            raise _Failed(said, of_policy=True) from None
        except (RegoError, ValueError) as error:
            raise _Failed(troubles(str(error)), of_policy=False) from None
        raise _Failed(_errors_of(output), of_policy=False)

    def _try(self, path: Path) -> None:
        """Refuses a policy that fails or is too slow on the plainest of requests."""
        began_s = self._clock()
        actions: tuple[Action, ...] = ("collect", "write", "configure")
        for action in actions:
            user = User(name="trial", role="operator")
            device = Device(name="trial", protocol="modbus")
            try:
                self._evaluate(Request(action=action, gateway="trial", user=user, device=device, tag="trial", value=0))
            except _Failed as failure:
                # An error over a made-up value says nothing about real ones.
                if failure.of_policy:
                    raise ConfigError(str(path), [Problem("", str(failure))]) from None
        if self._clock() - began_s > 3 * LONGEST_DECISION_S:
            what = (
                f"a decision takes longer than {LONGEST_DECISION_S:g} s, and readings wait meanwhile; make it simpler"
            )
            raise ConfigError(str(path), [Problem("", what)])


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_POLICY_BYTES + 1)
        if len(data) > MAX_POLICY_BYTES:
            raise ConfigError(str(path), [Problem("", f"the file is larger than {MAX_POLICY_BYTES} bytes")])
        source = data.decode()
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}; check [policy] file and who may read it"
        raise ConfigError(str(path), [Problem("", what)]) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), [Problem(f"line {line}", "this is no UTF-8 text")]) from None
    if "\0" in source:
        raise ConfigError(str(path), [Problem("", "a policy is text, and this file holds a NUL byte")])
    if _PACKAGE.search(source) is None:
        # rego-cpp 1.5.2 ends the whole process over some texts without one, such as `x = [{ a = 1 }]`.
        what = "this is no Rego policy: it has no line such as: package industrial"
        raise ConfigError(str(path), [Problem("", what)])
    return source


def _require_rule(path: Path, source: str, query: str) -> None:
    """Refuses a query that names no rule of the file: it would deny everything, and never say why."""
    package, _, rule = query.removeprefix("data.").rpartition(".")
    packages = _PACKAGE.findall(source)
    if package not in packages:
        known = alternatives(f"data.{name}.{rule}" for name in packages) or "a package"
        raise ConfigError(str(path), [Problem("query", f"found {query}, expected {known}, after the file's package")])
    if re.search(rf"^[ \t]*(?:default[ \t]+)?{rule}\b", source, re.MULTILINE) is None:
        what = f"the file has no rule {rule}; add it, beginning with: default {rule} = false"
        raise ConfigError(str(path), [Problem("query", what)])


def _problems(told: list[RegoTrouble]) -> list[Problem]:
    return [Problem(f"line {trouble.line}" if trouble.line else "", trouble.what) for trouble in told]


def _errors_of(output: Output) -> list[RegoTrouble]:
    node = output.node()
    return troubles("\n".join(node.at(index).json() for index in range(len(node))))


def _bindings(output: Output) -> dict[str, Any]:
    """What the three rules gave, each as a list of one value, or an empty one where it is undefined.

    Each is read on its own. In the output as a whole, a bare quote in a reason could end the text and go on with an
    `allow` of its own.

    Raises:
        json.JSONDecodeError: a text in it has a bare quote.
        _Failed: a rule gave more than one value, as such a text may make it look.
    """
    bindings = {name: json.loads(output.binding(name).json()) for name in ("allow", "deny", "reason")}
    if any(len(values) > 1 for values in bindings.values()):
        raise _Failed([RegoTrouble(0, _UNREADABLE)], of_policy=True)
    return bindings


def _judged(bindings: dict[str, Any], *, query: str) -> Decision:
    """The decision that a result means: allowed only by `true`, and only where no `deny` stands against it."""
    allow, deny, reason = bindings["allow"], bindings["deny"], bindings["reason"]
    why = _texts(deny) or _texts(reason)
    objects = [item for item in deny if item not in (False, None, [], {})]
    if allow == [True] and allow[0] is True and not objects:
        return Decision(True, f"{query} is true")
    if why or not objects:
        return Decision(False, why or _plain(allow, query=query))
    return Decision(False, f"a rule deny stands against it, beside {query}")


def _plain(allow: list[Any], *, query: str) -> str:
    if not allow:
        return f"{query} is undefined for this request; what a policy does not mention is denied"
    if allow[0] is False:
        return f"{query} is false for this request"
    return f"{query} is neither true nor false; make it a rule that gives a boolean"


def _texts(result: list[Any]) -> str:
    """The texts in what a rule gave: a text, a set or list of texts, or the keys that a rule like deny["text"] made."""
    (value,) = result or [""]
    texts = [value] if isinstance(value, str) else value if isinstance(value, list | dict) else []
    return "; ".join(text for text in texts if isinstance(text, str) and text)[:_LONGEST_REASON]
