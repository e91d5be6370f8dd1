// Without this script the page is complete: it adds buttons that copy, and values under the pointer and at the keyboard.
for (const box of document.querySelectorAll("pre")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(box);
    let copied = true;
    try {
      await navigator.clipboard.writeText(box.textContent);
    } catch { // a page of another origin's frame, or from a server without TLS
      copied = document.execCommand("copy");
    }
    button.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
  });
  box.before(button);
}

for (const plot of document.querySelectorAll(".plot")) {
  const drawing = plot.querySelector("svg");
  const { width, height } = drawing.viewBox.baseVal;
  const points = [...drawing.querySelectorAll(".readings circle")].map((circle) => {
    const title = circle.firstElementChild;
    title.remove(); // else the browser would show it too
    return { circle, x: circle.cx.baseVal.value, y: circle.cy.baseVal.value, text: title.textContent };
  });
  if (!points.length) continue;
  const box = document.createElement("output");
  box.className = "reading";
  box.hidden = true;
  plot.append(box);
  plot.tabIndex = 0;
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-label", `${drawing.getAttribute("aria-label")}. The arrow keys read its values.`);

  let at = -1;
  const show = (index) => {
    points[at]?.circle.classList.remove("read");
    at = index;
    box.hidden = at < 0;
    if (at < 0) return;
    const { circle, x, y, text } = points[at];
    circle.classList.add("read");
    box.textContent = text;
    box.style.left = `${(100 * x) / width}%`;
    box.style.top = `${(100 * y) / height}%`;
    box.style.translate = `${(-100 * x) / width}% ${y < height / 4 ? "12px" : "calc(-100% - 12px)"}`;
  };
  plot.addEventListener("pointermove", (event) => {
    const place = drawing.getBoundingClientRect();
    const x = ((event.clientX - place.left) * width) / place.width;
    const y = ((event.clientY - place.top) * height) / place.height;
    const distances = points.map((point) => Math.hypot(point.x - x, point.y - y));
    show(distances.indexOf(Math.min(...distances)));
  });
  plot.addEventListener("keydown", (event) => {
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Escape") show(-1);
    if (next === undefined) return;
    event.preventDefault();
    show((Math.max(next, event.key === "End" ? -1 : 0) + points.length) % points.length);
  });
  for (const left of ["pointerleave", "blur"]) plot.addEventListener(left, () => show(-1));
}

// On paper nothing can be opened.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
