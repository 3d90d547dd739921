"""`check`: connects to both databases and says, a line each, what is fine and what is not.

Raises the first failure that would stop a run as the same error the run would raise.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from lib import extraction, pipeline, sources

if TYPE_CHECKING:
    from lib.config import Settings

_CLOCK_SECONDS: Final = 60.0


def check(settings: Settings) -> list[str]:
    """Portuguese lines about both sides: connection, columns, permission, clock."""
    asked = pipeline.request(settings, pipeline.local_today(settings))
    window = extraction.Window(asked.merchant, asked.period.start, asked.period.end)
    lines, ahead = [], []
    for side in sources.SIDES:
        probed = extraction.probe(settings, side, window)
        drift = probed.server_time - time.time()
        ahead.append(drift)
        lines.append(
            f"{side}: conectado ao PostgreSQL {probed.version}; consulta, colunas e permissões "
            f"em ordem; relógio do servidor {drift:+.1f} s em relação a este computador."
        )
    apart = abs(ahead[0] - ahead[1])
    if apart > _CLOCK_SECONDS:
        lines.append(
            f"Atenção: os relógios dos dois servidores diferem em {apart:.0f} s; "
            "acerte-os (NTP), pois as diferenças de tempo do relatório dependem deles."
        )
    return lines
