// The picker: filter as you type, move by keys, remember durations, keep favourites without leaving the page.

const q = document.getElementById("q");
const help = document.getElementById("help");
const count = document.getElementById("count");
const none = document.getElementById("none");
const mine = () => document.getElementById("mine");
const say = (text) => document.dispatchEvent(new CustomEvent("rolegate:say", { detail: text }));
const said = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const fine = matchMedia("(hover: hover) and (pointer: fine)").matches;

// What there is: each role with the text it is found by, and the group it stands in.
let groups = [];
function collect() {
  groups = [...document.querySelectorAll(".g")].map((el) => {
    const about = (el.querySelector("summary")?.textContent ?? "").toLowerCase();
    const rows = [...el.querySelectorAll(".r")].map((row) => {
      const name = row.querySelector(".n");
      return { el: row, name, text: `${about} ${name.textContent} ${row.dataset.k ?? ""}`.toLowerCase() };
    });
    return { el, rows, account: el.matches("details"), open: el.open, shown: rows.length };
  });
}

// Opening hundreds of accounts at once helps nobody: beyond this many roles they stay closed, with their counts.
const OPEN_UP_TO = 150;
let words = [];

function filter() {
  words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
  let roles = 0, accounts = 0;
  for (const group of groups) {
    group.shown = 0;
    for (const row of group.rows) {
      const match = words.every((word) => row.text.includes(word));
      if (row.el.hidden === match) row.el.hidden = !match;
      if (match) group.shown += 1;
    }
    if (group.el.hidden !== !group.shown) group.el.hidden = !group.shown;
    if (group.account && group.shown) { roles += group.shown; accounts += 1; }
  }
  for (const group of groups) {
    if (!group.account) continue;
    const open = words.length ? roles <= OPEN_UP_TO : group.open;
    if (group.el.open !== open) group.el.open = open;
    const many = group.el.querySelector(".many").firstChild;
    if (many.data !== String(group.shown)) many.data = group.shown;
  }
  count.textContent = `${said(roles, "role", "roles")} in ${said(accounts, "account", "accounts")}`;
  none.hidden = roles > 0;
  if (!roles) none.querySelector("q").textContent = q.value.trim();
  highlight();
  mark();
}

