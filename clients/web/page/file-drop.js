// A recording dropped anywhere on the page, or chosen.

export function acceptFiles({ overlay, input, onFile }) {
  let depth = 0; // enter and leave come for each element on the way
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  const show = (change) => (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    depth = Math.max(0, depth + change);
    overlay.hidden = depth === 0;
  };
  document.addEventListener("dragenter", show(1));
  document.addEventListener("dragover", show(0));
  document.addEventListener("dragleave", show(-1));
  document.addEventListener("drop", (event) => {
    show(-Infinity)(event);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) onFile(file);
  });
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = "";
    if (file) onFile(file);
  });
}
