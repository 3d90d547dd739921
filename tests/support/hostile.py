"""Texts that a renderer might take for markup, a link, a picture, an icon or a formula."""

from __future__ import annotations

from typing import Final

HOST: Final = "evil.example"
TEXTS: Final = (
    f"![p](https://{HOST}/p.png)",
    f'<img src="https://{HOST}/q.png" onerror="window.struck=1">',
    "<b>negrito</b><script>window.struck=1</script>",
    f'<a href="https://{HOST}/">elo</a>',
    "[a](javascript:window.struck=1)",
    f"https://{HOST}/r www.{HOST}",
    f"ana@{HOST} <eva@{HOST}> mailto:x-y.z+1@{HOST} xmpp:a@{HOST}/b",
    "$x^2$ $$y$$",
    ":material/home: :smile: :+1:",
    ":red[rubro] :blue-background[z]",
    "**forte** _fino_ `cru` ~~fora~~",
    "=cmd()|'/c calc'!A1",
    "# título &lt;i&gt; &#36;",
)
EVERY: Final = " ".join(TEXTS)