// Paints the words without touching the page; a browser that cannot simply does not.
function highlight() {
  if (!CSS.highlights) return;
  const ranges = [];
  for (const group of words.length ? groups : []) {
    if (!group.shown || ranges.length > 400) continue;
    const roots = group.rows.filter((row) => !row.el.hidden && group.el.open !== false).map((row) => row.name);
    if (group.account) roots.push(group.el.querySelector("summary"));
    for (const root of roots) {
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode.data.toLowerCase();
        for (const word of words) {
          for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
            ranges.push(new StaticRange({ startContainer: walker.currentNode, startOffset: at, endContainer: walker.currentNode, endOffset: at + word.length }));
          }
        }
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

const firstRow = () => groups.find((group) => group.shown && group.el.open !== false)?.rows.find((row) => !row.el.hidden)?.el;

// The role Enter would open while typing.
function mark() {
  document.querySelector(".r.on")?.classList.remove("on");
  if (q && words.length && document.activeElement === q) firstRow()?.classList.add("on");
}

// Where the arrows stop: roles in sight, and accounts that are closed.
function stops() {
  return groups.filter((group) => group.shown).flatMap((group) =>
    group.el.open === false ? [group.el.querySelector("summary")] : group.rows.filter((row) => !row.el.hidden).map((row) => row.el.querySelector(".c")));
}

function move(step) {
  const all = stops();
  const row = document.activeElement.closest(".r");
  const at = all.indexOf(row ? row.querySelector(".c") : document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : -1) : at + step;
  if (next < 0) return q?.focus();
  all[Math.min(next, all.length - 1)]?.focus({ preventScroll: true });
  document.activeElement.closest(".r, summary")?.scrollIntoView({ block: "nearest" });
}

async function favourite(button) {
  const form = button.form;
  const on = button.getAttribute("aria-pressed") !== "true";
  const same = [...document.querySelectorAll(".f")].filter((other) => other.formAction === button.formAction);
  same.forEach((other) => other.setAttribute("aria-pressed", on));
  say(on ? "Added to favourites" : "Removed from favourites");
  try {
    const answer = await fetch(button.formAction, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("mine");
    if (fresh && mine()) {
      const key = mine().contains(button) && button.formAction;
      mine().replaceWith(fresh);
      collect();
      recall();
      filter();
      if (key) ([...fresh.querySelectorAll(".f")].find((other) => other.formAction === key) ?? q).focus();
    }
  } catch {
    same.forEach((other) => other.setAttribute("aria-pressed", !on));
    say("That could not be saved");
  }
}

// Keys for bash and zsh, straight into the clipboard. Where that cannot be, the page shows them, or why there are none.
async function copyKeys(row) {
  const button = row.querySelector(".k");
  if (!navigator.clipboard) return button.click();
  const label = button.textContent;
  button.textContent = "Copying…";
  try {
    const body = new URLSearchParams(new FormData(button.form));
    body.set("format", "env");
    const answer = await fetch(button.formAction, { method: "POST", body });
    if (!answer.ok) throw new Error(answer.status);
    await navigator.clipboard.writeText(await answer.text());
    button.textContent = "Copied";
    say("The keys are copied: paste them into a terminal");
    setTimeout(() => { button.textContent = label; }, 2000);
  } catch {
    button.textContent = label;
    button.click();
  }
}

// Durations, by role, as chosen last in this browser.
let lengths = {};
const keep = "rolegate.durations";
function recall() {
  try { lengths = JSON.parse(localStorage.getItem(keep)) ?? {}; } catch { lengths = {}; }
  if (!Object.keys(lengths).length) return;
  for (const { el } of groups.flatMap((group) => group.rows)) {
    const form = el.firstElementChild;
    const chosen = lengths[form.getAttribute("action")];
    const select = chosen && form.elements.duration;
    if (select && [...select.options].some((option) => option.value === chosen)) select.value = chosen;
  }
}

document.addEventListener("change", (event) => {
  if (event.target.name !== "duration") return;
  lengths[event.target.form.getAttribute("action")] = event.target.value;
  try { localStorage.setItem(keep, JSON.stringify(lengths)); } catch { /* not remembered, then */ }
});

document.addEventListener("click", (event) => {
  // Renewing comes back to the roles as they are filtered now.
  const renew = q && event.target.closest('a[href^="/renew?"]');
  if (renew) renew.search = new URLSearchParams({ return_to: words.length ? `/?${new URLSearchParams({ q: q.value })}` : "/" });
  const star = event.target.closest(".f");
  if (star) { event.preventDefault(); favourite(star); }
  if (event.target.closest(".help")) help.showModal();
});

document.addEventListener("toggle", (event) => {
  const group = groups.find((known) => known.el === event.target);
  if (group && !words.length) group.open = group.el.open;
}, true);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help?.open) return;
  const typing = event.target === q;
  if (!typing && event.target.matches("select, textarea, input:not([type=hidden])")) return;
  const row = typing ? (words.length ? firstRow() : null) : event.target.closest(".r");
  const key = event.key;
  const done = (act) => { event.preventDefault(); act?.(); };
  if (key === "ArrowDown") return done(() => move(1));
  if (key === "ArrowUp") return done(() => move(-1));
  if (key === "Escape") return done(() => { if (q && (q.value || !typing)) { q.value = ""; filter(); q.focus(); scrollTo(0, 0); } else { q?.blur(); } });
  if (key === "Enter" && typing) return done(() => row?.querySelector(event.shiftKey ? ".k" : ".c").click());
  if (key === "Enter" && event.shiftKey && row) return done(() => row.querySelector(".k").click());
  if (key === "?" && help && !(typing && q.value)) return done(() => help.showModal());
  if (key === "/" && q && !(typing && q.value)) return done(() => { q.focus(); q.select(); });
  if (typing) return;
  if (key === "c" && row) return done(() => copyKeys(row));
  if (key === "f" && row) return done(() => favourite(row.querySelector(".f")));
  if (q && key.length === 1 && key !== " ") q.focus(); // the letter itself lands in the field
});

collect();
recall();
if (q) {
  let later;
  q.addEventListener("input", () => {
    filter();
    clearTimeout(later);
    later = setTimeout(() => history.replaceState(null, "", q.value ? `?q=${encodeURIComponent(q.value)}` : location.pathname), 400);
  });
  q.addEventListener("focus", mark);
  q.addEventListener("blur", mark);
  if (fine) {
    document.querySelector(".keys").hidden = false;
    if (!location.hash) q.focus({ preventScroll: true });
  }
}
