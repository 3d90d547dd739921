"""The XML of a workbook except its rows: styles, sheets, print set-up, and the header row.

The header is bold, frozen and filterable, and repeated on every printed page.

Parts of SpreadsheetML (ECMA-376 part 1). Knows no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import pyarrow as pa

_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPE: Final = "application/vnd.openxmlformats-"
_SHEET_TYPE: Final = f"{_TYPE}officedocument.spreadsheetml"
_CORE: Final = "docProps/core.xml"

# Excel adds a margin of 5 pixels to characters of 7, in 256ths of a character.
_MARGIN: Final = 182 / 256
_TEXT, _DATE, _TIME, _AMOUNT, _INTEGER = range(1, 6)
_LEFT: Final = 'horizontal="left" indent="1"'
_CENTER: Final = 'horizontal="center"'
# Excel's filter button covers the last 17 pixels of a heading; an indent has 9.
_RIGHT: Final = 'horizontal="right" indent="2"'
# Number format and alignment of each style; its heading is aligned likewise.
_CELLS: Final = {
    _TEXT: ("@", _LEFT),
    _DATE: ("dd/mm/yyyy", _CENTER),
    _TIME: ("hh:mm:ss", _CENTER),
    _AMOUNT: ("&quot;R$&quot; #,##0.00", _RIGHT),
    _INTEGER: ("0", _RIGHT),
}
_HEADING: Final = len(_CELLS)
"""Added to a column's style, the style of its heading."""
_CUSTOM: Final = 163  # numbers up to here are Excel's own formats
_FONT: Final = '<sz val="11"/><name val="Calibri"/><family val="2"/>'
_PLAIN: Final = 'fillId="0" borderId="0"'


def _format(number: int, font: int, alignment: str) -> str:
    return (
        f'<xf numFmtId="{number}" fontId="{font}" {_PLAIN} xfId="0" applyNumberFormat="1" '
        f'applyFont="1" applyAlignment="1"><alignment {alignment}/></xf>'
    )


_STYLES: Final = f"""{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="{len(_CELLS)}">{
    "".join(
        f'<numFmt numFmtId="{_CUSTOM + style}" formatCode="{code}"/>'
        for style, (code, _) in _CELLS.items()
    )
}</numFmts><fonts count="2"><font>{_FONT}</font><font><b/>{_FONT}</font></fonts>\
<fills count="2"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" {_PLAIN}/></cellStyleXfs>\
<cellXfs count="{1 + 2 * len(_CELLS)}"><xf numFmtId="0" fontId="0" {_PLAIN} xfId="0"/>{
    "".join(_format(_CUSTOM + style, 0, alignment) for style, (_, alignment) in _CELLS.items())
}{
    "".join(_format(0, 1, alignment) for _, alignment in _CELLS.values())
}</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>\
</styleSheet>"""

# A4, landscape, one page wide.
_PAGE: Final = (
    '<pageMargins left="0.4" right="0.4" top="0.75" bottom="0.6" header="0.3" footer="0.3"/>'
    '<pageSetup paperSize="9" orientation="landscape" fitToWidth="1" fitToHeight="0"/>'
)
_FOOTER: Final = "&RPágina &P de &N"


@dataclass(frozen=True)
class Sheet:
    """One sheet: title, rows, column widths in characters, and the heading of printed pages.

    ``parts`` yields its ``rows`` in tables of the schema, which are read once and one at a time;
    they may have a schema's texts as dictionaries.
    """

    title: str
    schema: pa.Schema
    rows: int
    parts: Iterable[pa.Table]
    widths: Sequence[int]
    heading: str = ""

    @classmethod
    def of(cls, title: str, table: pa.Table, widths: Sequence[int], heading: str = "") -> Sheet:
        """Create the sheet of a whole table."""
        return cls(title, table.schema, table.num_rows, (table,), widths, heading)

    @property
    def corner(self) -> tuple[str, int]:
        """The column and the row of the last cell."""
        return column_letter(len(self.widths) - 1), self.rows + 1


def column_letter(index: int) -> str:
    """The letter of one of the first 26 columns, from 0."""
    return chr(ord("A") + index)


def sheet_name(number: int) -> str:
    """The part of the number-th sheet, from 1."""
    return f"xl/worksheets/sheet{number}.xml"


