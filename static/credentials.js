// Credentials: the time left, the reader's own clock, saving what is on the page, the format used last.

const say = (text) => document.dispatchEvent(new CustomEvent("rolegate:say", { detail: text }));
const clock = document.querySelector(".clock");
const end = Date.parse(clock.dataset.expires);
const left = document.getElementById("left");
const word = document.getElementById("left-word");

function spoken(seconds) {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h} h ${m} min` : m ? `${m} min ${String(s).padStart(2, "0")} s` : `${s} s`;
}

let told = "";
function tick() {
  const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
  const state = seconds === 0 ? "over" : seconds <= 600 ? "soon" : "";
  left.textContent = seconds ? spoken(seconds) : "Expired";
  word.textContent = seconds ? "left" : "";
  clock.classList.toggle("soon", state === "soon");
  clock.classList.toggle("over", state === "over");
  if (state !== told) say(state === "over" ? "These credentials have expired." : `${spoken(seconds)} left.`);
  told = state;
  if (seconds) setTimeout(tick, 1000 - (Date.now() % 1000));
}
tick();

const here = document.getElementById("local");
const sameDay = new Date(end).toDateString() === new Date().toDateString();
here.textContent = " · " + new Date(end).toLocaleString([], {
  hour: "2-digit", minute: "2-digit", timeZoneName: "short", ...(sameDay ? {} : { weekday: "short", day: "numeric", month: "short" }),
}) + " your time";
here.hidden = false;

for (const form of document.querySelectorAll("[data-save]")) {
  form.querySelector(".anew").hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([document.getElementById(form.dataset.save).textContent], { type: "text/plain" }));
    link.download = form.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say(`Saved as ${form.dataset.file}`);
  });
}

const tabs = document.querySelector(".tabs");
try {
  const last = document.getElementById("tab-" + localStorage.getItem("rolegate.format"));
  if (last) last.checked = true;
  tabs.addEventListener("change", (event) => localStorage.setItem("rolegate.format", event.target.value));
} catch { /* storage is off: nothing is remembered */ }
