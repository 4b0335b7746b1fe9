"use strict";
const { curves, trials, ends } = JSON.parse(document.getElementById("data").textContent);
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
  const restarts = curves[name] || [], candidates = trials[name] || {};
  const column = (i) => Object.fromEntries(restarts.map((c, k) => [`restart ${k + 1}`, c.map((p) => [p[0], p[i]])]));
  find("curves").replaceChildren(...[
    chart("loss", column(1), ends),
    chart("least measurement error so far", column(2), ends),
    chart("least error so far of what is held out", candidates, [...new Set(Object.values(candidates).flat().map((p) => p[0]))]),
  ].filter((found) => found));
}

// Lines [[step, value], ...] by label, on a logarithmic scale unless a value is negative.
function chart(title, lines, ends) {
  const width = 400, height = 190, [top, right, bottom, left] = [24, 8, 22, 52];
  const points = Object.values(lines).flat().filter((p) => p[1] !== null), linear = points.some((p) => p[1] < 0);
  const shown = points.filter((p) => linear || p[1] > 0);
  if (shown.length === 0) return null;
  const scale = linear ? (v) => v : Math.log10, back = linear ? (v) => v : (v) => 10 ** v;
  const values = shown.map((p) => scale(p[1])), last = Math.max(...shown.map((p) => p[0]));
  const low = Math.min(...values), high = Math.max(...values, low + 0.1);
  const x = (step) => (left + (step / last) * (width - left - right)).toFixed(1);
  const y = (value) => (top + ((high - scale(value)) / (high - low)) * (height - top - bottom)).toFixed(1);
  const number = (v) => v !== 0 && Math.abs(v) < 0.001 ? v.toExponential(1) : v.toPrecision(2);
  const hue = (i) => `hsl(${(220 + i * 137) % 360} 70% 50%)`;
  const known = Object.entries(lines).map(([label, line]) => [label, line.filter((p) => shown.includes(p))]).filter((l) => l[1].length);
  const round = (end) => `<line class="round" x1="${x(end)}" x2="${x(end)}" y1="${top}" y2="${height - bottom}"/><text x="${x(end)}" y="${height - 6}" text-anchor="end">${end}</text>`;
  const line = ([, c], i) => c.length === 1 ? `<circle cx="${x(c[0][0])}" cy="${y(c[0][1])}" r="2" fill="${hue(i)}"/>` : `<path stroke="${hue(i)}" d="M${c.map((p) => `${x(p[0])},${y(p[1])}`).join("L")}"/>`;
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  figure.innerHTML = `<svg viewBox="0 0 ${width} ${height}" role="img">`
    + `<text class="title" x="${left}" y="14"></text>` + ends.filter((end) => end <= last).map(round).join("") + known.map(line).join("")
    + `<text x="${left - 4}" y="${top + 8}" text-anchor="end">${number(back(high))}</text>`
    + `<text x="${left - 4}" y="${height - bottom}" text-anchor="end">${number(back(low))}</text></svg>`;
  figure.querySelector(".title").textContent = title;
  figure.firstChild.setAttribute("aria-label", `${title}, by step`);
  if (known.length > 1) {
    caption.append(...known.map(([label], i) => {
      const span = document.createElement("span");
      span.textContent = label;
      span.style.color = hue(i);
      return span;
    }));
    figure.append(caption);
  }
  return figure;
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
