// Draws one table. Every text comes as data and is set as text, so none of it is ever markup.
// A click anywhere on a row, Enter or the space bar opens it; a click on a heading sorts. Where rows
// can be selected, each has a box, and the space bar ticks it.

const BEFORE = new WeakMap();
const MANY = 8;

export default function ({ data: bytes, parentElement, setTriggerValue }) {
  const data = JSON.parse(new TextDecoder().decode(bytes));
  const table = parentElement.querySelector("table");
  // A ticked box redraws nothing, so that it keeps the focus.
  const drawn = JSON.stringify({ ...data, selected: data.selected !== null });
  if (BEFORE.get(table) !== drawn) {
    BEFORE.set(table, drawn);
    draw(table, data);
    parentElement.querySelector(".hint").textContent = data.hint;
  }
  if (data.selected) tick(table, data.selected);
  table.onclick = (event) => {
    const box = event.target.closest(".box");
    if (box) {
      const at = box.closest("tbody") ? box.parentElement.sectionRowIndex : -1;
      if (event.target.tagName === "INPUT") setTriggerValue("select", at);
      return;
    }
    const heading = event.target.closest("th button");
    if (heading) return setTriggerValue("sort", heading.parentElement.dataset.column);
    const selecting = !document.getSelection().isCollapsed && event.detail > 0;
    const row = event.target.closest("tbody tr");
    if (row && data.opens && !selecting) open(row);
  };
  table.onkeydown = (event) => {
    const row = event.target.closest("tbody tr");
    if (!row || !data.opens || event.target !== row) return;
    if (event.key === " " && data.selected) setTriggerValue("select", row.sectionRowIndex);
    else if (event.key === "Enter" || event.key === " ") open(row);
    else if (!move(row, event.key)) return;
    event.preventDefault();
  };
  const open = (row) => {
    focus(row);
    setTriggerValue("open", row.sectionRowIndex);
  };
}

function move(row, key) {
  const rows = row.parentElement.rows;
  const to = {
    ArrowDown: row.nextElementSibling,
    ArrowUp: row.previousElementSibling,
    Home: rows[0],
    End: rows[rows.length - 1],
  };
  if (to[key]) focus(to[key]);
  return key in to;
}

// One row at a time is a stop of the tab key; the arrow keys go from row to row.
function focus(row) {
  for (const other of row.parentElement.rows) other.tabIndex = -1;
  row.tabIndex = 0;
  row.focus();
}

function tick(table, selected) {
  const boxes = [...table.tBodies[0].querySelectorAll("input")];
  boxes.forEach((box, index) => (box.checked = selected.includes(index)));
  const all = table.tHead.querySelector("input");
  all.checked = boxes.length > 0 && selected.length === boxes.length;
  all.indeterminate = selected.length > 0 && !all.checked;
}

function boxOf(kind, label) {
  const cell = document.createElement(kind);
  const box = document.createElement("input");
  cell.className = "box";
  box.type = "checkbox";
  box.ariaLabel = label;
  if (kind === "td") box.tabIndex = -1;
  cell.append(box);
  return cell;
}

function draw(table, data) {
  const { columns, rows, total, opens, sorts } = data;
  table.ariaLabel = data.label || null;
  table.className = `${opens ? "opens" : ""} ${columns.length > MANY ? "wide" : ""}`;
  const heading = table.tHead.insertRow();
  heading.append(...columns.map((column) => headingOf(column, sorts)));
  table.tHead.replaceChildren(heading);
  const drawn = rows.map((texts) => rowOf(columns, texts));
  if (data.selected) {
    heading.prepend(boxOf("th", data.select));
    drawn.forEach((row) => row.prepend(boxOf("td", data.select)));
  }
  if (opens) drawn.forEach((row, index) => (row.tabIndex = index === (data.opened ?? 0) ? 0 : -1));
  if (drawn[data.opened]) drawn[data.opened].ariaCurrent = "true";
  table.tBodies[0].replaceChildren(...drawn);
  table.tFoot.replaceChildren(...(total.length ? [rowOf(columns, total)] : []));
}

function headingOf(column, sorts) {
  const cell = document.createElement("th");
  cell.scope = "col";
  cell.className = column.style;
  cell.dataset.column = column.name;
  if (column.help) cell.title = column.help;
  if (!sorts) {
    cell.textContent = column.label;
    return cell;
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = column.label;
  // Always there, so that sorting changes no width.
  const arrow = document.createElement("span");
  arrow.ariaHidden = "true";
  arrow.textContent = column.sort === "descending" ? "▼" : "▲";
  button.append(arrow);
  if (column.sort) cell.ariaSort = column.sort;
  cell.append(button);
  return cell;
}

function rowOf(columns, texts) {
  const row = document.createElement("tr");
  columns.forEach((column, index) => {
    const cell = document.createElement("td");
    cell.className = column.style;
    cell.textContent = texts[index];
    if (column.style === "long" || column.style === "short") cell.title = texts[index];
    row.append(cell);
  });
  return row;
}
