// Making a token: filters the roles to choose from, and says how many are chosen.

const roles = document.getElementById("roles");
if (roles) {
  const sift = document.getElementById("sift");
  const chosen = document.getElementById("chosen");
  const sections = [...roles.querySelectorAll("section")].map((section) => ({
    section,
    rows: [...section.querySelectorAll("label")].map((label) => ({
      label,
      text: `${section.querySelector("h3").textContent} ${label.textContent}`.toLowerCase(),
    })),
  }));
  const boxes = [...roles.querySelectorAll("input")];

  const count = () => {
    const n = boxes.filter((box) => box.checked).length;
    chosen.textContent = n === 0 ? "None chosen" : `${n} chosen`;
  };
  sift.addEventListener("input", () => {
    const words = sift.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { section, rows } of sections) {
      let shown = 0;
      for (const { label, text } of rows) {
        label.hidden = !words.every((word) => text.includes(word));
        shown += label.hidden ? 0 : 1;
      }
      section.hidden = shown === 0;
    }
  });
  // Enter filters; it does not make a token.
  sift.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  roles.addEventListener("change", count);
  sift.parentElement.hidden = boxes.length < 8;
  count();
}
