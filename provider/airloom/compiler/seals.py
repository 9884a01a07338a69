"""What a DAG file says about itself at its end: whose it is, and the digest of its text.

::

    # airloom: dag=OrdersFlow flow=OrdersFlow module=orders_flow plan=b3:...
    # airloom: text=b3:...

The second line is the digest of all lines before it: whoever deploys sees that somebody has
changed the file by hand. Airflow does not look at it: parsing a file reads no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from airloom.digests import digest_of
from airloom.plan import Plan

GROUP = "/group"
"""Behind the DAG id in the seal of a task group's module, which has no DAG of its own."""

_SIGN = "# airloom: "
_LAST = re.compile(rf"{_SIGN}text=(b3:[0-9a-f]{{64}})\n*\Z")
_FACTS = re.compile(rf"^{_SIGN}dag=(\S+) flow=(\S+) module=(\S+) plan=(\S+)$", re.MULTILINE)
_OLDER = re.compile(r"^Airflow DAG of the flow (\S+), compiled by Airloom from (.+)\.py\.$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Seal:
    """Whose a DAG file is; ``edited``: its text is not the one that was deployed."""

    dag_id: str
    flow: str
    module: str
    plan: str
    edited: bool = False

    def is_of(self, plan: Plan) -> bool:
        """Whether the file is that of the same flow: class, file and DAG id."""
        own = (self.dag_id.removesuffix(GROUP), self.flow, self.module)
        return own == (plan.dag_id, plan.flow, plan.module)


def seal(text: str, plan: Plan, *, group: bool = False) -> str:
    """Close the text of a DAG file, or of the module of a task group: the same text gives the same bytes."""
    facts = {
        "dag": plan.dag_id + GROUP if group else plan.dag_id,
        "flow": plan.flow,
        "module": plan.module,
        "plan": plan.digest,
    }
    said = " ".join(f"{name}={quote(value, safe=':')}" for name, value in facts.items())
    body = f"{text.rstrip()}\n\n{_SIGN}{said}\n"
    return f"{body}{_SIGN}text={digest_of([body.encode('utf-8')])}\n"


def is_sealed(path: Path) -> bool:
    """Say whether a file ends as a deployed DAG file does; all of its text but the end is left unread.

    Such a file beside a flow must not become part of the flow's code: its text names the plan,
    and so each deploy would make another one.
    """
    if path.suffix != ".py":
        return False
    with path.open("rb") as opened:
        opened.seek(max(0, path.stat().st_size - 128))
        return _LAST.search(opened.read().decode("utf-8", "replace")) is not None


def read_seal(text: str) -> Seal | None:
    """Read whose a DAG file is; None for a file that Airloom did not write.

    A file whose end somebody has cut off is told by its docstring, and counts as edited.
    """
    facts = _FACTS.findall(text)
    if not facts:
        older = _OLDER.search(text)
        return None if older is None else Seal(older[1], older[1], older[2], "", edited=True)
    dag_id, flow, module, plan = map(unquote, facts[-1])
    last = _LAST.search(text)
    whole = last is not None and digest_of([text[: last.start()].encode("utf-8", "replace")]) == last[1]
    return Seal(dag_id, flow, module, plan, edited=not whole)
