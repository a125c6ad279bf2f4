// Options of a role: what they come to, while somebody types. The server says it, as it does without scripts.

const form = document.getElementById("options");
const outcome = document.getElementById("outcome");
let asked = 0;
let timer;

async function check() {
  const mine = ++asked;
  try {
    const answer = await fetch(form.dataset.check, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { accept: "text/html" },
    });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("outcome");
    if (mine !== asked || !fresh) return;
    const open = outcome.querySelector("details")?.open;
    outcome.replaceChildren(...fresh.childNodes);
    const details = outcome.querySelector("details");
    if (details && open) details.open = true;
  } catch { /* no answer: the buttons say it again */ }
}

if (outcome) form.querySelector(".check").hidden = true;
form.addEventListener("input", () => {
  if (!outcome) return;
  clearTimeout(timer);
  timer = setTimeout(check, 400);
});
