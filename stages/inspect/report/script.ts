/**
 * What the report does in the browser: the gallery with its filters, paging, keys and close-up. A written page carries
 * its rows; a served one (data-live) asks for them, and for the survey until it is done.
 */
export const script = `
"use strict";
const live = document.body.dataset.live !== undefined;
const all = live ? [] : JSON.parse(document.getElementById("rows").textContent);
const pageSize = 24;
const find = (id) => document.getElementById(id);
const [gallery, status, close] = [find("gallery"), find("status"), find("close-up")];
let page = 0;
let shown = []; // the rows of this page
let more = false; // whether another page follows
let asked = 0; // the latest request; answers to earlier ones are dropped
let open = -1; // which of the shown rows the close-up shows

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function criteria() {
  return { label: find("class")?.value ?? "", words: find("words").value.trim().toLowerCase(), where: find("where")?.value.trim() ?? "" };
}

function fits(row, { label, words }) {
  if (label !== "" && String(row.label) !== label) return false;
  return words === "" || [row.caption, row.name, row.id].some((text) => String(text ?? "").toLowerCase().includes(words));
}

async function request(path) {
  const response = await fetch(path);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function rowsOfPage() {
  const wanted = criteria();
  const from = page * pageSize;
  if (live) return request("rows?" + new URLSearchParams({ ...wanted, offset: from, limit: pageSize }));
  const fitting = all.filter((row) => fits(row, wanted));
  return { rows: fitting.slice(from, from + pageSize), more: fitting.length > from + pageSize, total: fitting.length };
}

async function draw(focus) {
  const mine = ++asked;
  find("error").textContent = "";
  try {
    if (live) status.textContent = "Reading\\u2026";
    const answer = await rowsOfPage();
    if (mine !== asked) return;
    ({ rows: shown, more } = answer);
    const from = page * pageSize;
    status.textContent = shown.length === 0 ? "No row fits." : "Rows " + (from + 1) + " to " + (from + shown.length) + (answer.total === undefined ? "" : " of " + answer.total);
  } catch (error) {
    if (mine !== asked) return;
    [shown, more] = [[], false];
    status.textContent = "";
    find("error").textContent = error.message;
  }
  gallery.replaceChildren(...shown.map(card));
  find("before").disabled = page === 0;
  find("after").disabled = !more;
  if (focus !== undefined) cards().at(focus)?.focus();
}

function title(row) {
  return row.caption || row.class || row.name || "no condition";
}

function pictures(row, size) {
  const one = (source, words) => element("img", { src: source, alt: words, loading: size });
  return [...(row.noise ? [one(row.noise, "noise of row " + row.id)] : []), one(row.image, "image of row " + row.id + ": " + title(row))];
}

function card(row, i) {
  const words = element("span", { class: "words" }, element("b", {}, String(row.id)), " " + title(row));
  const made = element("button", { class: "card", type: "button", tabindex: i === 0 ? "0" : "-1", "aria-haspopup": "dialog" }, element("span", { class: "pictures" }, ...pictures(row, "lazy")), words);
  made.addEventListener("click", () => look(i));
  made.addEventListener("focus", () => cards().forEach((other) => other.setAttribute("tabindex", other === made ? "0" : "-1")));
  return made;
}

const cards = () => [...gallery.children];

function columns() {
  const tops = cards().map(({ offsetTop }) => offsetTop);
  const below = tops.findIndex((top) => top > tops[0]);
  return below < 0 ? Math.max(1, tops.length) : below;
}

function turn(by, focus) {
  if (by < 0 ? page === 0 : !more) return;
  page += by;
  return draw(focus);
}

gallery.addEventListener("keydown", (event) => {
  const at = cards().indexOf(document.activeElement);
  if (at < 0) return;
  const last = shown.length - 1;
  const target = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns(), ArrowDown: at + columns(), Home: 0, End: last }[event.key];
  if (event.key === "PageDown") turn(1, 0);
  else if (event.key === "PageUp") turn(-1, 0);
  else if (target === undefined) return;
  else if (target < 0 && event.key === "ArrowLeft") turn(-1, -1);
  else if (target > last && event.key === "ArrowRight") turn(1, 0);
  else cards()[target]?.focus();
  event.preventDefault();
});

function show(row) {
  find("close-up-title").textContent = "Row " + row.id + ": " + title(row);
  const figures = pictures(row, "eager").map((picture, i, both) => element("figure", {}, picture, element("figcaption", {}, both.length === 2 && i === 0 ? "noise" : "image")));
  find("close-up-pictures").replaceChildren(...figures);
  find("close-up-facts").replaceChildren(...Object.entries(row.facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
  if (!close.open) close.showModal();
}

function look(i) {
  if (!shown[i]) return;
  open = i;
  show(shown[i]);
  find("earlier").disabled = i === 0 && page === 0;
  find("later").disabled = i === shown.length - 1 && !more;
}

async function step(by) {
  if (open < 0) return;
  if (shown[open + by]) return look(open + by);
  const before = page;
  await turn(by);
  if (page !== before) look(by > 0 ? 0 : shown.length - 1);
}

async function lookUp(id) {
  let row = all.find((each) => each.id === id);
  if (live) row = (await request("rows?" + new URLSearchParams({ where: "id = " + id, offset: 0, limit: 1 }))).rows[0];
  if (!row) return;
  open = -1;
  find("earlier").disabled = find("later").disabled = true;
  show(row);
}

close.addEventListener("close", () => open >= 0 && cards()[open]?.focus());
close.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
find("earlier").addEventListener("click", () => step(-1));
find("later").addEventListener("click", () => step(1));
find("shut").addEventListener("click", () => close.close());
find("before").addEventListener("click", () => turn(-1));
find("after").addEventListener("click", () => turn(1));
document.addEventListener("click", (event) => {
  const id = event.target.closest("[data-row]")?.dataset.row;
  if (id !== undefined) lookUp(Number(id));
});
let typing;
for (const name of ["class", "words", "where"]) {
  find(name)?.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { page = 0; draw(); }, 150);
  });
}

async function follow() {
  const { sections, done, of, error } = await request("survey");
  if (error) find("overview-body").replaceChildren(element("p", { class: "error" }, error));
  else if (!sections) {
    const bar = find("reading");
    if (bar && of) [bar.max, bar.value] = [of, done];
    setTimeout(follow, 1000);
  } else for (const [name, html] of Object.entries(sections)) find(name + "-body").innerHTML = html;
}

draw();
if (live) follow();
`;
