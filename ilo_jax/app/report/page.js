"use strict";
const curves = JSON.parse(document.getElementById("curves").textContent);
const ends = JSON.parse(document.getElementById("ends").textContent);
const rows = [...document.querySelectorAll("#metrics tbody tr")];
const find = (id) => document.getElementById(id);
const left = find("left"), right = find("right"), split = find("split");

function sort(column, header) {
  const down = header.getAttribute("aria-sort") === "ascending";
  document.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column].textContent;
  const order = (a, b) => {
    const [x, y] = [key(a), key(b)];
    const [m, n] = [parseFloat(x), parseFloat(y)];
    return column && !isNaN(m) && !isNaN(n) ? m - n : x.localeCompare(y, undefined, { numeric: true });
  };
  rows.sort((a, b) => (down ? order(b, a) : order(a, b)));
  find("metrics").tBodies[0].append(...rows);
}

function compare() {
  find("under").src = right.value;
  find("over").src = left.value;
  find("over").style.clipPath = `inset(0 ${100 - split.value}% 0 0)`;
  find("bar").style.left = `${split.value}%`;
}

function draw(name) {
  const width = 480, height = 260, edge = 46, known = (curves[name] || []).map((c) => c.filter((p) => p[1] > 0));
  const points = known.flat();
  find("curve").toggleAttribute("hidden", points.length === 0);
  if (points.length === 0) return;
  const last = Math.max(...points.map((p) => p[0])), logs = points.map((p) => Math.log10(p[1]));
  const low = Math.min(...logs), high = Math.max(...logs, low + 0.1);
  const x = (step) => edge + (step / last) * (width - edge - 8);
  const y = (error) => 8 + ((high - Math.log10(error)) / (high - low)) * (height - edge);
  const path = (c) => "M" + c.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join("L");
  const round = (end) => `<line class="round" x1="${x(end).toFixed(1)}" x2="${x(end).toFixed(1)}" y1="8" y2="${height - edge + 8}"/>`;
  find("curve").innerHTML = (ends.at(-1) === last ? ends.slice(0, -1) : []).map(round).join("") + known.map((c) => `<path d="${path(c)}"/>`).join("")
    + `<text x="2" y="16">${(10 ** high).toPrecision(2)}</text>`
    + `<text x="2" y="${height - edge + 8}">${(10 ** low).toPrecision(2)}</text>`
    + `<text x="${edge}" y="${height - 12}">measurement error by step; lines end rounds</text>`
    + `<text x="${width - 40}" y="${height - 12}">${last}</text>`;
}

function show(row) {
  rows.forEach((r) => r.setAttribute("aria-selected", r === row));
  const pictures = JSON.parse(row.dataset.pictures), labels = Object.keys(pictures);
  const before = [left, right].map((s) => s.selectedOptions[0]?.textContent);
  const result = labels.find((label) => !["truth", "measurement", "error", "spread"].includes(label));
  const usual = ["measurement", result];
  [left, right].forEach((select, i) => {
    select.replaceChildren(...labels.map((label) => new Option(label, pictures[label])));
    const wanted = labels.indexOf(before[i] || usual[i]);
    select.selectedIndex = wanted < 0 ? 0 : wanted;
  });
  find("name").textContent = row.cells[0].textContent;
  find("chosen").textContent = row.dataset.chosen || "";
  find("gallery").replaceChildren(...labels.map((label) => {
    const figure = document.createElement("figure"), image = new Image();
    image.src = pictures[label];
    image.alt = label;
    const caption = document.createElement("figcaption");
    caption.textContent = label;
    figure.append(image, caption);
    return figure;
  }));
  draw(row.dataset.name);
  compare();
}

document.querySelectorAll("#metrics th").forEach((th, i) => th.firstElementChild.addEventListener("click", () => sort(i, th)));
rows.forEach((row) => row.addEventListener("click", () => show(row)));
[left, right, split].forEach((control) => control.addEventListener("input", compare));
if (rows.length) show(rows[0]);
