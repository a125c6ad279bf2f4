// Every page: says that scripts run, copies, and speaks.

document.documentElement.classList.add("js");

const live = document.getElementById("live");

/** Reads a sentence aloud to those who listen; the same one twice is read twice. */
function say(text) {
  live.textContent = "";
  requestAnimationFrame(() => { live.textContent = text; });
}

/** Where the page is served without TLS there is no clipboard object; selecting and copying still works. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "v";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}

function dress(button) {
  button.hidden = false;
  const label = button.textContent;
  let back;
  button.addEventListener("click", async () => {
    let said = "Copied";
    try {
      await copy(document.querySelector(button.dataset.copy).textContent);
    } catch {
      said = "Could not copy";
    }
    button.textContent = said;
    say(said);
    clearTimeout(back);
    back = setTimeout(() => { button.textContent = label; }, 2000);
  });
}

/** Buttons that copy, also those that came into the page later. */
function dressAll() {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) dress(button);
}
dressAll();
document.addEventListener("rolegate:new", dressAll);

document.addEventListener("rolegate:say", (event) => say(event.detail));
