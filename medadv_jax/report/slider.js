// Shows the slice that the range control names; without this script the page shows one slice.
for (const box of document.querySelectorAll(".slider")) {
  const range = box.querySelector("input");
  const said = box.querySelector("output");
  const views = box.querySelectorAll("svg[viewBox]");
  const { columns, width, height } = box.dataset;
  const before = box.dataset.before.split(" ");
  const after = box.dataset.after.split(" ");
  const show = () => {
    const place = range.value - 1;
    const corner = [(place % columns) * width, Math.floor(place / columns) * height];
    for (const view of views) view.setAttribute("viewBox", [...corner, width, height].join(" "));
    const text = `Slice ${range.value} of ${range.max}. Mean Dice: clean ${before[place]}, ` +
      `perturbed ${after[place]}.`;
    said.textContent = text;
    range.setAttribute("aria-valuetext", text);
  };
  range.addEventListener("input", show);
  box.querySelector(".control").hidden = false;
  show(); // a browser may have kept the place of an earlier visit
}
