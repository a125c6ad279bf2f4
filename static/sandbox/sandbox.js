// Both shorten a path that exists without scripts: a button to press, a time that is written out.
"use strict";

const answer = document.querySelector("form[data-submit-at-once]");
if (answer) {
  answer.submit();
}

const until = document.querySelector("time[data-until]");
if (until) {
  const end = Date.parse(until.dataset.until);
  const unit = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
  const words = (seconds) => {
    if (seconds < 60) return unit(Math.max(seconds, 0), "second");
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    return [hours && unit(hours, "hour"), minutes && unit(minutes, "minute")].filter(Boolean).join(" ");
  };
  const tick = () => {
    const left = Math.floor((end - Date.now()) / 1000);
    const text = left > 0 ? words(left) : "no time: it has ended";
    if (until.textContent !== text) until.textContent = text;
    if (left > 0) setTimeout(tick, 1000);
  };
  tick();
}