def fixed(sheets: Sequence[Sheet], core: str) -> dict[str, str]:
    """The parts other than the sheets; ``core`` is the XML of docProps/core.xml."""
    names = [sheet_name(number) for number in range(1, len(sheets) + 1)]
    types = {
        "xl/workbook.xml": f"{_SHEET_TYPE}.sheet.main+xml",
        **dict.fromkeys(names, f"{_SHEET_TYPE}.worksheet+xml"),
        "xl/styles.xml": f"{_SHEET_TYPE}.styles+xml",
        _CORE: f"{_TYPE}package.core-properties+xml",
    }
    return {
        "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="{_TYPE}package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        + "".join(f'<Override PartName="/{n}" ContentType="{t}"/>' for n, t in types.items())
        + "</Types>",
        "_rels/.rels": _relationships(
            {
                "xl/workbook.xml": f"{_OFFICE}/officeDocument",
                _CORE: f"{_PACKAGE}/relationships/metadata/core-properties",
            }
        ),
        "xl/_rels/workbook.xml.rels": _relationships(
            {f"/{name}": f"{_OFFICE}/worksheet" for name in names}
            | {"/xl/styles.xml": f"{_OFFICE}/styles"}
        ),
        "xl/styles.xml": _STYLES,
        "xl/workbook.xml": _workbook(sheets),
        _CORE: core,
    }


def styles(schema: pa.Schema) -> list[int]:
    """The cell style of each column."""
    return [_style(field.type) for field in schema]


def head(sheet: Sheet, *, selected: bool) -> str:
    """The XML of a sheet up to and with its header row."""
    letter, last = sheet.corner
    widths = "".join(
        f'<col min="{i}" max="{i}" width="{width + _MARGIN}" customWidth="1"/>'
        for i, width in enumerate(sheet.widths, 1)
    )
    header = "".join(
        f'<c r="{column_letter(i)}1" s="{style + _HEADING}" t="inlineStr">'
        f"<is><t>{escape(name)}</t></is></c>"
        for i, (name, style) in enumerate(
            zip(sheet.schema.names, styles(sheet.schema), strict=True)
        )
    )
    return (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        f'<dimension ref="A1:{letter}{last}"/><sheetViews>'
        f'<sheetView tabSelected="{int(selected)}" workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
        '<selection pane="bottomLeft"/></sheetView></sheetViews>'
        f'<sheetFormatPr defaultRowHeight="15"/><cols>{widths}</cols>'
        f'<sheetData><row r="1">{header}</row>'
    )


def tail(sheet: Sheet) -> str:
    """The XML of a sheet after its rows."""
    letter, last = sheet.corner
    heading = f"&L{_literal(sheet.heading)}&R{_literal(sheet.title)}"
    return (
        f'</sheetData><autoFilter ref="A1:{letter}{last}"/>{_PAGE}<headerFooter>'
        f"<oddHeader>{escape(heading)}</oddHeader><oddFooter>{escape(_FOOTER)}</oddFooter>"
        "</headerFooter></worksheet>"
    )


def _literal(text: str) -> str:
    """Text in a page's heading, at most as long as Excel takes."""
    return text[:100].replace("&", "&&")


def _relationships(types: dict[str, str]) -> str:
    lines = "".join(
        f'<Relationship Id="rId{number}" Type="{kind}" Target="{target}"/>'
        for number, (target, kind) in enumerate(types.items(), 1)
    )
    return f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{lines}</Relationships>'


def _workbook(sheets: Sequence[Sheet]) -> str:
    entries = names = ""
    for number, sheet in enumerate(sheets, 1):
        letter, last = sheet.corner
        entries += f'<sheet name="{escape(sheet.title)}" sheetId="{number}" r:id="rId{number}"/>'
        title, index = f"'{escape(sheet.title)}'", f'localSheetId="{number - 1}"'
        # Excel expects the range of a filter under this name as well.
        names += (
            f'<definedName name="_xlnm._FilterDatabase" {index} hidden="1">'
            f"{title}!$A$1:${letter}${last}</definedName>"
            f'<definedName name="_xlnm.Print_Titles" {index}>{title}!$1:$1</definedName>'
        )
    return (
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        f"<bookViews><workbookView/></bookViews><sheets>{entries}</sheets><definedNames>{names}</definedNames></workbook>"
    )


def _style(kind: Any) -> int:
    if pa.types.is_date32(kind):
        return _DATE
    if pa.types.is_time32(kind):
        return _TIME
    if pa.types.is_decimal(kind):
        return _AMOUNT
    return _INTEGER if pa.types.is_integer(kind) else _TEXT
