import type { GalleryRow, RowsAnswer, SurveyAnswer } from "../row.ts";

/**
 * What the report does in the browser: the gallery with its filters, paging, keys and close-up. A written page carries
 * its rows; a served one (data-live) asks for them, and for the survey until it is done. The page holds the source of
 * this one function and nothing around it, so everything it uses stands inside it.
 */
export function runReport(): void {
  const pageSize = 24;
  const live = document.body.dataset.live !== undefined;
  const all: GalleryRow[] = live ? [] : JSON.parse(find("rows").textContent ?? "");
  const [gallery, status, failure] = [find("gallery"), find("status"), find("error")];
  const [before, after] = [find<HTMLButtonElement>("before"), find<HTMLButtonElement>("after")];
  const closeUp = find<HTMLDialogElement>("close-up");
  const [earlier, later] = [find<HTMLButtonElement>("earlier"), find<HTMLButtonElement>("later")];
  let page = 0;
  let shown: GalleryRow[] = []; // the rows of this page
  let more = false; // whether another page follows
  let asked = 0; // the latest request; answers to earlier ones are dropped
  let open = -1; // which of the shown rows the close-up shows
  let typing: number | undefined; // the timer between a key and the filter it means

  function find<Kind extends HTMLElement>(id: string): Kind {
    return document.getElementById(id) as Kind;
  }

  function element(name: string, attributes: Record<string, string>, ...children: (Node | string)[]): HTMLElement {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  /** What a filter holds; nothing where the page has no such filter. */
  function filter(id: "class" | "words" | "where"): string {
    return find<HTMLInputElement | HTMLSelectElement>(id)?.value.trim() ?? "";
  }

  const criteria = () => ({ label: filter("class"), words: filter("words").toLowerCase(), where: filter("where") });

  function fits(row: GalleryRow, { label, words }: { label: string; words: string }): boolean {
    if (label !== "" && String(row.label) !== label) return false;
    return (
      words === "" ||
      [row.caption, row.name, row.id].some((text) =>
        String(text ?? "")
          .toLowerCase()
          .includes(words),
      )
    );
  }

  async function request<Answer>(path: string): Promise<Answer> {
    const response = await fetch(path);
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    return answer;
  }

  const requestRows = (search: Record<string, string>) => request<RowsAnswer>(`rows?${new URLSearchParams(search)}`);

  async function rowsOfPage(): Promise<RowsAnswer> {
    const wanted = criteria();
    const from = page * pageSize;
    if (live) return requestRows({ ...wanted, offset: String(from), limit: String(pageSize) });
    const fitting = all.filter((row) => fits(row, wanted));
    return { rows: fitting.slice(from, from + pageSize), more: fitting.length > from + pageSize, total: fitting.length };
  }

  /** Shows the current page, and gives its card number `focus` the focus. */
  async function draw(focus?: number): Promise<void> {
    const mine = ++asked;
    failure.textContent = "";
    try {
      if (live) status.textContent = "Reading…";
      const wanted = criteria();
      const answer = await rowsOfPage();
      if (mine !== asked) return;
      ({ rows: shown, more } = answer);
      const from = page * pageSize;
      const of = answer.total === undefined ? "" : ` of ${answer.total}`;
      const none = Object.values(wanted).some(Boolean) || page > 0 ? "No row fits." : "No row is there yet.";
      status.textContent = shown.length === 0 ? none : `Rows ${from + 1} to ${from + shown.length}${of}`;
    } catch (error) {
      if (mine !== asked) return;
      [shown, more] = [[], false];
      status.textContent = "";
      failure.textContent = (error as Error).message;
    }
    gallery.replaceChildren(...shown.map(card));
    before.disabled = page === 0;
    after.disabled = !more;
    if (focus !== undefined) cards().at(focus)?.focus();
  }

  const title = (row: GalleryRow): string => row.caption || row.class || row.name || "no condition";

  function pictures(row: GalleryRow, loading: "lazy" | "eager"): HTMLElement[] {
    const one = (src: string, alt: string) => element("img", { src, alt, loading });
    const noise = row.noise ? [one(row.noise, `noise of row ${row.id}`)] : [];
    return [...noise, one(row.image, `image of row ${row.id}: ${title(row)}`)];
  }

  function card(row: GalleryRow, i: number): HTMLElement {
    const words = element("span", { class: "words" }, element("b", {}, String(row.id)), ` ${title(row)}`);
    const attributes = { class: "card", type: "button", tabindex: i === 0 ? "0" : "-1", "aria-haspopup": "dialog" };
    const made = element("button", attributes, element("span", { class: "pictures" }, ...pictures(row, "lazy")), words);
    made.addEventListener("click", () => look(i));
    made.addEventListener("focus", () => {
      for (const other of cards()) other.setAttribute("tabindex", other === made ? "0" : "-1");
    });
    return made;
  }

  const cards = () => [...gallery.children] as HTMLElement[];

  /** How many cards stand beside each other. */
  function columns(): number {
    const tops = cards().map(({ offsetTop }) => offsetTop);
    const below = tops.findIndex((top) => top > tops[0]!);
    return below < 0 ? Math.max(1, tops.length) : below;
  }

  async function turn(by: 1 | -1, focus?: number): Promise<void> {
    if (by < 0 ? page === 0 : !more) return;
    page += by;
    await draw(focus);
  }

  function onGalleryKey(event: KeyboardEvent): void {
    const at = cards().indexOf(document.activeElement as HTMLElement);
    if (at < 0) return;
    const last = shown.length - 1;
    const targets: Record<string, number> = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at - columns(),
      ArrowDown: at + columns(),
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (event.key === "PageDown") turn(1, 0);
    else if (event.key === "PageUp") turn(-1, 0);
    else if (target === undefined) return;
    else if (target < 0 && event.key === "ArrowLeft") turn(-1, -1);
    else if (target > last && event.key === "ArrowRight") turn(1, 0);
    else cards()[target]?.focus();
    event.preventDefault();
  }

  function show(row: GalleryRow): void {
    find("close-up-title").textContent = `Row ${row.id}: ${title(row)}`;
    const figures = pictures(row, "eager").map((picture, i, both) => {
      return element("figure", {}, picture, element("figcaption", {}, both.length === 2 && i === 0 ? "noise" : "image"));
    });
    const facts = Object.entries(row.facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]);
    find("close-up-pictures").replaceChildren(...figures);
    find("close-up-facts").replaceChildren(...facts);
    if (!closeUp.open) closeUp.showModal();
  }

  /** Opens the close-up on a row of this page. */
  function look(i: number): void {
    const row = shown[i];
    if (!row) return;
    open = i;
    show(row);
    earlier.disabled = i === 0 && page === 0;
    later.disabled = i === shown.length - 1 && !more;
  }

  /** Moves the close-up to a neighbour, over the ends of a page. */
  async function step(by: 1 | -1): Promise<void> {
    if (open < 0) return;
    if (shown[open + by]) return look(open + by);
    const from = page;
    await turn(by);
    if (page !== from) look(by > 0 ? 0 : shown.length - 1);
  }

  /** Opens the close-up on a row by its id, wherever it is: it has no neighbours then. */
  async function lookUp(id: number): Promise<void> {
    const answer = live ? await requestRows({ where: `id = ${id}`, offset: "0", limit: "1" }) : { rows: all };
    const row = answer.rows.find((each) => each.id === id);
    if (!row) return;
    open = -1;
    earlier.disabled = later.disabled = true;
    show(row);
  }

  /** Shows how far the server has read the store, and what it found once it is done. */
  async function follow(): Promise<void> {
    for (;;) {
      const { sections, done, of, error } = await request<SurveyAnswer>("survey");
      if (error) throw new Error(error);
      for (const [name, html] of Object.entries(sections ?? {})) find(`${name}-body`).innerHTML = html;
      if (sections) return;
      const bar = find<HTMLProgressElement>("reading");
      if (bar && of) [bar.max, bar.value] = [of, done];
      await new Promise((wake) => setTimeout(wake, 1000));
    }
  }

  gallery.addEventListener("keydown", onGalleryKey);
  closeUp.addEventListener("close", () => open >= 0 && cards()[open]?.focus());
  closeUp.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft") step(-1);
    if (key === "ArrowRight") step(1);
  });
  earlier.addEventListener("click", () => step(-1));
  later.addEventListener("click", () => step(1));
  find("shut").addEventListener("click", () => closeUp.close());
  before.addEventListener("click", () => turn(-1));
  after.addEventListener("click", () => turn(1));
  document.addEventListener("click", ({ target }) => {
    const id = (target as HTMLElement).closest<HTMLElement>("[data-row]")?.dataset.row;
    if (id !== undefined) lookUp(Number(id));
  });
  for (const name of ["class", "words", "where"]) {
    find(name)?.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => {
        page = 0;
        draw();
      }, 150);
    });
  }
  draw();
  if (live) follow().catch(({ message }: Error) => find("overview-body").replaceChildren(element("p", { class: "error" }, message)));
}
