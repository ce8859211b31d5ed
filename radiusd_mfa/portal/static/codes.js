// An extra: copies and prints the backup codes. Without it there are the download and the browser's own menu.
"use strict";
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const codes = [...document.querySelectorAll(`#${button.dataset.copy} li`)].map((item) => item.textContent);
    const said = document.getElementById("said");
    try {
      await navigator.clipboard.writeText(codes.join("\n") + "\n");
      said.textContent = "Copied.";
    } catch {
      said.textContent = "Not copied; please download them.";
    }
  });
}
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
