// The configuration: what is chosen shows at once.

const form = document.getElementById("choose");
const say = (text) => document.dispatchEvent(new CustomEvent("rolegate:say", { detail: text }));
let asked = 0;
let waiting;

async function show() {
  const turn = ++asked;
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  const address = `/aws-config?${query}`;
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (turn !== asked) return;
    const preview = page.getElementById("preview");
    if (!preview) { location.assign(address); return; }
    // While a field is wrong, what stood there before stays.
    if (preview.childElementCount) document.getElementById("preview").replaceWith(document.adoptNode(preview));
    for (const field of form.querySelectorAll(".field")) {
      const id = field.querySelector("input, select").id;
      const told = page.getElementById(`${id}-error`);
      const input = document.getElementById(id);
      document.getElementById(`${id}-error`)?.remove();
      input.removeAttribute("aria-invalid");
      if (told) { input.setAttribute("aria-invalid", "true"); input.after(document.adoptNode(told)); say(told.textContent); }
    }
    history.replaceState(null, "", address);
    document.dispatchEvent(new CustomEvent("rolegate:new"));
    const summary = document.getElementById("summary");
    if (summary) say(summary.textContent);
  } catch { /* offline: the button still works */ }
}

/** The example in the file field belongs to the command; what somebody typed there stays. */
const example = /^\/home\/you\/\.config\/rolegate\/(token|header)$/;
form.addEventListener("change", (event) => {
  const file = form.elements.token_file;
  if ((event.target.name === "way" || event.target.name === "helper") && example.test(file.value)) {
    const header = form.elements.way.value === "process" && form.elements.helper.value === "curl";
    file.value = `/home/you/.config/rolegate/${header ? "header" : "token"}`;
  }
});

form.addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(show, event.target.matches("input:not([type=radio])") ? 250 : 0);
});
form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(waiting); show(); });
